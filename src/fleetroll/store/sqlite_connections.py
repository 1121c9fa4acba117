"""Ways to run a statement on SQLite: where it is called, in a snapshot, in a thread, or whichever turns out to fit."""

import asyncio
import functools
import math
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import msgspec

from fleetroll.store.connection import Indexed, ReadsOnly, Row, Values, stopwatch
from fleetroll.store.match_counts import MatchCounts
from fleetroll.store.refusals import too_costly
from fleetroll.store.sqlite_syntax import (
    JSON_HOLDS,
    NUMBER_DIGITS,
    TIME_PLACE,
    is_laborious,
    json_holds,
    number_digits,
    reads_documents,
    time_place,
)
from fleetroll.store.statements import SQL
from fleetroll.store.turns import TenantOf, Turns, own_tenant

SCANNER_CACHE_KIB = 8 << 10
_SCANNERS = 3  # one more than an organization can have, which may keep them busy for seconds
_STEPS_BETWEEN_LOOKS = 5_000
_STEPS_INTO_DOCUMENTS = 1_000  # many of which read a whole document
_INLINE_SECONDS = 0.002
_SCAN_SECONDS = 0.003  # of one turn of the event loop, for all pages together
_INTERRUPT_SECONDS = 0.05
_SEARCH_TABLE = "device_search"
_ALL_SETTLED = (1 << 63) - 1  # one writer commits events in the order of their numbers


class Inline:
    """Runs statements where it is called. Its coroutines never suspend, which `_finish` relies on."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    async def one(self, statement: str, values: Values) -> Row | None:
        rows: list[Row] = self._execute(statement, values).fetchall()
        return rows[0] if rows else None

    async def all(self, statement: str, values: Values) -> list[Row]:
        return self._execute(statement, values).fetchall()

    async def timed(self, statement: str, values: Values) -> tuple[list[Row], float]:
        return await stopwatch(self.all(statement, values))

    async def settled(self) -> int:
        return _ALL_SETTLED


class _Reader(ReadsOnly):
    """What readers of the one process that writes have in common."""

    async def settled(self) -> int:
        return _ALL_SETTLED


class Writing(Inline):
    """The writing connection. What changes in the substring index is gathered, and written once before the commit.

    The full-text index writes all that it holds to its tables at every savepoint, and many statements open one of their
    own; written along with the rows themselves, each row would cost several times as much.
    """

    def __init__(self, connection: apsw.Connection, match_counts: MatchCounts) -> None:
        super().__init__(connection)
        self._executemany = connection.executemany
        self._changes_of_last = connection.changes
        self._last_id = connection.last_insert_rowid
        self._match_counts = match_counts
        self._changes: list[Indexed] = []  # gathered, and yet to be written to the index
        self._written: list[Indexed] = []  # to the index, since the last `mark`: undone with the work
        self._settled: list[Indexed] = []  # to the index, by works before that

    async def one(self, statement: str, values: Values) -> Row | None:
        self._write_before(statement)
        return await super().one(statement, values)

    async def all(self, statement: str, values: Values) -> list[Row]:
        self._write_before(statement)
        return await super().all(statement, values)

    def _write_before(self, statement: str) -> None:
        if self._changes and _SEARCH_TABLE in statement:
            self.write_index()  # a transaction finds what it has written itself

    async def changed(self, statement: str, values: Values) -> bool:
        self._execute(_silent(statement), values)
        return self._changes_of_last() > 0

    async def added(self, statement: str, values: Values) -> int | None:
        self._execute(_silent(statement), values)
        return self._last_id() if self._changes_of_last() else None

    async def many(self, statement: str, values: Sequence[Values]) -> None:
        self._executemany(statement, values)

    async def reserve(self, table: str, count: int) -> Sequence[int]:
        # Nobody else writes, so the ids stay free until `load` takes them.
        row = await self.one(SQL["sqlite_sequence"], {"name": table})
        first = 1 + (int(row[0]) if row else 0)
        return range(first, first + count)

    async def load(self, table: str, rows: Iterable[Sequence[Any]], tails: Sequence[str] = ()) -> None:
        # One statement over one JSON text: SQLite does all of it without needing the interpreter in between.
        text = _with_tails(rows, tails) if tails else _json(list(rows))
        await self.all(SQL[f"sqlite_load_{table}"], {"rows": text})

    async def enter(self, orgs: Iterable[int]) -> None:
        """Nobody else writes at all."""

    async def index(self, changes: Sequence[Indexed]) -> None:
        self._changes += changes

    def mark(self) -> int:
        """How much has gathered before a work begins; `discard_after` it if it fails."""
        self._settled += self._written
        self._written.clear()
        return len(self._changes)

    def discard_after(self, mark: int) -> None:
        # What was written since the mark is undone with the work, and that includes what had gathered before it.
        self._changes = [*self._written, *self._changes][:mark]
        self._written = []

    def discard_all(self) -> None:
        """Forget all of it: the whole transaction is undone."""
        self._changes, self._written, self._settled = [], [], []

    def flush(self) -> None:
        """Do what is left to do before the commit."""
        self.write_index()
        changes = self._settled + self._written
        self._written, self._settled = [], []
        if changes:
            rows: list[Row] = self._execute(SQL["sqlite_index_changed"]).fetchall()
            self._match_counts.note(rows[0][0], changes)

    def write_index(self) -> None:
        """Bring the substring index up to what has gathered, in order where one device changed twice."""
        gathered, self._changes = self._changes, []
        self._written += gathered
        before: dict[int, str | None] = {}
        after: dict[int, str | None] = {}
        for _, device, old, new in gathered:
            before.setdefault(device, old)
            after[device] = new
        removed = [(device, old) for device, old in before.items() if old is not None and old != after[device]]
        added = [(device, new) for device, new in after.items() if new is not None and new != before[device]]
        for statement, rows in (("sqlite_index_remove", removed), ("sqlite_index_add", added)):
            if rows:
                self._execute(SQL[statement], {"rows": _json(rows)})


@functools.cache
def _silent(statement: str) -> str:
    """The statement without what it returns, which SQLite would gather in a table; it counts changes anyway."""
    return statement[: statement.rindex("RETURNING")]


def _with_tails(rows: Iterable[Sequence[Any]], tails: Sequence[str]) -> str:
    whole = (f"{_json(row)[:-1]},{tail}" for row, tail in zip(rows, tails, strict=True))
    return f"[{','.join(whole)}]"


def _json(rows: Sequence[Any]) -> str:
    return msgspec.json.encode(rows).decode()


class Snapshot:
    """Keeps one connection's view of the store from one commit to the next.

    Taking a view costs as much as a look-up. The only writer is in this process and says when it has committed, so
    the view is given up exactly then, before anybody is told of the commit: a reader always sees its own writes.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self._held = False

    def take(self) -> None:
        if not self._held:
            self.connection.execute("BEGIN")
            self._held = True

    def release(self) -> None:
        if self._held and self.connection.in_transaction:  # a failed read may have ended it already
            self.connection.execute("ROLLBACK")  # a COMMIT would fail by a damaged page that a read has met
        self._held = False


