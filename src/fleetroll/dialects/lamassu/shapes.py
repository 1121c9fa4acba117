"""The bodies of Lamassu's device manager, spelled as its interfaces read and write them. Other members are ignored."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from fleetroll.core import limits
from fleetroll.wire.dialect import OPERATIONS, Object
from fleetroll.wire.texts import Ident, Line, Paragraph, TagName, Time

_Moment = Annotated[datetime, Meta(tz=True)]
_SlotType = Annotated[str, Meta(extra_json_schema={"maxLength": limits.MAX_KIND})]


class Failure(Struct):
    err: str


class NewDevice(Struct):
    """Only `id` is required."""

    id: Ident
    alias: Line | None = None
    tags: list[TagName] | None = None
    metadata: dict[str, Any] | None = None
    dms_id: Line | None = None
    icon: Line | None = None
    icon_color: Line | None = None


class Event(Struct):
    type: str
    description: str = ""


class SlotInput(Struct):
    """The whole slot. Serial numbers are opaque texts, under versions that are whole numbers.

    `status` is ACTIVE, RENEWAL_WINDOW, ABOUT_TO_EXPIRE, EXPIRED or REVOKED.
    """

    status: str
    active_version: int | None = None
    type: _SlotType | None = None
    versions: dict[str, str] | None = None
    expiration_date: _Moment | None = None
    events: dict[_Moment, Event] | None = None


class Slot(Struct, kw_only=True):
    status: str
    active_version: int
    type: str
    versions: dict[str, str]
    expiration_date: Time | UnsetType = UNSET
    events: dict[datetime, Event]


class Device(Struct, kw_only=True):
    """`alias` is there if the device has one, `identity` if it has a slot."""

    id: str
    alias: str | UnsetType = UNSET
    tags: tuple[str, ...]
    status: str
    icon: str
    icon_color: str
    creation_timestamp: Time
    metadata: Object
    dms_owner: str
    identity: Slot | UnsetType = UNSET
    slots: dict[str, Slot]
    events: dict[datetime, Event]


class DeviceList(Struct):
    """`next` is empty on the last page."""

    next: str
    list: list[Device]


class Change(Struct):
    """`patches`, a JSON Patch; or, to replace all of it, `metadata`."""

    patches: Annotated[list[Any], Meta(extra_json_schema=OPERATIONS)] | None = None
    metadata: dict[str, Any] | None = None


class Criterion(Struct):
    """A condition: a field and an operand as in filters, and the value."""

    field: str
    operand: str
    value: str


class GroupInput(Struct):
    """A group to make, with a UUID as its `id` and a `name`; or what to change in one: what is empty stays as it is."""

    id: str | None = None
    name: Line | None = None
    description: Paragraph | None = None
    parent_id: str | None = None
    criteria: list[Criterion] | None = None


class Group(Struct, kw_only=True):
    """`filter` is there if the group has one in the native language, `parent_id` if it has a parent."""

    id: str
    name: str
    description: str
    parent_id: str | UnsetType = UNSET
    filter: str | UnsetType = UNSET
    criteria: list[Criterion]
    inherited_criteria: list[Criterion]
    created_at: Time
    updated_at: Time


class GroupList(Struct):
    """`next_bookmark` is empty on the last page."""

    next_bookmark: str
    list: list[Group]


class Stats(Struct):
    total: int
    status_distribution: dict[str, int]


class Health(Struct):
    health: bool
    version: str
    build: str = ""
    build_time: str = ""
