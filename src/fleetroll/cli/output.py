"""What commands print: tables for people, the server's own bytes for programs, progress on a terminal alone.

Text from the server never reaches a terminal as it is: whatever is not printable is spelled out, and nothing is read
as markup. rich is imported only where something is drawn, because it would double the time of `fleetroll --help`.
"""

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    import httpx

as_json = click.option("--json", "as_json", is_flag=True, help="Print the server's JSON.")
SHOWN_FAILURES = 20
_ITEMS = list[msgspec.Raw]


class Column(Struct, frozen=True):
    """One column of a table: its title, the member of a record that it shows, and how wide it may grow.

    A time is shown to the second.
    """

    title: str
    member: str
    most: int | None = None
    is_time: bool = False

    def cell(self, record: Mapping[str, Any]) -> str:
        text = plain(record.get(self.member))
        return f"{text[:19]}Z" if self.is_time and len(text) > 19 else text


def require_reader() -> None:
    """Raises BrokenPipeError, as a write would, if the reader of standard output is gone."""
    with contextlib.suppress(io.UnsupportedOperation):
        watch = select.poll()
        watch.register(sys.stdout.fileno(), 0)
        if any(state & select.POLLERR for _, state in watch.poll(0)):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


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
        return ", ".join(value) or "-"
    return msgspec.json.encode(value).decode()


def table(columns: Sequence[Column], records: Iterable[Mapping[str, Any]]) -> None:
    """Print records as rows: cut to the width of a terminal, whole to anything else."""
    long_table(columns, [records])


def long_table(columns: Sequence[Column], pages: Iterable[Iterable[Mapping[str, Any]]]) -> None:
    """As `table`, for records that come in pages, each of which is printed as it comes."""
    from fleetroll.cli import drawing  # noqa: PLC0415  # rich takes as long as a whole `fleetroll --help`

    drawing.table(
        [drawing.Heading(column.title, column.most) for column in columns],
        ([[column.cell(record) for column in columns] for record in page] for page in pages),
    )


def record(members: Mapping[str, Any]) -> None:
    """Print one record, a member a line."""
    width = max(map(len, members), default=0) + 2
    for name, value in members.items():
        click.echo(f"{_dim(plain(name).ljust(width))}{plain(value)}")


def _dim(text: str) -> str:
    """Dim a text, unless the terminal can only show text, as an editor's: it would show the escape sequences."""
    return text if os.environ.get("TERM") == "dumb" else click.style(text, dim=True)


def show(reply: "httpx.Response", *, as_json: bool) -> None:
    """One record: as it came, or a member a line."""
    if as_json:
        raw(reply.content)
    else:
        record(reply.json())


def page(reply: "httpx.Response", member: str, columns: Sequence[Column], *, as_json: bool, more: str) -> None:
    """Print one page of a list: as it came, or as a table, with the remark `more` where it is not all."""
    if as_json:
        raw(reply.content)
        return
    content = reply.json()
    table(columns, content[member])
    if content["next_cursor"] is not None:
        note(more)


def listing(pages: Iterable["httpx.Response"], member: str, columns: Sequence[Column], *, as_json: bool) -> None:
    """Print a whole list that comes in pages: as one table, or as the one page that it would be."""
    if as_json:
        records: list[msgspec.Raw] = []
        for page in pages:
            records += items(page, member)
        raw(msgspec.json.encode({member: records, "next_cursor": None}))
    else:
        long_table(columns, (page.json()[member] for page in pages))


def items(page: "httpx.Response", member: str) -> list[msgspec.Raw]:
    """The records of a page, each the text that the server wrote."""
    return msgspec.json.decode(msgspec.json.decode(page.content, type=dict[str, msgspec.Raw])[member], type=_ITEMS)


def outcomes(counts: Mapping[str, int], *, dry_run: bool) -> None:
    """Print how many rows had which outcome."""
    if dry_run:
        click.echo("Dry run: nothing was changed.")
    for outcome in ("created", "updated", "unchanged", "failed"):
        click.echo(f"{outcome.ljust(10)} {counts.get(outcome, 0)}")


def note(text: str) -> None:
    """Print a remark on standard error: above a bar that is drawn there, which click would write into."""
    sys.stderr.write(f"{plain(text)}\n")
    sys.stderr.flush()


def raw(data: bytes) -> None:
    """Bytes for programs, as they came, and a line end."""
    sys.stdout.buffer.write(data if data.endswith(b"\n") else data + b"\n")
    sys.stdout.buffer.flush()


def is_watched() -> bool:
    """Whether somebody sees progress."""
    return sys.stderr.isatty()


@contextlib.contextmanager
def progress(label: str, total: int | None, *, of_bytes: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, if that is a terminal. Yields the function to call with each advance."""
    if not is_watched():
        yield lambda _: None
        return
    from fleetroll.cli import drawing  # noqa: PLC0415  # as above

    with drawing.bar(label, total, of_bytes=of_bytes) as advance:
        yield advance


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
