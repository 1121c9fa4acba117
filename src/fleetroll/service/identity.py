"""Identity slots of devices: filled by a certificate or by hand, revoked, and aged by the clock.

What a slot's status is at a moment is `core.identity`'s to say; here it is written, with its event, once. Readers
are shown the status of the moment (`identity.current`), so the sweeper only has to follow for filters and counts.
"""

from msgspec import Struct

from fleetroll.core import identity
from fleetroll.core.faults import not_found
from fleetroll.core.identity import Occasion, Slot, Windows
from fleetroll.core.lifecycle import Step, advance
from fleetroll.core.model import Device, Instant
from fleetroll.core.policy import Action
from fleetroll.service import devices
from fleetroll.service.operations import Call, Effect, operation

CHANGED = "device.identity_changed"


class Written(Struct, frozen=True):
    """A slot that somebody fills by hand. Of `slot`, the members that time and policy decide are not looked at."""

    ident: str
    slot: Slot


@operation(Action.DEVICES_READ, Effect.READ)
async def get(call: Call, wanted: devices.Named) -> Slot:
    """The slot of a device. Raises Fault not_found without one."""
    device = identity.current(await devices.find(call, wanted.ident), call.at)
    if device.identity is None:
        raise not_found("identity", wanted.ident)
    return identity.read(device.identity)


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def replace(call: Call, wanted: Written) -> Device:
    """Fill a device's slot by hand, as a whole. Raises Fault conflict `status_forbids` for a decommissioned device."""
    device = await devices.find(call, wanted.ident)
    advance(device.status, Step.BIND)
    return await _fill(call, device, identity.rewrite(slot_of(device), wanted.slot, call.at))


async def bind(
    call: Call,
    device: Device,
    serial: str,
    expires_at: Instant,
    windows: Windows,
    occasion: Occasion | None = None,
) -> Device:
    """Make a credential the active one of a device. Raises Fault conflict `status_forbids`."""
    advance(device.status, Step.BIND)
    return await _fill(call, device, identity.bind(slot_of(device), serial, expires_at, windows, call.at, occasion))


async def revoke(call: Call, device: Device, serial: str) -> Device:
    """The device after a credential was revoked: as it was, unless that is the active one of its slot."""
    slot = _active(device, serial)
    return device if slot is None else await _fill(call, device, identity.revoke(slot, call.at))


async def restore(call: Call, device: Device, serial: str) -> Device:
    """The device after a credential that was on hold is good again."""
    slot = _active(device, serial)
    return device if slot is None else await _fill(call, device, identity.restore(slot, call.at))


def slot_of(device: Device) -> Slot | None:
    return None if device.identity is None else identity.read(device.identity)


def _active(device: Device, serial: str) -> Slot | None:
    slot = slot_of(device)
    return slot if slot is not None and slot.active == serial else None


async def _fill(call: Call, device: Device, slot: Slot) -> Device:
    return await devices.change(call, device, identity.change(device, slot, call.at), CHANGED)
