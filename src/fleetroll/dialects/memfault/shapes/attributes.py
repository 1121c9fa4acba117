"""A device's attributes, each with its definition."""

from msgspec import Struct

from fleetroll.dialects.memfault.shapes.metadata_fields import CustomMetric
from fleetroll.wire.texts import Name

Scalar = str | int | float | bool | None


class Attribute(Struct):
    """One attribute to set; null removes it."""

    string_key: Name
    value: Scalar


class AttributeState(Struct):
    value: Scalar
    time: str
    created_date: str
    updated_date: str


class AttributeItem(Struct):
    """`state` is null for a defined attribute that the device does not have."""

    string_key: str
    custom_metric: CustomMetric
    state: AttributeState | None
