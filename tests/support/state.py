"""What the store holds, row by row: to see that a refused request has changed nothing at all."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apsw
import asyncpg

from tests.support.app import database_of

_ROWS = "SELECT {} FROM {}"  # names of our own
# What asking for a revocation list leaves behind: which one was signed last, so that numbers rise.
_LEFT_BY_READERS = {"list_number", "list_at", "list_content"}
Rows = dict[str, list[tuple[Any, ...]]]


class _Sqlite:
    """Reads the tables of a file."""

    def __init__(self, database: Path) -> None:
        self._connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)

    def columns(self) -> dict[str, list[str]]:
        # All but the full-text index, which follows from the devices.
        statement = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%search%'"
        tables = [str(name) for (name,) in self._connection.execute(statement)]
        names = "SELECT name FROM pragma_table_info(?)"
        return {
            table: [str(name) for (name,) in self._connection.execute(names, (table,))]
            for table in tables
            if not table.startswith("sqlite_")
        }

    def versions(self, tables: Iterable[str]) -> dict[str, object]:
        return dict.fromkeys(tables, self._connection.pragma("data_version"))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement).fetchall()

    def close(self) -> None:
        self._connection.close()


class _Postgres:
    """Reads the tables of a database, in an event loop of its own."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._connection = self._runner.run(_connected(url))

    def columns(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for table, name in self._fetch(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
            "AND table_name <> 'fleetroll' ORDER BY table_name, ordinal_position"
        ):
            found.setdefault(table, []).append(name)
        return found

    def versions(self, tables: Iterable[str]) -> dict[str, object]:
        """For each table, how many rows it has, and which transaction was the last to write one of them."""
        each = "SELECT '{0}', count(*), max(xmin::text::bigint) FROM {0}"
        return {row[0]: tuple(row) for row in self._fetch(" UNION ALL ".join(map(each.format, tables)))}

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return sorted((tuple(row) for row in self._fetch(statement)), key=repr)

    def _fetch(self, statement: str) -> list[Any]:
        return list(self._runner.run(self._connection.fetch(statement)))

    def close(self) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()


async def _connected(url: str) -> Any:
    return await asyncpg.connect(url)


class State:
    """Reads a database beside the application that writes it; each time again, only what has changed."""

    def __init__(self, database: Path) -> None:
        url = database_of(database.parent)
        self._reader: _Sqlite | _Postgres = _Sqlite(database) if url is None else _Postgres(url)
        found = self._reader.columns()
        self._columns = {table: [name for name in found[table] if name not in _LEFT_BY_READERS] for table in found}
        self._versions: dict[str, object] = {}
        self._rows: Rows = {}

    def all(self) -> Rows:
        """Every row of every table."""
        versions = self._reader.versions(self._columns)
        changed = [table for table, version in versions.items() if version != self._versions.get(table)]
        self._rows = self._rows | {table: self._reader.rows(self._statement(table)) for table in changed}
        self._versions = versions
        return self._rows

    def _statement(self, table: str) -> str:
        return _ROWS.format(", ".join(f'"{name}"' for name in self._columns[table]), table)

    def of(self, organization: int) -> Rows:
        """The rows of one organization, including itself and those directly below it."""
        return {
            table: [row for row in rows if organization in self._owners(table, row)]
            for table, rows in self.all().items()
        }

    def _owners(self, table: str, row: tuple[Any, ...]) -> set[object]:
        if table == "reading":  # has the tenant of its series
            return {series[1] for series in self._rows["series"] if series[0] == row[0]}
        if table == "server_key":  # of no organization
            return set()
        names = ("id", "parent") if table == "organization" else ("org",)
        return {row[self._columns[table].index(name)] for name in names}

    def close(self) -> None:
        self._reader.close()
