"""What some commands need of the server itself, as `main` provides it: all others do without loading it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from fleetroll.config import Config
from fleetroll.maintenance.examining import Report

Serve = Callable[[Config], int]
Restore = Callable[[Path, Path, Path | None, str | None], None]
Examine = Callable[[Path, str | None, str | None], Report]
Recover = Callable[[Path, str | None, str | None], str]


class UpgradeStep(Protocol):
    """A step of an upgrade; `number` is that of the schema after it."""

    @property
    def number(self) -> int: ...

    @property
    def name(self) -> str: ...


class Upgrade(Protocol):
    """The number of a database's schema, and the steps that this release would take."""

    @property
    def schema(self) -> int: ...

    @property
    def steps(self) -> Sequence[UpgradeStep]: ...


class Moving(Protocol):
    """A database at rest: in PostgreSQL at the URL `database`, or else in `data`. Each method raises Refused."""

    def upgrade_of(self, data: Path, database: str | None) -> Upgrade:
        """How this release would upgrade it."""

    def migrate(self, data: Path, database: str | None) -> None: ...

    def copy(self, source: str, target: str, progress: Callable[[str, int, int], None]) -> Sequence[Any]: ...


class Parts(Struct, frozen=True):
    """`serve` returns the exit code, `recover` a key.

    `recover` and `restore` raise Refused; these and `examine` are for a data directory at rest.
    """

    serve: Serve
    restore: Restore
    examine: Examine
    recover: Recover
    moving: Moving


Load = Callable[[], Parts]
