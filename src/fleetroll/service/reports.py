"""What a device does with its own token: it reports values and events, and reads back what is its own.

Whatever it writes shows that it is there; reading does not, as an app may do that for it.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct

from fleetroll.core import documents, metafields
from fleetroll.core.model import Device, Metafield
from fleetroll.core.policy import Action
from fleetroll.service import datastreams, event_codes, presence, telemetry
from fleetroll.service import metafields as service_metafields
from fleetroll.service.datastreams import Address, Property, Sample, Value
from fleetroll.service.keyring import unauthenticated
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.store.port import Records


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
    return await _reported(call, lambda device: datastreams.values_at(call, device, wanted))


@operation(Action.SELF, Effect.READ)
async def every(call: Call, _: None) -> list[Value]:
    return await _reported(call, lambda device: datastreams.all_values(call, device))


async def _reported(call: Call, read: Callable[[Device], Awaitable[list[Value]]]) -> list[Value]:
    """What `read` finds of the device. Where it is transferred meanwhile, all that it has reported goes with it.

    Raises Fault unauthenticated for a device that is not here, or not any more.
    """
    found = await read(await own(call, call.records))
    await own(call, call.records)
    return found


@operation(Action.SELF, Effect.BATCHES)
async def write(call: Call, samples: Sequence[Sample]) -> None:
    """Store what the device reports: all of it, or nothing."""
    telemetry.check_size(samples)

    async def work(records: Records) -> telemetry.Stored:
        inner = call.within(records)
        device = await own(inner, records)
        stored = await datastreams.store(inner, device, samples)
        await presence.spoke(records, device, inner.at, inner.request)
        return stored

    await telemetry.transact(call.services, work, len(samples))


@operation(Action.SELF, Effect.WRITE)
async def set_property(call: Call, wanted: Property) -> None:
    await datastreams.note(call, await _heard(call), wanted)


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
