"""The `fleetroll` command: its sub-commands put together, and how it ends."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from fleetroll import __version__
from fleetroll.cli import (
    authorities,
    backup,
    cohorts,
    completion,
    database,
    devices,
    dms,
    enrollment,
    environment,
    events,
    fleet,
    groups,
    keys,
    lamassu,
    maintenance,
    memfault,
    metadata_fields,
    nats,
    organizations,
    owners,
    relay,
    serving,
    templates,
)
from fleetroll.cli.backend import LoadBackend
from fleetroll.cli.connection import Options, options, remember
from fleetroll.cli.failures import EXIT_CODES, Exit, Failure
from fleetroll.cli.output import plain

_ABOUT = """Fleetroll: one IoT device registry that speaks several device APIs.

All commands except serve, restore, doctor, recover, migrate, copy and completion call a running server; the options
that say which one may also follow the command."""
_COMMANDS = (
    click.Group(
        "device", {**devices.group.commands, **fleet.COMMANDS, "enroll": enrollment.enroll}, help=devices.group.help
    ),
    organizations.group,
    keys.group,
    groups.group,
    cohorts.group,
    owners.group,
    templates.group,
    metadata_fields.group,
    click.Group(
        "import",
        {"lamassu": lamassu.lamassu, "memfault": memfault.memfault},
        help="Import devices from another vendor's running server.",
    ),
    authorities.group,
    dms.group,
    events.group,
    nats.group,
    relay.group,
    backup.backup,
    keys.whoami,
    completion.completion,
)


def group(load: LoadBackend) -> click.Group:
    """The whole command; `load` is called by what needs the server itself."""

    @click.group(help=_ABOUT, epilog=EXIT_CODES)
    @click.version_option(__version__, prog_name="fleetroll")
    @options(hidden=False)
    @click.pass_context
    def fleetroll(context: click.Context, /, **values: Any) -> None:
        remember(context, Options(**values))

    for command in (
        serving.command(load),
        *_COMMANDS,
        maintenance.restore_command(load),
        maintenance.doctor_command(load),
        maintenance.recover_command(load),
        database.migrate_command(load),
        database.copy_command(load),
    ):
        fleetroll.add_command(command)
    return fleetroll


def run(command: click.Group, arguments: Sequence[str]) -> int:
    """Run the command line. Returns its exit code."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        _require_text(arguments)
        environment.require_text()
        if completion.VARIABLE not in os.environ:
            environment.note_misspelt(command)
        return int(command.main(list(arguments), "fleetroll", standalone_mode=False) or 0)
    except click.Abort:
        click.echo("fleetroll: interrupted", err=True)
        return Exit.INTERRUPTED
    except Failure as failure:
        failure.show()
        return failure.code
    except click.ClickException as problem:
        problem.show()
        return problem.exit_code
    except OSError as problem:
        Failure(Exit.FILE, f"{problem.filename or 'standard output'}: {problem.strerror}.").show()
        return Exit.FILE
    finally:
        _drop_unwritten()


def _drop_unwritten() -> None:
    """Drop what a standard stream did not take: the interpreter would try again, complain, and change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_closed_streams() -> None:
    """Let standard streams that the caller has closed lead nowhere: else a socket would take their numbers."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is the stream's own
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))


def _require_text(arguments: Sequence[str]) -> None:
    for argument in arguments:
        if any("\ud800" <= character <= "\udfff" for character in argument):
            raise click.UsageError(f"This argument is not UTF-8 text: {plain(argument)}")
