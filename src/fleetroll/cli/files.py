"""Local files: as options name them, and as commands write them, complete under their name or not there."""

import contextlib
import fcntl
import os
import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from fleetroll.data_directory import sync

PRIVATE = 0o600
STDIO = "-"


class _Named(click.Path):
    """A file to be written that must have a name. `-`, which elsewhere is standard output, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == STDIO:
            self.fail("This is not written to standard output: name a file.", param, ctx)
        return super().convert(value, param, ctx)


NAMED = _Named(path_type=Path, dir_okay=False)
ANY = click.Path(path_type=Path, dir_okay=False)
EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)


@contextlib.contextmanager
def replacing(file: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A stream whose content takes the place of `file` at the end of the block, and vanishes if the block fails.

    What is not a plain file, such as a pipe or a device, is written to as it is.
    """
    if file.exists() and not file.is_file():
        with _naming(file), file.open("wb") as stream:
            yield stream
        return
    target = file.resolve()
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    with _naming(file), _without(part), _opened(part, file, mode) as stream:
        try:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            part.replace(target)
        except BaseException:
            part.unlink()
            raise
    sync(target.parent)


@contextlib.contextmanager
def turns(directory: Path) -> Iterator[Callable[[], None]]:
    """Yields a function that waits for this process's turn to change files there; the turn ends with the block."""
    descriptor = os.open(directory, os.O_RDONLY)

    def wait() -> None:
        with contextlib.suppress(OSError):  # not every file system of a network has locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)

    try:
        yield wait
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _without(part: Path) -> Iterator[None]:
    """Remove the part before SIGTERM or SIGHUP ends the program, as `replacing` does for Ctrl-C."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def end(number: int, _: object) -> None:
        part.unlink(missing_ok=True)
        signal.signal(number, before[signal.Signals(number)])
        signal.raise_signal(number)

    heard = [number for number, handler in before.items() if handler != signal.SIG_IGN]
    for number in heard:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


@contextlib.contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Name the file in an OSError: that of a write does not say to what."""
    try:
        yield
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, problem.filename or str(file)) from None


def _opened(part: Path, file: Path, mode: int) -> BinaryIO:
    try:
        return open(part, "xb", opener=lambda name, flags: os.open(name, flags, mode))
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(file)) from None
