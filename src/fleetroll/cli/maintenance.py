"""`fleetroll restore`, `doctor` and `recover`: for a data directory at rest. The backend does the work."""

import shlex
from pathlib import Path

import click
import msgspec

from fleetroll.cli import files, output
from fleetroll.cli.backend import LoadBackend
from fleetroll.cli.connection import Options
from fleetroll.cli.failures import Exit, Failure, ended_by_refusal, reading_options
from fleetroll.cli.output import Column
from fleetroll.config import postgres_url
from fleetroll.maintenance.examining import Finding, State

_COLUMNS = (
    Column("CHECK", "check"),
    Column("STATE", "state"),
    Column("FOUND", "found"),
    Column("WHAT TO DO", "advice"),
)
_KEY_VARIABLE = "FLEETROLL_SERVER_KEY"
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("fleetroll-data"),
    show_default=True,
    envvar="FLEETROLL_DATA",
    show_envvar=True,
    help="Data directory of the server.",
)


def _postgres(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    with reading_options():
        return postgres_url(text)


database_option = click.option(
    "--database",
    envvar="FLEETROLL_DATABASE",
    show_envvar=True,
    callback=_postgres,
    help="As given to `fleetroll serve`.",
)
_preset = click.option("--server-key", envvar=_KEY_VARIABLE, hidden=True)


def restore_command(load: LoadBackend) -> click.Command:
    """The command around the function that restores, which raises Refused."""

    @click.command("restore", help="Create a data directory from a backup. The directory must be empty or absent.")
    @click.option(
        "--from",
        "source",
        type=files.EXISTING,
        required=True,
        help="Backup saved by `fleetroll backup`.",
    )
    @data_option
    @click.option(
        "--server-key-file",
        type=files.EXISTING,
        help=f"The server.key of the saved directory; not needed if {_KEY_VARIABLE} is set.",
    )
    @_preset
    def run(source: Path, data: Path, server_key_file: Path | None, server_key: str | None) -> None:
        with ended_by_refusal():
            load().restore(source, data, server_key_file, server_key)
        click.echo(f"Restored {output.plain(str(source))} into {output.plain(str(data))}.")
        output.note(f"Start it with: fleetroll serve --data {shlex.quote(str(data))}")

    return run


def doctor_command(load: LoadBackend) -> click.Command:
    """The command around the function that examines a data directory."""

    @click.command(
        "doctor", help="Check a data directory and this machine, changing nothing. Exit code 1 if a check fails."
    )
    @data_option
    @database_option
    @click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
    @_preset
    @click.pass_context
    def run(context: click.Context, data: Path, database: str | None, as_json: bool, server_key: str | None) -> None:
        report = load().examine(data, server_key, database)
        findings = list(report.findings)
        if report.is_serving:
            findings.append(_ask(context.obj))
        if as_json:
            output.raw(msgspec.json.encode({"checks": findings}))
        else:
            output.table(_COLUMNS, map(msgspec.to_builtins, findings))
        context.exit(Exit.REFUSED if any(finding.state is State.FAIL for finding in findings) else 0)

    return run


def recover_command(load: LoadBackend) -> click.Command:
    """The command around the function that makes another admin key, which raises Refused."""

    @click.command("recover", help="Create another admin key when all are lost, while no server runs.")
    @data_option
    @database_option
    @_preset
    def run(data: Path, database: str | None, server_key: str | None) -> None:
        with ended_by_refusal():
            token = load().recover(data, server_key, database)
        click.echo(token)
        output.note("This admin key is not stored. Start the server, and revoke the lost keys: fleetroll key revoke")

    return run


def _ask(options: Options) -> Finding:
    """Whether the server that holds the directory says that it is ready."""
    from fleetroll.cli import client  # noqa: PLC0415  # as in `connection`

    url = options.address
    try:
        status = client.ask_ready(url)
    except Failure as failure:
        return Finding("server", State.FAIL, failure.message, "Say where it listens: fleetroll --url URL doctor")
    if status == 200:
        return Finding("server", State.OK, f"{url} is ready")
    return Finding("server", State.FAIL, f"{url}/ready answers {status}", "See the server's log.")