class Reading(_Reader, Inline):
    """Look-ups on the event loop, within a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot.connection)
        self._take = snapshot.take

    async def one(self, statement: str, values: Values) -> Row | None:
        self._take()
        rows: list[Row] = self._execute(statement, values).fetchall()
        return rows[0] if rows else None

    async def all(self, statement: str, values: Values) -> list[Row]:
        self._take()
        return self._execute(statement, values).fetchall()


class Threaded(_Reader):
    """Runs reading statements in a pool of threads, each with a connection of its own, for up to `seconds`."""

    def __init__(self, scanners: "Scanners", seconds: float | None) -> None:
        self._scanners = scanners
        self._seconds = seconds

    async def one(self, statement: str, values: Values) -> Row | None:
        rows = await self.all(statement, values)
        return rows[0] if rows else None

    async def all(self, statement: str, values: Values) -> list[Row]:
        return await self._scanners.run(statement, values, self._seconds)

    async def timed(self, statement: str, values: Values) -> tuple[list[Row], float]:
        return await self._scanners.timed(statement, values, self._seconds)


class Adaptive(Threaded):
    """Tries a statement on the event loop for a moment, and moves it to a thread if it needs longer.

    The connection is shared with `Reading`, whose look-ups are never cut short.
    """

    def __init__(self, snapshot: Snapshot, scanners: "Scanners", seconds: float) -> None:
        super().__init__(scanners, seconds)
        self._loop = asyncio.get_running_loop()
        self._spent = 0.0
        self._inline = Reading(snapshot)
        self._deadline = math.inf
        self._look = snapshot.connection.set_progress_handler

    async def all(self, statement: str, values: Values) -> list[Row]:
        if is_laborious(statement):  # one step of it would hold the loop for longer than a moment
            return await super().all(statement, values)
        # This turn of the loop has had its share; others may have waited for it.
        while self._spent > _SCAN_SECONDS:  # noqa: ASYNC110  # what it waits for is the very next turn
            await asyncio.sleep(0)
        started = time.monotonic()
        self._deadline = started + _INLINE_SECONDS
        # SQLite counts the steps of a prepared statement over all its uses, so the handler may be called at any point
        # of one.
        self._look(self._is_late, _STEPS_INTO_DOCUMENTS if reads_documents(statement) else _STEPS_BETWEEN_LOOKS)
        try:
            return await self._inline.all(statement, values)
        except apsw.InterruptError:
            pass
        finally:
            self._deadline = math.inf
            self._spend(time.monotonic() - started)
        return await super().all(statement, values)

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _spend(self, seconds: float) -> None:
        if not self._spent:
            self._loop.call_soon(self._renew)
        self._spent += seconds

    def _renew(self) -> None:
        self._spent = 0.0


class Scanners:
    """The reader threads."""

    def __init__(self, file: Path, tenant_of: TenantOf = own_tenant) -> None:
        self._tenant_of = tenant_of
        self._free = [open_reader(file, SCANNER_CACHE_KIB) for _ in range(_SCANNERS)]
        self._running: dict[asyncio.Future[list[Row]], apsw.Connection] = {}
        self._threads = ThreadPoolExecutor(_SCANNERS, "fleetroll-scan")
        self._turns = Turns(_SCANNERS)

    async def run(self, statement: str, values: Values, seconds: float | None) -> list[Row]:
        found, _ = await self.timed(statement, values, seconds)
        return found

    async def timed(self, statement: str, values: Values, seconds: float | None) -> tuple[list[Row], float]:
        tenant = await self._tenant_of(values.get("org"))
        await self._turns.take(tenant)
        return await stopwatch(self._begun(tenant, statement, values, seconds))

    async def _begun(self, tenant: int | None, statement: str, values: Values, seconds: float | None) -> list[Row]:
        connection, loop = self._free.pop(), asyncio.get_running_loop()
        scan = loop.run_in_executor(self._threads, _scan, connection, statement, values)
        self._running[scan] = connection
        # Not a progress handler: SQLite calls that after a number of steps, and a single one may take a second.
        deadline = loop.call_later(seconds, self._interrupt, scan) if seconds else None
        scan.add_done_callback(functools.partial(self._end, tenant, deadline))
        await asyncio.wait({scan})  # not `await scan`: when cancelled, the thread still goes on
        return scan.result()

    def _interrupt(self, scan: asyncio.Future[list[Row]]) -> None:
        """Until it ends, as one that has yet to begin takes no notice."""
        if connection := self._running.get(scan):
            connection.interrupt()
            asyncio.get_running_loop().call_later(_INTERRUPT_SECONDS, self._interrupt, scan)

    def _end(self, tenant: int | None, deadline: asyncio.TimerHandle | None, scan: asyncio.Future[list[Row]]) -> None:
        if deadline is not None:
            deadline.cancel()
        self._free.append(self._running.pop(scan))
        scan.exception()  # retrieved here, as nobody else may
        self._turns.give(tenant)

    async def close(self) -> None:
        while self._running:
            for connection in self._running.values():
                connection.interrupt()  # again, as one that has yet to begin takes no notice
            await asyncio.wait(self._running, timeout=_INTERRUPT_SECONDS)
        self._threads.shutdown()
        for connection in self._free:
            connection.close()


def _scan(connection: apsw.Connection, statement: str, values: Values) -> list[Row]:
    try:
        return connection.execute(statement, values).fetchall()
    except apsw.InterruptError:
        raise too_costly() from None


def open_reader(file: Path, cache_kib: int) -> apsw.Connection:
    connection = apsw.Connection(
        str(file), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOMUTEX, statementcachesize=256
    )
    configure(connection, cache_kib)
    return connection


def configure(connection: apsw.Connection, cache_kib: int) -> None:
    connection.set_busy_timeout(5_000)
    # Otherwise a plan may depend on bound values, such as that of a LIMIT, and is made anew each time one is bound.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.execute(f"PRAGMA cache_size = -{cache_kib}; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0")
    connection.create_scalar_function(JSON_HOLDS, json_holds, 2, deterministic=True)
    connection.create_scalar_function(TIME_PLACE, time_place, 1, deterministic=True)
    connection.create_scalar_function(NUMBER_DIGITS, number_digits, 1, deterministic=True)
    # PostgreSQL's LIKE tells case apart; filters mean the same on both.
    connection.execute("PRAGMA case_sensitive_like = ON")
