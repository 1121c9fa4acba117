"""Definitions of metadata members: their types, and holding devices to them."""

from typing import Any

from fleetroll.core import documents
from fleetroll.core.documents import Document
from fleetroll.core.faults import invalid
from fleetroll.core.model import FieldKind, MetadataField
from fleetroll.core.policy import Action
from fleetroll.service.named import Noun
from fleetroll.service.operations import Call

noun: Noun[MetadataField] = Noun(
    "metadata_field", "name", lambda records: records.metadata_fields, Action.FIELDS_READ, Action.FIELDS_WRITE
)

_TYPES: dict[FieldKind, tuple[type, ...]] = {
    FieldKind.STRING: (str,),
    FieldKind.INTEGER: (int,),
    FieldKind.NUMBER: (int, float),
    FieldKind.BOOLEAN: (bool,),
    FieldKind.JSON: (object,),
}
assert _TYPES.keys() == set(FieldKind)

UNMET = frozenset({"metadata_type", "metadata_required"})  # what `check` raises


async def check(call: Call, metadata: Document, before: Document | None = None) -> None:
    """Raises Fault invalid `metadata_type` or `metadata_required` where a definition is not met.

    Definitions bind what is written from now on, not devices that are older than they are: a member that has the same
    value in `before`, or is missing there as well, is not checked again. `before` is None for a new device.
    """
    definitions = await definitions_of(call)
    if definitions:
        check_against(definitions, metadata, before)


async def definitions_of(call: Call) -> list[MetadataField]:
    """The organization's definitions, remembered until one of them changes: every write of a device asks for them."""
    remembered = call.services.definitions
    found = remembered.get(call.org)
    if found is None:
        found = await remembered.load(call.org, lambda: stored(call))
    return found


async def stored(call: Call) -> list[MetadataField]:
    """The organization's definitions as this transaction sees them."""
    return await noun.all(call)


def check_against(definitions: list[MetadataField], metadata: Document, before: Document | None = None) -> None:
    """As `check`, with the organization's definitions at hand."""
    members = documents.load(metadata)
    for definition in definitions:
        _check_member(definition, members, before)


def _check_member(definition: MetadataField, members: dict[str, Any], before: Document | None) -> None:
    field = f"metadata.{definition.name}"
    if definition.name not in members:
        if definition.required and not _lacked(before, definition.name):
            raise invalid("metadata_required", f"{field} is required in this organization.", field)
        return
    value = members[definition.name]
    if value is not None and not _is_of(definition.kind, value) and not _had(before, definition.name, value):
        raise invalid("metadata_type", f"{field} must be of type {definition.kind.value}.", field)


def _is_of(kind: FieldKind, value: object) -> bool:
    is_other = isinstance(value, bool) and kind in {FieldKind.INTEGER, FieldKind.NUMBER}
    return not is_other and isinstance(value, _TYPES[kind])


def _lacked(before: Document | None, name: str) -> bool:
    return before is not None and name not in documents.load(before)


def _had(before: Document | None, name: str, value: object) -> bool:
    """Whether a member had this value, of this type: 1.0 is not 1 where the type is in question."""
    was = None if before is None else documents.load(before).get(name)
    return type(was) is type(value) and documents.same_value(was, value)
