"""Many devices at once: export, and changes by filter. Each batch is one transaction; memory stays constant."""

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from fleetroll.core import identity, limits
from fleetroll.core.documents import Document
from fleetroll.core.faults import Fault, not_found
from fleetroll.core.fields import canonical, reader
from fleetroll.core.model import DEFAULT_COHORT, Device, DeviceChange
from fleetroll.core.names import identity_key
from fleetroll.core.policy import Action
from fleetroll.core.query import Filter, Page, Sort, matches
from fleetroll.service import cohorts, devices
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.store.port import Records

T = TypeVar("T")
_EXPORT_PAGE = 1_000
_OTHER_MEMBERS = 256  # bytes of a device in a reply besides its documents and its identifier
_encode = msgspec.json.Encoder().encode


class Outcome(enum.Enum):
    """What became of one device."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    FAILED = "failed"


_Change = Callable[[Call, Device], Awaitable[Outcome]]


class Result(Struct, frozen=True, gc=False):
    """What became of one row or device; `fault` says why it failed. `line` counts from 1; 0 is no line."""

    outcome: Outcome
    ident: str | None
    line: int = 0
    fault: Fault | None = None


class BulkUpdate(Struct, frozen=True):
    """An update of every device that `filter` finds; `None` finds all of them."""

    filter: Filter | None
    edit: Callable[[Device], DeviceChange]
    dry_run: bool = False


class BulkDelete(Struct, frozen=True):
    """A deletion of every device that `filter` finds; `None` finds all of them."""

    filter: Filter | None
    dry_run: bool = False


class CohortMove(Struct, frozen=True):
    """Devices to move into a cohort, by identifier."""

    cohort: str
    idents: tuple[str, ...]


class Newest(Struct, frozen=True):
    """All devices, or the newest of them where more than fit into `size` bytes."""

    size: int


class Found(Struct, frozen=True):
    """Devices, newest first; `truncated` if there are more."""

    org: int
    devices: list[Device]
    truncated: bool


class Replacement(Struct, frozen=True):
    """The whole new metadata of a device."""

    ident: str
    metadata: Document


class Replaced(Struct, frozen=True):
    """A device whose metadata was replaced, or None where none has that identifier."""

    ident: str
    device: Device | None


@operation(Action.DEVICES_WRITE, Effect.BULK)
async def replace_metadata(call: Call, wanted: Sequence[Replacement]) -> list[Replaced]:
    """Replace the metadata of devices as a whole, in the order given: all of those that exist, or none.

    A device is written, and dated, even where nothing differs: this tells whoever syncs that it was seen.
    """
    known = await call.records.devices.by_idents(call.org, [one.ident for one in wanted])
    results = []
    for one in wanted:
        key = identity_key(one.ident)
        if device := known.get(key):
            known[key] = device = await _replaced(call, device, one.metadata)
        results.append(Replaced(one.ident, device))
    return results


async def _replaced(call: Call, device: Device, metadata: Document) -> Device:
    try:
        return await devices.rewrite(call, device, {"metadata": metadata})
    except Fault as fault:  # among a thousand devices, it must say which
        raise Fault(fault.kind, fault.code, f"{device.ident}: {fault.message}", fault.field) from None


@operation(Action.DEVICES_WRITE, Effect.BULK)
async def place(call: Call, wanted: CohortMove) -> None:
    """Move devices into a cohort, all of them or none. Raises Fault not_found for one that is not there."""
    slug = (await cohorts.noun.find(call, wanted.cohort)).slug
    known = await call.records.devices.by_idents(call.org, wanted.idents)
    change = DeviceChange(cohort=None if slug == DEFAULT_COHORT else slug)
    for ident in wanted.idents:
        key = identity_key(ident)  # which another spelling in the list may have
        if key not in known:
            raise not_found("device", ident)
        known[key] = await devices.change(call, known[key], change)


@operation(Action.DEVICES_READ, Effect.STREAM)
async def export(call: Call, filter: Filter | None) -> AsyncIterator[list[Device]]:
    """Every device that the filter finds, by id, in batches, of which some may be empty."""
    return _shown(call, filter)


async def _shown(call: Call, filter: Filter | None) -> AsyncIterator[list[Device]]:
    async for batch in _walk(call, filter):
        at = call.services.clock()
        yield [identity.current(device, at) for device in batch]


@operation(Action.DEVICES_READ, Effect.SCAN)
async def newest(call: Call, wanted: Newest) -> Found:
    """The newest devices, as many as fit into one reply."""
    found: list[Device] = []
    room, after = wanted.size, None
    while True:
        page = await call.records.devices.page(call.org, None, Sort("id", descending=True), Page(_EXPORT_PAGE, after))
        for device in page:
            room -= _OTHER_MEMBERS + len(device.schema) + len(device.config) + len(_encode(device.ident))
            if room < 0:
                return Found(call.org, found, truncated=True)
            found.append(device)
        if len(page) < _EXPORT_PAGE:
            return Found(call.org, found, truncated=False)
        after = (page[-1].id, page[-1].id)


@operation(Action.DEVICES_WRITE, Effect.BATCHES)
async def update(call: Call, wanted: BulkUpdate) -> AsyncIterator[list[Result]]:
    async def change(inner: Call, device: Device) -> Outcome:
        now = await devices.change(inner, device, wanted.edit(device))
        return Outcome.UNCHANGED if now is device else Outcome.UPDATED

    return _change_each(call, wanted.filter, change, dry_run=wanted.dry_run)


@operation(Action.DEVICES_DELETE, Effect.BATCHES)
async def delete(call: Call, wanted: BulkDelete) -> AsyncIterator[list[Result]]:
    async def change(inner: Call, device: Device) -> Outcome:
        await devices.remove(inner, device)
        return Outcome.DELETED

    return _change_each(call, wanted.filter, change, dry_run=wanted.dry_run, removes=True)


def _walk(call: Call, filter: Filter | None) -> AsyncIterator[list[Device]]:
    """All devices in order of id. A batch is empty where none is found for a while, so that a caller may go."""
    return call.services.store.bulk.devices.walk(call.org, filter, _fitting)


def _fitting(found: Sequence[Device]) -> int:
    """The size of a batch, guessed from the devices before it: where they are large, it has fewer."""
    fitting = limits.BATCH_BYTES * len(found) // sum(map(devices.weight, found))
    return max(1, min(fitting, limits.BULK_BATCH))


async def _change_each(
    call: Call, filter: Filter | None, change: _Change, *, dry_run: bool, removes: bool = False
) -> AsyncIterator[list[Result]]:
    exact = canonical(filter) if filter is not None else None
    async for batch in _walk(call, filter):
        if not batch:
            yield []
            continue

        async def work(records: Records, batch: list[Device] = batch) -> list[Result]:
            inner = call.within(records)
            found = [await _apply(inner, device, exact, change) for device in batch]
            return [result for result in found if result]

        results = await transact(call, work, dry_run=dry_run, relieves=removes)
        if removes:
            await call.services.bus.settle()
        yield results


async def _apply(call: Call, listed: Device, filter: Filter | None, change: _Change) -> Result | None:
    """Change one device if it still is what the filter asks for: it may have changed since it was listed.

    One that has not is not judged again: of large documents that takes long, and here all other writers wait.
    """
    device = await call.records.devices.by_id(call.org, listed.id)
    if device is None or (filter is not None and device != listed and not matches(filter, reader(device))):
        return None
    try:
        return Result(await change(call, device), device.ident)
    except Fault as fault:
        return Result(Outcome.FAILED, device.ident, fault=fault)


class _DryRun(Exception):
    """Carries the results out of a transaction that is to be undone."""

    def __init__(self, results: Any) -> None:
        self.results = results


async def transact(call: Call, work: Callable[[Records], Awaitable[T]], *, dry_run: bool, relieves: bool = False) -> T:
    """The result of a transaction; with `dry_run` it is rolled back, and the result is what it would have been."""

    async def rehearse(records: Records) -> T:
        raise _DryRun(await work(records))

    try:
        return await call.services.store.write(rehearse if dry_run else work, bulk=True, relieves=relieves)
    except _DryRun as rehearsed:
        results: T = rehearsed.results
        return results
