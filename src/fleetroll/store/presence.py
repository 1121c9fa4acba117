"""Whether devices are there: by their traffic, or by a connection with a broker."""

from collections.abc import Collection, Mapping

from msgspec import Raw, structs

from fleetroll.core import limits
from fleetroll.core.model import Instant, KnownAs, Link, Reporter, Span
from fleetroll.store import lists
from fleetroll.store.connection import Connection, Values
from fleetroll.store.port import DeviceRef
from fleetroll.store.statements import SQL

_FIRST = Link(0, 0, "")


class Presence:
    """Implements `port.Presence`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def reporters(self, org: int, devices: Collection[int]) -> dict[int, Reporter]:
        found: dict[int, Reporter] = {}
        for some in lists.portions(devices):
            query = lists.reporters(org, some)
            for row in await self._connection.all(query.text, query.values):
                number, ident, schema, connected, seen, template, spoke, linked = row
                found[number] = Reporter(
                    number, ident, Raw(schema), bool(connected), seen, template, spoke, bool(linked)
                )
        return found

    async def heard(self, org: int, devices: Collection[int], at: Instant) -> None:
        await self._connection.many(SQL["presence_heard"], _at(org, devices, at))

    async def spoke(self, org: int, device: int, at: Instant) -> None:
        await self._connection.many(SQL["presence_spoke"], _at(org, [device], at))

    async def spoke_again(self, org: int, device: int, at: Instant) -> None:
        await self._connection.many(SQL["presence_spoke_again"], _at(org, [device], at))

    async def heard_again(self, org: int, devices: Collection[int], at: Instant) -> None:
        await self._connection.many(SQL["presence_heard_again"], _at(org, devices, at))

    async def seen(self, org: int, times: Mapping[int, Instant]) -> None:
        await self._connection.many(
            SQL["presence_seen"], [{"org": org, "device": device, "at": at} for device, at in times.items()]
        )

    async def lost(self, org: int, devices: Collection[int]) -> None:
        await self._connection.many(SQL["presence_lost"], [{"org": org, "device": device} for device in devices])

    async def opened(self, link: Link, at: Instant) -> bool:
        before = await self._connection.one(SQL["connection_any"], {"org": link.org, "device": link.device})
        await self._connection.all(SQL["connection_open"], {**_values(link), "since": before[0] if before else at})
        await self._set_linked(link.org, link.device, linked=True)
        return before is None

    async def closed(self, link: Link) -> Instant | None:
        found = await self._connection.one(SQL["connection_close"], _values(link))
        if not found or await self._connection.one(SQL["connection_any"], {"org": link.org, "device": link.device}):
            return None
        await self._set_linked(link.org, link.device, linked=False)
        since: Instant = found[0]
        return since

    async def links(self, after: Link | None, limit: int) -> list[Link]:
        found = await self._connection.all(SQL["connection_page"], {**_values(after or _FIRST), "limit": limit})
        return [Link(*row) for row in found]

    async def quiet(self, span: Span, limit: int) -> list[DeviceRef]:
        values = {"since": span.since, "until": span.until, "limit": limit}
        found = await self._connection.all(SQL["presence_quiet"], values)
        return [DeviceRef(*row) for row in found]

    async def leave(self, org: int, device: int, known: KnownAs) -> bool:
        values = {"org": org, "device": device, **structs.asdict(known)}
        if not await self._connection.changed(SQL["connection_leave"], values):
            return False
        await self._set_linked(org, device, linked=False)
        return True

    async def left(self, link: Link) -> KnownAs | None:
        found = await self._connection.one(SQL["connection_left"], _values(link))
        return KnownAs(*found) if found else None

    async def _set_linked(self, org: int, device: int, *, linked: bool) -> None:
        await self._connection.all(SQL["presence_link"], {"org": org, "device": device, "linked": linked})


def _at(org: int, devices: Collection[int], at: Instant) -> list[Values]:
    return [{"org": org, "device": device, "at": at, "ahead": at + limits.CLOCK_LEEWAY} for device in devices]


def _values(link: Link) -> Values:
    return {"org": link.org, "device": link.device, "name": link.name}
