"""What commands print: tables for people, the server's own bytes for programs, progress on a terminal alone.

Text from the server never reaches a terminal as it is: whatever is not printable is spelled out, and nothing is read
as markup. rich is imported only where something is drawn, because it would double the time of `fleetroll --help`.
"""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click
import msgspec
from msgspec import Struct

_UNBOUNDED = 100_000  # columns of a pipe: what another program reads is never cut


class Column(Struct, frozen=True):
    """One column of a table: its title, the member of a record that it shows, and how wide it may grow."""

    title: str
    member: str
    most: int | None = None


def plain(value: Any) -> str:
    """A value as one line of printable text: control and formatting characters are spelled as escapes."""
    text = _text(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    return msgspec.json.encode(value).decode()


def table(columns: Iterable[Column], records: Iterable[dict[str, Any]]) -> None:
    """Print records as rows: cut to the width of a terminal, whole to anything else."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    whole = not sys.stdout.isatty()
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    columns = tuple(columns)
    for column in columns:
        most = None if whole else column.most
        drawn.add_column(column.title, no_wrap=True, overflow="ellipsis", max_width=most)
    for record in records:
        drawn.add_row(*(Text(plain(record.get(column.member))) for column in columns))
    Console(file=sys.stdout, width=_UNBOUNDED if whole else None, highlight=False).print(drawn)


def record(members: dict[str, Any]) -> None:
    """Print one record, a member a line."""
    width = max(map(len, members), default=0) + 2
    for name, value in members.items():
        click.echo(f"{click.style(plain(name).ljust(width), dim=True)}{plain(value)}")


def note(text: str) -> None:
    """A remark for people, beside the output."""
    click.echo(plain(text), err=True)


def raw(data: bytes) -> None:
    """Bytes for programs, as they came, and a line end."""
    stream = click.get_binary_stream("stdout")
    stream.write(data if data.endswith(b"\n") else data + b"\n")
    stream.flush()


@contextlib.contextmanager
def progress(label: str, total: int | None, *, of_bytes: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, if that is a terminal. Yields what is to be told of each advance."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich import progress as rich_progress
    from rich.console import Console

    done = rich_progress.DownloadColumn() if of_bytes else rich_progress.MofNCompleteColumn()
    speed = [rich_progress.TransferSpeedColumn()] if of_bytes else []
    columns = (rich_progress.TextColumn("{task.description}"), rich_progress.BarColumn(), done, *speed)
    with rich_progress.Progress(*columns, rich_progress.TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)


def size(count: int) -> str:
    """A number of bytes for people."""
    if count < 1024:
        return f"{count} bytes"
    amount = count / 1024
    for unit in ("KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
