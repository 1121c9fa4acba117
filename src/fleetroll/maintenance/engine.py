"""What looks into a database for code that knows no SQL; `main` provides it."""

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct


class Description(Struct, frozen=True):
    """What a database says of itself: its schema's number beside the newest, and the mark of its server key, if any."""

    schema: int
    newest: int
    mark: str | None


class Engine(Struct, frozen=True):
    """What the store can say: what is wrong with a database file, and what a sound one says of itself.

    `inspect` raises Refused for what is no database of this release or an older one. `describe` also takes the address
    of a database server, and raises Refused if that cannot be used. `library` is the engine's version, and whether it
    may be trusted.
    """

    inspect: Callable[[Path], list[str]]
    describe: Callable[[Path | str], Description]
    library: Callable[[], tuple[str, bool]]


class Refused(Exception):
    """Something cannot be done at rest; the message is a sentence, and `advice` says what to do."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice
