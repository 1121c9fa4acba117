"""Stores what was published on the broker: readings as readings, and all else as events of the timeline.

How far a stream has been read is stored in the transaction of what was read.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct, structs

from fleetroll.bus.port import Batch, Message
from fleetroll.core import documents, limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.ids import broker_org, parse_broker_org, parse_device_hex
from fleetroll.core.messages import Content, content_of, mode_of, shown
from fleetroll.core.model import PRODUCTION, SERVER, Device, Instant, NewEvent, StreamPosition
from fleetroll.core.times import HOUR
from fleetroll.service import telemetry
from fleetroll.service.devices import known_by_id
from fleetroll.service.homes import Homes
from fleetroll.service.live_readings import Live, LiveReading
from fleetroll.service.operations import Services
from fleetroll.service.presence import BROKER
from fleetroll.service.telemetry import Arrival
from fleetroll.store.port import Records

REPORTED = {"events": "device.event", "logs": "device.log", "commands": "device.command"}
"""The timeline's type for each family of messages but telemetry."""

REFUSED = {
    "telemetry": "device.reading_refused",
    "events": "device.event_refused",
    "logs": "device.log_refused",
}
"""The timeline's type for what cannot be stored. What applications send is for the device, and so is never refused."""

_TELEMETRY, _LOGS = "telemetry", "logs"


class _Read(Struct, frozen=True):
    """A message, its number in the transaction, and what is in it or why that cannot be kept."""

    number: int
    message: Message
    content: Content | Fault


class _Ingested(Struct, frozen=True):
    """Readings to be told to those who follow them here, and messages as applications on the broker can read them."""

    readings: list[LiveReading]
    messages: list[Message]


async def take(services: Services, batches: Sequence[Batch]) -> list[Message]:
    """Store all of these batches, or nothing. Returns what applications on the broker are to hear of it."""
    at, live = services.clock(), services.live

    async def work(records: Records) -> _Ingested:
        return await _ingest(records, live, batches, at)

    done = await services.store.write(work, bulk=True)
    await live.publish(done.readings)
    return done.messages


async def rewind(records: Records, stream: str, sequence: int) -> None:
    """Read the stream again after `sequence`. The time of the last message stays: the stream is recognized by it."""
    reached = (await records.progress.of([stream]))[stream]
    await records.progress.put({stream: structs.replace(reached, sequence=sequence)})


async def go_on(records: Records, stream: str, former: str) -> None:
    """Read on in a stream where the one that it replaces was left."""
    await records.progress.put({stream: (await records.progress.of([former]))[former]})
    await records.progress.forget([former])


async def _ingest(records: Records, live: Live, batches: Sequence[Batch], at: Instant) -> _Ingested:
    """Take messages in their order. Those of no known device, and those that are no report, are left out."""
    reached = await records.progress.of([batch.stream for batch in batches])
    new = [
        (batch.stream, [one for one in batch.messages if one.sequence > reached[batch.stream].sequence])
        for batch in batches
    ]
    messages = [message for _, some in new for message in some]
    if not messages:
        return _Ingested([], [])
    read = [_read(number, message) for number, message in enumerate(messages) if _is_named(message)]
    taken = await _take_readings(records, [one for one in read if one.message.family == _TELEMETRY], at)
    events = await _take_events(records, [one for one in read if one.message.family != _TELEMETRY], at)
    lasts = {stream: some[-1] for stream, some in new if some}
    await records.progress.put({stream: StreamPosition(last.sequence, last.at) for stream, last in lasts.items()})
    homes = {number: one.org for number, one in taken.items()} | events
    arrivals = [one for one in taken.values() if one.mode == PRODUCTION]  # as every other API shows
    readings: list[LiveReading] = []
    for org in {one.org for one in arrivals}:
        if live.wants(org):
            readings += await _live_readings(records, org, arrivals)
    return _Ingested(readings, _for_applications(read, homes))


def _read(number: int, message: Message) -> _Read:
    try:
        return _Read(number, message, content_of(message.body, is_log=message.family == _LOGS))
    except Fault as fault:
        return _Read(number, message, fault)


def _for_applications(read: Sequence[_Read], homes: Mapping[int, int]) -> list[Message]:
    """What devices published and was stored, for the organizations that have it: `homes`, by number."""
    return [
        _shown(one.message, one.content, homes[one.number])
        for one in read
        if one.number in homes and not isinstance(one.content, Fault)
    ]


def _shown(message: Message, content: Content, org: int) -> Message:
    """A message in the vendor's form.

    What the vendor's clients cannot read is sent to them again and again, and after a thousand of those they hear
    nothing more.
    """
    level = message.name if message.family == _LOGS else None
    return structs.replace(message, org=broker_org(org), body=shown(content, message.at, level=level))


def _is_named(message: Message) -> bool:
    """Whether the parts of the subject that a client chooses can be stored: they may be long, and of any bytes."""
    return all(len(word) <= limits.MAX_NAME and "\0" not in word for word in (message.env, message.name))


