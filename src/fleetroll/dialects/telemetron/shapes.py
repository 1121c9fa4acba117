"""The bodies of the Telemetron API, on the wire as its documentation spells them.

Requests are loosely typed: the vendor answers a wrong type with a sentence of its own, which `mapping` gives. Members
that the vendor does not know are ignored, because clients that sync whole records send them.
"""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct

from fleetroll.core import limits
from fleetroll.wire.texts import Time

_Text = Annotated[Any, Meta(extra_json_schema={"type": "string", "minLength": 1})]
_Ident = Annotated[Any, Meta(extra_json_schema={"type": "string", "minLength": 1, "maxLength": limits.MAX_IDENT})]
_Id = Annotated[Any, Meta(extra_json_schema={"type": ["string", "null"]})]
_Line = Annotated[Any, Meta(extra_json_schema={"type": ["string", "null"], "maxLength": limits.MAX_NAME})]
_Kind = Annotated[Any, Meta(extra_json_schema={"type": ["string", "null"], "maxLength": limits.MAX_KIND})]
_Flag = Annotated[Any, Meta(extra_json_schema={"type": ["boolean", "null"]})]
_Email = Annotated[Any, Meta(extra_json_schema={"type": "string", "format": "email"})]
_Emails = Annotated[
    Any,
    Meta(
        description="Addresses; at least one must be valid, and others are left out.",
        extra_json_schema={"type": "array", "items": {"type": "string"}, "minItems": 1},
    ),
]
_Idents = Annotated[
    Any,
    Meta(
        extra_json_schema={
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "minItems": 1,
            "maxItems": limits.MAX_BULK_DEVICES,
        }
    ),
]
_Object = Annotated[Any, Meta(extra_json_schema={"type": "object"})]
_Objects = Annotated[
    Any,
    Meta(
        description="Metadata by device identifier, 1 to 1000 entries.",
        extra_json_schema={
            "type": "object",
            "additionalProperties": {"type": "object"},
            "minProperties": 1,
            "maxProperties": limits.MAX_BULK_DEVICES,
        },
    ),
]


class PutDevice(Struct, rename="camel"):
    """`identifier` is required, and `type` for a new device."""

    identifier: _Ident = UNSET
    type: _Kind = UNSET
    properties: _Object = UNSET


class StoredDevice(Struct, rename="camel"):
    success: bool
    message: str
    device_id: str
    identifier: str
    type: str | None


class BulkMetadata(Struct, rename="camel"):
    devices: _Objects = UNSET


class BulkMetadataItem(Struct, rename="camel"):
    """`status` is `updated` or `not_found`; `deviceId` is empty where nothing was found."""

    identifier: str
    device_id: str
    status: str


class BulkMetadataResult(Struct, rename="camel"):
    success: bool
    updated: int
    not_found: int
    results: list[BulkMetadataItem]


class AssignDeviceToOwners(Struct, rename="camel"):
    """`deviceType` is required where the device is to be created."""

    device_identifier: _Text = UNSET
    customer_emails: _Emails = UNSET
    auto_create_device: _Flag = UNSET
    device_type: _Kind = UNSET


class AssignedCustomer(Struct, rename="camel"):
    email: str
    customer_id: str
    was_created: bool


class AssignedToOwners(Struct, rename="camel"):
    success: bool
    message: str
    device_id: str
    device_was_created: bool
    assigned_customers: list[AssignedCustomer]


class AssignDevicesToOwner(Struct, rename="camel"):
    """`deviceType` is required where a device is to be created."""

    customer_email: _Email = UNSET
    device_identifiers: _Idents = UNSET
    auto_create_devices: _Flag = UNSET
    device_type: _Kind = UNSET


class AssignedDevice(Struct, rename="camel"):
    identifier: str
    device_id: str
    was_created: bool


class AssignedToOwner(Struct, rename="camel"):
    success: bool
    message: str
    customer_id: str
    customer_was_created: bool
    assigned_devices: list[AssignedDevice]
    already_assigned: list[AssignedDevice]
    skipped: list[str]


class UnassignDeviceFromOwner(Struct, rename="camel"):
    device_identifier: _Text = UNSET
    customer_email: _Email = UNSET


class UnassignedDevice(Struct, rename="camel"):
    success: bool
    message: str
    customer_id: str
    device_identifier: str
    devices_remaining: list[str]


class UnassignDevicesFromOwner(Struct, rename="camel"):
    customer_email: _Email = UNSET
    device_identifiers: _Idents = UNSET


class UnassignedDevices(Struct, rename="camel"):
    success: bool
    message: str
    customer_id: str
    unassigned_devices: list[str]
    skipped: list[str]
    devices_remaining: list[str]


class PutCustomer(Struct, rename="camel"):
    """`email` is required; with `telemetronCustomerId` that customer is updated."""

    email: _Email = UNSET
    name: _Line = UNSET
    phone: _Line = UNSET
    address: _Line = UNSET
    telemetron_customer_id: _Id = UNSET


class StoredCustomer(Struct, rename="camel"):
    success: bool
    telemetron_customer_id: str
    message: str


class QueryCustomer(Struct, rename="camel"):
    email: _Email = UNSET


class Customer(Struct, rename="camel"):
    """An owner as the vendor shows it. `metadata` and `orders` are always empty: an owner has neither."""

    id: str
    organization_id: str
    name: str
    email: str
    phone: str | None
    address: str | None
    devices: list[str]
    metadata: dict[str, Any]
    orders: list[Any]
    created_at: Time
    updated_at: Time
