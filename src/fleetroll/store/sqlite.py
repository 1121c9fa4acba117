"""The SQLite engine: one file, one writing connection, readers that never block it.

Small transactions run on the event loop itself, one after the other, and a thread commits them together: what they
cost is a few microseconds each, while the fsync that they share costs hundreds, and only the fsync must not hold the
loop. Bulk transactions run wholly in that thread. Look-ups run on the loop; pages are tried there within a small
budget of steps and move to a reader thread if they exceed it. No other process ever opens the file.
"""

import asyncio
import contextlib
import functools
import logging
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw
import msgspec

from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.store import migrations, port
from fleetroll.store.connection import Row, Values
from fleetroll.store.records import Records
from fleetroll.store.select import Syntax
from fleetroll.store.statements import SQL

T = TypeVar("T")
logger = logging.getLogger("fleetroll.store")

APPLICATION_ID = 0x466C7472
MINIMUM_SQLITE = (3, 51, 3)  # the first release without the WAL-reset corruption bug
FILE_NAME = "fleetroll.db"

_WRITER_CACHE_KIB = 48 << 10
_READER_CACHE_KIB = 24 << 10
_SCANNER_CACHE_KIB = 8 << 10
_SCANNERS = 2
_CHECKED_WHOLE = 64 << 20  # a larger file takes seconds to check; `fleetroll doctor` does it
_INLINE_STEPS = 60_000  # virtual machine steps that a page may take on the event loop, about two milliseconds
_TURN_SECONDS = 0.005
_TRIGRAM = 3
_MOST_TRIGRAMS = 8
_READS_ONLY = "a reading connection does not write"


class Refused(Exception):
    """The store will not open; the message is one sentence for the operator."""


def open_store(file: Path, *, create: bool) -> "SqliteStore":
    """Open the registry in `file`, or make one there if `create`, which needs the file to be absent.

    Must be called on a running event loop. Raises Refused for a missing, foreign, newer, damaged or truncated file.
    """
    if tuple(map(int, apsw.sqlite_lib_version().split("."))) < MINIMUM_SQLITE:
        raise Refused(f"SQLite {apsw.sqlite_lib_version()} has a known corruption bug; install apsw 3.54 or newer.")
    if create == file.exists():
        raise Refused(f"{file} {'exists already' if create else 'is missing'}.")
    return SqliteStore(file, create=create)


def inspect(file: Path) -> list[str]:
    """What a full check of a store at rest finds wrong; empty if it is sound. Reads the whole file."""
    try:
        connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
        _check_identity(connection, file)
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
        connection.close()
    except (apsw.Error, Refused) as problem:
        return [str(problem)]
    return [] if found == ["ok"] else found


# --- filters ---------------------------------------------------------------------------------------------------------


def _json_path(keys: tuple[str, ...]) -> str:
    return "$" + "".join(f".{msgspec.json.encode(key).decode()}" for key in keys)