async def _take_events(records: Records, read: Sequence[_Read], at: Instant) -> dict[int, int]:
    """Store messages as events. Returns the organization of each that a device published and was stored, by number."""
    homes = Homes(records)
    known: dict[tuple[str, str], Device | None] = {}
    events = []
    taken = {}
    for one in read:
        message = one.message
        name = message.org, message.device
        if name not in known:
            known[name] = await _device(records, message)
        device = known[name] or await homes.device(message)
        if device is None:
            continue
        event = _event(device, one, at)
        if isinstance(event, NewEvent):
            events.append(event)
            if message.family in REFUSED:
                taken[one.number] = device.org
        elif message.family in REFUSED:
            await _note(records, device.org, device.id, message, event, at)
        else:
            events.append(_without_value(device, message, event, at))
    if events:
        await records.timeline.append(events)
    return taken


async def _device(records: Records, message: Message) -> Device | None:
    org = parse_broker_org(message.org)
    return None if org is None else await known_by_id(records, org, message.device)


def _event(device: Device, one: _Read, at: Instant) -> NewEvent | Fault:
    message, content = one.message, one.content
    if isinstance(content, Fault):
        return content
    try:
        data = documents.of({"name": message.name, "value": content.value, "env": message.env}, "value")
    except Fault as fault:
        return fault
    return _reported(device, message, data, content.at if content.at is not None else message.at, at)


def _without_value(device: Device, message: Message, fault: Fault, at: Instant) -> NewEvent:
    """A command that went to its device, without its value, which cannot be stored."""
    data = msgspec.json.encode({"name": message.name, "value": None, "env": message.env, "code": fault.code})
    return _reported(device, message, msgspec.Raw(data), message.at, at)


def _reported(
    device: Device, message: Message, data: documents.Document, reported_at: Instant, at: Instant
) -> NewEvent:
    type = REPORTED[message.family]
    actor = "application" if message.family == "commands" else f"device:{device.id}"
    return NewEvent(device.org, at, type, "device", device.id, device.ident, actor, BROKER, data, reported_at)


async def _take_readings(records: Records, read: Sequence[_Read], at: Instant) -> dict[int, Arrival]:
    """Store messages as readings. Returns those that were stored, by number."""
    arrivals, messages, numbers = [], [], []
    for one in read:
        if isinstance(one.content, Fault):
            await _note_unread(records, one.message, one.content, at)
        elif (arrival := _arrival(one.message, one.content)) is not None:
            arrivals.append(arrival)
            messages.append(one.message)
            numbers.append(one.number)
    if not arrivals:
        return {}
    faults = await telemetry.ingest(records, arrivals, at)
    followed = await _after_transfer(records, messages, arrivals, faults)
    again = await telemetry.ingest(records, list(followed.values()), at)
    for (index, arrival), fault in zip(followed.items(), again, strict=True):
        arrivals[index], faults[index] = arrival, fault
    for message, arrival, fault in zip(messages, arrivals, faults, strict=True):
        if fault is not None:
            await _note(records, arrival.org, arrival.device, message, fault, at)
    outcomes = zip(numbers, arrivals, faults, strict=True)
    return {number: arrival for number, arrival, fault in outcomes if fault is None}


async def _after_transfer(
    records: Records, messages: Sequence[Message], arrivals: Sequence[Arrival], faults: Sequence[Fault | None]
) -> dict[int, Arrival]:
    """The readings, by index, of devices that were transferred, for the organizations that have them now."""
    homes = Homes(records)
    found = {}
    for index, fault in enumerate(faults):
        if fault is not None and fault.kind is Kind.NOT_FOUND:
            home = await homes.of(messages[index])
            if home is not None:
                found[index] = structs.replace(arrivals[index], org=home)
    return found


async def _live_readings(records: Records, org: int, taken: Sequence[Arrival]) -> list[LiveReading]:
    own = [one for one in taken if one.org == org]
    named = await records.presence.reporters(org, {one.device for one in own})
    return [LiveReading(org, one.device, named[one.device].ident, one.metric, one.at, one.value) for one in own]


def _arrival(message: Message, content: Content) -> Arrival | None:
    """None for a message that names no device."""
    org, device = parse_broker_org(message.org), parse_device_hex(message.device)
    if org is None or device is None:
        return None
    at = message.at if content.at is None else content.at
    return Arrival(org, device, message.name, content.value, at, mode_of(message.env))


async def _note_unread(records: Records, message: Message, fault: Fault, at: Instant) -> None:
    device = await _device(records, message)
    if device is not None:
        await _note(records, device.org, device.id, message, fault, at)


async def _note(records: Records, org: int, number: int, message: Message, fault: Fault, at: Instant) -> None:
    """Say in the timeline that reports under a name are refused, once an hour: a device may send the same forever.

    A device that does not exist any more leaves nothing behind, so nothing is noted of it.
    """
    if fault.kind is Kind.NOT_FOUND:
        return
    family, called = message.family, "metric" if message.family == _TELEMETRY else "name"
    if not await records.usage.add_today(org, number, f"refused {family} {message.name}", at // HOUR, 1):
        return
    device = await records.devices.by_id(org, number)
    if device is not None:
        refusal = {called: message.name, "code": fault.code, "message": fault.message}
        data = msgspec.Raw(msgspec.json.encode(refusal))
        entry = NewEvent(org, at, REFUSED[family], "device", device.id, device.ident, SERVER, BROKER, data)
        await records.timeline.append([entry])
