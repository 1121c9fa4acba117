"""What an engine gives the noun modules: a way to run one statement with named values. Nothing here knows a noun."""

import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

Row = tuple[Any, ...]
Values = Mapping[str, Any]
Indexed = tuple[int, int, str | None, str | None]
"""A device whose searched text changes: its organization, its id, the text before (None: it is new there) and after
(None: it goes)."""


class Query(Struct, frozen=True):
    """A statement and the values it binds."""

    text: str
    values: dict[str, Any]


class Connection(Protocol):
    """One transaction, or one way of reading. Statement texts come from the .sql files or from `select`."""

    async def one(self, statement: str, values: Values) -> Row | None:
        """The first row, or None."""

    async def all(self, statement: str, values: Values) -> list[Row]: ...

    async def timed(self, statement: str, values: Values) -> tuple[list[Row], float]:
        """As `all`, and the seconds that it took once its turn had come.

        Where these are limited, raises Fault `query_too_costly` beyond the limit, for whatever reason.
        """

    async def changed(self, statement: str, values: Values) -> bool:
        """Whether a statement that returns what it writes has written anything."""

    async def added(self, statement: str, values: Values) -> int | None:
        """The id of the row that a statement inserts and returns, or None where it does not."""

    async def many(self, statement: str, values: Sequence[Values]) -> None:
        """Run a statement that gives no rows once for each of `values`."""

    async def reserve(self, table: str, count: int) -> Sequence[int]:
        """`count` ascending ids that `table` will give to nobody else."""

    async def load(self, table: str, rows: Iterable[Sequence[Any]], tails: Sequence[Any] = ()) -> None:
        """Insert many whole rows at once, their columns in the order of `<table>_load`.

        Those of an iterator may be made while the engine stores the ones before. `tails` are what `Syntax.tail` has
        made of the rest of each row.
        """

    async def enter(self, orgs: Iterable[int]) -> None:
        """Let nobody else write for these organizations until the end: as a statement does that names one of them."""

    async def settled(self) -> int:
        """A number of an event up to which no event is still to be committed."""

    async def index(self, changes: Sequence[Indexed]) -> None:
        """Keep the substring index in step, where the engine does not by itself."""


async def inserted(connection: Connection, statement: str, values: Values) -> int:
    """The id of the row that a statement without a conflict clause inserts."""
    number = await connection.added(statement, values)
    assert number is not None, "nothing keeps it from adding its row"
    return number


async def count_by(connection: Connection, query: Query) -> int:
    """What a query counts."""
    row = await connection.one(query.text, query.values)
    return int(row[0] or 0) if row else 0


async def stopwatch(reading: Awaitable[list[Row]]) -> tuple[list[Row], float]:
    """What is read, and the seconds that it took."""
    started = time.monotonic()
    found = await reading
    return found, time.monotonic() - started


class ReadsOnly:
    """The writing half of a connection that reads."""

    async def changed(self, statement: str, values: Values) -> bool:
        raise AssertionError(_READS_ONLY)

    async def added(self, statement: str, values: Values) -> int | None:
        raise AssertionError(_READS_ONLY)

    async def many(self, statement: str, values: Sequence[Values]) -> None:
        raise AssertionError(_READS_ONLY)

    async def reserve(self, table: str, count: int) -> Sequence[int]:
        raise AssertionError(_READS_ONLY)

    async def load(self, table: str, rows: Iterable[Sequence[Any]], tails: Sequence[Any] = ()) -> None:
        raise AssertionError(_READS_ONLY)

    async def enter(self, orgs: Iterable[int]) -> None:
        raise AssertionError(_READS_ONLY)

    async def index(self, changes: Sequence[Indexed]) -> None:
        raise AssertionError(_READS_ONLY)


_READS_ONLY = "a reading connection does not write"
