"""`fleetroll org`: the organizations below the caller's own."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from fleetroll.cli import changes, output
from fleetroll.cli.change_options import merge_option, optional_changes
from fleetroll.cli.connection import MOST_PER_PAGE, connected, path
from fleetroll.cli.output import Column, as_json, show

if TYPE_CHECKING:
    from fleetroll.cli.client import Client

_ORGANIZATIONS = "/v1/organizations"
_COLUMNS = (Column("SLUG", "slug"), Column("NAME", "name", 48), Column("DISABLED", "disabled"), Column("ID", "id"))
_SYNTAX = """\b
A CHANGE is one of
  phone="+49 30 1"      a text; phone= clears it
                        (description, time_zone, phone, platform, os)
  unit_system=imperial  metric or imperial
  address.city=Berlin   a part of the address; address= clears it
                        (full, country, city, state, zip)"""


def _quotas(_context: click.Context, _option: click.Parameter, written: tuple[str, ...]) -> dict[str, int] | None:
    quotas = {}
    for text in written:
        noun, _, count = text.partition("=")
        if not re.fullmatch("[0-9]{1,18}", count):
            raise click.UsageError(f"--quota must be like devices=5000, not {text!r}.")
        quotas[noun] = int(count)
    return quotas or None


_quota = click.option(
    "--quota",
    "quotas",
    multiple=True,
    metavar="NOUN=COUNT",
    callback=_quotas,
    help="Such as devices=5000; repeatable.",
)


@click.group("org", help="Organizations: the tenants below yours.")
def group() -> None:
    pass


@group.command("list", help="List the organizations directly below yours.")
@as_json
@connected
def show_list(client: "Client", as_json: bool) -> None:
    output.listing(client.pages(_ORGANIZATIONS, {"limit": MOST_PER_PAGE}), "organizations", _COLUMNS, as_json=as_json)


@group.command("get", help="Show an organization and what it uses: `self`, or slugs joined by dots.")
@click.argument("slug", default="self")
@as_json
@connected
def get(client: "Client", slug: str, as_json: bool) -> None:
    show(client.call("GET", path("organizations", slug)), as_json=as_json)


@group.command("create", help="Create an organization below yours.", epilog=_SYNTAX)
@click.argument("slug")
@click.argument("changed", metavar="[CHANGE]...", nargs=-1)
@merge_option
@click.option("--name", help="Display name; by default the slug.")
@_quota
@as_json
@connected
def create(
    client: "Client", /, slug: str, changed: tuple[str, ...], merge: bytes | None, as_json: bool, **options: Any
) -> None:
    members = changes.created(optional_changes(changed, merge, ()).merge)
    show(client.call("POST", _ORGANIZATIONS, body={**members, **_without_none(options), "slug": slug}), as_json=as_json)


@group.command("set", help="Change an organization; quotas that are not given stay.", epilog=_SYNTAX)
@click.argument("slug")
@click.argument("changed", metavar="[CHANGE]...", nargs=-1)
@merge_option
@click.option("--name", help="New name.")
@click.option("--disable/--enable", "disabled", default=None, help="Whether its keys are refused.")
@_quota
@as_json
@connected
def change(
    client: "Client", /, slug: str, changed: tuple[str, ...], merge: bytes | None, as_json: bool, **options: Any
) -> None:
    members = {**optional_changes(changed, merge, ()).merge, **_without_none(options)}
    if not members:
        raise click.UsageError("Say what to change: MEMBER=VALUE, --merge, --name, --disable, --enable or --quota.")
    show(client.patch(path("organizations", slug), members), as_json=as_json)


def _without_none(options: Mapping[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in options.items() if value is not None}


@group.command("delete", help="Delete an empty organization.")
@click.argument("slug")
@connected
def delete(client: "Client", slug: str) -> None:
    client.call("DELETE", path("organizations", slug))
    click.echo(f"Deleted organization {output.plain(slug)}.")
