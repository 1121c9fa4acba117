"""Lives of devices: a device together with what changed its status, for those who show both as one."""

from typing import Any, TypeVar

from msgspec import Struct

from fleetroll.core.model import Device, Event
from fleetroll.service import devices
from fleetroll.service.operations import Call, Operation

T = TypeVar("T")


class Life(Struct, frozen=True):
    """A device and the events that changed its status, oldest first."""

    device: Device
    events: list[Event]


class Lives(Struct, frozen=True):
    """One page; `next` as in `devices.Devices`."""

    lives: list[Life]
    next: tuple[Any, int] | None


def told(operation: Operation[T, Device]) -> Operation[T, Life]:
    """The same operation, whose result tells the device's life."""

    async def run(call: Call, value: T) -> Life:
        device = await operation.run(call, value)
        return Life(device, await call.records.timeline.lives(call.org, (device.id,)))

    return Operation(operation.name, operation.action, operation.effect, run)


def told_page(operation: Operation[T, devices.Devices]) -> Operation[T, Lives]:
    """The same operation, whose result tells the lives of all devices of the page."""

    async def run(call: Call, value: T) -> Lives:
        page = await operation.run(call, value)
        lives: dict[int, Life] = {device.id: Life(device, []) for device in page.devices}
        for event in await call.records.timeline.lives(call.org, lives) if lives else ():
            lives[event.subject_id].events.append(event)
        return Lives(list(lives.values()), page.next)

    return Operation(operation.name, operation.action, operation.effect, run)
