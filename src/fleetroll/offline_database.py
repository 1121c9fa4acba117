"""What the command line does with a database that no server of ours is using: examine, upgrade and copy it."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from fleetroll.config import ConfigError, postgres_url
from fleetroll.data_directory import DATABASE, DirectoryRefused, resting
from fleetroll.maintenance import engine
from fleetroll.maintenance.engine import Description
from fleetroll.store import copying, postgres, sqlite
from fleetroll.store.copying import Copied
from fleetroll.store.migrations import Upgrade
from fleetroll.store.refusals import Refused


class OfflineDatabase:
    """Implements `cli.backend.OfflineDatabase`, and provides what `maintenance.engine.Engine` is made of."""

    def upgrade_of(self, data: Path, database: str | None) -> Upgrade:
        with _refusing():
            if database is not None:
                return asyncio.run(postgres.upgrade_of(database))
            return sqlite.upgrade_of(_database(data, "--data"))

    def describe(self, database: str | Path) -> Description:
        """What a sound file says of itself, or a PostgreSQL database, which must be safe to rely on."""
        with _refusing():
            if isinstance(database, str):
                return Description(*asyncio.run(postgres.describe(database)))
            return Description(*sqlite.describe(database))

    def inspect(self, file: Path) -> list[str]:
        with _refusing():
            return sqlite.inspect(file)

    def migrate(self, data: Path, database: str | None) -> None:
        with _refusing():
            if database is not None:
                asyncio.run(_upgrade(database))
                return
            with _resting(data):
                asyncio.run(_upgrade(data / DATABASE))

    def copy(self, source: str, target: str, progress: Callable[[str, int, int], None]) -> list[Copied]:
        scheme, _, path = source.partition(":")
        try:
            url = postgres_url(target)
        except ConfigError:
            url = None
        if scheme != "sqlite" or not path or url is None:
            raise engine.Refused("Copy --from sqlite:DIR --to postgresql://USER@HOST/NAME.")
        named = Path(path)  # a data directory, or the database in one
        data = named.parent if named.is_file() else named
        with _refusing(), _resting(data):
            file = named if named.is_file() else _database(data, "--from")
            return asyncio.run(copying.copy(file, url, progress))


def _database(data: Path, option: str) -> Path:
    """The database in a directory that was named by `option`. Raises Refused where there is none."""
    if not (file := data / DATABASE).is_file():
        raise engine.Refused(f"{file} does not exist.", f"Name the server's data directory with {option}.")
    return file


async def _upgrade(database: str | Path) -> None:
    """Open and close it: opening brings it up to date."""
    store: postgres.PostgresStore | sqlite.SqliteStore
    if isinstance(database, str):
        store = await postgres.open_store(database, migrate=True, unsafe=True)
    else:
        store = sqlite.open_store(database, create=False)
    await store.close()


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Raise the command line's Refused for the store's and the data directory's."""
    try:
        yield
    except (Refused, DirectoryRefused) as refused:
        raise engine.Refused(str(refused)) from None


@contextlib.contextmanager
def _resting(data: Path) -> Iterator[None]:
    """Hold the lock of the data directory, so that no server starts on it meanwhile. Raises Refused."""
    with resting(data) as at_rest:
        if not at_rest:
            raise Refused(f"A server is using {data}; stop it first.")
        yield
