"""What a few commands need of the server itself. `main` provides it when they run; all others do without loading it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from fleetroll.config import Config
from fleetroll.maintenance.examining import Report

Serve = Callable[[Config], int]
Restore = Callable[[Path, Path, Path | None, str | None], None]
"""Given the backup, the data directory, and the server key: the file with it, or the preset key itself."""
Examine = Callable[[Path, str | None, str | None], Report]
"""Given the data directory, the server key where it is preset, and the URL of the database where it is PostgreSQL."""
Recover = Callable[[Path, str | None, str | None], str]
"""Given the same as `Examine`."""


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


class CopiedTable(Protocol):
    """A table of a copy; `checksum` is that of its rows, the same on both sides."""

    @property
    def table(self) -> str: ...

    @property
    def rows(self) -> int: ...

    @property
    def checksum(self) -> str: ...


class OfflineDatabase(Protocol):
    """A database that no server is using: in PostgreSQL at the URL `database`, or else in `data`.

    Each method raises Refused.
    """

    def upgrade_of(self, data: Path, database: str | None) -> Upgrade:
        """How this release would upgrade it."""

    def migrate(self, data: Path, database: str | None) -> None: ...

    def copy(self, source: str, target: str, progress: Callable[[str, int, int], None]) -> Sequence[CopiedTable]:
        """Copy `sqlite:DIR` to `postgresql://…`. `progress` gets a table's name, its rows done, and how many it has."""


class Backend(Struct, frozen=True):
    """`serve` returns the exit code, `recover` a key.

    `recover` and `restore` raise Refused; these and `examine` are for a data directory at rest.
    """

    serve: Serve
    restore: Restore
    examine: Examine
    recover: Recover
    database: OfflineDatabase


LoadBackend = Callable[[], Backend]
