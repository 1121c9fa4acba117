"""What the store holds, row by row: to see that a refused request has changed nothing at all."""

from pathlib import Path
from typing import Any

import apsw

_ALL = "SELECT * FROM "  # tables of our own naming
Rows = dict[str, list[tuple[Any, ...]]]


class State:
    """Reads a database beside the application that writes it. Read again only after something was committed."""

    def __init__(self, database: Path) -> None:
        self._connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
        self._columns = {table: self._names(table) for table in self._tables()}
        self._version: object = None
        self._rows: Rows = {}

    def all(self) -> Rows:
        """Every row of every table."""
        version = self._connection.pragma("data_version")
        if version != self._version:
            self._rows = {table: self._connection.execute(_ALL + table).fetchall() for table in self._columns}
            self._version = version
        return self._rows

    def of(self, organization: int) -> Rows:
        """The rows of one organization, itself and those directly below it among them."""
        return {
            table: [row for row in rows if organization in self._owners(table, row)]
            for table, rows in self.all().items()
        }

    def _owners(self, table: str, row: tuple[Any, ...]) -> set[object]:
        if table == "reading":  # has the tenant of its series
            return {series[1] for series in self._rows["series"] if series[0] == row[0]}
        names = ("id", "parent") if table == "organization" else ("org",)
        return {row[self._columns[table].index(name)] for name in names}

    def _tables(self) -> list[str]:
        """All but the full-text index, which follows from the devices."""
        statement = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%search%'"
        return [name for (name,) in self._connection.execute(statement) if not name.startswith("sqlite_")]

    def _names(self, table: str) -> list[str]:
        return [name for (name,) in self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]

    def close(self) -> None:
        self._connection.close()
