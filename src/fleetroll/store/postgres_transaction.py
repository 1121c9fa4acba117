"""One transaction on PostgreSQL: which statements it holds back, how it loads many rows, and which locks it takes.

Transactions of several processes meet in a lock per organization, taken with the first statement that names it:
whoever reads before it writes finds what every transaction before it has left, as with one writer, and the numbers of
an organization's events are in the order of their commits. Nobody waits for a lock while holding another, so nobody
waits in a circle.
"""

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from msgspec import Struct

from fleetroll.store import port
from fleetroll.store.connection import Indexed, Row, Values, stopwatch
from fleetroll.store.postgres_connections import LOCK_SPACE, Session
from fleetroll.store.postgres_syntax import SYNTAX
from fleetroll.store.records import Records
from fleetroll.store.statements import SQL

_ORGS = ("org", "to", "parent")  # the values by which statements name organizations
# Organizations share this many locks: a server has room for some thousands, and one transaction may need those of all
# organizations below one. Those that share one wait for each other, which is rare, and harmless.
_LOCKS = 1024
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+(?!SET\b)(\w+)")  # after ON CONFLICT, UPDATE names none
_LOAD = re.compile(r"INSERT INTO (\w+) \(([^)]*)\)\s*SELECT (.*?)\s*FROM jsonb_each\(:rows\)$", re.DOTALL)
_COUNT, _COUNTERS = SQL["usage_add"], "quota_usage"
_TALLY = SQL["device_tally_add"]
_PART = 250  # rows of a load: while one part is stored, the next is made
_NO_QUOTA = (1 << 63) - 1
_LITERALS = {"false": False, "true": True, "1": 1}


class LockBusy(BaseException):
    """Another process holds this lock of an organization, and this transaction holds another such lock already.

    Not an Exception: nothing on its way through an operation may take it for a failure of the operation.
    """

    def __init__(self, lock: int) -> None:
        self.lock = lock


