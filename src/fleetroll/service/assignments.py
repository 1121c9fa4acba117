"""Assignments: which owners a device belongs to, many to many.

Assigning creates missing owners, and missing devices too where the caller asks for it; unassigning deletes neither.
Each call is one transaction, and every device that it changes has its timeline entry.
"""

import enum
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from fleetroll.core import limits
from fleetroll.core.faults import conflict, not_found
from fleetroll.core.model import Device, DeviceChange, NewDevice, Owner
from fleetroll.core.names import identity_key, unique
from fleetroll.core.policy import Action
from fleetroll.service import devices, owners
from fleetroll.service.operations import Call, Effect, operation


class AssignOwners(Struct, frozen=True):
    """One device for several owners. `create` creates the device if it is missing, which needs a `kind`."""

    ident: str
    refs: tuple[str, ...]
    create: bool = False
    kind: str | None = None


class AssignDevices(Struct, frozen=True):
    """Several devices for one owner; otherwise as `AssignOwners`."""

    ref: str
    idents: tuple[str, ...]
    create: bool = False
    kind: str | None = None


class Unassign(Struct, frozen=True):
    """Devices to take from an owner."""

    ref: str
    idents: tuple[str, ...]


class Outcome(enum.Enum):
    """What became of one device of a call."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    MISSING = "missing"


class DeviceOutcome(Struct, frozen=True):
    """One device of a call, by the identifier that the caller gave."""

    ident: str
    device: Device | None
    outcome: Outcome


class OwnersAssigned(Struct, frozen=True):
    """A device with the owners that it was given, each with whether it is new."""

    device: Device
    created: bool
    owners: list[tuple[Owner, bool]]


class DevicesAssigned(Struct, frozen=True):
    """An owner, whether it is new, and what became of each device."""

    owner: Owner
    created: bool
    results: list[DeviceOutcome]


class Unassigned(Struct, frozen=True):
    """An owner, what became of each device, and the identifiers of the devices that it still has."""

    owner: Owner
    results: list[DeviceOutcome]
    remaining: list[str]


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def assign_owners(call: Call, wanted: AssignOwners) -> OwnersAssigned:
    """Raises Fault not_found `device_not_found` and invalid `kind_required`."""
    found = await owners.ensure(call, wanted.refs)
    device = await call.records.devices.get(call.org, wanted.ident)
    one = await _assign(call, device, wanted.ident, wanted.refs, wanted)
    if one.device is None:
        raise not_found("device", wanted.ident)
    return OwnersAssigned(one.device, one.outcome is Outcome.CREATED, found)


@operation(Action.DEVICES_WRITE, Effect.BULK)
async def assign_devices(call: Call, wanted: AssignDevices) -> DevicesAssigned:
    """Missing devices that are not to be created are reported. Raises Fault invalid `kind_required`."""
    ((owner, created),) = await owners.ensure(call, (wanted.ref,))
    results = await _change_each(
        call, wanted.idents, lambda device, ident: _assign(call, device, ident, (wanted.ref,), wanted)
    )
    return DevicesAssigned(owner, created, results)


async def _change_each(
    call: Call, idents: Sequence[str], change: Callable[[Device | None, str], Awaitable[DeviceOutcome]]
) -> list[DeviceOutcome]:
    """What became of each device. If one is named twice, in whatever spelling, the second change follows the first."""
    known = await call.records.devices.by_idents(call.org, idents)
    results = []
    for ident in idents:
        key = identity_key(ident)
        one = await change(known.get(key), ident)
        results.append(one)
        if one.device:
            known[key] = one.device
    return results


async def _assign(
    call: Call, device: Device | None, ident: str, refs: tuple[str, ...], wanted: AssignOwners | AssignDevices
) -> DeviceOutcome:
    if device is None and not wanted.create:
        return DeviceOutcome(ident, None, Outcome.MISSING)
    if device is None:
        return DeviceOutcome(ident, await devices.insert(call, _new(ident, refs, wanted.kind)), Outcome.CREATED)
    together = unique([*device.owners, *refs], limits.MAX_OWNERS_PER_DEVICE, "owners")
    now = await devices.change(call, device, DeviceChange(owners=together))
    return DeviceOutcome(ident, now, Outcome.UNCHANGED if now is device else Outcome.CHANGED)


def _new(ident: str, refs: tuple[str, ...], kind: str | None) -> NewDevice:
    return devices.new_device(devices.Put(ident, DeviceChange(kind=kind, owners=refs), required=("kind",)))


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def unassign_owner(call: Call, wanted: Unassign) -> Unassigned:
    """As `unassign_devices`, but raises Fault conflict `not_assigned` where that would change nothing."""
    result = await _unassign(call, wanted)
    if all(one.outcome is Outcome.MISSING for one in result.results):
        message = "The device is not assigned to this owner."
        found = {"owner": result.owner.id, "ident": wanted.idents[0], "devices": result.remaining}
        raise conflict("not_assigned", message, "ident", **found)
    return result


@operation(Action.DEVICES_WRITE, Effect.BULK)
async def unassign_devices(call: Call, wanted: Unassign) -> Unassigned:
    """Raises Fault not_found `owner_not_found`; devices that are not the owner's are reported."""
    return await _unassign(call, wanted)


async def _unassign(call: Call, wanted: Unassign) -> Unassigned:
    owner = await owners.noun.find(call, wanted.ref)
    results = await _change_each(call, wanted.idents, lambda device, ident: _remove(call, device, ident, wanted.ref))
    return Unassigned(owner, results, await owners.idents_of(call, wanted.ref, call.records))


async def _remove(call: Call, device: Device | None, ident: str, ref: str) -> DeviceOutcome:
    if device is None or ref not in device.owners:
        return DeviceOutcome(ident, None, Outcome.MISSING)
    kept = tuple(other for other in device.owners if other != ref)
    return DeviceOutcome(ident, await devices.change(call, device, DeviceChange(owners=kept)), Outcome.CHANGED)
