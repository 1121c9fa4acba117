"""`fleetroll key`, and `fleetroll whoami`: which keys there are, and which one is in use."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from fleetroll.cli import output, times
from fleetroll.cli.connection import MOST_PER_PAGE, connected, path
from fleetroll.cli.output import Column, as_json

if TYPE_CHECKING:
    from fleetroll.cli.client import Client

_KEYS = "/v1/keys"
_COLUMNS = (
    Column("ID", "id"),
    Column("NAME", "name", 32),
    Column("KIND", "kind"),
    Column("ROLE", "role"),
    Column("SCOPES", "scopes", 32),
    Column("EXPIRES", "expires_at", is_time=True),
    Column("REVOKED", "revoked_at", is_time=True),
    Column("LAST USED", "last_used_at", is_time=True),
)
_SECRETS = ("key", "client_id", "client_secret", "api_key", "secret")


@click.group("key", help="API keys: who may call, and to do what.")
def group() -> None:
    pass


@group.command("list", help="List the organization's keys; their secrets are not stored.")
@as_json
@connected
def show_list(client: "Client", as_json: bool) -> None:
    output.listing(client.pages(_KEYS, {"limit": MOST_PER_PAGE}), "keys", _COLUMNS, as_json=as_json)


@group.command("create", help="Create a key. Its secret is shown only once.")
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "operator", "admin"]), required=True, help="What it may do.")
@click.option(
    "--kind",
    type=click.Choice(["api", "oauth", "nats"]),
    default="api",
    show_default=True,
    help="What kind of client it is for.",
)
@click.option("--scope", "scopes", multiple=True, help="Restrict it to a scope, such as devices:read; repeatable.")
@click.option(
    "--expires", metavar="WHEN", help="Such as 90d, 12h or 2030-01-01T00:00:00Z; by default with your key, or never."
)
@as_json
@connected
def create(
    client: "Client", name: str, role: str, kind: str, scopes: tuple[str, ...], expires: str | None, as_json: bool
) -> None:
    body = {"name": name, "role": role, "kind": kind, "scopes": scopes, "expires_at": _expiry(expires)}
    reply = client.call("POST", _KEYS, body=body)
    if as_json:
        output.raw(reply.content)
        return
    members = reply.json()
    members |= members.pop("nats", {})
    secrets = {member: members.pop(member) for member in _SECRETS if member in members}
    output.record(members | secrets)
    output.note("Save the secret now: it is not stored and cannot be shown again.")


def _expiry(text: str | None) -> str | None:
    if text is None:
        return None
    if (span := times.span(text)) is not None:
        return times.written(datetime.now(UTC) + span)
    if (moment := times.instant(text)) is not None:
        return moment
    raise click.UsageError(f"--expires must be like 90d, 12h or 2030-01-01T00:00:00Z, not {text!r}.")


@group.command("revoke", help="Revoke a key by its number; the next request with it is refused.")
@click.argument("number", metavar="ID", type=click.IntRange(1))
@connected
def revoke(client: "Client", number: int) -> None:
    client.call("DELETE", path("keys", str(number)))
    click.echo(f"Revoked key {number}.")


@click.command("whoami", help="Show the key in use, its role, and the organization it acts in.")
@as_json
@connected
def whoami(client: "Client", as_json: bool) -> None:
    reply = client.call("GET", "/v1/me")
    if as_json:
        output.raw(reply.content)
        return
    key, organization = reply.json()["key"], reply.json()["organization"]
    output.record(
        {
            "server": client.url,
            "key": f"{key['id']} ({key['name']})",
            "role": key["role"],
            "scopes": key["scopes"] or "all that the role may do",
            "expires": key["expires_at"],
            "organization": f"{organization['slug']} ({organization['name']})",
        }
    )
