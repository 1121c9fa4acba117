"""Many devices at once: export, import, and changes by filter. Each batch is one transaction; memory stays constant."""

import asyncio
import enum
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from msgspec import Struct, structs

from fleetroll.core import documents, identity, limits
from fleetroll.core import extras as device_extras
from fleetroll.core.documents import EMPTY, Document
from fleetroll.core.faults import Fault, Kind, not_found
from fleetroll.core.fields import canonical, reader
from fleetroll.core.model import DEFAULT_COHORT, Device, DeviceChange, Instant, MetadataField, NewDevice
from fleetroll.core.names import identity_key
from fleetroll.core.policy import Action
from fleetroll.core.query import Filter, Page, Sort, matches
from fleetroll.service import cohorts, devices, metadata_fields, quotas, templates, timeline
from fleetroll.service.devices import CREATED, Put
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.rehearsals import Planned, is_there, named_by
from fleetroll.store.port import Records

T = TypeVar("T")
_of_new = attrgetter(*NewDevice.__struct_fields__)
_EXPORT_PAGE = 1_000
_MEMBERS = 256  # bytes of a device in a reply beside its documents


class Outcome(enum.Enum):
    """What became of one device."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    FAILED = "failed"


class Result(Struct, frozen=True, gc=False):
    """What became of one row or device; `fault` says why it failed. `line` counts from 1; 0 is no line."""

    outcome: Outcome
    ident: str | None
    line: int = 0
    fault: Fault | None = None


class Row(Struct, frozen=True, gc=False):
    """One line of an import: a device to put, or what is wrong with the line.

    `description` and `seen_at` are what another server knew of it; None says nothing. `members` are set in its
    metadata, whose others stay.
    """

    line: int
    put: Put | None
    fault: Fault | None = None
    description: str | None = None
    seen_at: Instant | None = None
    members: Mapping[str, Any] = {}


class _Candidate(Struct, frozen=True, gc=False):
    """A row, by the key of its device; `new` is what it makes where that is not there yet, or why it makes none.

    All that needs no transaction is done before it, on the event loop, while a thread stores the batch before.
    """

    row: Row
    key: str
    new: NewDevice | Fault


class Import(Struct, frozen=True):
    """Rows to store. `create_only` refuses devices that exist; `dry_run` reports and changes nothing."""

    rows: AsyncIterator[list[Row]]
    create_only: bool = False
    dry_run: bool = False


class Sweep(Struct, frozen=True):
    """A change to every device that `filter` finds; `None` finds all of them."""

    filter: Filter | None
    edit: Callable[[Device], DeviceChange]
    dry_run: bool = False


class Removal(Struct, frozen=True):
    """The devices to delete."""

    filter: Filter | None
    dry_run: bool = False


class Placing(Struct, frozen=True):
    """Devices to move into a cohort, by identifier."""

    cohort: str
    idents: tuple[str, ...]


class Newest(Struct, frozen=True):
    """All devices, or of more than fit into `size` bytes the newest."""

    size: int


class Found(Struct, frozen=True):
    """Devices, newest first; `truncated` if there are more."""

    org: int
    devices: list[Device]
    truncated: bool


class Replaced(Struct, frozen=True):
    """A device whose metadata was replaced, or None where none has that identifier."""

    ident: str
    device: Device | None


@operation(Action.DEVICES_WRITE, Effect.BULK)
async def replace_metadata(call: Call, wanted: Sequence[tuple[str, Document]]) -> list[Replaced]:
    """Replace the metadata of devices as a whole, in the order given: all of those there are, or none.

    A device is written, and dated, even where nothing differs: this tells whoever syncs that it was seen.
    """
    known = await call.records.devices.by_idents(call.org, [ident for ident, _ in wanted])
    results = []
    for ident, metadata in wanted:
        key = identity_key(ident)
        if device := known.get(key):
            known[key] = device = await _replaced(call, device, metadata)
        results.append(Replaced(ident, device))
    return results


async def _replaced(call: Call, device: Device, metadata: Document) -> Device:
    try:
        return await devices.rewrite(call, device, {"metadata": metadata})
    except Fault as fault:  # among a thousand devices, it must say which
        raise Fault(fault.kind, fault.code, f"{device.ident}: {fault.message}", fault.field) from None


@operation(Action.DEVICES_WRITE, Effect.BULK)
async def place(call: Call, wanted: Placing) -> None:
    """Move devices into a cohort, all of them or none. Raises Fault not_found for one that is not there."""
    slug = (await cohorts.noun.find(call, wanted.cohort)).slug
    known = await call.records.devices.by_idents(call.org, wanted.idents)
    for ident in wanted.idents:
        device = known.pop(identity_key(ident), None)
        if device is None:
            raise not_found("device", ident)
        await devices.change(call, device, DeviceChange(cohort=None if slug == DEFAULT_COHORT else slug))


@operation(Action.DEVICES_READ, Effect.STREAM)
async def export(call: Call, filter: Filter | None) -> AsyncIterator[list[Device]]:
    """Every device that the filter finds, by id, in batches."""
    return _shown(call, filter)


async def _shown(call: Call, filter: Filter | None) -> AsyncIterator[list[Device]]:
    async for batch in _walk(call, filter, _EXPORT_PAGE):
        at = call.services.clock()
        yield [identity.current(device, at) for device in batch]


@operation(Action.DEVICES_READ, Effect.SCAN)
async def newest(call: Call, wanted: Newest) -> Found:
    """In one reply whatever of the devices fits there."""
    found: list[Device] = []
    room, after = wanted.size, None
    while True:
        page = await call.records.devices.page(call.org, None, Sort("id", descending=True), Page(_EXPORT_PAGE, after))
        for device in page:
            room -= _MEMBERS + len(bytes(device.schema)) + len(bytes(device.config)) + len(device.ident)
            if room < 0:
                return Found(call.org, found, truncated=True)
            found.append(device)
        if len(page) < _EXPORT_PAGE:
            return Found(call.org, found, truncated=False)
        after = (page[-1].id, page[-1].id)


@operation(Action.DEVICES_WRITE, Effect.BATCHES)
async def update(call: Call, wanted: Sweep) -> AsyncIterator[list[Result]]:
    async def one(inner: Call, device: Device) -> Outcome:
        now = await devices.change(inner, device, wanted.edit(device))
        return Outcome.UNCHANGED if now is device else Outcome.UPDATED

    return _sweep(call, wanted.filter, one, wanted.dry_run)


@operation(Action.DEVICES_DELETE, Effect.BATCHES)
async def delete(call: Call, wanted: Removal) -> AsyncIterator[list[Result]]:
    async def one(inner: Call, device: Device) -> Outcome:
        await devices.remove(inner, device)
        return Outcome.DELETED

    return _sweep(call, wanted.filter, one, wanted.dry_run)


@operation(Action.DEVICES_WRITE, Effect.BATCHES)
async def load(call: Call, wanted: Import) -> AsyncIterator[list[Result]]:
    """Store rows in their order. A row that fails does not hold up the others; a reported row is on disk."""
    return _load(call, wanted)


async def _walk(call: Call, filter: Filter | None, size: int) -> AsyncIterator[list[Device]]:
    """All devices in order of id. One that is changed meanwhile is met once, as its order does not change."""
    records, after = call.services.store.bulk, None
    while found := await records.devices.page(call.org, filter, Sort(), Page(size, after)):
        yield found
        after = (None, found[-1].id)


async def _sweep(
    call: Call, filter: Filter | None, one: Callable[[Call, Device], Any], dry_run: bool
) -> AsyncIterator[list[Result]]:
    exact = canonical(filter) if filter is not None else None
    async for batch in _walk(call, filter, limits.BULK_BATCH):

        async def work(records: Records, batch: list[Device] = batch) -> list[Result]:
            inner = call.within(records)
            found = [await _apply(inner, device.id, exact, one) for device in batch]
            return [result for result in found if result]

        yield await _transact(call, work, dry_run)


async def _apply(call: Call, number: int, filter: Filter | None, one: Callable[[Call, Device], Any]) -> Result | None:
    """Change one device if it still is what the filter asks for: it may have changed since it was listed."""
    device = await call.records.devices.by_id(call.org, number)
    if device is None or (filter is not None and not matches(filter, reader(device))):
        return None
    try:
        return Result(await one(call, device), device.ident)
    except Fault as fault:
        return Result(Outcome.FAILED, device.ident, fault=fault)


class _DryRun(Exception):
    """Carries the results out of a transaction that is to be undone."""

    def __init__(self, results: Any) -> None:
        self.results = results


async def _transact(call: Call, work: Callable[[Records], Awaitable[T]], dry_run: bool) -> T:
    """What a transaction answers; with `dry_run` it is undone, and answers what it would have."""

    async def rehearse(records: Records) -> T:
        raise _DryRun(await work(records))

    try:
        return await call.services.store.write(rehearse if dry_run else work, bulk=True)
    except _DryRun as rehearsed:
        results: T = rehearsed.results
        return results


async def _load(call: Call, wanted: Import) -> AsyncIterator[list[Result]]:
    """While one batch is stored, the one before is answered and the next one is taken in."""
    storing: asyncio.Task[list[Result]] | None = None
    rehearsal = _Rehearsal(call, wanted) if wanted.dry_run else None
    try:
        async for batch in _batches(wanted.rows):
            stored = await storing if storing is not None else []
            storing = asyncio.ensure_future(rehearsal.store(batch) if rehearsal else _store(call, wanted, batch))
            await asyncio.sleep(0)  # which lets it begin
            if stored:
                yield stored
        if storing is not None:
            yield await storing
    finally:
        if storing is not None:
            storing.cancel()
        if rehearsal is not None:
            await rehearsal.close(storing)


async def _store(call: Call, wanted: Import, batch: list[_Candidate]) -> list[Result]:
    async def work(records: Records) -> list[Result]:
        return await _Loader(call.within(records), wanted.create_only).store(batch)

    return await call.services.store.write(work, bulk=True)


class _Rehearsal:
    """An import of which each batch is undone. What it would have left is there again for a later batch."""

    def __init__(self, call: Call, wanted: Import) -> None:
        self._call = call
        self._create_only = wanted.create_only
        self._planned = Planned()
        self._named = Planned()
        self._made: Counter[str] = Counter()  # of each noun

    async def store(self, batch: list[_Candidate]) -> list[Result]:
        names = {
            one.ident: one for put in (candidate.row.put for candidate in batch) if put for one in named_by(put.change)
        }
        planned = await asyncio.to_thread(self._planned.find, _keys(batch))
        there = await asyncio.to_thread(self._named.find, names)

        async def work(records: Records) -> _Rehearsed:
            call = self._call.within(records)
            loader = _Loader(call, self._create_only)
            await loader.resume(planned, there.values(), self._made)
            before = await records.usage.of(call.org)
            results = await loader.store(batch)
            new = [one for label, one in names.items() if label not in there and await is_there(records, call.org, one)]
            made = Counter(await records.usage.of(call.org))
            made.subtract(before)
            return _Rehearsed(results, loader.written(), new, made)

        found = await _transact(self._call, work, dry_run=True)
        self._made.update(found.made)
        await asyncio.to_thread(self._planned.keep, found.written)
        await asyncio.to_thread(self._named.keep, found.named)
        return found.results

    async def close(self, storing: "asyncio.Task[list[Result]] | None") -> None:
        """Give up what was planned, once nobody looks at it any more."""
        if storing is not None:
            await asyncio.wait([storing])
        self._planned.close()
        self._named.close()


class _Rehearsed(Struct, frozen=True):
    """What a batch would have done: devices that it wrote, things that they name for the first time, and counts."""

    results: list[Result]
    written: list[NewDevice]
    named: list[NewDevice]
    made: Counter[str]


def _keys(batch: list[_Candidate]) -> set[str]:
    return {candidate.key for candidate in batch if candidate.row.put}


async def _batches(arriving: AsyncIterator[list[Row]]) -> AsyncIterator[list[_Candidate]]:
    batch: list[_Candidate] = []
    async for rows in arriving:
        batch += map(_candidate, rows)
        while len(batch) >= limits.BULK_BATCH:
            yield batch[: limits.BULK_BATCH]
            batch = batch[limits.BULK_BATCH :]
    if batch:
        yield batch


def _candidate(row: Row) -> _Candidate:
    put = row.put
    if put is None:
        return _Candidate(row, "", row.fault or Fault(Kind.INVALID, "invalid_row", "The row is no device."))
    try:
        new: NewDevice | Fault = devices.new_device(_completed(row, put, None))
    except Fault as fault:
        new = fault
    return _Candidate(row, identity_key(put.ident), new)


def _completed(row: Row, put: Put, known: Device | None) -> Put:
    """What a row puts, with those documents of which it says only a part."""
    change = put.change
    if row.description is not None:
        extras = device_extras.with_description(known.extras if known else EMPTY, row.description)
        change = structs.replace(change, extras=extras)
    if row.members:
        metadata = change.metadata or (known.metadata if known else EMPTY)
        change = structs.replace(change, metadata=documents.of({**documents.load(metadata), **row.members}, "metadata"))
    return put if change is put.change else structs.replace(put, change=change)


class _Loader:
    """Stores one batch of rows: new devices together, changed ones each for itself."""

    def __init__(self, call: Call, create_only: bool) -> None:
        self._call = call
        self._create_only = create_only
        self._known: dict[str, Device] = {}
        self._new: dict[str, NewDevice] = {}
        self._results: list[Result] = []
        self._definitions: list[MetadataField] = []
        self._ensured: set[tuple[object, ...]] = set()
        self._seen: dict[str, Instant] = {}
        self._written: set[str] = set()
        self._room = 0

    async def resume(self, planned: dict[str, NewDevice], named: Iterable[NewDevice], made: Mapping[str, int]) -> None:
        """Make devices what earlier batches would have made them, and what these name, among so much that was made."""
        call = self._call
        known = await call.records.devices.by_idents(call.org, planned)
        await call.records.devices.insert_many(
            call.org, [new for key, new in planned.items() if key not in known], call.at
        )
        for key, was in known.items():
            now = structs.replace(was, **structs.asdict(planned[key]), revision=was.revision + 1)
            await call.records.devices.replace(was, now)
        uncounted = Counter(made)
        uncounted.update(await call.records.usage.of(call.org))
        for one in named:
            await devices.ensure(call, one)
        uncounted.subtract(await call.records.usage.of(call.org))
        for noun, count in uncounted.items():
            if (room := min(count, await quotas.remaining(call, noun))) > 0:
                await quotas.take(call, noun, room)

    def written(self) -> list[NewDevice]:
        """The devices that were made or changed, as they are now."""
        return [NewDevice(*_of_new(self._known[key])) for key in self._written]

    async def store(self, batch: list[_Candidate]) -> list[Result]:
        call = self._call
        await call.require_organization()
        idents = _keys(batch)
        self._known = await call.records.devices.by_idents(call.org, idents) if idents else {}
        self._definitions = await metadata_fields.definitions_of(call)
        self._room = await quotas.remaining(call, "devices")
        for candidate in batch:
            self._results.append(await self._take(candidate))
        await self._flush()
        if self._seen:
            await call.records.presence.seen(call.org, {self._known[key].id: at for key, at in self._seen.items()})
        return self._results

    async def _take(self, candidate: _Candidate) -> Result:
        row, key = candidate.row, candidate.key
        ident = row.put.ident if row.put else None
        outcome = Outcome.CREATED
        try:
            if key in self._new:  # the same device twice in one batch: the first must be there before the second
                await self._flush()
            if known := self._known.get(key):
                outcome = await self._change(key, known, row)
            else:
                await self._plan(key, candidate.new)
        except Fault as fault:
            return Result(Outcome.FAILED, ident, row.line, fault)
        if row.seen_at is not None:  # elsewhere, which is no time that is still to come
            self._seen[key] = min(max(row.seen_at, self._seen.get(key, 0)), self._call.at)
        return Result(outcome, ident, row.line)

    async def _plan(self, key: str, new: NewDevice | Fault) -> None:
        if isinstance(new, Fault):
            raise new
        if new.template is not None:
            new = await templates.adopt(self._call, new)
        if self._definitions:
            metadata_fields.check_against(self._definitions, new.metadata)
        if self._room < 1:
            raise quotas.exceeded("devices", quotas.allowed(self._call, "devices"))
        # Last, as it writes: a row that fails leaves nothing behind in the transaction of the others.
        await self._ensure(new)
        self._new[key] = new
        self._room -= 1
        self._written.add(key)

    async def _change(self, key: str, known: Device, row: Row) -> Outcome:
        assert row.put is not None
        if self._create_only:
            raise devices.taken()
        now = await devices.change(self._call, known, _completed(row, row.put, known).change)
        if now is known:
            return Outcome.UNCHANGED
        self._known[key] = now
        self._written.add(key)
        return Outcome.UPDATED

    async def _ensure(self, new: NewDevice) -> None:
        """As `devices.ensure`, once for devices of a batch that name the same."""
        software = None if new.software is None else bytes(new.software)
        named = (new.owners, new.cohort, new.hardware_version, software)
        if named not in self._ensured:
            await devices.ensure(self._call, new)
            self._ensured.add(named)

    async def _flush(self) -> None:
        if not self._new:
            return
        call = self._call
        stored = await call.records.devices.insert_many(call.org, list(self._new.values()), call.at)
        await call.records.timeline.append([timeline.device_entry(call, CREATED, device) for device in stored])
        await quotas.take(call, "devices", len(stored))
        self._known.update(zip(self._new, stored, strict=True))
        self._new.clear()
