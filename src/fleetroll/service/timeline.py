"""What happened: entries written with every change, and reading them back."""

import bisect
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from fleetroll.core import limits
from fleetroll.core.documents import EMPTY
from fleetroll.core.model import Device, Event, NewEvent
from fleetroll.core.policy import Action
from fleetroll.core.query import OffsetPage, Part, Slice
from fleetroll.service import presence, reach
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.portions import part


class History(Struct, frozen=True):
    """A device's events, newest first, with an id below `before`."""

    ident: str
    before: int
    limit: int


class Actions(Struct, frozen=True):
    """What was done with a key to a device in reach, by offset, newest first."""

    id: int
    page: OffsetPage


class Act(Struct, frozen=True):
    """Something that was done to a device, and whether the device was there then."""

    event: Event
    connected: bool


def _entry(call: Call, type: str, subject: str, subject_id: int, name: str, data: dict[str, Any] | None) -> NewEvent:
    """An entry about a record of the caller's organization."""
    encoded = msgspec.Raw(msgspec.json.encode(data)) if data else EMPTY
    # By position, as this runs for every device of an import.
    return NewEvent(call.org, call.at, type, subject, subject_id, name, call.principal.actor, call.request, encoded)


def device_entry(call: Call, type: str, device: Device, data: dict[str, Any] | None = None) -> NewEvent:
    """An entry about a device of the caller's organization. `data` must hold no secret."""
    return _entry(call, type, "device", device.id, device.ident, data)


async def record(
    call: Call, type: str, subject: str, subject_id: int, name: str, data: dict[str, Any] | None = None
) -> None:
    """Write an entry about a record in the call's transaction. `data` must hold no secret."""
    await call.records.timeline.append([_entry(call, type, subject, subject_id, name, data)])


@operation(Action.TIMELINE_READ, Effect.SCAN)
async def of_device(call: Call, wanted: History) -> Part[Event, int]:
    async def read(device: Device) -> Part[Event, int]:
        return await part(
            lambda before, limit: call.records.timeline.of_device(call.org, device.id, before, limit),
            lambda last: last.id,
            wanted.before,
            wanted.limit,
            weight=weight,
            room=limits.MAX_PAGE_BYTES,
            most=limits.EVENT_BATCH,
        )

    return await reach.of_named(call, wanted.ident, read)


def weight(event: Event) -> int:
    """About how many bytes an event has: what a device said may be as long as a document."""
    return len(event.data)


@operation(Action.TIMELINE_READ, Effect.SCAN)
async def actions(call: Call, wanted: Actions) -> Slice[Act]:
    async def read(there: Call, device: Device) -> Slice[Act]:
        found, total = await there.records.timeline.by_keys(there.org, device.id, wanted.page)
        # Only the newest: a device with a bad connection comes and goes without end.
        newest = OffsetPage(limits.MAX_PAGE)
        changes, _ = await there.records.timeline.of_types(there.org, device.id, presence.TYPES, newest)
        return Slice([Act(one, _was_connected(device, one, changes)) for one in found], total)

    return await reach.of_device(call, wanted.id, read)


def _was_connected(device: Device, event: Event, changes: Sequence[Event]) -> bool:
    """Whether a device was connected at an event: as now, or as until the next of its `changes`, newest first.

    Changes before the event are not looked at, as clearing a device deletes them.
    """
    if device.activated_at is None or event.at < device.activated_at:
        return False
    after = bisect.bisect_left(changes, -event.id, key=lambda change: -change.id)
    return changes[after - 1].type == presence.DISCONNECTED if after else device.connected
