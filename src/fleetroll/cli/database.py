"""`fleetroll migrate` and `fleetroll copy`: upgrading a database, and copying it. The backend does the work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from fleetroll.cli import output
from fleetroll.cli.backend import LoadBackend, Upgrade
from fleetroll.cli.failures import ended_by_refusal
from fleetroll.cli.maintenance import data_option, database_option
from fleetroll.cli.output import Column

_TABLES = (Column("TABLE", "table"), Column("ROWS", "rows"), Column("SHA-256", "checksum"))
_STEPS = (Column("SCHEMA", "number"), Column("STEP", "name"))


def migrate_command(load: LoadBackend) -> click.Command:
    @click.command("migrate", help="Show how the database would be upgraded, and upgrade it, while no server runs.")
    @data_option
    @database_option
    @click.option("--dry-run", is_flag=True, help="Only show it.")
    @click.option("--json", "as_json", is_flag=True, help="Print the schema and the steps as JSON.")
    def run(data: Path, database: str | None, dry_run: bool, as_json: bool) -> None:
        with ended_by_refusal():
            offline = load().database
            upgrade = offline.upgrade_of(data, database)
            _show_plan(upgrade, as_json=as_json)
            if upgrade.steps and not dry_run:
                offline.migrate(data, database)
                output.note(f"It has schema {upgrade.steps[-1].number} now.")

    return run


def _show_plan(upgrade: Upgrade, *, as_json: bool) -> None:
    steps = [{"number": step.number, "name": step.name} for step in upgrade.steps]
    if as_json:
        output.raw(msgspec.json.encode({"schema": upgrade.schema, "steps": steps}))
        return
    click.echo(f"The database has schema {upgrade.schema}." if upgrade.schema else "The database is empty.")
    if steps:
        output.table(_STEPS, steps)
    else:
        click.echo("It is up to date.")


def copy_command(load: LoadBackend) -> click.Command:
    @click.command(
        "copy",
        help="Copy a registry from SQLite into an empty PostgreSQL database, while no server runs. Ids, ETags, keys "
        "and history stay as they are. If interrupted, run the same command again to continue.",
    )
    @click.option("--from", "source", required=True, help="sqlite:DIR, the data directory.")
    @click.option("--to", "target", required=True, help="postgresql://USER@HOST/NAME, an empty database.")
    @click.option("--json", "as_json", is_flag=True, help="Print the tables as JSON.")
    def run(source: str, target: str, as_json: bool) -> None:
        progress = _CopyProgress()
        with ended_by_refusal(), output.progress("Copying", None) as advance:
            progress.advance = advance
            tables = load().database.copy(source, target, progress)
        rows: list[dict[str, Any]] = [
            {"table": table.table, "rows": table.rows, "checksum": table.checksum} for table in tables
        ]
        if as_json:
            output.raw(msgspec.json.encode({"tables": rows}))
        else:
            output.table(_TABLES, ({**row, "checksum": row["checksum"][:16]} for row in rows))
        output.note("Both sides are the same. Give the new server the same server.key, or FLEETROLL_SERVER_KEY.")

    return run


class _CopyProgress:
    """Turns how far a table is into how much it advanced."""

    def __init__(self) -> None:
        self.advance: Callable[[int], None] = lambda _: None
        self._table, self._done = "", 0

    def __call__(self, table: str, done: int, total: int) -> None:
        if table != self._table:
            self._table, self._done = table, 0
            if total:
                output.note(f"{table}: {total} rows")
        self.advance(done - self._done)
        self._done = done
