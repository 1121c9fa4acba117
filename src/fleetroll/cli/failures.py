"""How a command ends when it does not end well: exit codes that scripts can rely on, and words that say what to do."""

import contextlib
import enum
from collections.abc import Iterator
from typing import IO, Any

import click

from fleetroll.cli.output import plain
from fleetroll.config import ConfigError
from fleetroll.maintenance.engine import Refused


class Exit(enum.IntEnum):
    """Exit codes; `EXIT_CODES` explains them to the reader of --help."""

    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNAUTHORISED = 4
    NOT_FOUND = 5
    ROWS_FAILED = 6
    FILE = 7
    INTERRUPTED = 130


class ServeExit(enum.IntEnum):
    """Exit codes of `fleetroll serve`, after those of sysexits.h; `EXIT_CODES` explains them as well."""

    STORE = 65
    AWAY = 69
    CLOCK = 71
    FAILED = 74
    BUSY = 75
    CONFIG = 78


EXIT_CODES = """\b
Exit codes:
  0    done
  1    refused: by the server, by restore, recover, migrate or copy, or by a
       failed check of doctor
  2    wrong usage of the command line, or a named file does not exist
  3    the server cannot be reached, or the connection to it was lost
  4    not authorised: no key, an invalid one, or one that may not do this
  5    not found
  6    some rows of an import failed; the others are stored
  7    a local file cannot be read or written
  130  interrupted
`fleetroll serve` has its own: 65 the data directory or its database cannot be
used, 69 PostgreSQL cannot be reached, 71 the clock is wrong, 74 the disk
failed, 75 another server is using the directory, 78 an option is wrong."""


class Failure(click.ClickException):
    """The end of a command. `advice` is what the reader can do about it, `reason` the server's own code."""

    def __init__(self, code: Exit, message: str, advice: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.advice = advice
        self.reason = reason

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"fleetroll: {plain(self.message)}", file=file, err=True)
        if self.advice:
            click.echo(f"  {plain(self.advice)}", file=file, err=True)


@contextlib.contextmanager
def reading_options() -> Iterator[None]:
    """An invalid option is wrong usage. Raises click.UsageError for ConfigError."""
    try:
        yield
    except ConfigError as problem:
        raise click.UsageError(str(problem)) from None


@contextlib.contextmanager
def ended_by_refusal() -> Iterator[None]:
    """What is refused of a data directory or a database at rest ends the command. Raises Failure for Refused."""
    try:
        yield
    except Refused as refused:
        raise Failure(Exit.REFUSED, str(refused), refused.advice) from None