def _search_match(needle: str) -> str | None:
    """The full-text query for a folded text: all of up to eight of its trigrams. None if it is too short for one."""
    trigrams = list(dict.fromkeys(needle[start : start + _TRIGRAM] for start in range(len(needle) - _TRIGRAM + 1)))
    if not trigrams:
        return None
    step = max(1, len(trigrams) // _MOST_TRIGRAMS)
    return " AND ".join('"' + trigram.replace('"', '""') + '"' for trigram in trigrams[::step])


SYNTAX = Syntax(
    json_path=_json_path,
    json_text="(json_type({column}, {path}) = 'text' AND {column} ->> {path} {compare} {value})",
    json_like="(json_type({column}, {path}) = 'text' AND {column} ->> {path} LIKE {value} ESCAPE '\\')",
    json_number="(json_type({column}, {path}) IN ('integer', 'real') AND {column} ->> {path} {compare} {value})",
    json_true="json_type({column}, {path}) = 'true'",
    json_false="json_type({column}, {path}) = 'false'",
    json_null="json_type({column}, {path}) = 'null'",
    json_present="json_type({column}, {path}) IS NOT NULL",
    json_nonempty="{column} <> '{{}}'",
    search_driver="device_search",
    search_driver_id="device_search.rowid",
    search_driver_match="device_search MATCH {value} AND d.id = device_search.rowid",
    search_subquery="d.id IN (SELECT rowid FROM device_search WHERE device_search MATCH {value})",
    search_match=_search_match,
)


# --- connections -----------------------------------------------------------------------------------------------------


class _Inline:
    """Runs statements where it is called. Its coroutines never suspend, which `_finish` relies on."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany

    async def one(self, statement: str, values: Values) -> Row | None:
        rows: list[Row] = self._execute(statement, values).fetchall()
        return rows[0] if rows else None

    async def all(self, statement: str, values: Values) -> list[Row]:
        return self._execute(statement, values).fetchall()

    async def many(self, statement: str, values: Sequence[Values]) -> None:
        self._executemany(statement, values)

    async def reserve(self, table: str, count: int) -> int:
        # Nobody else writes, so the ids stay free until `load` takes them.
        row = await self.one(SQL["sqlite_sequence"], {"name": table})
        return 1 + (int(row[0]) if row else 0)

    async def load(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        # One statement over one JSON text: SQLite does all of it without needing the interpreter in between.
        await self.all(SQL[f"sqlite_load_{table}"], {"rows": msgspec.json.encode(rows).decode()})


class _Snapshot:
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
        if self._held:
            self.connection.execute("COMMIT")
            self._held = False


class _Reading(_Inline):
    """Look-ups on the event loop, within a snapshot."""

    def __init__(self, snapshot: _Snapshot) -> None:
        super().__init__(snapshot.connection)
        self._take = snapshot.take

    async def one(self, statement: str, values: Values) -> Row | None:
        self._take()
        rows: list[Row] = self._execute(statement, values).fetchall()
        return rows[0] if rows else None

    async def all(self, statement: str, values: Values) -> list[Row]:
        self._take()
        return self._execute(statement, values).fetchall()


class _Threaded:
    """Runs reading statements in a pool of threads, each with a connection of its own, for up to `seconds`."""

    def __init__(self, scanners: "_Scanners", seconds: float | None) -> None:
        self._scanners = scanners
        self._seconds = seconds

    async def one(self, statement: str, values: Values) -> Row | None:
        rows = await self.all(statement, values)
        return rows[0] if rows else None

    async def all(self, statement: str, values: Values) -> list[Row]:
        return await self._scanners.run(statement, values, self._seconds)

    async def many(self, statement: str, values: Sequence[Values]) -> None:
        raise AssertionError(_READS_ONLY)

    async def reserve(self, table: str, count: int) -> int:
        raise AssertionError(_READS_ONLY)

    async def load(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        raise AssertionError(_READS_ONLY)


class _Adaptive(_Threaded):
    """Tries a statement on the event loop within a budget of steps, and moves it to a thread if it needs more."""

    def __init__(self, snapshot: _Snapshot, scanners: "_Scanners", seconds: float) -> None:
        super().__init__(scanners, seconds)
        self._inline = _Reading(snapshot)
        snapshot.connection.set_progress_handler(lambda: True, _INLINE_STEPS)

    async def all(self, statement: str, values: Values) -> list[Row]:
        try:
            return await self._inline.all(statement, values)
        except apsw.InterruptError:
            return await super().all(statement, values)


class _Scanners:
    """The reader threads."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._free: deque[apsw.Connection] = deque()
        self._threads = ThreadPoolExecutor(_SCANNERS, "fleetroll-scan")

    async def run(self, statement: str, values: Values, seconds: float | None) -> list[Row]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._scan, statement, values, seconds)

    def _scan(self, statement: str, values: Values, seconds: float | None) -> list[Row]:
        connection = self._free.pop() if self._free else _reader(self._file, _SCANNER_CACHE_KIB)
        deadline = time.monotonic() + seconds if seconds else None
        connection.set_progress_handler((lambda: time.monotonic() > deadline) if deadline else None, 1_000_000)
        try:
            return connection.execute(statement, values).fetchall()
        except apsw.InterruptError:
            raise _too_costly() from None
        finally:
            self._free.append(connection)

    def close(self) -> None:
        self._threads.shutdown()
        for connection in self._free:
            connection.close()


def _too_costly() -> Fault:
    message = "This query takes too long; narrow it with an indexed field such as ident, status, kind or a tag."
    return Fault(Kind.UNAVAILABLE, "query_too_costly", message, "filter")


def _storage_full() -> Fault:
    return Fault(Kind.UNAVAILABLE, "storage_full", "The server's disk is full; nothing was stored.", retry_after=30)


# --- the writer ------------------------------------------------------------------------------------------------------


