"""`fleetroll org`: the organizations below the caller's own."""

import re
from typing import TYPE_CHECKING, Any

import click

from fleetroll.cli import output
from fleetroll.cli.connection import MOST_PER_PAGE, connected, path
from fleetroll.cli.output import Column, as_json, show

if TYPE_CHECKING:
    from fleetroll.cli.client import Client

_ORGANIZATIONS = "/v1/organizations"
_COLUMNS = (Column("SLUG", "slug"), Column("NAME", "name", 48), Column("DISABLED", "disabled"), Column("ID", "id"))
_quota = click.option("--quota", "quotas", multiple=True, metavar="NOUN=COUNT", help="As in devices=5000; repeatable.")


@click.group("org", help="Organizations: the tenants below yours.")
def group() -> None:
    pass


@group.command("list", help="List the organizations directly below yours.")
@as_json
@connected
def show_list(client: "Client", as_json: bool) -> None:
    output.listing(client.pages(_ORGANIZATIONS, {"limit": MOST_PER_PAGE}), "organizations", _COLUMNS, as_json)


@group.command("get", help="Show an organization and what it uses: `self`, or slugs joined by dots.")
@click.argument("slug", default="self")
@as_json
@connected
def get(client: "Client", slug: str, as_json: bool) -> None:
    show(client.call("GET", path("organizations", slug)), as_json)


@group.command("create", help="Make an organization below yours.")
@click.argument("slug")
@click.option("--name", help="Name for people; the slug if left out.")
@_quota
@as_json
@connected
def create(client: "Client", slug: str, name: str | None, quotas: tuple[str, ...], as_json: bool) -> None:
    body = {"slug": slug, "name": name, "quotas": _quotas(quotas)}
    show(client.call("POST", _ORGANIZATIONS, body=body), as_json)


@group.command("set", help="Change an organization; quotas that are not named stay.")
@click.argument("slug")
@click.option("--name", help="New name.")
@click.option("--disable/--enable", "disabled", default=None, help="Whether its keys are refused.")
@_quota
@as_json
@connected
def change(
    client: "Client", slug: str, name: str | None, disabled: bool | None, quotas: tuple[str, ...], as_json: bool
) -> None:
    given: dict[str, Any] = {"name": name, "disabled": disabled, "quotas": _quotas(quotas) or None}
    wanted = {member: value for member, value in given.items() if value is not None}
    if not wanted:
        raise click.UsageError("Say what to change: --name, --disable, --enable or --quota.")
    show(client.patch(path("organizations", slug), wanted), as_json)


def _quotas(written: tuple[str, ...]) -> dict[str, int]:
    quotas = {}
    for text in written:
        noun, _, count = text.partition("=")
        if not re.fullmatch("[0-9]{1,18}", count):
            raise click.UsageError(f"--quota must be like devices=5000, not {text!r}.")
        quotas[noun] = int(count)
    return quotas


@group.command("delete", help="Delete an empty organization.")
@click.argument("slug")
@connected
def delete(client: "Client", slug: str) -> None:
    client.call("DELETE", path("organizations", slug))
    click.echo(f"Deleted organization {output.plain(slug)}.")
