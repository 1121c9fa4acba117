"""The timeline, which is also the outbox."""

from collections.abc import Collection, Sequence
from typing import Any

from fleetroll.core.model import Event, NewEvent, Span
from fleetroll.core.query import OffsetPage, Slice
from fleetroll.store import lists, port, rows
from fleetroll.store.connection import Connection, Values
from fleetroll.store.statements import SQL

_WORTH_LOADING = 16  # events; fewer are inserted one by one
_MOST_TYPES = 10
_KEYS = {"first": "key:", "beyond": "key;"}  # between the two lie the actors that are keys


class Timeline:
    """Implements `port.Timeline`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def append(self, events: Sequence[NewEvent]) -> None:
        if len(events) < _WORTH_LOADING:
            await self._connection.many(SQL["timeline_insert"], list(map(rows.event_values, events)))
        else:
            await self._connection.load("timeline", list(map(rows.event_row, events)))

    async def of_device(self, org: int, device: int, before: int, limit: int) -> list[Event]:
        return await self._events("timeline_of_device", {**_about(org, device), "before": before, "limit": limit})

    async def lives(self, org: int, devices: Collection[int], most: int) -> list[Event]:
        query = lists.lives(org, list(devices), most)
        found = [rows.event(row) for row in await self._connection.all(query.text, query.values)]
        return sorted(found, key=lambda event: event.id)

    async def since(self, org: int, after: int, limit: int) -> list[Event]:
        return await self._events("timeline_since", {"org": org, "after": after, "limit": limit})

    async def reported(self, org: int, device: int, type: str, span: Span, limit: int, offset: int) -> list[Event]:
        values = {"org": org, "device": device, "type": type, "since": span.since, "until": span.until}
        return await self._events("timeline_reported", {**values, "limit": limit, "offset": offset})

    async def published(self, after: int, limit: int) -> list[Event]:
        values = {"after": after, "settled": await self._connection.settled(), "limit": limit}
        return await self._events("timeline_published", values)

    async def last(self, org: int | None = None) -> int:
        if org is None:
            return await self._number("timeline_last", {})
        return await self._number("timeline_newest", {"org": org})

    async def of_types(self, org: int, device: int, types: Collection[str], page: OffsetPage) -> Slice[Event]:
        values = {**_about(org, device), **_types(types)}
        found = await self._events("timeline_of_types", {**values, "limit": page.limit, "offset": page.offset})
        return Slice(found, await self._number("timeline_count_types", values))

    async def by_keys(self, org: int, device: int, page: OffsetPage) -> Slice[Event]:
        values = {**_about(org, device), **_KEYS}
        found = await self._events("timeline_by_keys", {**values, "limit": page.limit, "offset": page.offset})
        return Slice(found, await self._number("timeline_count_by_keys", values))

    async def forget_types(self, org: int, device: int, types: Collection[str]) -> None:
        await self._connection.all(SQL["timeline_forget_types"], {**_about(org, device), **_types(types)})

    async def move(self, org: int, device: int, to: int) -> None:
        await self._connection.all(SQL["timeline_move"], {**_about(org, device), "to": to})

    async def forget(self, org: int, device: int) -> None:
        await self._connection.all(SQL["timeline_forget"], _about(org, device))

    async def purge(self, span: Span, after: int, most: int) -> port.Purged | None:
        reach = {"after": after, "limit": most, "since": span.since, "until": span.until}
        [(reached, is_current)] = await self._connection.all(SQL["timeline_reach"], reach)
        if reached is None:
            return None
        changed, decommissioned = lists.LIFE
        kept = {"changed": changed, "decommissioned": decommissioned}
        values = {"after": after, "reached": reached, "before": span.since, **kept}
        await self._connection.all(SQL["timeline_purge"], values)
        return port.Purged(reached, bool(is_current))

    async def _number(self, statement: str, values: Values) -> int:
        row = await self._connection.one(SQL[statement], values)
        return int(row[0]) if row else 0

    async def _events(self, statement: str, values: Values) -> list[Event]:
        return [rows.event(row) for row in await self._connection.all(SQL[statement], values)]


def _about(org: int, device: int) -> dict[str, Any]:
    return {"org": org, "subject": "device", "device": device}


def _types(types: Collection[str]) -> dict[str, str]:
    """The types as the statements bind them: ten, of which those that are left over name nothing."""
    assert len(types) <= _MOST_TYPES
    return {f"t{number}": type for number, type in enumerate([*types, *[""] * (_MOST_TYPES - len(types))])}
