"""Datastreams of devices: how they are named, read and written; also by others, in the name of a device in reach.

A datastream is named by its pin, or by its number in the device's template. Without a template, the metric of a pin is
the pin. What a device itself reports (`reports`) leaves nothing but readings. What is written in its name does not make
it online, and somebody did it, so the timeline has it: the last value of each datastream that one request writes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from fleetroll.core import datastreams as rules
from fleetroll.core import extras, readings
from fleetroll.core import templates as template_rules
from fleetroll.core.faults import Fault, Kind, invalid
from fleetroll.core.model import (
    PRODUCTION,
    Datastream,
    DatastreamKind,
    Device,
    DeviceChange,
    Instant,
    NewEvent,
    Reading,
    Span,
    Template,
)
from fleetroll.core.policy import Action
from fleetroll.core.query import OffsetPage
from fleetroll.service import devices, reach, telemetry, templates
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.timeline import device_entry
from fleetroll.store.port import Records

WRITTEN = "device.datastream_written"
_EVER = Span(0, 1 << 62)


class Address(Struct, frozen=True):
    """A datastream: its pin, or its number."""

    pin: str | None = None
    number: int | None = None


def at_pin(text: str) -> Address:
    """The datastream at a pin, in either case. Raises Fault invalid `invalid_pin`."""
    pin = template_rules.parse_pin(text)
    if pin is None:
        raise invalid("invalid_pin", "A pin is v, d or a and a number.", "pin")
    return Address(pin=pin)


class Sample(Struct, frozen=True):
    """What is given for one datastream, as it came; `at` None is now."""

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


# --- of one device ---------------------------------------------------------------------------------------------------


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


async def all_values(call: Call, device: Device) -> list[Value]:
    """The latest values of all datastreams that have one, by number or pin."""
    template = await templates.of(call, device)
    latest = {reading.metric: reading.value for reading in await call.records.telemetry.last(call.org, device.id)}
    if template is None:
        pins = [pin for pin in latest if template_rules.parse_pin(pin) == pin]
        return [
            Value(Stream(pin, pin, None), latest[pin]) for pin in sorted(pins, key=lambda pin: (pin[0], int(pin[1:])))
        ]
    streams = [_stream(part) for part in template.datastreams]
    return [Value(stream, latest[stream.metric]) for stream in streams if stream.metric in latest]


async def store(call: Call, device: Device, samples: Sequence[Sample]) -> telemetry.Stored:
    """Store values of a device's datastreams, each as its datastream takes it."""
    template = await templates.of(call, device)
    types = readings.metric_types(device.schema)
    addresses = {sample.address for sample in samples}
    streams = {address: resolve(device, template, address) for address in addresses}
    points = [_point(streams[sample.address], types, sample) for sample in samples]
    # With no kinds: `_point` has made them values of their datastreams, so they are not checked against those again.
    return await telemetry.append(call.records, device, {}, points, call.at)


def _point(stream: Stream, types: Mapping[str, str], sample: Sample) -> telemetry.Point:
    value = rules.parse(stream.kind, types.get(stream.metric), sample.given)
    kept = rules.clamped(stream.kind, value, stream.min, stream.max)
    return telemetry.Point(stream.metric, kept, sample.at)


async def note(call: Call, device: Device, wanted: Property) -> None:
    """Note how a datastream is to be displayed."""
    stream = resolve(device, await templates.of(call, device), wanted.address)
    noted = extras.with_display_property(device.extras, stream.pin, wanted.name, wanted.value)
    await devices.change(call, device, DeviceChange(extras=noted))


def resolve(device: Device, template: Template | None, address: Address) -> Stream:
    """The datastream at an address. Raises Fault invalid `unknown_pin`, `unknown_datastream`."""
    if address.pin is None:
        part = template_rules.datastream(template, address.number or 0) if template else None
        if part is None:
            details = {"template": template.name if template else device.name or device.ident, "number": address.number}
            raise invalid("unknown_datastream", "There is no such datastream.", "datastream", **details)
        return _stream(part)
    if template is not None:
        part = template_rules.by_pin(template, address.pin)
        if part is None:
            raise _unknown_pin()
        return _stream(part)
    types = readings.metric_types(device.schema)
    if types and address.pin not in types:
        raise _unknown_pin()
    return Stream(address.pin, address.pin, None)


def _stream(part: Datastream) -> Stream:
    return Stream(part.pin, template_rules.metric(part), part.kind, part.default, part.min, part.max)


def _unknown_pin() -> Fault:
    return invalid("unknown_pin", "There is no datastream at this pin.", "pin")


def no_data() -> Fault:
    return Fault(Kind.INVALID, "no_data", "There are no values.")


# --- of a device in reach --------------------------------------------------------------------------------------------


class Wanted(Struct, frozen=True):
    """The latest values of some datastreams of a device, or of all that have one."""

    device: int
    addresses: Sequence[Address] = ()


class Past(Struct, frozen=True):
    """Values that one datastream of a device had, by offset."""

    device: int
    address: Address
    span: Span
    page: OffsetPage


class History(Struct, frozen=True):
    """Some values of a datastream, newest first, and how many there are in all."""

    stream: Stream
    readings: list[Reading]
    total: int


class Written(Struct, frozen=True):
    """What the timeline holds of a value that was written in a device's name. `connected`: whether it was there."""

    metric: str
    pin: str
    value: Any
    connected: bool


class Batch(Struct, frozen=True):
    """What is written to a device: all of it, or nothing."""

    device: int
    samples: Sequence[Sample]


class Setting(Struct, frozen=True):
    """How a datastream of a device is to be displayed."""

    device: int
    property: Property


@operation(Action.DEVICES_READ, Effect.READ)
async def values(call: Call, wanted: Wanted) -> list[Value]:
    async def read(there: Call, device: Device) -> list[Value]:
        if not wanted.addresses:
            return await all_values(there, device)
        return await values_at(there, device, wanted.addresses)

    return await reach.of_device(call, wanted.device, read)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def history(call: Call, wanted: Past) -> History:
    async def read(there: Call, device: Device) -> History:
        stream = resolve(device, await templates.of(there, device), wanted.address)
        series = device.id, PRODUCTION, stream.metric
        return History(stream, *await there.records.telemetry.slice(there.org, series, wanted.span, wanted.page))

    return await reach.of_device(call, wanted.device, read)


@operation(Action.DEVICES_WRITE, Effect.BATCHES)
async def write(call: Call, wanted: Batch) -> None:
    telemetry.check_size(wanted.samples)

    async def work(records: Records) -> telemetry.Stored:
        there, device = await reach.device(call.within(records), wanted.device)
        stored = await store(there, device, wanted.samples)
        await records.timeline.append(_entries(there, device, await templates.of(there, device), stored.readings))
        return stored

    await telemetry.transact(call.services, work, len(wanted.samples))


def _entries(call: Call, device: Device, template: Template | None, stored: Sequence[Reading]) -> list[NewEvent]:
    last = {one.metric: one.value for one in stored}
    return [
        device_entry(
            call, WRITTEN, device, structs.asdict(Written(metric, _pin(template, metric), value, device.connected))
        )
        for metric, value in last.items()
    ]


def _pin(template: Template | None, metric: str) -> str:
    """The pin of a metric; the metric itself where no datastream of the template, if there is one, has it."""
    stream = template_rules.by_metric(template, metric) if template else None
    return stream.pin if stream else metric


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def set_property(call: Call, wanted: Setting) -> None:
    there, device = await reach.device(call, wanted.device)
    await note(there, device, wanted.property)
