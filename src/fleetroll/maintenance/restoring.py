"""A data directory made from a backup and its server key: all of it, or nothing."""

import os
import shutil
from pathlib import Path

from fleetroll.core import tokens
from fleetroll.data_directory import DATABASE, KEY, DirectoryRefused, filling, read_key, secret_of
from fleetroll.maintenance.engine import Description, Engine, Refused

_COPY_CHUNK = 1 << 20
_NAME_THE_KEY = f"Name the {KEY} of the directory that was saved: --server-key-file FILE"


def restore(engine: Engine, source: Path, data: Path, key_file: Path | None, preset: str | None) -> None:
    """Put a backup and its key into an empty or absent directory: all of it, or nothing. Raises Refused.

    `preset` is a server key that the operator gives to each start; then the directory needs none.
    """
    _require_backup(engine, source)
    try:
        key = _key_for(data, key_file, preset)
        _require_its_key(engine.describe(source), key, "FLEETROLL_SERVER_KEY" if key_file is None else str(key_file))
        with filling(data) as target:
            _copy(source, target.database)
            if key_file is not None:
                target.keep_key(key)
    except DirectoryRefused as refused:
        raise Refused(str(refused)) from None


def _require_backup(engine: Engine, source: Path) -> None:
    """Raises Refused for what is no sound backup, such as the database of a server, whose log has a part of it."""
    log = source.with_name(source.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise Refused(
            f"{source} is the database of a server, not a backup: part of it is in {log.name}.",
            "Start a server on that directory, and save it with `fleetroll backup`.",
        )
    if problems := engine.inspect(source):
        raise Refused(f"{source} is not a sound backup: {problems[0]}.", "Take another backup.")


def _key_for(data: Path, key_file: Path | None, preset: str | None) -> bytes:
    if key_file is not None:
        return read_key(key_file)
    if preset is None:
        raise Refused(
            "The server's key is missing, and without it no API key of this backup would work.",
            _NAME_THE_KEY,
        )
    return secret_of(data, preset)


def _require_its_key(description: Description, key: bytes, key_name: str) -> None:
    # A backup of an earlier release may have no mark; the server that starts on it takes a closer look.
    if description.mark is not None and description.mark != tokens.mark(key):
        raise Refused(
            f"{key_name} is not the server key of this backup, and with it no API key of the backup would work.",
            _NAME_THE_KEY,
        )


def _copy(source: Path, target: Path) -> None:
    try:
        with source.open("rb") as reader, open(target, "xb", opener=_private) as writer:
            shutil.copyfileobj(reader, writer, _COPY_CHUNK)
            writer.flush()
            os.fsync(writer.fileno())
    except OSError as problem:  # the error of a read or a write does not name its file
        raise OSError(problem.errno, problem.strerror, f"{source} to {target.parent / DATABASE}") from None
    if target.stat().st_size != source.stat().st_size:
        raise Refused(f"{source} changed while it was copied.", "Restore from a file that nobody writes to.")


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
