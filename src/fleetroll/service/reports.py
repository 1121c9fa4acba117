"""What a device does with its own token: it reports values and events, and reads back what is its own.

A datastream is named by its pin, or by its number in the device's template. A device without a template reports pins
under their own names. Whatever it writes shows that it is there; reading does not, as an app may do that for it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from fleetroll.core import datastreams, documents, limits, metafields, readings
from fleetroll.core import templates as rules
from fleetroll.core.faults import Fault, Kind, invalid
from fleetroll.core.model import (
    PRODUCTION,
    Datastream,
    DatastreamKind,
    Device,
    DeviceChange,
    Instant,
    Metafield,
    Span,
    Template,
)
from fleetroll.core.policy import Action
from fleetroll.service import devices, event_codes, presence, telemetry, templates
from fleetroll.service import metafields as service_metafields
from fleetroll.service.keyring import unauthenticated
from fleetroll.service.live import Told
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.store.port import Records

_EVER = Span(0, 1 << 62)
_EXTRAS = "blynk"


class Address(Struct, frozen=True):
    """A datastream: its pin, or its number."""

    pin: str | None = None
    number: int | None = None


def at_pin(text: str) -> Address:
    """The datastream at a pin, in either case. Raises Fault invalid `invalid_pin`."""
    pin = rules.parse_pin(text)
    if pin is None:
        raise invalid("invalid_pin", "A pin is v, d or a and a number.", "pin")
    return Address(pin=pin)


class Sample(Struct, frozen=True):
    """What a device gives for one datastream, as it came; without a time it is of now."""

    address: Address
    given: Sequence[Any]
    at: Instant | None = None


class Stream(Struct, frozen=True):
    """A datastream as it was found: the metric of its readings, and what they are."""

    pin: str
    metric: str
    kind: DatastreamKind | None
    default: Any = None
    min: float | None = None
    max: float | None = None


class Value(Struct, frozen=True):
    """The latest value of a datastream."""

    stream: Stream
    value: Any


class Property(Struct, frozen=True):
    """How a datastream is to be displayed."""

    address: Address
    name: str
    value: str


class Occurrence(Struct, frozen=True):
    """An event that the device's template names by a code."""

    code: str
    description: str | None


class Writing(Struct, frozen=True):
    """A metafield, by number or name, and the text of its value."""

    which: int | str
    value: str


class Held(Struct, frozen=True):
    """A metafield and what the device has for it."""

    field: Metafield
    value: Any


@operation(Action.SELF, Effect.READ)
async def values(call: Call, wanted: Sequence[Address]) -> list[Value]:
    return await values_at(call, await own(call, call.records), wanted)


async def values_at(call: Call, device: Device, wanted: Sequence[Address]) -> list[Value]:
    """The latest value of each datastream, or its default; those without either are left out."""
    template = await templates.of(call, device)
    found = []
    for address in wanted:
        stream = resolve(device, template, address)
        series = device.id, PRODUCTION, stream.metric
        latest = await call.records.telemetry.range(call.org, series, _EVER, 1, descending=True)
        value = latest[0].value if latest else stream.default
        if value is not None:
            found.append(Value(stream, value))
    return found


@operation(Action.SELF, Effect.READ)
async def every(call: Call, _: None) -> list[Value]:
    return await all_values(call, await own(call, call.records))


async def all_values(call: Call, device: Device) -> list[Value]:
    """The latest values of all datastreams that have one, by number or pin."""
    template = await templates.of(call, device)
    latest = {reading.metric: reading.value for reading in await call.records.telemetry.last(call.org, device.id)}
    if template is None:
        pins = [pin for pin in latest if rules.parse_pin(pin) == pin]
        return [
            Value(Stream(pin, pin, None), latest[pin]) for pin in sorted(pins, key=lambda pin: (pin[0], int(pin[1:])))
        ]
    streams = [_stream(part) for part in template.datastreams]
    return [Value(stream, latest[stream.metric]) for stream in streams if stream.metric in latest]


@operation(Action.SELF, Effect.BATCHES)
async def write(call: Call, samples: Sequence[Sample]) -> None:
    """Store what the device reports: all of it, or nothing."""
    check_size(samples)

    async def work(records: Records) -> list[Told]:
        inner = call.within(records)
        device = await own(inner, records)
        told = await store(inner, device, samples)
        await presence.spoke(records, device, inner.at, inner.request)
        return told

    await telemetry.transact(call.services, work, len(samples))


