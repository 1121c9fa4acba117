"""The command line as it is, to compare with what documentation and deployment say of it."""

import re

import click
import pytest

from fleetroll.cli import app

COMMAND = app.group(lambda: pytest.fail("it is only looked at"))
SERVE = COMMAND.commands["serve"]


def variables_of(command: click.Command) -> set[str]:
    """The environment variables that a command reads, as --help lists them."""
    context = command.make_context(command.name, [], resilient_parsing=True, terminal_width=200, max_content_width=200)
    return set(re.findall(r"FLEETROLL_[A-Z_]*[A-Z]", command.get_help(context)))
