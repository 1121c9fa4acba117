"""The SQLite engine: one file, one writing connection, readers that never block it.

Small transactions run on the event loop itself, one after the other, and a thread commits them together: what they
cost is a few microseconds each, while the fsync that they share costs hundreds, and only the fsync must not hold the
loop. Bulk transactions run wholly in that thread. Look-ups run on the loop; pages are tried there within a small
budget of steps and move to a reader thread if they exceed it. No other process ever opens the file.
"""

import asyncio
import contextlib
import errno
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import apsw
from msgspec import structs

from fleetroll.core import limits
from fleetroll.store import migrations, port, rows, sqlite_search
from fleetroll.store.match_counts import MatchCounts
from fleetroll.store.port import Origin
from fleetroll.store.records import Records
from fleetroll.store.refusals import Refused, Unwritable
from fleetroll.store.server_key import EVIDENCE, ROOT, Admit, admit_any, origin
from fleetroll.store.sqlite_connections import (
    SCANNER_CACHE_KIB,
    Adaptive,
    Reading,
    Scanners,
    Snapshot,
    Threaded,
    configure,
    open_reader,
)
from fleetroll.store.sqlite_reserve import Reserve
from fleetroll.store.sqlite_syntax import Trigrams, syntax
from fleetroll.store.sqlite_writer import Writer
from fleetroll.store.statements import SQL
from fleetroll.store.turns import Tenants

T = TypeVar("T")
logger = logging.getLogger("fleetroll.store")

APPLICATION_ID = 0x466C7472
MINIMUM_SQLITE = (3, 51, 3)  # the first release without the WAL-reset corruption bug
# While SQLite splits pages it numbers one of them beyond 1 GiB for a moment, so in a smaller file each commit looks
# through the whole cache for pages out of range. In 8 MiB there is room for the inner pages of a million devices; what
# is not there comes from the kernel's cache.
_WRITER_CACHE_KIB = 8 << 10
_READER_CACHE_KIB = 56 << 10
_CHECKED_WHOLE = 64 << 20  # a larger file takes seconds to check; `fleetroll doctor` does it
_COMMON_TRIGRAMS = 5_000
# What keeps a file from being opened and says nothing of what is in it.
_CANNOT_OPEN = (apsw.BusyError, apsw.CantOpenError, apsw.LockedError, apsw.PermissionsError, apsw.ReadOnlyError)


def open_store(file: Path, *, create: bool, admit: Admit = admit_any) -> "SqliteStore":
    """Open the registry in `file`, or make one there if `create`, which needs the file to be absent.

    An older schema is brought up to date; `admit` refuses a file of another server key before that. Must be called on a
    running event loop. Raises Refused for a missing, foreign, newer, damaged or truncated file.
    """
    version, is_trusted = library()
    if not is_trusted:
        raise Refused(f"SQLite {version} has a known corruption bug; install apsw 3.54 or newer.")
    if create == file.exists():
        raise Refused(f"{file} {'exists already' if create else 'is missing'}.")
    return SqliteStore(file, create=create, admit=admit)


def library() -> tuple[str, bool]:
    """The version of SQLite, and whether it is free of the known corruption bug."""
    version = apsw.sqlite_lib_version()
    return version, tuple(map(int, version.split("."))) >= MINIMUM_SQLITE


def inspect(file: Path) -> list[str]:
    """What a full check of a store at rest finds wrong; empty if it is sound. Reads the whole file.

    Raises Refused for what is no store, or that of a newer release: nothing can be said of how sound that is.
    """
    try:
        with contextlib.closing(at_rest(file)) as connection:
            _check_identity(connection, file)
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
    except apsw.Error as problem:
        return [_one_line(problem)]
    # What is wrong with pages is one row of many lines, below a title.
    told = [" ".join(line.split()) for text in found for line in text.splitlines() if not line.startswith("***")]
    return [] if told == ["ok"] else told


def describe(file: Path) -> migrations.Description:
    """What a sound store says of itself: its schema, the newest, and its server key's mark if its schema has such."""
    with contextlib.closing(at_rest(file)) as connection:
        newest = len(migrations.load("sqlite"))
        return migrations.Description(connection.pragma("user_version"), newest, _origin(connection).mark)