def check_size(samples: Sequence[Sample]) -> None:
    if len(samples) > limits.MAX_READINGS:
        raise invalid("too_many_readings", f"One request may hold {limits.MAX_READINGS} readings.", "readings")


async def store(call: Call, device: Device, samples: Sequence[Sample]) -> list[Told]:
    """Store values of a device's datastreams, each as its datastream takes it; what to tell of them is answered."""
    template = await templates.of(call, device)
    types = readings.metric_types(device.schema)
    streams = {address: resolve(device, template, address) for address in {sample.address for sample in samples}}
    points = [_point(streams[sample.address], types, sample) for sample in samples]
    return await telemetry.append(call.records, device, template, points, call.at)


def _point(stream: Stream, types: Mapping[str, str], sample: Sample) -> telemetry.Point:
    value = datastreams.value(stream.kind, types.get(stream.metric), sample.given)
    kept = datastreams.bounded(stream.kind, value, stream.min, stream.max)
    return telemetry.Point(stream.metric, kept, sample.at)


@operation(Action.SELF, Effect.WRITE)
async def set_property(call: Call, wanted: Property) -> None:
    await note(call, await _heard(call), wanted)


async def note(call: Call, device: Device, wanted: Property) -> None:
    """Note how a datastream is to be displayed."""
    stream = resolve(device, await templates.of(call, device), wanted.address)
    extras = documents.load(device.extras)
    own_extras = extras.setdefault(_EXTRAS, {})
    own_extras.setdefault("properties", {}).setdefault(stream.pin, {})[wanted.name] = wanted.value
    await devices.change(call, device, DeviceChange(extras=documents.of(extras, "properties")))


@operation(Action.SELF, Effect.READ)
async def is_connected(call: Call, _: None) -> bool:
    return (await own(call, call.records)).connected


@operation(Action.SELF, Effect.WRITE)
async def log_event(call: Call, wanted: Occurrence) -> None:
    await event_codes.log(call, await _heard(call), wanted.code, wanted.description)


@operation(Action.SELF, Effect.READ)
async def metafield(call: Call, which: int) -> Held:
    device = await own(call, call.records)
    field = await service_metafields.find(call, device, which)
    return Held(field, metafields.value_of(field, device, documents.load(device.metadata)))


@operation(Action.SELF, Effect.WRITE)
async def set_metafield(call: Call, wanted: Writing) -> None:
    device = await _heard(call)
    await service_metafields.write(
        call, device, await service_metafields.find(call, device, wanted.which), wanted.value
    )


async def own(call: Call, records: Records) -> Device:
    """The device that asks. It may be gone since its token was verified."""
    assert call.principal.device is not None
    device = await records.devices.by_id(call.org, call.principal.device)
    if device is None:
        raise unauthenticated()
    return device


async def _heard(call: Call) -> Device:
    device = await own(call, call.records)
    await presence.spoke(call.records, device, call.at, call.request)
    return device


def resolve(device: Device, template: Template | None, address: Address) -> Stream:
    """The datastream at an address. Raises Fault invalid `unknown_pin`, `unknown_datastream`."""
    if address.pin is None:
        part = rules.datastream(template, address.number or 0) if template else None
        if part is None:
            name = template.name if template else device.name or device.ident
            raise invalid("unknown_datastream", "There is no such datastream.", "dataStreamId", template=name)
        return _stream(part)
    if template is not None:
        part = rules.by_pin(template, address.pin)
        if part is None:
            raise _unknown_pin()
        return _stream(part)
    types = readings.metric_types(device.schema)
    if types and address.pin not in types:
        raise _unknown_pin()
    return Stream(address.pin, address.pin, None)


def _stream(part: Datastream) -> Stream:
    return Stream(part.pin, rules.metric(part), part.kind, part.default, part.min, part.max)


def _unknown_pin() -> Fault:
    return invalid("unknown_pin", "There is no datastream at this pin.", "pin")


def no_data() -> Fault:
    return Fault(Kind.INVALID, "no_data", "There are no values.")
