"""The data directory: whose it is (a lock), its secret (`server.key`), and whether its first start came to its end."""

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

_LOCK, _KEY, _UNFINISHED = "lock", "server.key", "first-start"
DATABASE = "fleetroll.db"
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
        file = self.path / _KEY
        if preset is not None:
            return preset.encode()
        if self.fresh and not file.exists():
            _write(file, secrets.token_hex(_KEY_BYTES))
        if not file.exists():
            raise DirectoryRefused(f"{file} is missing: without it no key can be checked. Restore it from a backup.")
        return bytes.fromhex(file.read_text().strip())

    def finish(self) -> None:
        """The first start is complete: from now on a missing database is a loss, not a beginning."""
        if self.fresh:
            (self.path / _UNFINISHED).unlink()
            _sync(self.path)
            self.fresh = False

    def close(self) -> None:
        os.close(self._lock)


def claim(path: Path, *, exclusive_of: str = "fleetroll serve") -> DataDirectory:
    """Lock `path`, making it if it is absent. Raises DirectoryRefused if it is taken, or holds something else."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        entries = {entry.name for entry in path.iterdir()}
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise DirectoryRefused(f"{path} cannot be used as data directory: {problem.strerror}.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise DirectoryRefused(f"{path} is in use by another {exclusive_of}; stop that one first.", busy=True) from None
    if _UNFINISHED in entries:
        _start_over(path)
        return DataDirectory(path, lock, fresh=True)
    if not entries - {_LOCK}:
        _write(path / _UNFINISHED, "")
        return DataDirectory(path, lock, fresh=True)
    if DATABASE not in entries:
        os.close(lock)
        raise DirectoryRefused(
            f"{path / DATABASE} is missing, though {path} is not empty. Restore it from a backup, "
            "or name an empty directory."
        )
    return DataDirectory(path, lock, fresh=False)


def _start_over(path: Path) -> None:
    """A first start that broke off has stored nothing for anybody; its leavings are removed."""
    for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", _KEY):
        with contextlib.suppress(FileNotFoundError):
            (path / name).unlink()


def _write(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    _sync(file.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
