"""Lives of devices: a device together with what changed its status, for those who show both as one."""

from typing import Any, TypeVar

from msgspec import Struct

from fleetroll.core.lifecycle import Status
from fleetroll.core.model import Device, Event
from fleetroll.core.query import Part
from fleetroll.service import devices
from fleetroll.service.operations import Call, Operation

T = TypeVar("T")


class Life(Struct, frozen=True):
    """A device and the events that changed its status, oldest first."""

    device: Device
    events: list[Event]


def _has_changed_status(device: Device) -> bool:
    """Whether its status has ever changed: nothing leads back to the one that a device begins with."""
    return device.status is not Status.NO_IDENTITY


def with_life(operation: Operation[T, Device]) -> Operation[T, Life]:
    """The same operation, with the device's life as its result."""

    async def run(call: Call, value: T) -> Life:
        device = await operation.run(call, value)
        return Life(
            device, await call.records.timeline.lives(call.org, (device.id,)) if _has_changed_status(device) else []
        )

    return operation.answering(run)


def with_lives(operation: Operation[T, devices.Devices]) -> Operation[T, Part[Life, Any]]:
    """The same operation, with the lives of all devices of the page as its result."""

    async def run(call: Call, value: T) -> Part[Life, Any]:
        page = await operation.run(call, value)
        lives: dict[int, Life] = {device.id: Life(device, []) for device in page.devices}
        lived = [device.id for device in page.devices if _has_changed_status(device)]
        for event in await call.records.timeline.lives(call.org, lived) if lived else ():
            lives[event.subject_id].events.append(event)
        return Part(list(lives.values()), page.next)

    return operation.answering(run)