class _Job:
    """A transaction that waits for its turn, and then for its commit."""

    __slots__ = ("bulk", "error", "future", "result", "work")

    def __init__(self, work: Callable[[port.Records], Awaitable[Any]], bulk: bool, future: asyncio.Future[Any]) -> None:
        self.work = work
        self.bulk = bulk
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None


class _Writer:
    """Runs transactions one after the other and commits what has gathered, in one fsync."""

    def __init__(self, connection: apsw.Connection, on_failure: Callable[[], None]) -> None:
        self._connection = connection
        self._records = Records(_Inline(connection), SYNTAX)
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "fleetroll-commit")
        self._queue: deque[_Job] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._failed = False
        self._on_failure = on_failure
        self._listeners: list[Callable[[], None]] = []

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    async def write(self, work: Callable[[port.Records], Awaitable[T]], *, bulk: bool) -> T:
        if self._failed:
            raise _storage_failed()
        job = _Job(work, bulk, self._loop.create_future())
        self._queue.append(job)
        if self._idle.is_set():
            self._idle.clear()
            self._loop.call_soon(self._turn)
        return cast("T", await job.future)

    async def close(self) -> None:
        """Wait for what is queued, then fold the log into the file."""
        await self._idle.wait()
        await self._loop.run_in_executor(self._thread, self._checkpoint)
        self._thread.shutdown()
        self._connection.close()

    def _checkpoint(self) -> None:
        with contextlib.suppress(apsw.Error):  # an unfolded log is folded at the next start
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _turn(self) -> None:
        """Run what is queued and start its commit; `_settle` answers and takes the next turn."""
        jobs: list[_Job] = []
        if self._queue[0].bulk:
            jobs.append(self._queue.popleft())
            ending = self._loop.run_in_executor(self._thread, self._run, jobs, True)
        else:
            self._gather(jobs)
            ending = self._loop.run_in_executor(self._thread, self._commit)
        ending.add_done_callback(functools.partial(self._settle, jobs))

    def _gather(self, jobs: list[_Job]) -> None:
        deadline = time.monotonic() + _TURN_SECONDS
        while self._queue and not self._queue[0].bulk and (not jobs or time.monotonic() < deadline):
            jobs.append(self._queue.popleft())
            self._run(jobs[-1:], False)

    def _run(self, jobs: list[_Job], commit: bool) -> None:
        for job in jobs:
            if job.future.cancelled():
                continue
            try:
                if not self._connection.in_transaction:
                    self._connection.execute("BEGIN IMMEDIATE")
                job.result = self._within_savepoint(job.work)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is the caller's
                job.error = error
        if commit:
            self._commit()

    def _within_savepoint(self, work: Callable[[port.Records], Awaitable[T]]) -> T:
        execute = self._connection.execute
        execute("SAVEPOINT work")
        try:
            result = _finish(work(self._records))
        except BaseException:
            # SQLite has rolled all of the transaction back where the disk failed it.
            if self._connection.in_transaction:
                execute("ROLLBACK TO work")
                execute("RELEASE work")
            raise
        execute("RELEASE work")
        return result

    def _commit(self) -> None:
        if not self._connection.in_transaction:
            return
        try:
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _settle(self, jobs: list[_Job], ending: asyncio.Future[None]) -> None:
        failure = ending.exception()
        refusal = self._refusal(failure) if failure else None
        for listener in self._listeners:
            listener()
        for job in jobs:
            self._answer(job, refusal)
        if self._queue and not self._failed:
            self._turn()
        else:
            self._idle.set()

    def _answer(self, job: _Job, refusal: Fault | None) -> None:
        if job.future.cancelled():
            return
        error = job.error or refusal
        if error is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(self._refusal(error) if isinstance(error, apsw.Error) else error)

    def _refusal(self, failure: BaseException) -> Fault:
        if isinstance(failure, apsw.FullError):
            return _storage_full()
        # After a failed fsync the kernel may have dropped what it could not write: nothing can be promised any more.
        logger.critical("the store failed: %s", failure)
        self._failed = True
        for job in self._queue:
            job.future.set_exception(_storage_failed())
        self._queue.clear()
        self._on_failure()
        return _storage_failed()


def _storage_failed() -> Fault:
    return Fault(Kind.UNAVAILABLE, "storage_failed", "The server cannot store anything now.", retry_after=5)


