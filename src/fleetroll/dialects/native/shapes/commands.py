"""Commands and calls to a device, and what becomes of them."""

from typing import Any

from msgspec import Struct


class Command(Struct, forbid_unknown_fields=True):
    """Something for a device to do, and the mode in which it listens if that is not the one it was made in."""

    name: str
    data: Any
    env: str | None = None


class Question(Struct, forbid_unknown_fields=True):
    name: str
    data: Any
    env: str | None = None
    timeout: float = 10.0


class Queued(Struct):
    """A command that the broker has stored."""

    name: str
    queued: bool
