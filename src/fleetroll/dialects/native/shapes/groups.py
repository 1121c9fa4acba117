"""Saved groups, and the devices that one finds."""

from msgspec import UNSET, Struct, UnsetType

from fleetroll.dialects.native.shapes.words import GroupField
from fleetroll.wire.texts import Name, Paragraph, Time


class Criterion(Struct, forbid_unknown_fields=True):
    """A condition on one field. Which operators there are, such as `eq` or `contains`, depends on the field."""

    field: GroupField
    operator: str
    value: Paragraph


class Group(Struct):
    id: int
    name: str
    description: str | None
    filter: str
    criteria: list[Criterion]
    parent_id: int | None
    created_at: Time
    updated_at: Time
    revision: int


class GroupList(Struct):
    groups: list[Group]
    next_cursor: str | None


class NewGroup(Struct, forbid_unknown_fields=True):
    name: Name
    filter: Paragraph
    description: Paragraph | None = None
    criteria: list[Criterion] = []
    parent_id: int | None = None


class GroupChange(Struct, forbid_unknown_fields=True):
    filter: Paragraph | UnsetType = UNSET
    description: Paragraph | UnsetType | None = UNSET
    criteria: list[Criterion] | UnsetType = UNSET
    parent_id: int | UnsetType | None = UNSET
