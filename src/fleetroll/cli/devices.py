"""`fleetroll device`: single devices and lists of them. Whole fleets in and out are in `fleet`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from fleetroll.cli import changes, json_text, output
from fleetroll.cli.change_options import merge_option, optional_changes, required_changes
from fleetroll.cli.connection import MOST_PER_PAGE, connected, path
from fleetroll.cli.failures import Failure
from fleetroll.cli.output import Column, as_json, show

if TYPE_CHECKING:
    import httpx

    from fleetroll.cli.client import Client

_DEVICES = "/v1/devices"
_ATTEMPTS = 5
_COLUMNS = (
    Column("IDENT", "ident"),
    Column("NAME", "name", 32),
    Column("KIND", "kind", 20),
    Column("STATUS", "status"),
    Column("TAGS", "tags", 32),
    Column("ONLINE", "connected"),
    Column("LAST SEEN", "last_seen", is_time=True),
)
_EVENT_COLUMNS = (
    Column("AT", "at", is_time=True),
    Column("EVENT", "type"),
    Column("BY", "actor", 32),
    Column("DATA", "data", 64),
)
filter_option = click.option("--filter", help="""For example: status = "ACTIVE" AND tags:"production".""")
search_option = click.option("--q", metavar="TEXT", help="Part of the identifier or name, ignoring case.")

_LISTING = (
    filter_option,
    search_option,
    click.option("--sort", help="Field to sort by, preceded by - for descending."),
    click.option(
        "--limit", type=click.IntRange(1, MOST_PER_PAGE), default=50, show_default=True, help="How many at most."
    ),
    click.option("--all", "everything", is_flag=True, help="All devices, however many; with --json one per line."),
    as_json,
)


def listing_options(command: Any) -> Any:
    for option in reversed(_LISTING):
        command = option(command)
    return command


@click.group("device", help="Devices: find, read, create, change, delete; import and export.")
def group() -> None:
    pass


@group.command("list", help="List devices.")
@listing_options
@connected
def show_list(client: "Client", /, **options: Any) -> None:
    show_devices(client, _DEVICES, **options)


def show_devices(
    client: "Client",
    target: str,
    filter: str | None,
    q: str | None,
    sort: str | None,
    limit: int,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    """A page of the devices at `target`, or all of them."""
    params = {"filter": filter, "q": q, "sort": sort, "limit": MOST_PER_PAGE if everything else limit}
    if everything:
        _show_all(client.pages(target, params), as_json=as_json)
        return
    reply = client.call("GET", target, params=params)
    # How many there are is not said: a page of large devices has fewer than its limit.
    more = "There are more: narrow with --filter, or use --all."
    output.page(reply, "devices", _COLUMNS, as_json=as_json, more=more)


def _show_all(pages: Iterable["httpx.Response"], *, as_json: bool) -> None:
    if not as_json:
        output.long_table(_COLUMNS, (page.json()["devices"] for page in pages))
        return
    for page in pages:
        for device in output.items(page, "devices"):
            output.raw(bytes(device))


@group.command("get", help="Show one device.")
@click.argument("ident")
@as_json
@connected
def get(client: "Client", ident: str, as_json: bool) -> None:
    show(client.call("GET", path("devices", ident)), as_json=as_json)


@group.command("create", help="Create a device; an existing one is not changed.", epilog=changes.SYNTAX)
@click.argument("ident")
@click.argument("changed", metavar="[CHANGE]...", nargs=-1)
@merge_option
@as_json
@connected
def create(client: "Client", ident: str, changed: tuple[str, ...], merge: bytes | None, as_json: bool) -> None:
    members = changes.created(optional_changes(changed, merge).against({}))
    show(client.call("POST", _DEVICES, body={**members, "ident": ident}), as_json=as_json)


@group.command("set", help="Change a device.", epilog=changes.SYNTAX)
@click.argument("ident")
@click.argument("changed", metavar="CHANGE...", nargs=-1)
@merge_option
@as_json
@connected
def change(client: "Client", ident: str, changed: tuple[str, ...], merge: bytes | None, as_json: bool) -> None:
    requested = required_changes(changed, merge)
    target = path("devices", ident)
    if requested.is_relative:
        reply = _change_relatively(client, target, requested)
    else:
        reply = client.patch(target, requested.merge)
    show(reply, as_json=as_json)


def _change_relatively(client: "Client", target: str, requested: changes.Changes) -> "httpx.Response":
    """Read, change and write back; again if somebody else was faster, so that no tag of theirs is lost."""
    for attempt in range(_ATTEMPTS):
        present = client.call("GET", target)
        try:
            return client.patch(target, requested.against(present.json()), present.headers["etag"])
        except Failure as failure:
            if failure.reason != "precondition_failed" or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


@group.command("delete", help="Delete a device for good.")
@click.argument("ident")
@connected
def delete(client: "Client", ident: str) -> None:
    client.call("DELETE", path("devices", ident))
    click.echo(f"Deleted device {output.plain(ident)}.")


@group.command("decommission", help="Take a device out of service for good; its certificates are revoked.")
@click.argument("ident")
@as_json
@connected
def decommission(client: "Client", ident: str, as_json: bool) -> None:
    show(client.call("POST", f"{path('devices', ident)}:decommission"), as_json=as_json)


@group.command(
    "move", help="Move a device to ORGANIZATION, named relative to the key's own: child.grandchild, or self."
)
@click.argument("ident")
@click.argument("goal", metavar="ORGANIZATION")
@as_json
@connected
def move(client: "Client", ident: str, goal: str, as_json: bool) -> None:
    show(client.call("POST", f"{path('devices', ident)}:transfer", body={"organization": goal}), as_json=as_json)


@group.command("timeline", help="What happened to a device, newest first.")
@click.argument("ident")
@click.option("--limit", type=click.IntRange(1, MOST_PER_PAGE), default=50, show_default=True, help="How many at most.")
@as_json
@connected
def timeline(client: "Client", ident: str, limit: int, as_json: bool) -> None:
    reply = client.call("GET", path("devices", ident, "timeline"), params={"limit": limit})
    advice = "use a higher --limit" if limit < MOST_PER_PAGE else "the API has them, page by page"
    more = f"There are older events: {advice}."
    output.page(reply, "events", _EVENT_COLUMNS, as_json=as_json, more=more)


@group.command("send", help="Send a command to a device; with --call, call it and print its answer.")
@click.argument("ident")
@click.argument("name")
@click.argument("data", default="{}")
@click.option("--call", "calls", is_flag=True, help="Wait for the device's answer.")
@click.option("--timeout", type=click.FloatRange(0.1, 25), default=10.0, show_default=True, help="Seconds to wait.")
@connected
def send(client: "Client", ident: str, name: str, data: str, calls: bool, timeout: float) -> None:
    try:
        value = json_text.read(data.encode())
    except json_text.NotJson as problem:
        raise click.UsageError(f"DATA must be JSON, as in '{{\"to\": 3}}': {problem}.") from None
    if calls:
        body = {"name": name, "data": value, "timeout": timeout}
        output.raw(client.call("POST", path("devices", ident, "rpc"), body=body).content)
        return
    client.call("POST", path("devices", ident, "commands"), body={"name": name, "data": value})
    click.echo(f"The command {output.plain(name)} is queued for {output.plain(ident)}.")
