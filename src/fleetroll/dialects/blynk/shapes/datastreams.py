"""The values of a device's datastreams: the latest, those of before, and those to be written."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from fleetroll.core import limits, names
from fleetroll.dialects.blynk.shapes.numbers import Id


class DataStreamValue(Struct, rename="camel"):
    data_stream_id: int
    pin: str
    data_stream_label: str
    data_stream_alias: str
    value: Any = UNSET
    updated_at: int | UnsetType = UNSET


class PastValue(Struct, rename="camel"):
    created_at: int
    value: Any


class HistoryPage(Struct, rename="camel"):
    content: list[PastValue]
    total_elements: int


class DataStreamWrite(Struct, rename="camel"):
    """`value` is a number, a text or a pair of longitude and latitude."""

    device_id: Id
    data_stream_id: Id
    value: Any


class DataStreamWrites(Struct, rename="camel"):
    """Values by the number of the datastream or by its pin."""

    device_id: Id
    values: dict[str, Any]


class DataStreamProperty(Struct, rename="camel"):
    device_id: Id
    data_stream_id: Id
    property: Annotated[str, Meta(extra_json_schema={"pattern": f"^{names.PROPERTY.pattern}$"})]
    value: Annotated[str, Meta(extra_json_schema={"maxLength": limits.MAX_READING_TEXT})]


class TimedValue(Struct):
    """`ts` is in milliseconds."""

    value: Any
    ts: Annotated[int, Meta(ge=0, le=2**53)]


class DataStreamImport(Struct, rename="camel"):
    device_id: Id
    data_stream_id: Id
    values: list[TimedValue]
