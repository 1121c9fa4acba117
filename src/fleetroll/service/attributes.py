"""Attributes: the scalar members of a device's metadata, each with its definition and the time of its last change."""

from collections.abc import Mapping, Set
from typing import Any

from msgspec import Struct

from fleetroll.core import documents, metafields
from fleetroll.core.model import Device, DeviceChange, FieldKind, MetadataField, unstored
from fleetroll.core.policy import Action
from fleetroll.service import devices, metadata_fields, templates
from fleetroll.service.devices import Named
from fleetroll.service.operations import Call, Effect, operation

_KINDS: dict[type, FieldKind] = {
    bool: FieldKind.BOOLEAN,
    int: FieldKind.INTEGER,
    float: FieldKind.NUMBER,
    str: FieldKind.STRING,
}


class Attributes(Struct, frozen=True):
    """A device with all definitions of its organization."""

    device: Device
    definitions: list[MetadataField]


class Setting(Struct, frozen=True):
    """Values by name; None removes one. Names are matched ignoring case."""

    ident: str
    values: dict[str, str | int | float | bool | None]


def kind_of(value: object) -> FieldKind:
    """The type that an attribute has whose first value this is."""
    return _KINDS.get(type(value), FieldKind.JSON)


@operation(Action.DEVICES_READ, Effect.READ)
async def get(call: Call, wanted: Named) -> Attributes:
    device = await devices.find(call, wanted.ident)
    return Attributes(device, await metadata_fields.definitions_of(call))


@operation(Action.DEVICES_WRITE, Effect.WRITE, defines=True)
async def put(call: Call, wanted: Setting) -> None:
    await _put(call, wanted)


@operation(Action.CHECK_IN, Effect.WRITE, defines=True)
async def report(call: Call, wanted: Setting) -> None:
    """As `put`, by the device itself."""
    await _put(call, wanted)


@operation(Action.FIELDS_WRITE, Effect.WRITE)
async def define(call: Call, new: MetadataField) -> MetadataField:
    """Define an attribute. Raises Fault conflict `metadata_field_exists` if one has that name in any case."""
    for one in await metadata_fields.stored(call):
        if one.name.lower() == new.name.lower():
            raise metadata_fields.noun.taken(one)
    return await metadata_fields.noun.insert(call, new)


async def _put(call: Call, wanted: Setting) -> None:
    device = await devices.find(call, wanted.ident)
    definitions = await metadata_fields.definitions_of(call)
    before = documents.load(device.metadata)
    # A template's metafield is a definition already, and may take what one made from a first value would not.
    fields = await _metafields(call, device)
    known = {*before, *fields, *(one.name for one in definitions)}
    given = _spelled(wanted.values, known)
    metadata = documents.with_members(device.metadata, given, "value")
    await devices.change(call, device, DeviceChange(metadata=metadata))
    # Only now: the definitions that the change is checked against are remembered, and must not include any that may yet
    # be undone.
    defined = {name.lower() for name in fields} | {one.name.lower() for one in definitions}
    for name, value in given.items():
        if name.lower() not in defined and value is not None:
            defined.add(name.lower())
            kind = _first_kind(before.get(name), value)
            field = unstored(MetadataField, name=name, kind=kind, description=None, required=False)
            if await call.records.metadata_fields.get(call.org, name) is None:  # another may have come first
                await metadata_fields.noun.insert(call, field)


async def _metafields(call: Call, device: Device) -> list[str]:
    """The members of its metadata that the device's template defines."""
    template = await templates.of(call, device)
    return [field.name for field in template.metafields if not metafields.is_virtual(field)] if template else []


def _first_kind(was: object, value: object) -> FieldKind:
    """The type that a first value defines. After a fraction, a number is whole by chance."""
    kind = kind_of(value)
    return FieldKind.NUMBER if kind is FieldKind.INTEGER and isinstance(was, float) else kind


def _spelled(values: Mapping[str, Any], known: Set[str]) -> dict[str, Any]:
    """The values by the names to store them under: a known one, ignoring case, or a new one as it was first spelled."""
    names = {name.lower(): name for name in sorted(known)}
    return {name if name in known else names.setdefault(name.lower(), name): values[name] for name in values}
