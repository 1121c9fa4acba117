"""What came from a device in chunks."""

from datetime import datetime

from msgspec import Struct


class Chunk(Struct):
    """A chunk as it came, in base64."""

    at: datetime
    data: str


class Chunks(Struct):
    """What a device has sent in chunks. `undecoded` of them made no message; `incomplete` if more of one is to come."""

    received: int
    undecoded: int
    incomplete: bool
    kept: list[Chunk]
