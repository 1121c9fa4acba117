"""`fleetroll nats`: the broker of a running server, and preparing one of your own."""

from typing import TYPE_CHECKING

import click

from fleetroll.cli import output
from fleetroll.cli.connection import connected
from fleetroll.cli.output import as_json

if TYPE_CHECKING:
    from fleetroll.cli.client import Client

_BROKER = "/v1/broker"


@click.group("nats", help="The broker: its status, and setting up a cluster of your own.")
def group() -> None:
    pass


@group.command("status", help="Whether the broker is up, and where clients find it.")
@as_json
@connected
def status(client: "Client", as_json: bool) -> None:
    reply = client.call("GET", _BROKER)
    if as_json:
        output.raw(reply.content)
        return
    broker = reply.json()
    output.record({"broker": broker["broker"], "urls": ", ".join(broker["urls"])})


@group.command("setup", help="Print the configuration that a NATS cluster needs for `serve --nats URL`.")
@connected
def setup(client: "Client") -> None:
    click.echo(client.call("GET", f"{_BROKER}/setup").json()["configuration"], nl=False)
    output.note("Each server of the cluster needs this, JetStream, and a resolver with its own directory.")
