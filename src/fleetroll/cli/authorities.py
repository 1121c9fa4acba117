"""`fleetroll ca`: the authorities that issue identities, and those of others that are trusted."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fleetroll.cli import files, output, times
from fleetroll.cli.connection import MOST_PER_PAGE, connected, path
from fleetroll.cli.failures import Exit, Failure
from fleetroll.cli.output import Column, as_json, show
from fleetroll.core import encodings

if TYPE_CHECKING:
    from fleetroll.cli.client import Client

_AUTHORITIES = "/v1/authorities"
_COLUMNS = (
    Column("NAME", "name", 32),
    Column("SERIAL", "serial"),
    Column("ISSUES", "issues"),
    Column("UNTIL", "not_after", is_time=True),
)


@click.group("ca", help="Certificate authorities: who issues, and whose certificates are trusted.")
def group() -> None:
    pass


@group.command("list", help="List certificate authorities.")
@as_json
@connected
def show_list(client: "Client", as_json: bool) -> None:
    output.listing(client.pages(_AUTHORITIES, {"limit": MOST_PER_PAGE}), "authorities", _COLUMNS, as_json=as_json)


@group.command("create", help="Create an authority, or trust somebody else's by its certificate.")
@click.argument("name")
@click.option("--days", type=click.IntRange(1, 36_500), help="Its lifetime; by default 7300.")
@click.option("--certificate", type=files.EXISTING, help="PEM file of somebody else's, which only vouches for clients.")
@as_json
@connected
def create(client: "Client", name: str, days: int | None, certificate: Path | None, as_json: bool) -> None:
    if certificate is not None and days is not None:
        raise click.UsageError("A certificate has its own lifetime: give --certificate or --days, not both.")
    body: dict[str, Any] = {"name": name}
    if certificate is not None:
        body["certificate"] = _pem(certificate)
    elif days is not None:
        body["lifetime"] = days * times.DAY
    show(client.call("POST", _AUTHORITIES, body=body), as_json=as_json)


def _pem(file: Path) -> str:
    content = file.read_bytes()
    if encodings.has_private_key(content):  # which must not even be sent
        raise Failure(Exit.FILE, f"{file} contains a private key.", "Name a file with the certificate alone.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Failure(Exit.FILE, f"{file}: this is not a certificate in PEM.") from None


@group.command(
    "show", help="Print the certificate of authority NAME, or of `default`, in PEM, for those who are to trust it."
)
@click.argument("name", default="default")
@as_json
@connected
def get(client: "Client", name: str, as_json: bool) -> None:
    reply = client.call("GET", path("authorities", name))
    if as_json:
        output.raw(reply.content)
    else:
        click.echo(reply.json()["certificate"], nl=False)


@group.command("crl", help="Save what an authority has revoked to FILE (- is standard output), as a CRL in DER.")
@click.argument("name")
@click.argument("file", type=click.Path(allow_dash=True, dir_okay=False))
@connected
def revocation_list(client: "Client", name: str, file: str) -> None:
    reply = client.call("GET", path("authorities", name, "crl"))
    if file == files.STDIO:
        sys.stdout.buffer.write(reply.content)
        sys.stdout.buffer.flush()
        return
    with files.replacing(Path(file)) as stream:
        stream.write(reply.content)


@group.command("delete", help="Delete an authority that nothing depends on.")
@click.argument("name")
@connected
def delete(client: "Client", name: str) -> None:
    client.call("DELETE", path("authorities", name))
    click.echo(f"Deleted authority {output.plain(name)}.")
