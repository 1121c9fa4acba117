"""The environment variables of the command: each must be text, and one that nobody reads may be misspelt."""

import os
from collections.abc import Iterator

import click

from fleetroll.cli.output import note

_PREFIX = "FLEETROLL_"
_SIMILAR = 0.65  # ORGANISATION and DATA_DIR are; the variables that Kubernetes sets for a service of our name are not


def require_text() -> None:
    """Raises click.UsageError for a variable of ours that is not text: no name, address or file could be made of it."""
    for name, value in _given().items():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"{name} is not UTF-8 text.") from None  # which may be a secret


def note_misspelt(command: click.Group) -> None:
    """Say which variables look like one that is read, but are not: a default would silently stand in for them."""
    known = {name.removeprefix(_PREFIX) for name in _variables(command)}
    for name in sorted(_given()):
        if (rest := name.removeprefix(_PREFIX)) not in known:
            _note(rest, known)


def _note(rest: str, known: set[str]) -> None:
    import difflib  # noqa: PLC0415  # there is rarely anything to compare

    for meant in difflib.get_close_matches(rest, known, 1, _SIMILAR):
        note(f"fleetroll: {_PREFIX}{rest} has no effect: is {_PREFIX}{meant} meant?")


def _given() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}


def _variables(command: click.Command) -> Iterator[str]:
    """What a command and those below it read."""
    prefix = command.context_settings.get("auto_envvar_prefix")
    for parameter in command.params:
        if isinstance(parameter.envvar, str):
            yield parameter.envvar
        elif prefix and parameter.name:
            yield f"{prefix}_{parameter.name}".upper()
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from _variables(below)