def _finish(work: Awaitable[T]) -> T:
    """Run a coroutine that never suspends. Raises RuntimeError if it does: a transaction waits for nothing."""
    coroutine = cast("Coroutine[Any, Any, T]", work)
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    coroutine.close()
    raise RuntimeError("a transaction may await nothing but its records")


# --- the store -------------------------------------------------------------------------------------------------------


class SqliteStore:
    """Implements `port.Store`."""

    def __init__(self, file: Path, *, create: bool) -> None:
        self._file = file
        self._failure = asyncio.Event()
        writer = _open_writer(file, create=create)
        self._snapshots = [_Snapshot(_reader(file, _READER_CACHE_KIB)) for _ in range(2)]
        self._scanners = _Scanners(file)
        self.read: port.Records = Records(_Reading(self._snapshots[0]), SYNTAX)
        self.scan: port.Records = Records(
            _Adaptive(self._snapshots[1], self._scanners, limits.SCAN_TIME), SYNTAX
        )
        self.bulk: port.Records = Records(_Threaded(self._scanners, None), SYNTAX)
        self._writer = _Writer(writer, self._failure.set)
        for snapshot in self._snapshots:
            self._writer.on_commit(snapshot.release)

    @property
    def failure(self) -> asyncio.Event:
        """Set once the store can no longer promise anything; the process should end."""
        return self._failure

    async def write(self, work: Callable[[port.Records], Awaitable[T]], *, bulk: bool = False) -> T:
        return await self._writer.write(work, bulk=bulk)

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._writer.on_commit(listener)

    async def backup(self, target: Path) -> None:
        await asyncio.get_running_loop().run_in_executor(None, _copy, self._file, target)

    async def close(self) -> None:
        await self._writer.close()
        self._scanners.close()
        for snapshot in self._snapshots:
            snapshot.connection.close()


def _copy(source: Path, target: Path) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = _reader(source, _SCANNER_CACHE_KIB)
    try:
        connection.execute("VACUUM INTO ?", (str(target),))
    finally:
        connection.close()


def _reader(file: Path, cache_kib: int) -> apsw.Connection:
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY, statementcachesize=256)
    _configure(connection, cache_kib)
    return connection


def _configure(connection: apsw.Connection, cache_kib: int) -> None:
    connection.set_busy_timeout(5_000)
    connection.execute(f"PRAGMA cache_size = -{cache_kib}; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0")
    # PostgreSQL's LIKE tells case apart; filters mean the same on both.
    connection.execute("PRAGMA case_sensitive_like = ON")


def _open_writer(file: Path, *, create: bool) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    try:
        connection = apsw.Connection(str(file), flags=flags, statementcachesize=256)
        if create:
            file.chmod(0o600)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        else:
            _check_identity(connection, file)
            _check_soundness(connection, file)
        _configure(connection, _WRITER_CACHE_KIB)
        connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000")
        _migrate(connection)
    except apsw.Error as problem:
        raise Refused(f"{file} is damaged or not a database: {problem}.") from None
    return connection


def _check_identity(connection: apsw.Connection, file: Path) -> None:
    application = connection.pragma("application_id")
    if application != APPLICATION_ID:
        raise Refused(f"{file} is not a Fleetroll database.")
    version, newest = connection.pragma("user_version"), len(migrations.load("sqlite"))
    if version > newest:
        raise Refused(f"{file} has schema {version}; this release knows {newest}. Run a newer release.")


def _check_soundness(connection: apsw.Connection, file: Path) -> None:
    """A small file is checked whole. A large one is checked for its length, as copies that broke off are short."""
    pages, size = connection.pragma("page_count"), connection.pragma("page_size")
    log = file.with_name(file.name + "-wal")
    if file.stat().st_size < pages * size and not (log.exists() and log.stat().st_size):
        raise Refused(f"{file} is shorter than it says: it was cut off. Restore it from a backup.")
    if file.stat().st_size > _CHECKED_WHOLE:
        return
    found = connection.execute("PRAGMA quick_check(1)").fetchall()
    if found != [("ok",)]:
        raise Refused(f"{file} is damaged: {found[0][0]}. Restore it from a backup.")


def _migrate(connection: apsw.Connection) -> None:
    version = connection.pragma("user_version")
    for step in migrations.load("sqlite")[version:]:
        connection.execute(f"BEGIN EXCLUSIVE; {step.text}; PRAGMA user_version = {step.number}; COMMIT")
        logger.info("schema %d (%s) applied", step.number, step.name)
