"""The five commands that every noun with a unique name has, as `service/named.py` has its operations."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from fleetroll.cli import changes, output
from fleetroll.cli.change_options import merge_option, optional_changes, required_changes
from fleetroll.cli.connection import MOST_PER_PAGE, connected, path
from fleetroll.cli.output import Column, as_json, show

if TYPE_CHECKING:
    from fleetroll.cli.client import Client

_SERVERS_OWN = frozenset({"id", "template_id", "created_at", "updated_at", "revision"})


class Words(Struct, frozen=True):
    """A noun in sentences: with its article, and its plural. `deleted` ends the sentence that offers to delete one."""

    one: str
    many: str
    deleted: str


def named(noun: str, label: str, about: str, words: Words, columns: Sequence[Column], syntax: str) -> click.Group:
    """The group of commands named after the noun.

    `label` is the member that names a record, `syntax` says how its other members are written.
    """
    segment = f"{noun}s"
    target = path(segment)
    name_argument = click.argument("name", metavar=label.upper())
    group = click.Group(noun, help=about)

    @group.command("list", help=f"List {words.many}.")
    @as_json
    @connected
    def show_list(client: "Client", as_json: bool) -> None:
        output.listing(
            client.pages(target, {"limit": MOST_PER_PAGE}), segment.replace("-", "_"), columns, as_json=as_json
        )

    @group.command("get", help=f"Show {words.one}.")
    @name_argument
    @as_json
    @connected
    def get(client: "Client", name: str, as_json: bool) -> None:
        show(client.call("GET", path(segment, name)), as_json=as_json)

    @group.command("create", help=f"Create {words.one}; an existing one is not changed.", epilog=syntax)
    @name_argument
    @click.argument("changed", metavar="[CHANGE]...", nargs=-1)
    @merge_option
    @as_json
    @connected
    def create(client: "Client", name: str, changed: tuple[str, ...], merge: bytes | None, as_json: bool) -> None:
        members = _without_numbers(changes.created(_settable(optional_changes(changed, merge, ()).merge)))
        show(client.call("POST", target, body={**members, label: name}), as_json=as_json)

    @group.command("set", help=f"Change {words.one}.", epilog=syntax)
    @name_argument
    @click.argument("changed", metavar="CHANGE...", nargs=-1)
    @merge_option
    @as_json
    @connected
    def change(client: "Client", name: str, changed: tuple[str, ...], merge: bytes | None, as_json: bool) -> None:
        show(client.patch(path(segment, name), _settable(required_changes(changed, merge, ()).merge)), as_json=as_json)

    @group.command("delete", help=f"Delete {words.one}{words.deleted}.")
    @name_argument
    @connected
    def delete(client: "Client", name: str) -> None:
        client.call("DELETE", path(segment, name))
        click.echo(f"Deleted {noun.replace('-', ' ')} {output.plain(name)}.")

    return group


def _settable(members: Mapping[str, Any]) -> dict[str, Any]:
    """What the server says of a record itself is left out: a record as `get --json` shows it can be given back."""
    return {name: value for name, value in members.items() if name not in _SERVERS_OWN}


def _without_numbers(members: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a new record are numbered anew: numbers that are given are those of the record that it copies."""
    return {
        name: [_without_number(part) for part in value] if isinstance(value, list) else value
        for name, value in members.items()
    }


def _without_number(part: Any) -> Any:
    return {name: value for name, value in part.items() if name != "id"} if isinstance(part, dict) else part
