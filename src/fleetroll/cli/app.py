"""The `fleetroll` command: its sub-commands put together."""

import click

from fleetroll import __version__
from fleetroll.cli import serving


def group(serve: serving.Serve) -> click.Group:
    @click.group(help="Fleetroll: one IoT device registry that speaks several device APIs.")
    @click.version_option(__version__, prog_name="fleetroll")
    def fleetroll() -> None:
        pass

    fleetroll.add_command(serving.command(serve))
    return fleetroll
