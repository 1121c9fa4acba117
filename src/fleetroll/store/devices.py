"""Devices, with the tag and owner links that index them."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any, TypeAlias

from msgspec import structs

from fleetroll.core import limits
from fleetroll.core.faults import Fault, conflict, page_too_large
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import DEFAULT_COHORT, Counts, Device, Instant, NewDevice, length_of_documents
from fleetroll.core.names import identity_key
from fleetroll.core.query import Comparison, Filter, Operator, Page, Search, Slice, Sort, every
from fleetroll.core.software import type_and_version
from fleetroll.store import device_update, lists, rows, select
from fleetroll.store.connection import Connection, Query, Row, count_by
from fleetroll.store.known_devices import KnownDevices
from fleetroll.store.match_counts import MatchCounts
from fleetroll.store.planning import Planner
from fleetroll.store.port import Draft, TokenOwner
from fleetroll.store.refusals import TOO_COSTLY
from fleetroll.store.statements import SQL
from fleetroll.store.strides import FIRST, GROWTH, Stride
from fleetroll.store.syntax import Syntax

_UNWEIGHED = 200  # devices of a page that are read whatever they weigh: at most some 50 MB

_TallyKey: TypeAlias = tuple[int, str, str, str, str]


class Devices:
    """Implements `port.Devices`."""

    def __init__(self, connection: Connection, syntax: Syntax) -> None:
        self._connection = connection
        self._syntax = syntax
        self._planner = Planner(connection, syntax)

    async def get(self, org: int, ident: str) -> Device | None:
        row = await self._connection.one(SQL["device_get"], {"org": org, "ident_key": identity_key(ident)})
        return rows.device(row) if row else None

    async def by_id(self, org: int, device: int) -> Device | None:
        row = await self._connection.one(SQL["device_by_id"], {"org": org, "device": device})
        return rows.device(row) if row else None

    async def by_idents(self, org: int, idents: Collection[str]) -> dict[str, Device]:
        query = lists.by_idents(self._syntax, org, [identity_key(ident) for ident in idents])
        found = map(rows.device, await self._connection.all(query.text, query.values))
        return {identity_key(device.ident): device for device in found}

    async def activated(self, org: int, since: Instant, limit: int) -> list[Device]:
        values = {"org": org, "since": since, "limit": limit}
        return [rows.device(row) for row in await self._connection.all(SQL["device_activated"], values)]

    async def token(self, device: int) -> TokenOwner | None:
        row = await self._connection.one(SQL["device_token"], {"device": device})
        return TokenOwner(row[0], row[1], Status(row[2])) if row else None

    async def insert(self, org: int, new: NewDevice, at: Instant) -> Device | None:
        values: dict[str, Any] = dict(zip(rows.DECIDED, rows.decided(new), strict=True))
        values.update(org=org, at=at, status=_NEW)
        number = await self._connection.added(SQL["device_insert"], values)
        if number is None:
            return None
        await self._connection.index([(org, number, None, values["search"])])
        await self._link(org, number, new.tags, new.owners)
        device = _inserted(org, number, new, at)
        await self._update_tallies(None, device)
        return device

    async def insert_many(self, org: int, new: Sequence[NewDevice], at: Instant) -> list[Device]:
        return await self.insert_drafts(org, [self.draft(one) for one in new], at)

    def draft(self, new: NewDevice) -> Draft:
        values = rows.decided(new)
        return Draft(new, values[_SEARCH], self._syntax.tail(values))

    async def insert_drafts(self, org: int, new: Sequence[Draft], at: Instant) -> list[Device]:
        if not new:
            return []
        numbered = list(zip(await self._connection.reserve("device", len(new)), new, strict=True))
        heads = [(number, org, _NEW, at) for number, _ in numbered]
        await self._connection.load("device", heads, [one.row for one in new])
        await self._connection.index([(org, number, None, one.search) for number, one in numbered])
        inserted = [_inserted(org, number, one.device, at) for number, one in numbered]
        owners = [(org, owner, device.id) for device in inserted for owner in device.owners]
        for table, links in (("device_tag", _tagged(inserted)), ("device_owner", owners)):
            if links:
                await self._connection.load(table, links)
        await self._add_to_tallies(Counter(map(_tally_key, inserted)))
        return inserted

    async def replace(self, was: Device, now: Device) -> bool:
        changed = _changed(was, now)
        if "ident" in changed and await self._taken(was, now.ident):
            present = await self.by_id(was.org, was.id)
            if present is None or present.revision != was.revision:
                return False
            raise conflict("ident_taken", "Another device already has this identifier.", "ident")
        if not await self._connection.changed(
            device_update.statement(changed), _replaced(was, now, indexed=bool(changed))
        ):
            return False
        if "ident" in changed or "name" in changed:
            await self._connection.index([(was.org, was.id, _searched(was), _searched(now))])
        if was.tags != now.tags or was.owners != now.owners:
            await self._unlink(was.org, was.id, _missing(was.tags, now.tags), _missing(was.owners, now.owners))
            await self._link(was.org, was.id, _missing(now.tags, was.tags), _missing(now.owners, was.owners))
        await self._update_tallies(was, now)
        return True

    async def delete(self, was: Device) -> bool:
        values = {"org": was.org, "device": was.id, "known": was.revision}
        if not await self._connection.changed(SQL["device_delete"], values):
            return False
        await self._connection.index([(was.org, was.id, _searched(was), None)])
        await self._unlink(was.org, was.id, was.tags, was.owners)
        await self._update_tallies(was, None)
        return True

    async def move(self, was: Device, now: Device) -> bool:
        values = {
            "org": was.org,
            "device": was.id,
            "known": was.revision,
            "to": now.org,
            "cohort": now.cohort,
            "template": now.template,
            "dms": now.dms,
            "metric_schema": rows.text(now.schema),
            "updated_at": now.updated_at,
            "revision": now.revision,
        }
        if not await self._connection.changed(SQL["device_move"], values):
            return False
        text = _searched(was)
        await self._connection.index([(was.org, was.id, text, None), (now.org, now.id, None, text)])
        await self._unlink(was.org, was.id, was.tags, was.owners)
        await self._link(now.org, now.id, now.tags, now.owners)
        await self._update_tallies(was, now)
        return True

    async def due(self, at: Instant, limit: int) -> list[Device]:
        return [rows.device(row) for row in await self._connection.all(SQL["device_due"], {"at": at, "limit": limit})]

    async def after(self, device: int, limit: int) -> list[Device]:
        values = {"after": device, "limit": limit}
        return [rows.device(row) for row in await self._connection.all(SQL["device_after"], values)]

    async def age(self, was: Device, now: Device) -> bool:
        values = {
            "org": was.org,
            "device": was.id,
            "known": was.revision,
            "status": now.status.value,
            "identity": None if now.identity is None else rows.text(now.identity),
            "identity_due": now.identity_due,
            "updated_at": now.updated_at,
            "revision": now.revision,
        }
        if not await self._connection.changed(SQL["device_age"], values):
            return False
        await self._update_tallies(was, structs.replace(was, status=now.status))
        return True

    async def page(
        self, org: int, filter: Filter | None, sort: Sort, page: Page, room: int | None = None
    ) -> list[Device]:
        plan = await self._planner.page(org, filter, sort, page.limit)
        queries = select.pages(self._syntax, org, filter, sort, page, plan)
        if room is not None and page.limit > _UNWEIGHED:
            fewer = await self._fitting(queries, page.limit, room)
            found = await self._paged(org, queries, fewer)
            # Otherwise smaller ones have come in the place of others since they were weighed, and more would fit.
            if fewer == page.limit or len(found) < fewer or sum(map(length_of_documents, found)) > room:
                return found
        return await self._paged(org, queries, page.limit)

    async def _paged(self, org: int, queries: Sequence[Query], limit: int) -> list[Device]:
        first, *rest = queries
        found = await self._listed(org, first.text, {**first.values, "limit": limit})
        if len(found) == limit or not rest:
            return found
        query = select.both(first, *rest)
        return [
            rows.device(row[2:]) for row in await self._connection.all(query.text, {**query.values, "limit": limit})
        ]

    async def _fitting(self, queries: Sequence[Query], limit: int, room: int) -> int:
        """How many devices of a page to read: those for which there is room, and one that shows that there are more.

        They are weighed before any is read: a page of the largest would take hundreds of megabytes.
        """
        first, *rest = queries
        weights = await self._weights(first)
        if len(weights) < limit and rest:
            weights = await self._weights(select.both(first, *rest))
        return min(limit, max(2, 1 + sum(weight <= room for weight in accumulate(weights))))

    async def _weights(self, query: Query, **values: int) -> list[int]:
        """How many bytes the documents of the devices have that a statement lists."""
        return [row[-1] for row in await self._connection.all(select.weighed(query.text), {**query.values, **values})]

    async def walk(
        self, org: int, filter: Filter | None, fitting: Callable[[Sequence[Device]], int]
    ) -> AsyncIterator[list[Device]]:
        stride, most, after = Stride(), FIRST, 0
        until: int | None = 0  # where the stride ends; None is the end of all
        while True:
            try:
                if until is not None and after >= until:
                    until, seconds = await self._ahead(org, after, stride.next(most))
                    stride.took(seconds, 0)
                found, seconds = await self._stretch(org, filter, after, until, most)
            except Fault as fault:
                if fault.code != TOO_COSTLY or not stride.shorten():
                    raise
                until = after  # from here again, and not as far
                continue
            stride.took(seconds, len(found))
            yield found
            if len(found) == most:
                after = found[-1].id
            elif until is None:
                return
            else:
                after = until
            if found:
                most = min(fitting(found), GROWTH * most)

    async def _ahead(self, org: int, after: int, devices: int) -> tuple[int | None, float]:
        """Up to which number there are so many devices beyond `after`, and what it took to pass them.

        The number is None where there are fewer.
        """
        values = {"org": org, "after": after, "passed": devices - 1}
        found, seconds = await self._connection.timed(SQL["device_ahead"], values)
        return (int(found[0][0]) if found else None), seconds

    async def _stretch(
        self, org: int, filter: Filter | None, after: int, until: int | None, most: int
    ) -> tuple[list[Device], float]:
        plan = await self._planner.page(org, filter, Sort(), most)
        query = select.stretch(self._syntax, org, filter, after, until, most, plan)
        found, seconds = await self._connection.timed(query.text, query.values)
        return list(map(rows.device, found)), seconds

    async def slice(
        self, org: int, filter: Filter | None, sort: Sort, start: int, limit: int, total: int
    ) -> Slice[Device]:
        matching = total if filter is None else await self.count(org, filter)
        if start >= matching:
            return Slice([], matching)
        plan = await self._planner.slice(org, filter, sort, min(start + limit, matching), matching, total)
        queries = select.slices(self._syntax, org, filter, sort, plan, near=start + limit <= self._syntax.near)
        room = limits.MAX_NUMBERED_PAGE_BYTES
        found = await self._sliced(org, queries[0], start, limit, room)
        if len(found) < limit and len(queries) > 1:
            present = (
                start + len(found)
                if found or not start
                else await self.count(org, every(filter, Comparison(sort.field, Operator.EXISTS, None)))
            )
            room -= sum(map(length_of_documents, found))
            found += await self._sliced(org, queries[1], max(0, start - present), limit - len(found), room)
        return Slice(found, matching)

    async def _sliced(self, org: int, query: Query, start: int, limit: int, room: int) -> list[Device]:
        if limit > _UNWEIGHED:
            weights = await self._weights(query, start=start, limit=limit)
            if sum(weights) > room:
                raise page_too_large()
        return await self._listed(org, query.text, {**query.values, "start": start, "limit": limit})

    async def _listed(self, org: int, statement: str, values: dict[str, Any]) -> list[Device]:
        """The devices that a statement lists. Those that are known and have not changed are not read again."""
        known = self._syntax.known
        if known is not None and (list_key := known.asks_for_marks(statement, values)) is not None:
            marks = await self._connection.all(select.marks(statement), values)
            found, others = known.find(marks)
            known.learn(list_key, len(marks), len(others))
            if others:
                await self._read(org, others, known)
                found, others = known.find(marks)
            if not others:
                return found
            # They change faster than they are read, or they are too large to be kept.
        return list(map(rows.device, await self._connection.all(statement, values)))

    async def _read(self, org: int, devices: Sequence[int], known: KnownDevices) -> None:
        for part in lists.portions(devices):
            query = lists.by_numbers(org, part)
            known.put(await self._connection.all(query.text, query.values))

    async def count(self, org: int, filter: Filter | None) -> int:
        text = select.searched(filter)
        if self._syntax.match_counts is not None and text is not None:
            return await self._count_matches(self._syntax.match_counts, org, text)
        query = select.count_seen(self._syntax, org, filter)
        if query is None:
            query = select.count(self._syntax, org, filter, await self._planner.count(org, filter))
        return await count_by(self._connection, query)

    async def _count_matches(self, known: MatchCounts, org: int, text: str) -> int:
        """How many devices have a text: in step with what this connection sees."""
        version = await count_by(self._connection, select.versioned())
        devices = known.get(org, text, version)
        if devices is None:
            query = select.versioned(select.count(self._syntax, org, Search(text)))
            [(version, devices)] = await self._connection.all(query.text, query.values)
        known.put(org, text, version, devices)
        return devices

    async def statuses(self, org: int, filter: Filter | None) -> dict[str, int]:
        query = select.statuses(self._syntax, org, filter, await self._planner.count(org, filter))
        return dict(await self._connection.all(query.text, query.values))

    async def counts(self, org: int) -> Counts:
        by = {name: await self._connection.all(SQL[f"device_count_{name}"], {"org": org}) for name in _COUNTED}
        total = sum(count for _, count in by["status"])
        connected = await count_by(self._connection, Query(SQL["device_count_connected"], {"org": org}))
        by_status: dict[str, int] = dict(sorted(by["status"]))
        kinds = await self._connection.all(SQL["device_count_kind"], {"org": org, "limit": limits.MAX_COUNTED_KINDS})
        by_kind = dict(sorted((kind or "", count) for kind, count in kinds))
        by_cohort = dict(sorted((cohort or DEFAULT_COHORT, count) for cohort, count in by["cohort"]))
        by_connected = {"true": connected, "false": total - connected}
        return Counts(total, by_status, by_kind, await self.frequent_tags(org), by_connected, by_cohort)

    async def tally(self, org: int, field: str) -> dict[str, int]:
        found = await self._connection.all(SQL[_TALLIES[field]], {"org": org})
        return {word: devices for word, devices in found if word}

    async def frequent_tags(self, org: int) -> dict[str, int]:
        values = {"org": org, "limit": limits.MAX_COUNTED_TAGS}
        return dict(await self._connection.all(SQL["device_count_tag"], values))

    async def tags(self, org: int, after: str, limit: int) -> list[str]:
        values = {"org": org, "after": after, "limit": limit}
        return [tag for (tag,) in await self._connection.all(SQL["device_tags"], values)]

    async def _update_tallies(self, was: Device | None, now: Device | None) -> None:
        """Keep the tallies in step with a device that comes, goes or changes."""
        if was and now and _tallied(was) == _tallied(now):
            return
        before, after = was and _tally_key(was), now and _tally_key(now)
        if after:
            await self._add_to_tallies({after: 1})
        if before:
            await self._add_to_tallies({before: -1})
            await self._connection.many(SQL["device_tally_clear"], [_tally_values(before)])

    async def _add_to_tallies(self, counted: Mapping[_TallyKey, int]) -> None:
        values = [{**_tally_values(one), "devices": devices} for one, devices in sorted(counted.items())]
        await self._connection.many(SQL["device_tally_add"], values)

    async def _taken(self, was: Device, ident: str) -> bool:
        other = await self.get(was.org, ident)
        return other is not None and other.id != was.id

    async def _link(self, org: int, device: int, tags: Collection[str], owners: Collection[str]) -> None:
        tagged = [{"org": org, "tag": tag, "device": device, "folded": rows.folded(tag)} for tag in tags]
        owned = [{"org": org, "owner": owner, "device": device} for owner in owners]
        for statement, values in (("device_tag_insert", tagged), ("device_owner_insert", owned)):
            if values:
                await self._connection.many(SQL[statement], values)

    async def _unlink(self, org: int, device: int, tags: Collection[str], owners: Collection[str]) -> None:
        for link, names in (("tag", tags), ("owner", owners)):
            if names:
                values = [{"org": org, link: name, "device": device} for name in names]
                await self._connection.many(SQL[f"device_{link}_delete"], values)


_NEW = Status.NO_IDENTITY.value
_SEARCH = rows.DECIDED.index("search")
_indexed = attrgetter(*device_update.INDEXED)
_tallied = attrgetter("org", "status", "cohort", "hardware_version", "software")


def _tally_key(device: Device) -> _TallyKey:
    """What a device is counted by."""
    software = type_and_version(device.software)
    return (
        device.org,
        device.status.value,
        device.cohort or "",
        device.hardware_version or "",
        software[1] if software else "",
    )


def _tally_values(key: _TallyKey) -> dict[str, Any]:
    return dict(zip(("org", *select.TALLIED), key, strict=True))


_COUNTED = ("status", "cohort")
_TALLIES = {
    "cohort": "device_count_cohort",
    "hardware_version": "device_count_hardware",
    "software_version": "device_count_software",
}


def _inserted(org: int, number: int, new: NewDevice, at: Instant) -> Device:
    # By position, as this runs for every device of an import.
    return Device(
        number,
        org,
        new.ident,
        new.name,
        new.kind,
        new.hardware_version,
        new.software,
        new.metadata,
        new.tags,
        new.owners,
        new.schema,
        new.config,
        Status.NO_IDENTITY,
        False,
        None,
        None,
        at,
        at,
        1,
        new.extras,
        new.cohort,
        new.template,
        new.dms,
    )


def _searched(device: Device) -> str:
    return rows.search_text(device.ident, device.name)


def _tagged(inserted: Sequence[Device]) -> list[Row]:
    """The tags of new devices, in the order in which their table has them."""
    found: dict[str, list[Device]] = {}
    for device in inserted:
        for tag in device.tags:
            found.setdefault(tag, []).append(device)
    return [
        (device.org, tag, device.id, rows.folded(tag)) for tag, devices in sorted(found.items()) for device in devices
    ]


def _changed(was: Device, now: Device) -> tuple[str, ...]:
    """The members that differ, among those with an index."""
    before, after = _indexed(was), _indexed(now)
    if before == after:
        return ()
    return tuple(name for name, one, other in zip(device_update.INDEXED, before, after, strict=True) if one != other)


def _replaced(was: Device, now: Device, *, indexed: bool) -> dict[str, Any]:
    """What a change writes; columns with an index are among it only if one of those changes."""
    names, written = (rows.DECIDED, rows.decided(now)) if indexed else (rows.DESCRIBED, rows.described(now))
    values: dict[str, Any] = dict(zip(names, written, strict=True))
    values.update(
        org=was.org,
        device=was.id,
        known=was.revision,
        status=now.status.value,
        activated_at=now.activated_at,
        identity=None if now.identity is None else rows.text(now.identity),
        identity_due=now.identity_due,
        metadata_times=rows.text(now.metadata_times),
        token_version=now.token_version,
        updated_at=now.updated_at,
        revision=now.revision,
    )
    return values


def _missing(here: Collection[str], there: Collection[str]) -> list[str]:
    return [name for name in here if name not in there]
