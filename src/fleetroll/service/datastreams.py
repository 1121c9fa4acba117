"""Datastreams of a device in reach, by its number: read, and written in its name, which does not make it online."""

from collections.abc import Sequence

from msgspec import Struct

from fleetroll.core.policy import Action
from fleetroll.service import reach, reports, telemetry
from fleetroll.service.live import Told
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.reports import Address, Property, Sample, Value
from fleetroll.store.port import Records


class Wanted(Struct, frozen=True):
    """The latest values of some datastreams of a device, or of all that have one."""

    device: int
    addresses: Sequence[Address] = ()


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


@operation(Action.DEVICES_WRITE, Effect.STREAM)
async def write(call: Call, wanted: Batch) -> None:
    reports.check_size(wanted.samples)

    async def work(records: Records) -> list[Told]:
        there, device = await reach.device(call.within(records), wanted.device)
        return await reports.store(there, device, wanted.samples)

    await telemetry.transact(call.services, work, len(wanted.samples))


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def set_property(call: Call, wanted: Setting) -> None:
    there, device = await reach.device(call, wanted.device)
    await reports.note(there, device, wanted.property)
