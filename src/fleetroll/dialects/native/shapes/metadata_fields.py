"""Definitions of the members of metadata."""

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType


class MetadataField(Struct):
    id: int
    name: str
    type: str
    description: str | None
    required: bool
    created_at: datetime
    updated_at: datetime
    revision: int


class MetadataFieldList(Struct):
    metadata_fields: list[MetadataField]
    next_cursor: str | None


class NewMetadataField(Struct, forbid_unknown_fields=True):
    """`type` is string, integer, number, boolean or json."""

    name: str
    type: str
    description: str | None = None
    required: bool = False


class MetadataFieldChange(Struct, forbid_unknown_fields=True):
    description: str | UnsetType | None = UNSET
    required: bool | UnsetType = UNSET
