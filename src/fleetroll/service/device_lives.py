"""Lives of devices: a device together with what changed its status, for those who show both as one."""

from typing import Any, TypeVar

from msgspec import Struct

from fleetroll.core import limits
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import Device, Event
from fleetroll.core.query import Part
from fleetroll.service import devices
from fleetroll.service.operations import Call, Operation

T = TypeVar("T")


class Life(Struct, frozen=True):
    """A device and the newest events that changed its status, oldest first."""

    device: Device
    events: list[Event]


def _has_changed_status(device: Device) -> bool:
    """Whether its status has ever changed: nothing leads back to the one that a device begins with."""
    return device.status is not Status.NO_IDENTITY


async def _events(call: Call, devices: list[int]) -> list[Event]:
    """Anybody can change a status by hand, and back, so a device may have any number of them."""
    if not devices:
        return []
    most = min(limits.MAX_LIFE_EVENTS, limits.MAX_PAGE_EVENTS // len(devices))
    return await call.records.timeline.lives(call.org, devices, most)


def with_life(operation: Operation[T, Device]) -> Operation[T, Life]:
    """The same operation, with the device's life as its result."""

    async def run(call: Call, value: T) -> Life:
        device = await operation.run(call, value)
        return Life(device, await _events(call, [device.id] if _has_changed_status(device) else []))

    return operation.answering(run)


def with_lives(operation: Operation[T, devices.Devices]) -> Operation[T, Part[Life, Any]]:
    """The same operation, with the lives of all devices of the page as its result."""

    async def run(call: Call, value: T) -> Part[Life, Any]:
        page = await operation.run(call, value)
        lives: dict[int, Life] = {device.id: Life(device, []) for device in page.devices}
        lived = [device.id for device in page.devices if _has_changed_status(device)]
        for event in await _events(call, lived):
            lives[event.subject_id].events.append(event)
        return Part(list(lives.values()), page.next)

    return operation.answering(run)
