"""What came from a device in chunks."""

from msgspec import Struct

from fleetroll.wire.texts import Time


class Chunk(Struct):
    """A chunk as it came, in base64."""

    at: Time
    data: str


class Chunks(Struct):
    """What a device has sent in chunks. `undecoded` of them made no message; `incomplete` if more of one is to come."""

    received: int
    undecoded: int
    incomplete: bool
    kept: list[Chunk]
