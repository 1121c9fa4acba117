"""A data directory and its machine examined, changing nothing: each check has a finding, and what to do about it."""

import enum
import errno
import os
import resource
import shlex
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from fleetroll.core import limits, tokens
from fleetroll.data_directory import (
    DATABASE,
    KEY,
    DirectoryRefused,
    has_traces,
    is_unfinished,
    read_key,
    resting,
    secret_of,
)
from fleetroll.maintenance.engine import Description, Engine, Refused

_PERMISSIONS_OF_OTHERS = 0o077
_CRITICAL_SPACE, _LOW_SPACE = 64 << 20, 1 << 30  # bytes
_RELEASED = 1_767_225_600  # 2026-01-01: no correct clock shows an earlier time
_SKEW_SECONDS = 300


class State(enum.Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(Struct, frozen=True):
    """What one check found, and what to do about it."""

    check: str
    state: State
    found: str
    advice: str = ""


class Report(Struct, frozen=True):
    """`is_serving`: a server holds the directory, so its database was not opened."""

    findings: list[Finding]
    is_serving: bool


def examine(engine: Engine, data: Path, preset: str | None, database: str | None) -> Report:
    """Check everything there is to check, writing nothing.

    `preset` is a server key that the operator gives to each start. `database` is where the registry is, if not in
    `data`.
    """
    if (problem := _absence(data, database)) is not None:
        advice = "Name the server's data directory with --data; the first `fleetroll serve` makes one."
        absent = Finding("directory", State.FAIL, problem, advice)
        return Report([absent, *_machine(engine, data)], is_serving=False)
    with resting(data) as at_rest:
        findings = _directory(engine, data, preset, database, at_rest=at_rest)
        return Report([*findings, *_machine(engine, data)], is_serving=not at_rest)


def _absence(data: Path, database: str | None) -> str | None:
    """Why there is no data directory, or None.

    What is not ours is examined no further: the advice to change its permissions would do harm.
    """
    if not data.is_dir():
        return f"{data} does not exist"
    if database is None and not has_traces(data):
        return f"there is no registry in {data}"
    return None


def _directory(
    engine: Engine, data: Path, preset: str | None, database: str | None, *, at_rest: bool
) -> Iterator[Finding]:
    yield _permissions("directory", data, 0o700)
    if at_rest:
        yield Finding("lock", State.OK, "free: no server is running here")
    else:
        unchecked = ", so the database was not checked" if database is None else ""
        yield Finding("lock", State.OK, f"held: a server is running here{unchecked}")
    yield _key(data / KEY, preset)
    if database is not None:
        yield from _remote(engine, data, preset, database)
    elif is_unfinished(data):
        advice = "Start the server, which begins again, or empty the directory to restore a backup into it."
        yield Finding("first start", State.WARN, "was not finished; nothing is stored yet", advice)
    elif not (data / DATABASE).exists():
        advice = "Restore it from a backup into another directory: fleetroll restore"
        yield Finding("database", State.FAIL, f"{DATABASE} is missing", advice)
    elif at_rest:
        yield from _database(engine, data, preset)


def _permissions(check: str, path: Path, mode: int) -> Finding:
    """Whether the server's user alone can access it, and write it; `mode` is what it should have."""
    status = path.stat()
    description = f"{path}, mode {stat.S_IMODE(status.st_mode):04o}"
    change_mode = f"chmod {mode:o} {shlex.quote(str(path))}"
    if status.st_mode & _PERMISSIONS_OF_OTHERS:
        return Finding(check, State.FAIL, f"{description}: other users can access it", change_mode)
    if status.st_uid != os.geteuid():
        return Finding(
            check, State.WARN, f"{description}, another user's", "Run this as the user that the server runs as."
        )
    if not status.st_mode & stat.S_IWUSR:
        return Finding(check, State.FAIL, f"{description}: not writable", change_mode)
    return Finding(check, State.OK, description)


def _key(file: Path, preset: str | None) -> Finding:
    if preset is not None:
        return Finding("server key", State.OK, "given by FLEETROLL_SERVER_KEY")
    try:
        read_key(file)
    except DirectoryRefused as refused:
        return Finding("server key", State.FAIL, str(refused), "Restore it from where it was kept.")
    return _permissions("server key", file, 0o600)


def _database(engine: Engine, data: Path, preset: str | None) -> Iterator[Finding]:
    file = data / DATABASE
    yield _permissions("database", file, 0o600)
    try:
        problems = engine.inspect(file)
    except Refused as refused:
        yield Finding(
            "integrity", State.FAIL, str(refused), "Run the release that wrote it, or check what was put there."
        )
        return
    if problems:
        advice = "Restore a backup into another directory: fleetroll restore"
        yield Finding("integrity", State.FAIL, "; ".join(problems[:3]), advice)
        return
    yield Finding("integrity", State.OK, f"a sound Fleetroll database, {file.stat().st_size} bytes")
    description = engine.describe(file)
    yield _schema(description, "The next start upgrades it; take a backup first.")
    yield from _database_key(description, data, preset)


def _remote(engine: Engine, data: Path, preset: str | None, database: str) -> Iterator[Finding]:
    try:
        description = engine.describe(database)
    except Refused as refused:
        yield Finding("database", State.FAIL, str(refused), "See the settings and the log of the database server.")
        return
    yield Finding("database", State.OK, "the server answers, and keeps what it acknowledges")
    yield _schema(description, "Save it with pg_dump, then run `fleetroll migrate`.")
    yield from _database_key(description, data, preset)


def _schema(description: Description, advice: str) -> Finding:
    if description.schema < description.newest:
        return Finding("schema", State.WARN, f"{description.schema}, this release has {description.newest}", advice)
    return Finding("schema", State.OK, str(description.schema))


def _database_key(description: Description, data: Path, preset: str | None) -> Iterator[Finding]:
    """Whether the server key is that of the database. Of one that cannot be read there is a finding already."""
    try:
        mark = tokens.mark(secret_of(data, preset))
    except DirectoryRefused:
        return
    if description.mark is None:
        advice = "The next start accepts the server key that it is given; make sure that it is the right one."
        yield Finding("database key", State.WARN, "not known to the database yet", advice)
    elif description.mark != mark:
        advice = f"Give the right one in FLEETROLL_SERVER_KEY, or put its {KEY} into {data}."
        yield Finding("database key", State.FAIL, "the database was made with another server key", advice)
    else:
        yield Finding("database key", State.OK, "the database was made with this server key")


def _machine(engine: Engine, data: Path) -> Iterator[Finding]:
    yield _library(engine)
    yield _space(data)
    yield _temporary(data)
    yield _open_files()
    yield _clock(data)


def _library(engine: Engine) -> Finding:
    version, is_trusted = engine.library()
    if is_trusted:
        return Finding("sqlite", State.OK, version)
    return Finding("sqlite", State.FAIL, f"{version} has a known corruption bug", "Install apsw 3.54 or newer.")


def _space(data: Path) -> Finding:
    directory = next(path for path in (data.absolute(), *data.absolute().parents) if path.exists())
    if _is_read_only(directory):  # as a failing disk becomes by itself
        advice = "See the system's log for the reason, and mount it read-write."
        return Finding("disk", State.FAIL, "read-only", advice)
    return _free_space("disk", directory, data, "Make room, or move the directory to a larger disk.")


def _is_read_only(directory: Path) -> bool:
    """Whether it is mounted so, or refuses an unnamed file: from Linux 6.16 on, a failed ext4 looks writable."""
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        return True
    try:
        os.close(os.open(directory, os.O_TMPFILE | os.O_WRONLY, 0o600))
    except OSError as problem:  # not every file system has unnamed files, and not everybody may write here
        return problem.errno == errno.EROFS
    return False


def _temporary(data: Path) -> Finding:
    """Room for what a server puts aside: a backup until it is sent, and the results of a long import."""
    try:
        directory = Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Finding("temporary files", State.FAIL, "cannot be written", "Name a directory for them in TMPDIR.")
    return _free_space("temporary files", directory, data, f"Make room in {directory}, or set TMPDIR to a larger disk.")


def _free_space(check: str, directory: Path, data: Path, advice: str) -> Finding:
    """Whether a disk has room for a second copy of the database."""
    free, database = shutil.disk_usage(directory).free, data / DATABASE
    amount = f"{free >> 20} MiB free"
    if free < max(_LOW_SPACE, database.stat().st_size if database.exists() else 0):
        return Finding(check, State.FAIL if free < _CRITICAL_SPACE else State.WARN, amount, advice)
    return Finding(check, State.OK, amount)


def _open_files() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # a server raises the other one itself
    needed = limits.MAX_OPEN_FILES
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return Finding("open files", State.OK, f"limit {hard}")
    limit = f"limit {hard} in this shell, too few for {limits.MAX_CONNECTIONS} connections"
    return Finding(
        "open files", State.WARN, limit, f"ulimit -n {needed}, or LimitNOFILE={needed} in the service's unit"
    )


def _clock(data: Path) -> Finding:
    now = time.time()
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    written = max((file.stat().st_mtime for file in data.glob(f"{DATABASE}*")), default=0.0)
    advice = "Set the clock: expiry of keys and times of events depend on it."
    if not _RELEASED <= now < limits.LATEST_CLOCK:
        return Finding("clock", State.FAIL, f"{shown} cannot be right", advice)
    if written > now + _SKEW_SECONDS:
        return Finding("clock", State.WARN, f"{shown}, but the database was written later than that", advice)
    return Finding("clock", State.OK, shown)
