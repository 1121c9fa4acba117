"""Whether a device is there: by its own traffic, until that has been quiet for a while, or by a broker's connection.

It is told in the timeline once for each change, and is no new revision of the device: clients that compare and set
should not lose to a heartbeat. `heard` belongs into the transaction that stores what was heard.
"""

from collections.abc import Collection, Sequence

from fleetroll.core import limits
from fleetroll.core.model import Device, Instant, Link, NewEvent, Reporter
from fleetroll.core.times import SECOND
from fleetroll.store.port import Records, Store

CONNECTED = "device.connected"
DISCONNECTED = "device.disconnected"
TYPES = (CONNECTED, DISCONNECTED)
_SERVER = "server"
_RESOLUTION = int(limits.HEARD_RESOLUTION * SECOND)


async def heard(
    records: Records,
    org: int,
    devices: Collection[Device | Reporter],
    at: Instant,
    request: str,
    resolution: int = _RESOLUTION,
) -> None:
    """Devices of one organization sent something. Within `resolution` of the last time there is nothing to write."""
    new = [one for one in devices if not one.connected]
    late = [one.id for one in devices if one.connected and (one.last_seen is None or one.last_seen < at - resolution)]
    if late:
        await records.presence.heard_again(org, late, at)
    if new:
        await records.presence.heard(org, [one.id for one in new], at)
        await _tell(records, CONNECTED, [(org, one.id, one.ident) for one in new], at, request)


async def opened(records: Records, link: Link, at: Instant, request: str) -> None:
    """A broker has a connection of a device, which may be known already. One of no device is of no interest."""
    found = await records.presence.reporters(link.org, [link.device])
    if found:
        await records.presence.opened(link)
        await heard(records, link.org, found.values(), at, request)


async def closed(records: Records, link: Link, at: Instant, request: str) -> None:
    """A broker's connection has ended; with its last one a device is gone."""
    if not await records.presence.closed(link):
        return
    found = await records.presence.reporters(link.org, [link.device])
    gone = [one for one in found.values() if one.connected]
    await records.presence.heard(link.org, [one.id for one in gone], at)
    await _part(records, [(link.org, one.id, one.ident) for one in gone], at, request)


async def sweep(store: Store, at: Instant) -> None:
    """Note which devices have been quiet for too long. To be called every few seconds by one process."""
    before = at - int(limits.QUIET_TIME * SECOND)

    async def work(records: Records) -> int:
        quiet = await records.presence.quiet(before, limits.QUIET_BATCH)
        await _part(records, quiet, at, "sweep")
        return len(quiet)

    if await store.scan.presence.quiet(before, 1):
        while await store.write(work, bulk=True) == limits.QUIET_BATCH:
            pass


async def _part(records: Records, devices: Sequence[tuple[int, int, str]], at: Instant, request: str) -> None:
    for org in {org for org, _, _ in devices}:
        await records.presence.lost(org, [device for place, device, _ in devices if place == org])
    await _tell(records, DISCONNECTED, devices, at, request)


async def _tell(
    records: Records, type: str, devices: Sequence[tuple[int, int, str]], at: Instant, request: str
) -> None:
    events = [NewEvent(org, at, type, "device", device, ident, _SERVER, request) for org, device, ident in devices]
    if events:
        await records.timeline.append(events)
