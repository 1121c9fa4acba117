"""The data directory: whose it is (a lock), its secret (`server.key`), and whether its first start was completed."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

DATABASE, KEY = "fleetroll.db", "server.key"
_LOCK, _UNFINISHED, _RESTORING = "lock", "first-start", "fleetroll.db.restoring"
_NEW_KEY = "server.key.new"
_KEY_BYTES = 32


class DirectoryRefused(Exception):
    """The directory cannot be used; the message is one sentence. `busy` if another process has it."""

    def __init__(self, message: str, *, busy: bool = False) -> None:
        super().__init__(message)
        self.busy = busy


class DataDirectory:
    """One locked data directory. `fresh` until its first start is finished."""

    def __init__(self, path: Path, lock: int, *, fresh: bool) -> None:
        self.path = path
        self.fresh = fresh
        self._lock = lock

    @property
    def database(self) -> Path:
        return self.path / DATABASE

    def server_key(self, preset: str | None) -> bytes:
        """The secret behind every stored hash: the operator's, or the directory's own, made at its first start."""
        if preset is not None:
            return _secret(preset)
        if self.fresh:
            self.make_key()
        return read_key(self.path / KEY)

    def make_key(self) -> None:
        """Make the directory's own secret, unless it has one."""
        if not (self.path / KEY).exists():
            _keep_key(self.path, secrets.token_bytes(_KEY_BYTES))

    def finish(self) -> None:
        """The first start is complete: from now on a missing database is a loss, not a beginning."""
        if self.fresh:
            (self.path / _UNFINISHED).unlink()
            sync(self.path)
            self.fresh = False

    def close(self) -> None:
        os.close(self._lock)


def claim(path: Path, *, has_database: bool = True) -> DataDirectory:
    """Lock `path`, making it if it is absent. Raises DirectoryRefused if it is taken, or holds something else.

    Without `has_database` the registry is elsewhere: the directory holds no more than the secret.
    """
    if not has_database:
        return DataDirectory(path, _lock(path)[0], fresh=False)
    _look_into(path)
    lock, entries = _lock(path)
    if _UNFINISHED in entries:
        _start_over(path)
        return DataDirectory(path, lock, fresh=True)
    if not entries - {_LOCK}:
        _write(path / _UNFINISHED, "")
        return DataDirectory(path, lock, fresh=True)
    try:
        _require_own(path, entries)
    except DirectoryRefused:
        os.close(lock)
        raise
    return DataDirectory(path, lock, fresh=False)


def _look_into(path: Path) -> None:
    """Refuse another's directory before it is locked, or the lock would be left there."""
    try:
        entries = {entry.name for entry in path.iterdir()}
    except OSError:  # it is absent, or whoever locks it hears what is wrong
        return
    if _LOCK not in entries:
        _require_own(path, entries)


def _require_own(path: Path, entries: set[str]) -> None:
    if entries - {_LOCK} and entries.isdisjoint({_UNFINISHED, DATABASE}):
        raise DirectoryRefused(
            f"{path / DATABASE} is missing, though {path} is not empty. Restore it from a backup, "
            "or name an empty directory."
        )


