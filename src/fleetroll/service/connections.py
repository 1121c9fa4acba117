"""Connections of devices to the broker, noted as they are made and end, and what its applications are told of them."""

from collections.abc import Sequence

import msgspec

from fleetroll.bus.port import Announcement, Connection, ConnectionChange
from fleetroll.core.ids import broker_org
from fleetroll.core.model import Instant, KnownAs, Link
from fleetroll.core.times import MILLISECOND
from fleetroll.service import presence
from fleetroll.service.operations import Services
from fleetroll.service.portions import whole
from fleetroll.store.port import Records

_AT_ONCE = 500
_pack = msgspec.msgpack.Encoder().encode


async def note(services: Services, changes: Sequence[ConnectionChange]) -> list[Announcement]:
    """Note that these connections were made, or have ended."""
    at = services.clock()

    async def work(records: Records) -> list[Announcement]:
        announcements = [await _changed(records, change, at) for change in changes]
        return [one for one in announcements if one is not None]

    return await services.store.write(work)


async def reconcile(services: Services, connections: Sequence[Connection]) -> list[Announcement]:
    """Make the store agree with the broker, which has these connections and no others."""
    known = {(link.org, link.device, link.name) for link in await _links(services.store.bulk)}
    open_now = await _identified(services.store.read, connections)
    gone = [Link(*one) for one in known - open_now.keys()]
    come = [ConnectionChange(open_now[one], connected=True) for one in open_now.keys() - known]
    announcements: list[Announcement] = []
    for first in range(0, len(gone), _AT_ONCE):
        announcements += await _connections_ended(services, gone[first : first + _AT_ONCE])
    for first in range(0, len(come), _AT_ONCE):
        announcements += await note(services, come[first : first + _AT_ONCE])
    return announcements


async def _links(records: Records) -> list[Link]:
    return await whole(records.presence.links, lambda last: last, None)


async def _identified(records: Records, connections: Sequence[Connection]) -> dict[tuple[int, int, str], Connection]:
    found = {}
    for one in connections:
        credential = await records.credentials.of_account(one.account)
        if credential is not None:
            found[credential.org, credential.device, one.name] = one
    return found


async def _connections_ended(services: Services, links: Sequence[Link]) -> list[Announcement]:
    at = services.clock()

    async def work(records: Records) -> list[Announcement]:
        announcements = [await _connection_ended(records, link, at) for link in links]
        return [one for one in announcements if one is not None]

    return await services.store.write(work, bulk=True)


async def _changed(records: Records, change: ConnectionChange, at: Instant) -> Announcement | None:
    """What applications are told of a connection that was made or has ended: of a device's first, and of its last.

    Whether the device also sends something outside the broker does not matter to them.
    """
    credential = await records.credentials.of_account(change.connection.account)
    if credential is None:
        return None
    link = Link(credential.org, credential.device, change.connection.name)
    if not change.connected:
        return await _connection_ended(records, link, at)
    if not await presence.opened(records, link, at):
        return None
    device = await records.devices.by_id(link.org, link.device)
    return _announcement(link.org, presence.known_as(device), "connected", start=at) if device is not None else None


async def _connection_ended(records: Records, link: Link, at: Instant) -> Announcement | None:
    left = await records.presence.left(link)
    since = await presence.closed(records, link, at)
    if since is None:
        return None
    device = await records.devices.by_id(link.org, link.device) if left is None else None
    known = presence.known_as(device) if device is not None else left
    return _announcement(link.org, known, "disconnected", start=since, stop=at) if known is not None else None


def _announcement(org: int, known: KnownAs, event: str, **times: Instant) -> Announcement:
    """In the vendor's words, which only its SDKs read."""
    data = {name: at // MILLISECOND for name, at in times.items()}
    body = _pack({"device_ident": known.ident, "event": event, "data": data})
    return Announcement(broker_org(org), known.env, known.public_id, body)
