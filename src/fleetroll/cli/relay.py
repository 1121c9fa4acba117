"""`fleetroll relay`: what the RelayX SDKs need to reach this server under their vendor's name."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fleetroll.cli import files, output
from fleetroll.cli.connection import connected

if TYPE_CHECKING:
    from fleetroll.cli.client import Client

_HOST = "api.relay-x.io"
_SETTINGS = """Two settings let the vendor's SDKs reach this server, unmodified:
  1. The name: in each client's hosts file or DNS,  <address of the broker>  {host}
     The broker must listen on port 4221, 4222 or 4223 there.
  2. Trust: SSL_CERT_FILE={file} for Python, NODE_EXTRA_CA_CERTS={file} for Node."""


@click.group("relay", help="For the RelayX SDKs.")
def group() -> None:
    pass


@group.command("certificate", help="Give the broker a certificate for the vendor's host name; save its authority.")
@click.argument("file", type=files.NAMED, default=Path("fleetroll-ca.pem"))
@click.option("--name", "names", multiple=True, default=(_HOST,), show_default=True, help="Host name; repeatable.")
@connected
def certificate(client: "Client", file: Path, names: tuple[str, ...]) -> None:
    with files.replacing(file) as stream:  # before the broker is asked: its clients need the file from then on
        made = client.call("POST", "/v1/broker/certificate", body={"names": list(names)}).json()
        stream.write(made["authority"].encode())
    click.echo(f"The broker has a certificate for {', '.join(names)}. Its authority is in {output.plain(str(file))}.")
    click.echo(_SETTINGS.format(host=names[0], file=output.plain(str(file))))
