"""Events that a template defines: logged by the device, or in its name, and read back beside its connections."""

from msgspec import Struct, structs

from fleetroll.core import limits
from fleetroll.core import templates as rules
from fleetroll.core.faults import Fault, Kind, invalid, not_found
from fleetroll.core.model import Device, Event, EventKind
from fleetroll.core.policy import Action
from fleetroll.core.query import OffsetPage, Slice
from fleetroll.core.times import DAY, seconds_of_day_left
from fleetroll.service import devices, presence, reach, templates
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.timeline import device_entry

_PREFIX = "device.event."
_ALL = "device.events"
# A device does not log that it comes or goes: whoever sees it does.
TYPES: dict[EventKind, str] = {kind: _PREFIX + kind.value.lower() for kind in EventKind} | {
    EventKind.ONLINE: presence.CONNECTED,
    EventKind.OFFLINE: presence.DISCONNECTED,
}
"""The timeline's type of each kind of event."""

_PRESENCE_KINDS = frozenset({EventKind.ONLINE, EventKind.OFFLINE})
KINDS: dict[str, EventKind] = {type: kind for kind, type in TYPES.items()}
"""The inverse of `TYPES`."""


class Occurrence(Struct, frozen=True):
    """An event of a device, named by its identifier or by its number. Without a description it has the template's."""

    device: str | int
    code: str
    description: str | None = None


class Past(Struct, frozen=True):
    """A device's events by offset, of one kind or of all."""

    id: int
    page: OffsetPage
    kind: EventKind | None = None


class Logged(Struct, frozen=True):
    """What the timeline holds of an event. `event` is the number that the template gives it."""

    event: int
    code: str
    name: str
    description: str | None


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def trigger(call: Call, wanted: Occurrence) -> None:
    """Log an event in the name of a device."""
    if isinstance(wanted.device, int):
        call, device = await reach.device(call, wanted.device)
    else:
        device = await devices.find(call, wanted.device)
    await log(call, device, wanted.code, wanted.description)


async def log(call: Call, device: Device, code: str, description: str | None) -> None:
    """Log an event. Raises Fault not_found `event_code_not_found`, invalid, and rate_limited `too_many_events`.

    Online and offline cannot be logged: a template's code of such a kind only names what presence records.
    """
    if len(description or "") > limits.MAX_EVENT_DESCRIPTION:
        message = f"A description must have at most {limits.MAX_EVENT_DESCRIPTION} characters."
        raise invalid("invalid_text", message, "description")
    template = await templates.of(call, device)
    found = rules.event_code(template, code) if template else None
    if found is None:
        raise not_found("event_code", code)
    if found.kind in _PRESENCE_KINDS:
        raise invalid("presence_event", "The server itself records that a device goes online or offline.", "code")
    # A code without a limit of its own shares the device's with all others that have none.
    noun, most = (_ALL, limits.EVENTS_PER_DAY) if found.daily_limit is None else (_PREFIX + code, found.daily_limit)
    if not await call.records.usage.add_today(call.org, device.id, noun, call.at // DAY, most):
        raise _too_many(call, most)
    data = Logged(found.id, code, found.name, description or found.description)
    await call.records.timeline.append([device_entry(call, TYPES[found.kind], device, structs.asdict(data))])


def _too_many(call: Call, most: int) -> Fault:
    message = f"This event may be logged at most {most} times a day."
    return Fault(Kind.RATE_LIMITED, "too_many_events", message, retry_after=seconds_of_day_left(call.at))


async def of_device(call: Call, device: Device, kind: EventKind | None, page: OffsetPage) -> Slice[Event]:
    """A device's events of one kind, or of any, newest first; and how many there are in all."""
    types = list(KINDS) if kind is None else [TYPES[kind]]
    return await call.records.timeline.of_types(call.org, device.id, types, page)


@operation(Action.TIMELINE_READ, Effect.SCAN)
async def past(call: Call, wanted: Past) -> Slice[Event]:
    """Events of a device in reach: what was logged, and when it connected and disconnected."""
    return await reach.of_device(
        call, wanted.id, lambda there, device: of_device(there, device, wanted.kind, wanted.page)
    )
