"""The few JSON bodies of the device API; most of its replies are bare text or nothing."""

from typing import Annotated, Any

from msgspec import Meta, Struct

Batch = Annotated[
    list[Any],
    Meta(
        description="Pairs of a time, in milliseconds since 1970, and a value.",
        extra_json_schema={"items": {"type": "array", "minItems": 2, "maxItems": 2}},
    ),
]
Values = dict[str, Any]
Metafield = dict[str, Any]


class Message(Struct):
    message: str


class Failure(Struct):
    error: Message


class Link(Struct):
    """Where the file is; it is made when it is fetched."""

    link: str
