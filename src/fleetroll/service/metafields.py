"""Metafields of one device: reading and writing what its template defines, in its metadata or its own members."""

from typing import Any

from msgspec import Struct

from fleetroll.core import documents, metafields
from fleetroll.core import templates as rules
from fleetroll.core.faults import Fault, not_found
from fleetroll.core.model import Device, DeviceChange, Metafield, MetafieldKind, OwnerStatus, Template, led_by
from fleetroll.core.policy import Action
from fleetroll.service import devices, metadata_fields, reach, templates
from fleetroll.service.operations import Call, Effect, operation


class Writing(Struct, frozen=True):
    """A value for a metafield of a device in reach, both by number."""

    id: int
    field: int
    value: Any


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def set_by_number(call: Call, wanted: Writing) -> None:
    there, device = await reach.device(call, wanted.id)
    await write(there, device, await find(there, device, wanted.field), wanted.value)


async def find(call: Call, device: Device, which: int | str) -> Metafield:
    """The metafield of the device's template with this number or name. Raises Fault not_found."""
    template = await templates.of(call, device)
    found = _of_template(template, which) if template else None
    if found is None:
        raise not_found("metafield", which)
    return found


def _of_template(template: Template, which: int | str) -> Metafield | None:
    if isinstance(which, str):
        return rules.metafield_named(template, which)
    return rules.metafield(template, which)


async def write(call: Call, device: Device, field: Metafield, given: object) -> Device:
    """Give a device a value for a metafield, or none. Raises Fault invalid `invalid_metafield`."""
    value = metafields.read(field, given)
    if field.kind is MetafieldKind.DEVICE_OWNER and value is not None:
        owner = await call.records.owners.get(call.org, value)
        if owner is None or owner.status is not OwnerStatus.ACTIVE:
            raise metafields.refusal(field)
    try:
        return await devices.change(call, device, _change(device, field, value))
    except Fault as fault:
        if fault.code in metadata_fields.UNMET:  # the organization defines the member otherwise, or requires it
            raise metafields.refusal(field) from None
        raise


def _change(device: Device, field: Metafield, value: Any) -> DeviceChange:
    if field.kind is MetafieldKind.DEVICE_NAME:
        return DeviceChange(name=value)
    if field.kind is MetafieldKind.DEVICE_OWNER:
        return DeviceChange(owners=() if value is None else led_by(device.owners, value))
    return DeviceChange(metadata=documents.with_members(device.metadata, {field.name: value}, "metadata"))
