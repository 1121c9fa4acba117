"""The import: rows of a file as devices. Each batch is one transaction; memory stays constant."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from operator import attrgetter
from typing import Any

from msgspec import Struct, structs

from fleetroll.core import documents, limits
from fleetroll.core import extras as device_extras
from fleetroll.core.documents import EMPTY
from fleetroll.core.faults import Fault, as_value
from fleetroll.core.model import Device, Instant, MetadataField, NewDevice
from fleetroll.core.names import identity_key
from fleetroll.core.policy import Action
from fleetroll.service import devices, metadata_fields, quotas, templates, timeline
from fleetroll.service.devices import CREATED, Put
from fleetroll.service.fleet import Outcome, Result, transact
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.rehearsals import DeviceSpool, exists, named_by
from fleetroll.store.port import Devices, Draft, Records, Store

_of_new = attrgetter(*NewDevice.__struct_fields__)
_documents = attrgetter("metadata", "config", "schema", "extras")


class Row(Struct, frozen=True, gc=False):
    """One line of an import: a device to put, or what is wrong with the line.

    `description`, `seen_at` and `activated_at` are what another server knew of it; None says nothing. `members` are set
    in its metadata, whose other members stay. `decommissioned` makes the device so if this row creates it: no file
    decommissions one that exists.
    """

    line: int
    put: Put | None
    fault: Fault | None = None
    description: str | None = None
    seen_at: Instant | None = None
    members: Mapping[str, Any] = {}
    decommissioned: bool = False
    activated_at: Instant | None = None


class _Candidate(Struct, frozen=True, gc=False):
    """A row with its device's key; `new` is what to store if that device does not exist, or why it cannot be stored.

    All that needs no transaction is done before it, on the event loop, while a thread stores the previous batch.
    """

    row: Row
    key: str
    new: Draft | Fault


class Import(Struct, frozen=True):
    """Rows to store; an empty list of them is a pause.

    `create_only` refuses devices that exist; `dry_run` reports and changes nothing.
    """

    rows: AsyncIterator[list[Row]]
    create_only: bool = False
    dry_run: bool = False


@operation(Action.DEVICES_WRITE, Effect.BATCHES)
async def load(call: Call, wanted: Import) -> AsyncIterator[list[Result]]:
    """Store rows in their order. A row that fails does not hold up the others; a reported row is on disk."""
    return _load(call, wanted)


async def _load(call: Call, wanted: Import) -> AsyncIterator[list[Result]]:
    """While one batch is stored, the results of the one before are reported and the next one is read."""
    storing: asyncio.Task[list[Result]] | None = None
    rehearsal = _Rehearsal(call, wanted) if wanted.dry_run else None
    try:
        async for batch in _batches(wanted.rows, call.services.store):
            stored = await storing if storing is not None else []
            storing = None
            if batch:
                storing = asyncio.ensure_future(rehearsal.store(batch) if rehearsal else _store(call, wanted, batch))
                await asyncio.sleep(0)  # which lets it begin
            if stored:
                yield stored
            # Held, so that the batch before is freed only now: the thread is in SQLite, and needs no interpreter.
            _held = batch
        if storing is not None:
            yield await storing
    finally:
        if storing is not None:
            storing.cancel()
        if rehearsal is not None:
            await rehearsal.close(storing)


async def _store(call: Call, wanted: Import, batch: list[_Candidate]) -> list[Result]:
    async def work(records: Records) -> list[Result]:
        return await _Loader(call.within(records), create_only=wanted.create_only).store(batch)

    return await call.services.store.write(work, bulk=True)


class _Rehearsal:
    """A dry run: each batch is rolled back, and what it would have left is made again for the batches after it."""

    def __init__(self, call: Call, wanted: Import) -> None:
        self._call = call
        self._create_only = wanted.create_only
        self._planned = DeviceSpool()
        self._named = DeviceSpool()
        self._made: Counter[str] = Counter()  # of each noun

    async def store(self, batch: list[_Candidate]) -> list[Result]:
        puts = [candidate.row.put for candidate in batch if candidate.row.put]
        names = {one.ident: one for put in puts for one in named_by(put.change)}
        planned = await asyncio.to_thread(self._planned.find, _keys(batch))
        known = await asyncio.to_thread(self._named.find, names)

        async def work(records: Records) -> _Rehearsed:
            call = self._call.within(records)
            loader = _Loader(call, create_only=self._create_only)
            await loader.resume(planned, known.values(), self._made)
            before = await records.usage.of(call.org)
            results = await loader.store(batch)
            new = [one for label, one in names.items() if label not in known and await exists(records, call.org, one)]
            made = Counter(await records.usage.of(call.org))
            made.subtract(before)
            return _Rehearsed(results, loader.written(), new, made)

        found = await transact(self._call, work, dry_run=True)
        self._made.update(found.made)
        await asyncio.to_thread(self._planned.keep, found.written)
        await asyncio.to_thread(self._named.keep, found.named)
        return found.results

    async def close(self, storing: "asyncio.Task[list[Result]] | None") -> None:
        """Discard what was planned, once nobody looks at it any more."""
        if storing is not None:
            await asyncio.wait([storing])
        self._planned.close()
        self._named.close()


class _Rehearsed(Struct, frozen=True):
    """What a batch would have done: the devices written, the records that they name for the first time, and counts."""

    results: list[Result]
    written: list[NewDevice]
    named: list[NewDevice]
    made: Counter[str]


def _keys(batch: list[_Candidate]) -> set[str]:
    return {candidate.key for candidate in batch if candidate.row.put}


async def _batches(arriving: AsyncIterator[list[Row]], store: Store) -> AsyncIterator[list[_Candidate]]:
    """Rows in batches, each for one commit.

    The more rows share a commit, the fewer pages of an index each of them costs, but the longer others wait. A batch of
    large rows has fewer. When the rows pause, those that have come are yielded, and after them an empty batch.
    """
    batch: list[_Candidate] = []
    room = limits.BATCH_BYTES
    async for rows in arriving:
        most = limits.BULK_BATCH if store.has_waiting else limits.IMPORT_BATCH
        for row in rows:
            batch.append(_candidate(row, store.read.devices))
            room -= _weight(row)
            if len(batch) >= most or room < 0:
                yield batch
                batch, room = [], limits.BATCH_BYTES
        if not rows:
            if batch:
                yield batch
            batch, room = [], limits.BATCH_BYTES
            yield []
    if batch:
        yield batch


def _candidate(row: Row, store: Devices) -> _Candidate:
    put = row.put
    if put is None:
        assert row.fault is not None
        return _Candidate(row, "", row.fault)
    try:
        new: Draft | Fault = store.draft(devices.new_device(_completed(row, put, None)))
    except Fault as fault:
        new = as_value(fault)
    return _Candidate(row, identity_key(put.ident), new)


def _weight(row: Row) -> int:
    """How many bytes the documents of a row have, and its tags and owners."""
    if row.put is None:
        return 0
    change = row.put.change
    return sum(map(len, filter(None, _documents(change)))) + devices.length_of_names(
        change.tags or (), change.owners or ()
    )


def _completed(row: Row, put: Put, known: Device | None) -> Put:
    """The row's put. Documents of which the row gives only a part are completed from the device as it is."""
    change = put.change
    if row.description is not None:
        extras = change.extras or (known.extras if known else EMPTY)
        change = structs.replace(change, extras=device_extras.with_description(extras, row.description))
    if row.members:
        metadata = change.metadata or (known.metadata if known else EMPTY)
        change = structs.replace(change, metadata=documents.of({**documents.load(metadata), **row.members}, "metadata"))
    return put if change is put.change else structs.replace(put, change=change)


