"""Copying everything in a SQLite registry at rest into an empty PostgreSQL database, and back as a backup.

Nothing here knows a noun: which tables and columns there are is read from the two schemas, which are the same but for
types. Rows go in the order of their primary keys, a batch with its last key in one transaction, so a copy that was cut
short goes on where it stopped. At the end both sides are read again and compared, by counts and checksums.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec
from msgspec import Struct

from fleetroll.store import postgres_schema, sqlite
from fleetroll.store.postgres_connections import Session
from fleetroll.store.postgres_schema import UNFINISHED_COPY
from fleetroll.store.refusals import Refused

_BATCH = 5_000
# What each process says of itself, and what the other engine keeps in an index of its own.
_LEFT_OUT = ("sqlite_", "device_search", "device_seen_tally", "lease")
_encode = msgspec.msgpack.Encoder().encode


class Copied(Struct, frozen=True):
    """A table that is the same on both sides now: its rows, and a checksum over all of them."""

    table: str
    rows: int
    checksum: str


class _Table(Struct, frozen=True):
    """One table: its columns, those of its primary key, and which of the columns are booleans to PostgreSQL."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    booleans: frozenset[int]

    @property
    def page(self) -> str:
        columns, key = ", ".join(self.columns), ", ".join(self.key)
        return f"SELECT {columns} FROM {self.name} {{after}} ORDER BY {key} LIMIT {_BATCH}"

    def key_of(self, row: Sequence[Any]) -> list[Any]:
        return [row[self.columns.index(name)] for name in self.key]

    def converted(self, row: Sequence[Any]) -> list[Any]:
        return [bool(value) if number in self.booleans else value for number, value in enumerate(row)]


async def copy(source: Path, url: str, progress: Callable[[str, int, int], None]) -> list[Copied]:
    """Copy the registry in `source`, which nobody may be serving. Raises Refused.

    `progress` is called with a table, how many of its rows are copied, and how many it has.
    """
    with contextlib.closing(_opened(source)) as old:
        async with postgres_schema.administered(url) as session:
            await _prepare(session)
            tables = [await _table(session, old, name) for name in _table_names(old)]
            for table in tables:
                await _copy_table(session, old, table, progress)
            done = [await _compare(session, old, table) for table in tables]
            await _finish(session, old)
    return done


def _opened(source: Path) -> apsw.Connection:
    if problems := sqlite.inspect(source):
        raise Refused(f"{source} cannot be copied: {problems[0]}.")
    found, newest, _ = sqlite.describe(source)
    if found < newest:
        raise Refused(f"{source} has schema {found}; upgrade it to {newest} first, with: fleetroll migrate")
    return sqlite.at_rest(source)


async def _prepare(session: Session) -> None:
    """Make the tables in an empty database, or go on with a copy that was begun. Raises Refused."""
    names = await postgres_schema.tables(session)
    if names and UNFINISHED_COPY not in names:
        raise Refused("The database is not empty; name an empty one.")
    if not names:
        postgres_schema.require_version(session)
        await postgres_schema.require_unicode(session)
        await postgres_schema.require_durable(session, unsafe=False)
        # First of all, so that nobody takes what is not complete for a registry.
        await session.command(
            f"CREATE TABLE {UNFINISHED_COPY} (name text PRIMARY KEY, place text NOT NULL, rows bigint NOT NULL)"
        )
    await postgres_schema.migrate(session)


def _table_names(old: apsw.Connection) -> list[str]:
    found: Any = old.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    return [name for (name,) in found if not name.startswith(_LEFT_OUT)]


async def _table(session: Session, old: apsw.Connection, name: str) -> _Table:
    described: list[tuple[Any, ...]] = old.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)).fetchall()
    kinds: dict[str, str] = dict(
        await session.fetch(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND table_name = :name",
            {"name": name},
        )
    )
    columns = tuple(column for column, _ in described)
    if kinds.keys() != set(columns):
        raise Refused(f"Table {name} differs between the two; use the same release for both.")
    key = tuple(column for column, position in sorted(described, key=lambda one: int(one[1])) if position)
    assert key, "every table has a primary key"
    booleans = frozenset(number for number, column in enumerate(columns) if kinds[column] == "boolean")
    return _Table(name, columns, key, booleans)


async def _copy_table(
    session: Session, old: apsw.Connection, table: _Table, progress: Callable[[str, int, int], None]
) -> None:
    total: Any = old.execute(f"SELECT count(*) FROM {table.name}").get
    known = await session.fetch(f"SELECT place, rows FROM {UNFINISHED_COPY} WHERE name = :name", {"name": table.name})
    after, done = (msgspec.json.decode(known[0][0]), int(known[0][1])) if known else (None, 0)
    progress(table.name, done, total)
    for rows in _pages(old, table, after):
        done += len(rows)
        noted = {"name": table.name, "place": msgspec.json.encode(table.key_of(rows[-1])).decode(), "rows": done}
        async with session.connection.transaction():
            await session.copy(table.name, table.columns, [table.converted(row) for row in rows])
            await session.fetch(
                f"INSERT INTO {UNFINISHED_COPY} (name, place, rows) VALUES (:name, :place, :rows) "
                "ON CONFLICT (name) DO UPDATE SET place = :place, rows = :rows",
                noted,
            )
        progress(table.name, done, total)


