"""What happened: entries written with every change, and reading them back."""

from typing import Any

import msgspec
from msgspec import Struct

from fleetroll.core.documents import EMPTY
from fleetroll.core.faults import not_found
from fleetroll.core.model import Device, Event, NewEvent
from fleetroll.core.policy import Action
from fleetroll.core.query import Place
from fleetroll.service import reach
from fleetroll.service.operations import Call, Effect, operation


class History(Struct, frozen=True):
    """A device's events, newest first, with an id below `before`."""

    ident: str
    before: int
    limit: int


class Actions(Struct, frozen=True):
    """What was done with a key to a device in reach, by place, newest first."""

    id: int
    place: Place


class Events(Struct, frozen=True):
    """One page of events; `next` is what the following page starts from, None on the last."""

    events: list[Event]
    next: int | None


def entry(
    call: Call, type: str, subject: str, subject_id: int, name: str, data: dict[str, Any] | None = None
) -> NewEvent:
    """A timeline entry about a record of the caller's organization. `data` must hold no secret."""
    return NewEvent(
        org=call.org,
        at=call.at,
        type=type,
        subject=subject,
        subject_id=subject_id,
        name=name,
        actor=call.principal.actor,
        request=call.request,
        data=msgspec.Raw(msgspec.json.encode(data)) if data else EMPTY,
    )


def device_entry(call: Call, type: str, device: Device, data: dict[str, Any] | None = None) -> NewEvent:
    return entry(call, type, "device", device.id, device.ident, data)


async def record(
    call: Call, type: str, subject: str, subject_id: int, name: str, data: dict[str, Any] | None = None
) -> None:
    """Write one entry in the call's transaction."""
    await call.records.timeline.append([entry(call, type, subject, subject_id, name, data)])


@operation(Action.TIMELINE_READ, Effect.SCAN)
async def of_device(call: Call, wanted: History) -> Events:
    device = await call.records.devices.get(call.org, wanted.ident)
    if device is None:
        raise not_found("device", wanted.ident)
    events = await call.records.timeline.of_subject(call.org, "device", device.id, wanted.before, wanted.limit + 1)
    more = len(events) > wanted.limit
    shown = events[: wanted.limit]
    return Events(shown, shown[-1].id if more else None)


@operation(Action.TIMELINE_READ, Effect.SCAN)
async def actions(call: Call, wanted: Actions) -> tuple[list[Event], int]:
    there, device = await reach.device(call, wanted.id)
    return await call.records.timeline.by_keys(there.org, "device", device.id, wanted.place)
