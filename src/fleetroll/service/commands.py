"""Commands and calls to devices through the broker. What was sent is in the timeline once the broker has stored it."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from fleetroll.core import documents, extras, limits
from fleetroll.core.faults import Fault, Kind, invalid
from fleetroll.core.ids import broker_org, device_hex
from fleetroll.core.model import Device
from fleetroll.core.policy import Action
from fleetroll.core.times import MILLISECOND
from fleetroll.service.devices import find
from fleetroll.service.operations import Call, Effect, operation

_pack = msgspec.msgpack.Encoder().encode


class Command(Struct, frozen=True):
    """Something for a device to do. Without `env`, it goes to the mode in which the device was created."""

    ident: str
    name: str
    value: Any
    env: str | None = None


class Question(Struct, frozen=True):
    """A call that waits for the device's answer for so many seconds."""

    command: Command
    seconds: float


@operation(Action.DEVICES_WRITE, Effect.READ)
async def send(call: Call, wanted: Command) -> Command:
    """Queue a command; a device that is away finds it when it comes back.

    Raises Fault too_large for one that the broker would not keep, and unavailable.
    """
    device = await find(call, wanted.ident)
    body = _encoded(_pack, {"value": wanted.value, "timestamp": call.at // MILLISECOND})
    if len(body) > limits.MAX_BUS_MESSAGE:
        message = f"A command must have at most {limits.MAX_BUS_MESSAGE} bytes as MessagePack."
        raise Fault(Kind.TOO_LARGE, "command_too_large", message, "data")
    await call.services.bus.send(*_address(device, wanted), body)
    return wanted


@operation(Action.DEVICES_WRITE, Effect.READ)
async def ask(call: Call, wanted: Question) -> Any:
    """What the device answers. Raises Fault conflict where it does not listen or is silent, and unavailable."""
    device = await find(call, wanted.command.ident)
    body = _encoded(msgspec.json.encode, wanted.command.value)
    answer = await call.services.bus.call(*_address(device, wanted.command), body, wanted.seconds)
    try:
        return documents.parse(answer, "answer")
    except Fault as fault:
        raise Fault(Kind.CONFLICT, "invalid_answer", f"The device has answered, but its {fault.message}") from None


def _encoded(encode: Callable[[Any], bytes], value: Any) -> bytes:
    try:
        return encode(value)
    except OverflowError:
        raise invalid("out_of_range", "A whole number in data needs more than 64 bits.", "data") from None


def _address(device: Device, wanted: Command) -> tuple[str, str, str, str]:
    env = wanted.env or extras.environment(device.extras)
    return broker_org(device.org), env, device_hex(device.created_at, device.id), wanted.name