def upgrade_of(file: Path) -> migrations.Upgrade:
    """The number of a store's schema, at rest, and the steps that this release would take. Raises Refused."""
    if problems := inspect(file):
        raise Refused(f"{file} cannot be used: {problems[0]}.")
    found = describe(file).schema
    return migrations.Upgrade(found, migrations.load("sqlite")[found:])


def at_rest(file: Path) -> apsw.Connection:
    """A connection that changes nothing: where there is no log to read, SQLite need not put files beside the store."""
    log = file.with_name(file.name + "-wal")
    immutable = "" if log.exists() and log.stat().st_size else "?immutable=1"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"file:{quote(str(file.absolute()))}{immutable}", flags=flags)


class SqliteStore:
    """Implements `port.Store`."""

    def __init__(self, file: Path, *, create: bool, admit: Admit) -> None:
        self._file = file
        self._failure = asyncio.Event()
        writer = _open_writer(file, admit, create=create)
        # One connection for look-ups and pages, so that they share its cache.
        self._snapshot = Snapshot(open_reader(file, _READER_CACHE_KIB))
        self._trigrams = Trigrams()
        self._listeners: list[Callable[[str | None], None]] = []
        match_counts = MatchCounts()
        own = syntax(self._trigrams, match_counts)
        self.read: port.Records = Records(Reading(self._snapshot), own)
        self._scanners = Scanners(file, Tenants(self.read.organizations).of)
        self.scan: port.Records = Records(Adaptive(self._snapshot, self._scanners, limits.SCAN_TIME), own)
        self.bulk: port.Records = Records(Threaded(self._scanners, limits.SCAN_TIME), structs.replace(own, known=None))
        self._connection = writer
        self._writer = Writer(writer, match_counts, Reserve(file), self._failure.set)
        self._writer.on_commit(self._snapshot.release)

    @property
    def failure(self) -> asyncio.Event:
        """Set once the store can no longer promise anything; the process should end."""
        return self._failure

    @property
    def has_waiting(self) -> bool:
        return self._writer.has_waiting

    @property
    def receives_news(self) -> bool:
        return True  # there is no other process

    async def write(
        self,
        work: Callable[[port.Records], Awaitable[T]],
        *,
        bulk: bool = False,
        news: str | None = None,
        relieves: bool = False,
    ) -> T:
        result = await self._writer.write(work, bulk=bulk, relieves=relieves)
        if news is not None:
            for listener in self._listeners:
                listener(news)
        return result

    def on_news(self, listener: Callable[[str | None], None]) -> None:
        self._listeners.append(listener)

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._writer.on_commit(listener)

    async def analyze(self) -> None:
        common = await self._scanners.run(SQL["sqlite_common_trigrams"], {"limit": _COMMON_TRIGRAMS}, None)
        self._trigrams.learn(common)
        segments = await self._scanners.run(SQL["sqlite_index_segments"], {}, None)
        await sqlite_search.tend(segments, self._writer, self._connection)

    async def backup(self, target: Path) -> None:
        with reporting_no_room(target):
            await asyncio.get_running_loop().run_in_executor(None, _copy, self._file, target)

    async def close(self) -> None:
        await self._writer.drain()
        await self._scanners.close()
        self._snapshot.connection.close()
        await self._writer.close()


@contextlib.contextmanager
def reporting_no_room(target: Path) -> Iterator[None]:
    """Raises OSError where there is no room for what the block writes to `target`, or it cannot be opened."""
    try:
        yield
    except apsw.FullError:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from None
    except apsw.CantOpenError:
        os.close(os.open(target, os.O_RDONLY))  # the system says why, where SQLite does not; or the problem is over
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(target)) from None


def _copy(source: Path, target: Path) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = open_reader(source, SCANNER_CACHE_KIB)
    try:
        connection.execute("VACUUM INTO ?", (str(target),))
    finally:
        connection.close()


