"""`fleetroll dms`: the policies by which devices enrol."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fleetroll.cli import files, json_text, output, times
from fleetroll.cli.connection import MOST_PER_PAGE, connected, path
from fleetroll.cli.failures import Exit, Failure
from fleetroll.cli.output import Column, as_json, show

if TYPE_CHECKING:
    from fleetroll.cli.client import Client

_DMS = "/v1/dms"
_COLUMNS = (Column("NAME", "name", 32), Column("TITLE", "title", 48), Column("MADE", "created_at", is_time=True))


@click.group("dms", help="DMS: the policies by which devices enrol.")
def group() -> None:
    pass


@group.command("list", help="List DMS.")
@as_json
@connected
def show_list(client: "Client", as_json: bool) -> None:
    output.listing(client.pages(_DMS, {"limit": MOST_PER_PAGE}), "dms", _COLUMNS, as_json=as_json)


@group.command("get", help="Show a DMS with its settings.")
@click.argument("name")
@as_json
@connected
def get(client: "Client", name: str, as_json: bool) -> None:
    show(client.call("GET", path("dms", name)), as_json=as_json)


@group.command("create", help="Create a DMS. Without --trust or --anybody, nobody can enrol yet.")
@click.argument("name")
@click.option("--title", help="Display name.")
@click.option("--authority", default="default", show_default=True, help="Who issues; created if it does not exist.")
@click.option("--trust", multiple=True, metavar="AUTHORITY", help="Accept clients with its certificates; repeatable.")
@click.option("--anybody", is_flag=True, help="Accept clients without a certificate: for closed networks only.")
@click.option("--registered-only", is_flag=True, help="Create no devices: accept only registered ones.")
@click.option("--days", type=click.IntRange(1, 9_125), default=365, show_default=True, help="Lifetime of identities.")
@as_json
@connected
def create(
    client: "Client",
    name: str,
    title: str | None,
    authority: str,
    trust: tuple[str, ...],
    anybody: bool,
    registered_only: bool,
    days: int,
    as_json: bool,
) -> None:
    if trust and anybody:
        raise click.UsageError("Give --trust or --anybody, not both.")
    settings = {
        "authority": authority,
        "admission": {"proof": "NO_AUTH" if anybody else "CLIENT_CERTIFICATE", "authorities": trust},
        "registration": "PRE_REGISTRATION" if registered_only else "JITP",
        "lifetime": days * times.DAY,
    }
    show(client.call("POST", _DMS, body={"name": name, "title": title, "settings": settings}), as_json=as_json)


@group.command(
    "set", help="Change a DMS's settings from a JSON file, in the form that `fleetroll dms get --json` shows."
)
@click.argument("name")
@click.argument("settings", type=files.EXISTING)
@as_json
@connected
def change(client: "Client", name: str, settings: Path, as_json: bool) -> None:
    try:
        content = json_text.read(settings.read_bytes())
    except json_text.NotJson as problem:
        raise Failure(Exit.FILE, f"{settings}: this is not JSON: {problem}.") from None
    members = content.get("settings", content) if isinstance(content, dict) else content
    show(client.patch(path("dms", name), {"settings": members}), as_json=as_json)


@group.command("delete", help="Delete a DMS; devices and certificates stay.")
@click.argument("name")
@connected
def delete(client: "Client", name: str) -> None:
    client.call("DELETE", path("dms", name))
    click.echo(f"Deleted DMS {output.plain(name)}.")