def _pages(old: apsw.Connection, table: _Table, last: list[Any] | None) -> Iterator[list[tuple[Any, ...]]]:
    after = f"WHERE ({', '.join(table.key)}) > ({', '.join('?' * len(table.key))})"
    while True:
        text = table.page.format(after=after if last is not None else "")
        rows = old.execute(text, last or ()).fetchall()
        if not rows:
            return
        yield rows
        last = table.key_of(rows[-1])


# --- comparison ------------------------------------------------------------------------------------------------------


async def _compare(session: Session, old: apsw.Connection, table: _Table) -> Copied:
    ours, theirs = _Checksum(), _Checksum()
    for rows in _pages(old, table, None):
        ours.add(map(table.converted, rows))
    async for rows in _read_back(session, table):
        theirs.add(rows)
    if (ours.rows, ours.checksum) != (theirs.rows, theirs.checksum):
        raise Refused(
            f"Table {table.name} is not the same on both sides ({ours.rows} and {theirs.rows} rows); "
            "empty the database and copy again."
        )
    return Copied(table.name, ours.rows, ours.checksum)


class _Checksum:
    """A count and a checksum of rows in their order."""

    def __init__(self) -> None:
        self.rows = 0
        self._digest = hashlib.sha256()

    def add(self, rows: "Iterator[Sequence[Any]] | Sequence[Sequence[Any]]") -> None:
        for row in rows:
            self.rows += 1
            self._digest.update(_encode(tuple(row)))

    @property
    def checksum(self) -> str:
        return self._digest.hexdigest()


async def _read_back(session: Session, table: _Table) -> AsyncIterator[list[Any]]:
    names = [f":k{number}" for number in range(len(table.key))]
    after = f"WHERE ({', '.join(table.key)}) > ({', '.join(names)})"
    last: list[Any] | None = None
    while True:
        text = table.page.format(after=after if last is not None else "")
        values = {name.removeprefix(":"): value for name, value in zip(names, last or (), strict=False)}
        rows = await session.fetch(text, values)
        if not rows:
            return
        yield list(rows)
        last = table.key_of(rows[-1])


async def _finish(session: Session, old: apsw.Connection) -> None:
    """Make the copy a registry, which gives no number again that the old one gave."""
    async with session.connection.transaction():
        given: list[tuple[Any, ...]] = old.execute("SELECT name, seq FROM sqlite_sequence WHERE seq > 0").fetchall()
        for name, last in given:
            await session.fetch(
                "SELECT setval(pg_get_serial_sequence(:name, 'id')::regclass, CAST(:last AS bigint))",
                {"name": name, "last": last},
            )
        await session.command(f"DROP TABLE {UNFINISHED_COPY}")
    await session.command("ANALYZE")


# --- from PostgreSQL to SQLite ---------------------------------------------------------------------------------------


async def save(session: Session, target: Path) -> None:
    """Write a PostgreSQL registry as of one moment to a SQLite file that must not exist, readable by its owner only."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with contextlib.closing(apsw.Connection(str(target))) as new, sqlite.reporting_no_room(target):
        new.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")  # a copy that is cut short is nothing
        sqlite.create_schema(new)
        async with session.connection.transaction(isolation="repeatable_read", readonly=True):
            for name in _table_names(new):
                await _save_table(session, new, await _table(session, new, name))
            for name in _tables_with_sequences(new):
                rows = await session.fetch(f"SELECT last_value, is_called FROM {name}_id_seq", {})
                given = rows[0][0] * rows[0][1]  # a sequence that was never asked says 1, and that it was not called
                await _execute_many(new, "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", [(name, given)])
        await _execute_many(new, "INSERT INTO device_search (rowid, search) SELECT id, search FROM device", [()])


async def _save_table(session: Session, new: apsw.Connection, table: _Table) -> None:
    text = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({', '.join('?' * len(table.columns))})"
    async for rows in _read_back(session, table):
        await _execute_many(new, text, [tuple(row) for row in rows])
    # What was given is told by the other side's sequences, which also know of rows that are gone.
    await _execute_many(new, "DELETE FROM sqlite_sequence WHERE name = ?", [(table.name,)])


def _tables_with_sequences(new: apsw.Connection) -> list[str]:
    found: Any = new.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%'")
    return [str(name) for (name,) in found]


async def _execute_many(new: apsw.Connection, text: str, rows: list[tuple[Any, ...]]) -> None:
    """Run a statement for each of the rows in one transaction, away from the event loop."""

    def run() -> None:
        with new:
            new.executemany(text, rows)

    await asyncio.to_thread(run)