def _save_before_upgrade(file: Path, target: Path) -> None:
    """Save a store as it is before its schema changes, for whoever wants to go back; whole or not at all."""
    if _is_saved(file, target):
        return
    logger.info("the database is copied to %s before its schema changes", target.name)
    unfinished = target.with_name(target.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        _copy(file, unfinished)
    except apsw.FullError:
        for left in (unfinished, unfinished.with_name(unfinished.name + "-journal")):
            left.unlink(missing_ok=True)
        raise Unwritable(
            f"There is no room beside {file} for the copy that is made before its schema changes."
        ) from None
    unfinished.rename(target)


def _is_saved(file: Path, target: Path) -> bool:
    """Whether a copy is there since the store was last written.

    An earlier attempt may have failed, and an older release gone on with the store.
    """
    log = file.with_name(file.name + "-wal")
    is_written = log.exists() and log.stat().st_size > 0
    return target.exists() and not is_written and target.stat().st_mtime_ns >= file.stat().st_mtime_ns


def create_schema(connection: apsw.Connection) -> None:
    """Make an empty registry of this release in a new file."""
    steps = migrations.load("sqlite")
    define_functions(connection)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for step in steps:
        connection.execute(step.text)
    connection.pragma("user_version", len(steps))


def _open_writer(file: Path, admit: Admit, *, create: bool) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    try:
        connection = apsw.Connection(str(file), flags=flags, statementcachesize=256)
        if connection.readonly("main"):  # SQLite says so at the first write, which may be the first of a client
            raise Refused(f"{file} is read-only: check its owner and mode.")
        if create:
            file.chmod(0o600)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        else:
            _check_identity(connection, file)
            _check_soundness(connection, file)
            admit(_origin(connection))
        configure(connection, _WRITER_CACHE_KIB)
        connection.pragma("journal_mode", "WAL")
        connection.pragma("synchronous", "FULL")
        _migrate(connection, file)
    except (apsw.FullError, apsw.IOError) as problem:
        raise Unwritable(
            f"{file} cannot be written: {_one_line(problem)}. Is the disk full or failing? Nothing was changed."
        ) from None
    except _CANNOT_OPEN as problem:
        raise Refused(f"{file} cannot be used: {_one_line(problem)}.") from None
    except apsw.Error as problem:
        raise Refused(f"{file} is damaged or not a database: {_one_line(problem)}.") from None
    return connection


def _one_line(problem: apsw.Error) -> str:
    """Its message in one line: SQLite quotes the definition of a table as it was written."""
    return " ".join(str(problem).split())


def _check_identity(connection: apsw.Connection, file: Path) -> None:
    application = connection.pragma("application_id")
    if application != APPLICATION_ID:
        raise Refused(f"{file} is not a Fleetroll database.")
    version, newest = connection.pragma("user_version"), len(migrations.load("sqlite"))
    if version < 1:
        raise Refused(f"{file} is damaged: it says that it has schema {version}. Restore it from a backup.")
    if version > newest:
        raise Refused(f"{file} has schema {version}; this release knows {newest}. Run a newer release.")


def _check_soundness(connection: apsw.Connection, file: Path) -> None:
    """A small file is checked whole. SQLite itself has refused by now what is shorter than its header says."""
    if file.stat().st_size > _CHECKED_WHOLE:
        return
    found = connection.execute("PRAGMA quick_check(1)").fetchall()
    if found != [("ok",)]:
        problem = str(found[0][0]).splitlines()[-1]
        raise Refused(f"{file} is damaged: {problem}. Restore it from a backup.")


def _origin(connection: apsw.Connection) -> Origin:
    there = [table for table in EVIDENCE if connection.table_exists("main", table)]
    return origin({table: connection.execute(EVIDENCE[table], ROOT).fetchall() for table in there})


def define_functions(connection: apsw.Connection) -> None:
    """Define what migrations call and SQLite itself does not have."""
    connection.create_scalar_function("folded_form", rows.folded, 1, deterministic=True)


def _migrate(connection: apsw.Connection, file: Path) -> None:
    version, steps = connection.pragma("user_version"), migrations.load("sqlite")
    if version == len(steps):
        return
    if version:
        _save_before_upgrade(file, file.with_name(f"{file.name}.schema-{version}"))
    define_functions(connection)
    # All of them or none: a file whose number is damaged may take one step, and is refused for the next, untouched.
    connection.execute("BEGIN EXCLUSIVE")
    for step in steps[version:]:
        connection.execute(f"{step.text}; PRAGMA user_version = {step.number}")
    connection.execute("COMMIT")
    for step in steps[version:]:
        migrations.log_step(logger, step, since=version)
