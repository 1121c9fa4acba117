"""Definitions of the members of metadata."""

from msgspec import UNSET, Struct, UnsetType

from fleetroll.dialects.native.shapes.words import FieldKind
from fleetroll.wire.texts import Name, Paragraph, Time


class MetadataField(Struct):
    id: int
    name: str
    type: str
    description: str | None
    required: bool
    created_at: Time
    updated_at: Time
    revision: int


class MetadataFieldList(Struct):
    metadata_fields: list[MetadataField]
    next_cursor: str | None


class NewMetadataField(Struct, forbid_unknown_fields=True):
    name: Name
    type: FieldKind
    description: Paragraph | None = None
    required: bool = False


class MetadataFieldChange(Struct, forbid_unknown_fields=True):
    description: Paragraph | UnsetType | None = UNSET
    required: bool | UnsetType = UNSET
