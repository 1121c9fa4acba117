"""Datastreams of a device in reach, by its number: read, and written in its name, which does not make it online.

What a device reports is on no record but its readings. What is written in its name is somebody's doing, so the timeline
has it: the last value of each datastream that one request writes.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, structs

from fleetroll.core import templates as rules
from fleetroll.core.model import PRODUCTION, Device, NewEvent, Reading, Span, Template
from fleetroll.core.policy import Action
from fleetroll.core.query import Place
from fleetroll.service import reach, reports, telemetry, templates
from fleetroll.service.live import Told
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.reports import Address, Property, Sample, Stream, Value
from fleetroll.service.timeline import device_entry
from fleetroll.store.port import Records

WRITTEN = "device.datastream_written"


class Wanted(Struct, frozen=True):
    """The latest values of some datastreams of a device, or of all that have one."""

    device: int
    addresses: Sequence[Address] = ()


class Past(Struct, frozen=True):
    """Values that one datastream of a device had, by place."""

    device: int
    address: Address
    span: Span
    place: Place


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
    there, device = await reach.device(call, wanted.device)
    if not wanted.addresses:
        return await reports.all_values(there, device)
    return await reports.values_at(there, device, wanted.addresses)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def history(call: Call, wanted: Past) -> History:
    there, device = await reach.device(call, wanted.device)
    stream = reports.resolve(device, await templates.of(there, device), wanted.address)
    series = device.id, PRODUCTION, stream.metric
    return History(stream, *await there.records.telemetry.slice(there.org, series, wanted.span, wanted.place))


@operation(Action.DEVICES_WRITE, Effect.BATCHES)
async def write(call: Call, wanted: Batch) -> None:
    reports.check_size(wanted.samples)

    async def work(records: Records) -> list[Told]:
        there, device = await reach.device(call.within(records), wanted.device)
        told = await reports.store(there, device, wanted.samples)
        await records.timeline.append(_entries(there, device, await templates.of(there, device), told))
        return told

    await telemetry.transact(call.services, work, len(wanted.samples))


def _entries(call: Call, device: Device, template: Template | None, told: Sequence[Told]) -> list[NewEvent]:
    last = {one.metric: one.value for one in told}
    return [
        device_entry(
            call, WRITTEN, device, structs.asdict(Written(metric, _pin(template, metric), value, device.connected))
        )
        for metric, value in last.items()
    ]


def _pin(template: Template | None, metric: str) -> str:
    """Where a device without a template has no pin but the metric itself."""
    stream = rules.by_metric(template, metric) if template else None
    return stream.pin if stream else metric


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def set_property(call: Call, wanted: Setting) -> None:
    there, device = await reach.device(call, wanted.device)
    await reports.note(there, device, wanted.property)
