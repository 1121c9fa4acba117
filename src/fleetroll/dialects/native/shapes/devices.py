"""A device as it is read and as it may be written. A device as it was read may be sent back."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from fleetroll.core.lifecycle import Status
from fleetroll.core.schema import METRIC_TYPES
from fleetroll.wire.dialect import Object
from fleetroll.wire.texts import Ident, Kind, Line, Name, Reference, Slug, TagName, Time


class Software(Struct, forbid_unknown_fields=True):
    """What a device last reported to run."""

    type: Line | None = None
    version: Line | None = None
    build: Line | None = None


_METRIC_TYPE = {"enum": list(METRIC_TYPES)}
Metrics = Annotated[
    dict[Slug, Any],
    Meta(
        description="Metrics by name. A type alone is short for an object with that `type`.",
        extra_json_schema={
            "additionalProperties": {
                "anyOf": [
                    _METRIC_TYPE,
                    {
                        "type": "object",
                        "required": ["type"],
                        "properties": {
                            "type": _METRIC_TYPE,
                            "unit": {"type": "string"},
                            "unit_symbol": {"type": "string"},
                        },
                        "additionalProperties": False,
                    },
                ]
            }
        },
    ),
]


Extras = Annotated[dict[str, Any], Meta(extra_json_schema={"additionalProperties": {"type": "object"}})]


class Device(Struct, gc=False):
    id: int
    ident: str
    name: str | None
    kind: str | None
    hardware_version: str | None
    software: Object | None
    metadata: Object
    tags: tuple[str, ...]
    owners: tuple[str, ...]
    schema: Object
    config: Object
    template: int | None
    status: Status
    connected: bool
    last_seen: Time | None
    activated_at: Time | None
    created_at: Time
    updated_at: Time
    revision: int
    cohort: str
    dms: str | None
    extras: Object


class DeviceInput(Struct, forbid_unknown_fields=True):
    """A device as a client writes it. A device as it was read may be sent back: read-only members are ignored.

    `dms` is given to a new device. `extras` are what only one vendor's API has a name for; they stay as they are if
    left out.
    """

    ident: Ident | UnsetType = UNSET
    name: Name | UnsetType | None = UNSET
    kind: Kind | UnsetType | None = UNSET
    hardware_version: Kind | UnsetType | None = UNSET
    software: Software | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    tags: list[TagName] | UnsetType = UNSET
    owners: list[Reference] | UnsetType = UNSET
    schema: Metrics | UnsetType = UNSET
    config: dict[str, Any] | UnsetType = UNSET
    template: int | UnsetType | None = UNSET
    cohort: Slug | UnsetType | None = UNSET
    dms: Name | UnsetType | None = UNSET
    extras: Extras | UnsetType = UNSET
    id: Any = UNSET
    status: Any = UNSET
    connected: Any = UNSET
    last_seen: Any = UNSET
    activated_at: Any = UNSET
    created_at: Any = UNSET
    updated_at: Any = UNSET
    revision: Any = UNSET


class NewDevice(DeviceInput, forbid_unknown_fields=True, kw_only=True):
    """A device as it was read may be sent back: read-only members are ignored."""

    ident: Ident


class DeviceList(Struct):
    devices: list[Device]
    next_cursor: str | None
    total: int | UnsetType = UNSET


class Transfer(Struct, forbid_unknown_fields=True):
    """New owners, a new organization below the caller's own, or both."""

    owners: list[Reference] | UnsetType = UNSET
    organization: str | UnsetType = UNSET


class Stats(Struct):
    total: int
    by_status: dict[str, int]
    by_kind: dict[str, int]
    by_tag: dict[str, int]
    by_connected: dict[str, int]
    by_cohort: dict[str, int]


COLUMNS = Device.__struct_fields__
"""The columns of CSV, in and out."""


assert set(COLUMNS) == set(msgspec.structs.asdict(DeviceInput())), "what is read can be written back"
