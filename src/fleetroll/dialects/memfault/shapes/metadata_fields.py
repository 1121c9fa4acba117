"""Definitions of attributes, which the vendor calls custom metrics."""

from typing import Annotated

from msgspec import Meta, Struct

from fleetroll.wire.texts import Name, Paragraph

_DataType = Annotated[str, Meta(extra_json_schema={"enum": ["STRING", "INT", "FLOAT", "BOOL"]})]


class Range(Struct, frozen=True):
    min: None = None
    max: None = None
    min_inclusive: bool = True
    max_inclusive: bool = True


class CustomMetric(Struct):
    """The definition of an attribute. Ranges and policies are always the vendor's defaults."""

    id: str
    string_key: str
    display_name: str
    description: str
    data_type: str
    favorite: bool = False
    range: Range = Range()
    range_violation_behavior: str = "accept"
    device_write_policy: str = "writable"


class NewCustomMetric(Struct):
    string_key: Name
    data_type: _DataType
    display_name: str = ""
    description: Paragraph = ""
