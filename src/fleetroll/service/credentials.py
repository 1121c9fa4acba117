"""The credentials of a device: which it has, and ending the derived ones.

A derived credential is stored nowhere and can be shown at any time, to whoever may write devices: who has it is the
device, but can be nothing else.
"""

from msgspec import Struct

from fleetroll.core import tokens
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import Device, DeviceChange
from fleetroll.core.policy import Action, allows
from fleetroll.service.devices import Named, change, find
from fleetroll.service.operations import Call, Effect, operation

ROTATED = "device.credentials_rotated"
DEVICE_TOKEN, CERTIFICATE = "device_token", "certificate"  # kinds


class Credentials(Struct, frozen=True):
    """The kinds that are good for something, and the device token for whoever may see it."""

    kinds: tuple[str, ...]
    device_token: str | None


@operation(Action.DEVICES_READ, Effect.READ)
async def get(call: Call, wanted: Named) -> Credentials:
    device = await find(call, wanted.ident)
    may_see = allows(call.principal.key.role, call.principal.key.scopes, Action.DEVICES_WRITE)
    return Credentials(_kinds(device), token(call, device) if may_see else None)


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def rotate(call: Call, wanted: Named) -> Credentials:
    """End the derived credentials of the device, from the next request on; answers the new ones."""
    was = await find(call, wanted.ident, wanted.guard)
    now = await change(call, was, DeviceChange(token_version=was.token_version + 1), ROTATED)
    return Credentials(_kinds(now), token(call, now))


def token(call: Call, device: Device) -> str | None:
    """The device's token; None for a device out of service, which has none that would be good."""
    if device.status is Status.DECOMMISSIONED:
        return None
    return tokens.device_token(call.services.server_key, device.id, device.token_version)


def _kinds(device: Device) -> tuple[str, ...]:
    derived = () if device.status is Status.DECOMMISSIONED else (DEVICE_TOKEN,)
    return derived if device.identity is None else (*derived, CERTIFICATE)