class Load(Struct, frozen=True):
    """The columns of a load, and the positions of their values in a row that follows the literals."""

    table: str
    columns: tuple[str, ...]
    literals: tuple[bool | int, ...]
    positions: tuple[int, ...]

    def whole(self, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        if self.positions == tuple(range(len(self.positions))):
            return rows
        pick, literals = itemgetter(*self.positions), self.literals
        return [pick((*literals, *row)) for row in rows]


@functools.cache
def load_of(table: str) -> Load:
    """The load of a table, taken from SQLite's statement, so that a row means the same to both engines."""
    found = _LOAD.match(SQL[f"sqlite_load_{table}"])
    assert found, table
    parts = [part.strip() for part in found[3].split(",")]
    literals = [part for part in parts if part in _LITERALS]
    ahead = iter(range(len(literals)))
    positions = tuple(
        next(ahead) if part in _LITERALS else len(literals) + int(part.removeprefix("value ->> ")) for part in parts
    )
    columns = tuple(name.strip() for name in found[2].split(","))
    return Load(found[1], columns, tuple(_LITERALS[part] for part in literals), positions)


@functools.lru_cache(maxsize=4096)
def _tables(statement: str) -> frozenset[str]:
    return frozenset(_TABLE.findall(statement))


class Writing:
    """Implements `connection.Connection` for one transaction.

    Statements that return nothing are held back until one asks for their table, or until the end: those of many works
    then share a round trip.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._later: dict[str, list[tuple[str, list[Values]]]] = {}  # what is held back, by table
        # By organization and noun: how much of a quota is used, and what of that is held back.
        self._used: dict[tuple[int, str], int] = {}
        self._added: dict[tuple[int, str], int] = {}
        self.locked: set[int] = set()
        self.has_written = False
        self._holds_rows = False  # by having written them; whoever does must not wait for an organization
        self.records: port.Records = Records(self, SYNTAX)

    async def one(self, statement: str, values: Values) -> Row | None:
        rows = await self.all(statement, values)
        return rows[0] if rows else None

    async def all(self, statement: str, values: Values) -> list[Row]:
        await self._enter(values)
        if statement is _COUNT:
            return await self._count(values)
        if self._later and not self._later.keys().isdisjoint(_tables(statement)):
            await self.flush()
        if self._used and _COUNTERS in _tables(statement):
            await self.flush()
            self._used.clear()
        return await self._send(statement, values)

    async def timed(self, statement: str, values: Values) -> tuple[list[Row], float]:
        return await stopwatch(self.all(statement, values))

    async def changed(self, statement: str, values: Values) -> bool:
        return bool(await self.all(statement, values))

    async def added(self, statement: str, values: Values) -> int | None:
        row = await self.one(statement, values)
        return None if row is None else int(row[0])

    async def _send(self, statement: str, values: Values) -> list[Row]:
        if not statement.startswith("SELECT"):
            self.has_written = self._holds_rows = True
        return await self._session.fetch(statement, values)

    async def _count(self, values: Values) -> list[Row]:
        """Count something on a quota.

        Nobody else does so while this transaction holds the organization's lock, so only the first one asks the server.
        """
        counter, count = (values["org"], values["noun"]), values["count"]
        used = self._used.get(counter)
        if used is None:
            rows = await self._send(_COUNT, values)
            if rows:
                self._used[counter] = rows[0][0]
            return rows
        if count >= 0 and used + count > values["quota"]:
            return []
        self.has_written = True
        self._used[counter] = used + count
        self._added[counter] = self._added.get(counter, 0) + count
        return [(used + count,)]

    async def many(self, statement: str, values: Sequence[Values]) -> None:
        if not values:
            return
        for each in values:
            await self._enter(each)
        self.has_written = True
        tables = _tables(statement)
        if len(tables) > 1:  # it reads what others write before and after it, so it is not held back
            if not self._later.keys().isdisjoint(tables):
                await self.flush()
            await self._session.many(statement, values)
            return
        (table,) = tables or {""}
        waiting = self._later.setdefault(table, [])
        if waiting and waiting[-1][0] == statement:
            waiting[-1][1].extend(values)
        else:
            waiting.append((statement, list(values)))

    async def reserve(self, table: str, count: int) -> Sequence[int]:
        rows = await self._session.fetch(SQL["postgres_reserve"], {"table": table, "column": "id", "count": count})
        return [row[0] for row in rows]

    async def load(self, table: str, rows: Iterable[Sequence[Any]], tails: Sequence[Row] = ()) -> None:
        load = load_of(table)
        if tails:
            rows = ((*row, *tail) for row, tail in zip(rows, tails, strict=True))
        org_of = itemgetter(load.columns.index("org"))
        for part in [rows] if isinstance(rows, Sequence) else _parts(iter(rows)):
            whole = load.whole(part)
            for org in set(map(org_of, whole)):
                await self.lock(org)
            if load.table in self._later:
                await self.flush()
            self.has_written = True
            await self._session.copy(load.table, load.columns, whole)

    async def enter(self, orgs: Iterable[int]) -> None:
        wanted = {org % _LOCKS for org in orgs} - self.locked
        values = {"space": LOCK_SPACE, "locks": sorted(wanted)}
        busy = [row[0] for row in await self._session.fetch(SQL["postgres_busy_locks"], values)]
        self.locked |= wanted - {*busy}
        if busy:
            raise LockBusy(busy[0])

    async def settled(self) -> int:
        raise AssertionError("a transaction publishes nothing")

    async def index(self, changes: Sequence[Indexed]) -> None:
        """The server keeps its indexes itself."""

    def discard(self, held: set[int]) -> None:
        """Discard what was held back, and the locks other than `held`: the server releases them with a savepoint."""
        self.locked = held
        self._later.clear()
        self._used.clear()
        self._added.clear()

    async def flush(self) -> None:
        """Send what was held back."""
        later, self._later = self._later, {}
        self._holds_rows = True
        added, self._added = self._added, {}
        counts = [{"org": org, "noun": noun, "count": n, "quota": _NO_QUOTA} for (org, noun), n in added.items() if n]
        if counts:
            await self._session.many(_COUNT, counts)
        for waiting in later.values():
            for statement, values in waiting:
                await self._session.many(statement, _summed(values) if statement is _TALLY else values)
        await self._session.copied()

    async def _enter(self, values: Values) -> None:
        for name in _ORGS:
            org = values.get(name)
            if org and org % _LOCKS not in self.locked:
                await self.lock(org)

    async def lock(self, org: int) -> None:
        """Keep other transactions from writing for an organization. Raises LockBusy rather than wait in a circle."""
        lock = org % _LOCKS
        if lock in self.locked:
            return
        values = {"space": LOCK_SPACE, "lock": lock}
        if not self.locked and not self._holds_rows:
            await self._session.fetch(SQL["postgres_lock"], values)
        elif not (await self._session.fetch(SQL["postgres_try_lock"], values))[0][0]:
            raise LockBusy(lock)
        self.locked.add(lock)

    async def lock_in_order(self, locks: set[int]) -> None:
        """As `lock` for all of them, waiting: whoever waits for several does so in the same order."""
        for lock in sorted(locks):
            await self._session.fetch(SQL["postgres_lock"], {"space": LOCK_SPACE, "lock": lock})
            self.locked.add(lock)


def _parts(rows: Iterator[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    while part := list(itertools.islice(rows, _PART)):
        yield part


def _summed(tallied: Sequence[Values]) -> list[Values]:
    """The entries, with those that are alike added up: most of what shares a commit is."""
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in tallied:
        alike = tuple(value for name, value in one.items() if name != "devices")
        known = sums.setdefault(alike, {**one, "devices": 0})
        known["devices"] += one["devices"]
    return list(sums.values())
