"""The metafields of a device, with their values."""

from typing import Any

from msgspec import Struct

from fleetroll.dialects.blynk.shapes.numbers import Id


class MetaFieldValue(Struct):
    id: int
    name: str
    value: dict[str, Any]


class DeviceMetaField(Struct, rename="camel"):
    id: int
    name: str
    is_mandatory: bool
    include_in_provision: bool
    value: dict[str, Any]


class MetaFieldChange(Struct, rename="camel"):
    """`newValue` is a text or a number; for a value of several members also an object of them."""

    device_id: Id
    meta_field_id: Id
    new_value: Any
