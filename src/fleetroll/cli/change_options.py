"""The arguments of commands that make and change records: CHANGE as in `changes`, or a merge patch as JSON."""

from collections.abc import Collection
from pathlib import Path

import click

from fleetroll.cli import changes, files

_FILE = "@"  # with which no JSON begins


def _read(context: click.Context, option: click.Parameter, text: str | None) -> bytes | None:
    """The JSON in the value of `--merge`, or in the file that it names."""
    if text is None or not text.startswith(_FILE):
        return None if text is None else text.encode()
    return Path(files.EXISTING.convert(text.removeprefix(_FILE), option, context)).read_bytes()


merge_option = click.option(
    "--merge",
    metavar="JSON|@FILE",
    callback=_read,
    help="The changes as a JSON merge patch (RFC 7396) instead, or a file that contains it.",
)


def optional_changes(
    changed: tuple[str, ...], merge: bytes | None, lists: Collection[str] = changes.LISTS
) -> changes.Changes:
    """The changes that were given, perhaps none. Raises click.UsageError."""
    if changed and merge is not None:
        raise click.UsageError("Give changes or --merge, not both.")
    try:
        return changes.parse(changed, lists) if merge is None else changes.Changes(changes.parse_object(merge), {}, {})
    except changes.BadChange as problem:
        raise click.UsageError(str(problem)) from None


def required_changes(
    changed: tuple[str, ...], merge: bytes | None, lists: Collection[str] = changes.LISTS
) -> changes.Changes:
    """As `optional_changes`, but something must have been given. Raises click.UsageError."""
    if not changed and merge is None:
        raise click.UsageError("Say what to change: MEMBER=VALUE or --merge JSON.")
    return optional_changes(changed, merge, lists)