class _Loader:
    """Stores one batch of rows: new devices together, changed ones one by one."""

    def __init__(self, call: Call, *, create_only: bool) -> None:
        self._call = call
        self._create_only = create_only
        # Devices by key: those that are there, those that `_flush` will insert, and which of these to decommission.
        self._known: dict[str, Device] = {}
        self._new: dict[str, Draft] = {}
        self._decommissioned: set[str] = set()
        self._written: set[str] = set()  # made or changed by this batch
        self._results: list[Result] = []
        self._definitions: list[MetadataField] = []
        self._ensured: set[tuple[object, ...]] = set()  # what rows name together, and is there
        self._activated: dict[str, Instant] = {}
        self._seen: dict[str, Instant] = {}
        self._room = 0  # how many more devices the quota allows

    async def resume(self, planned: dict[str, NewDevice], named: Iterable[NewDevice], made: Mapping[str, int]) -> None:
        """Restore what earlier batches of a rehearsal would have left: devices, what they name, and counts (`made`)."""
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
            self._results.append(await self._store_row(candidate))
        await self._flush()
        for times in (self._activated, self._seen):  # in this order: when it is first seen, a device is activated
            if times:
                await call.records.presence.seen(call.org, {self._known[key].id: at for key, at in times.items()})
        return self._results

    async def _store_row(self, candidate: _Candidate) -> Result:
        row, key = candidate.row, candidate.key
        ident = row.put.ident if row.put else None
        outcome = Outcome.CREATED
        try:
            if key in self._new:  # the same device twice in one batch: the first must be there before the second
                await self._flush()
            if known := self._known.get(key):
                outcome = await self._change(key, known, row)
            else:
                self._new[key] = await self._storable(candidate.new)
                self._written.add(key)
                if row.decommissioned:
                    self._decommissioned.add(key)
        except Fault as fault:
            return Result(Outcome.FAILED, ident, row.line, as_value(fault))
        if row.activated_at is not None and not self._is_activated(key):
            self._activated[key] = min(row.activated_at, self._activated.get(key, self._call.at))
        if row.seen_at is not None and self._is_later(key, row.seen_at):  # elsewhere; no time in the future counts
            self._seen[key] = min(max(row.seen_at, self._seen.get(key, 0)), self._call.at)
        return Result(outcome, ident, row.line)

    def _is_activated(self, key: str) -> bool:
        known = self._known.get(key)
        return known is not None and known.activated_at is not None

    def _is_later(self, key: str, seen_at: Instant) -> bool:
        known = self._known.get(key)
        return known is None or known.last_seen is None or known.last_seen < seen_at

    async def _storable(self, draft: Draft | Fault) -> Draft:
        """The draft of a device that can be stored now: what it names is there. Raises Fault for one that cannot."""
        if isinstance(draft, Fault):
            raise draft
        new = draft.device
        if new.template is not None:
            new = await templates.apply_to_new(self._call, new)
            draft = self._call.records.devices.draft(new)
        if self._definitions:
            metadata_fields.check_against(self._definitions, new.metadata)
        if self._room < 1:
            quota = quotas.allowed(self._call, "devices")
            raise quotas.exceeded("devices", quota, quota - self._room)
        software = None if new.software is None else bytes(new.software)
        named = (new.owners, new.cohort, new.hardware_version, software)
        if named not in self._ensured:  # once for all that name the same, and last, as a row that fails leaves nothing
            await devices.ensure(self._call, new)
            self._ensured.add(named)
        self._room -= 1
        return draft

    async def _change(self, key: str, known: Device, row: Row) -> Outcome:
        assert row.put is not None
        if self._create_only:
            raise devices.ident_taken()
        now = await devices.change(self._call, known, devices.for_existing(_completed(row, row.put, known).change))
        if now is known:
            return Outcome.UNCHANGED
        self._known[key] = now
        self._written.add(key)
        return Outcome.UPDATED

    async def _flush(self) -> None:
        if not self._new:
            return
        call = self._call
        stored = await call.records.devices.insert_drafts(call.org, list(self._new.values()), call.at)
        await call.records.timeline.append([timeline.device_entry(call, CREATED, device) for device in stored])
        await quotas.take(call, "devices", len(stored))
        self._known.update(zip(self._new, stored, strict=True))
        self._new.clear()
        for key in self._decommissioned:
            self._known[key] = await devices.retire(call, self._known[key])
        self._decommissioned.clear()
