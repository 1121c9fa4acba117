"""`fleetroll group`: saved groups, which are filters with a name."""

from typing import TYPE_CHECKING, Any

import click

from fleetroll.cli import output
from fleetroll.cli.connection import MOST_PER_PAGE, connected, path
from fleetroll.cli.devices import listing_options, show_devices
from fleetroll.cli.output import Column, as_json, show

if TYPE_CHECKING:
    from fleetroll.cli.client import Client

_GROUPS = "/v1/groups"
_COLUMNS = (
    Column("ID", "id"),
    Column("NAME", "name", 32),
    Column("BELOW", "parent_id"),
    Column("FILTER", "filter", 64),
    Column("CRITERIA", "criteria", 64),
    Column("DESCRIPTION", "description", 48),
)


@click.group("group", help="Saved groups: filters with a name.")
def group() -> None:
    pass


@group.command("list", help="List groups.")
@as_json
@connected
def show_list(client: "Client", as_json: bool) -> None:
    output.listing(client.pages(_GROUPS, {"limit": MOST_PER_PAGE}), "groups", _COLUMNS, as_json=as_json)


@group.command("get", help="Show a group.")
@click.argument("name")
@as_json
@connected
def get(client: "Client", name: str, as_json: bool) -> None:
    show(client.call("GET", path("groups", name)), as_json=as_json)


@group.command("create", help="Save a filter under a name.")
@click.argument("name")
@click.argument("filter")
@click.option("--description", help="What the group is for.")
@click.option("--below", metavar="GROUP", help="The group whose filter applies to this one too.")
@as_json
@connected
def create(client: "Client", name: str, filter: str, description: str | None, below: str | None, as_json: bool) -> None:
    body = {"name": name, "filter": filter, "description": description, "parent_id": _number(client, below)}
    show(client.call("POST", _GROUPS, body=body), as_json=as_json)


@group.command("set", help="Change a group's filter, description or place.")
@click.argument("name")
@click.option("--filter", help="The new filter.")
@click.option("--description", help="The new description; an empty one removes it.")
@click.option("--below", metavar="GROUP", help="The group whose filter applies to this one too; empty for none.")
@as_json
@connected
def change(
    client: "Client", name: str, filter: str | None, description: str | None, below: str | None, as_json: bool
) -> None:
    members: dict[str, Any] = {}
    if filter is not None:
        members["filter"] = filter
    if description is not None:
        members["description"] = description or None
    if below is not None:
        members["parent_id"] = _number(client, below)
    if not members:
        raise click.UsageError("Say what to change: --filter, --description or --below.")
    show(client.patch(path("groups", name), members), as_json=as_json)


def _number(client: "Client", group: str | None) -> int | None:
    return int(client.call("GET", path("groups", group)).json()["id"]) if group else None


@group.command("delete", help="Delete a group and those below it; devices stay.")
@click.argument("name")
@connected
def delete(client: "Client", name: str) -> None:
    client.call("DELETE", path("groups", name))
    click.echo(f"Deleted group {output.plain(name)}.")


@group.command("devices", help="List the devices that match a group now.")
@click.argument("name")
@listing_options
@connected
def members(client: "Client", /, name: str, **options: Any) -> None:
    show_devices(client, path("groups", name, "devices"), **options)