def _lock(path: Path) -> tuple[int, set[str]]:
    """Make `path` if it is absent, lock it, and list it: before it is locked, another process may be filling it."""
    try:
        _make(path, 0o700)
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise DirectoryRefused(f"{path} cannot be used as the data directory: {problem.strerror}.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise DirectoryRefused(f"{path} is in use by another fleetroll serve; stop it first.", busy=True) from None
    return lock, {entry.name for entry in path.iterdir()}


# --- at rest ---------------------------------------------------------------------------------------------------------


def read_key(file: Path) -> bytes:
    """The secret in a key file. Raises DirectoryRefused if it is missing, unreadable or damaged."""
    try:
        key = bytes.fromhex(file.read_text("ascii").strip())
    except FileNotFoundError:
        advice = "Restore it from where it was kept; it is in no backup."
        raise DirectoryRefused(f"{file} is missing: without it no key can be checked. {advice}") from None
    except OSError as problem:
        raise DirectoryRefused(f"{file} cannot be read: {problem.strerror}.") from None
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise DirectoryRefused(f"{file} is damaged: it must be {2 * _KEY_BYTES} hexadecimal digits.")
    return key


def secret_of(path: Path, preset: str | None) -> bytes:
    """The secret of a directory at rest. Raises DirectoryRefused."""
    return read_key(path / KEY) if preset is None else _secret(preset)


def _secret(preset: str) -> bytes:
    """The operator's secret. What a key file holds means the same here, so that it can be moved to the environment."""
    try:
        key = bytes.fromhex(preset)
    except ValueError:
        return preset.encode()
    return key if len(key) == _KEY_BYTES else preset.encode()


def is_unfinished(path: Path) -> bool:
    """Whether a first start was interrupted here, so that the next one begins anew."""
    return (path / _UNFINISHED).exists()


def has_traces(path: Path) -> bool:
    """Whether anything in a directory is what a server keeps in its data directory."""
    return any((path / name).exists() for name in (DATABASE, KEY, _UNFINISHED))


def is_database(file: Path) -> bool:
    """Whether a file is the database of a data directory, even while no server runs there."""
    found = file.resolve()
    return found.name == DATABASE and found.with_name(_LOCK).exists()


@contextlib.contextmanager
def resting(path: Path) -> Iterator[bool]:
    """Keep servers out for the time of the block, changing nothing. Yields False if there is one already."""
    try:
        lock = os.open(path / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # no server has been here, or we may not look
        yield True
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        at_rest = True
    except BlockingIOError:
        at_rest = False
    try:
        yield at_rest
    finally:
        os.close(lock)


class Target:
    """A directory that is being filled."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.database = path / _RESTORING

    def keep_key(self, key: bytes) -> None:
        _keep_key(self._path, key)


@contextlib.contextmanager
def filling(path: Path) -> Iterator[Target]:
    """Fill an absent or empty directory: with all that the block puts there, or nothing.

    Until the end of the block `claim` refuses the directory, as its database is missing. What an earlier block left
    when its process was killed is removed. Raises DirectoryRefused.
    """
    made = not path.exists()
    if path.is_dir():  # looked into first, or a lock file would be left in somebody else's directory
        _require_empty(path, {entry.name for entry in path.iterdir()})
    lock, entries = _lock(path)
    try:
        _require_empty(path, entries)
        with _all_or_nothing(path):
            target = Target(path)
            yield target
            target.database.rename(path / DATABASE)
            sync(path)
    except BaseException:
        if made:
            (path / _LOCK).unlink()
            path.rmdir()
        raise
    finally:
        os.close(lock)


def _require_empty(path: Path, entries: set[str]) -> None:
    if entries - ({_LOCK, _RESTORING, KEY, _NEW_KEY} if _RESTORING in entries else {_LOCK}):
        raise DirectoryRefused(f"{path} is not empty; name an empty directory, or one that does not exist yet.")


@contextlib.contextmanager
def _all_or_nothing(path: Path) -> Iterator[None]:
    _start_over(path)
    try:
        yield
    except BaseException:
        _start_over(path)
        raise


def _start_over(path: Path) -> None:
    """Remove what an interrupted first start or restore left behind: it has stored nothing for anybody."""
    for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", _RESTORING, KEY, _NEW_KEY):
        with contextlib.suppress(FileNotFoundError):
            (path / name).unlink()


def _keep_key(path: Path, key: bytes) -> None:
    """Write the secret, all of it or nothing: half of one would be called damaged from then on."""
    new = path / _NEW_KEY
    _write(new, key.hex())
    new.replace(path / KEY)
    sync(path)


def _write(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    sync(file.parent)


def _make(directory: Path, mode: int = 0o777) -> None:
    """Make a directory and those above it, durably: no power cut may take away what is put there."""
    if not directory.is_dir():
        _make(directory.parent)
        directory.mkdir(mode, exist_ok=True)
        sync(directory.parent)


def sync(directory: Path) -> None:
    """Write a directory to disk: before that, the names in it are not as lasting as the content of its files."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
