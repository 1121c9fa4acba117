"""What the command line does with a database that no server of ours is using: bring it up to date, and copy it."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from fleetroll import maintenance
from fleetroll.config import Config
from fleetroll.core import tokens
from fleetroll.data_directory import DATABASE, KEY, DirectoryRefused, resting, secret_of
from fleetroll.store import copying, postgres, sqlite
from fleetroll.store.copying import Copied
from fleetroll.store.migrations import Migration, Refused


class DatabaseAtRest:
    """Implements `cli.moving.Moving`."""

    def steps(self, data: Path, database: str | None) -> tuple[int, list[Migration]]:
        url = Config(database=database).postgres
        with _refusing():
            return asyncio.run(postgres.schema(url)) if url is not None else copying.steps(data / DATABASE)

    def numbers(self, url: str) -> tuple[int, int]:
        """The number of the schema of a database elsewhere, which must be one to rely on, and of the newest."""
        with _refusing():
            found, steps = asyncio.run(postgres.schema(url, unsafe=False))
        return found, found + len(steps)

    def migrate(self, data: Path, database: str | None) -> None:
        url = Config(database=database).postgres
        with _refusing():
            if url is not None:
                asyncio.run(_opened_and_closed(url))
                return
            with _resting(data):
                asyncio.run(_opened_and_closed(data / DATABASE))

    def copy(
        self, source: str, target: str, server_key: str | None, progress: Callable[[str, int, int], None]
    ) -> list[Copied]:
        scheme, _, path = source.partition(":")
        url = Config(database=target).postgres
        if scheme != "sqlite" or not path or url is None:
            raise maintenance.Refused("A registry is copied --from sqlite:DIR --to postgresql://USER@HOST/NAME.")
        place = Path(path)
        data = place if place.is_dir() else place.parent
        with _refusing(), _resting(data):
            mark = mark_of(secret_of(data, server_key)) if server_key or (data / KEY).exists() else None
            return asyncio.run(copying.copy(data / DATABASE if place.is_dir() else place, url, mark, progress))


async def _opened_and_closed(place: str | Path) -> None:
    """Opening brings it up to date."""
    if isinstance(place, str):
        store: postgres.PostgresStore | sqlite.SqliteStore = await postgres.open_store(place, migrate=True, unsafe=True)
    else:
        store = sqlite.open_store(place, create=False)
    await store.close()


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (Refused, DirectoryRefused) as refused:
        raise maintenance.Refused(str(refused)) from None


@contextlib.contextmanager
def _resting(data: Path) -> Iterator[None]:
    with resting(data) as at_rest:
        if not at_rest:
            raise Refused(f"A server is using {data}; stop it first.")
        yield


def mark_of(server_key: bytes) -> str:
    """What a database knows of the server key: enough to tell it from another one."""
    return tokens.derive(server_key, "mark").hex()
