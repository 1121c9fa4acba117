"""What rich draws: tables and bars. Imported when first needed, because rich takes as long as a whole `--help`."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from rich import progress
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 100_000  # columns of a pipe: what another program reads is never cut
_GAP = 2  # between columns


class Heading(NamedTuple):
    """The title of a column, and the width to which it may be cut: None where it is always whole."""

    title: str
    most: int | None


def table(headings: Sequence[Heading], pages: Iterable[Iterable[Sequence[str]]]) -> None:
    """Print pages of rows of plain text under headings: cut to the width of a terminal, whole to anything else.

    A page is printed before the next one is asked for. On a terminal that is too narrow for a table, each row becomes
    lines of its own, and nothing is left out.
    """
    if sys.stdout.isatty():
        console = Console(file=sys.stdout, highlight=False)
    else:
        console = Console(file=sys.stdout, width=_UNBOUNDED, highlight=False)
        headings = [Heading(heading.title, None) for heading in headings]
    titles = [heading.title for heading in headings]
    widths = list(map(len, titles))
    for number, page in enumerate(pages):
        rows = list(page)
        widths = _least_widths(headings, widths, rows)
        if sum(widths) + _GAP * (len(widths) - 1) > console.width:
            _print_apart(console, titles, rows, is_first=not number)
        else:
            console.print(_drawn(headings, widths, rows, is_first=not number))


def _drawn(
    headings: Sequence[Heading], widths: Sequence[int], rows: Iterable[Sequence[str]], *, is_first: bool
) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="bold", show_header=is_first)
    for (title, most), width in zip(headings, widths, strict=True):
        # Where there is no room for all, the columns with a bound give way.
        drawn.add_column(_cell(title), no_wrap=most is None, min_width=width, max_width=most)
    for row in rows:
        drawn.add_row(*map(_cell, row))
    return drawn


def _least_widths(headings: Sequence[Heading], widths: Sequence[int], rows: Sequence[Sequence[str]]) -> list[int]:
    """What each column takes once those with a bound have given way, and no less than on the pages before."""
    least = []
    for index, (heading, width) in enumerate(zip(headings, widths, strict=True)):
        contents = () if heading.most is not None else (cell_len(row[index]) for row in rows)
        least.append(max([width, *contents]))
    return least


def _print_apart(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str]], *, is_first: bool) -> None:
    widest = max(map(len, titles)) + _GAP
    for number, row in enumerate(rows):
        if number or not is_first:
            console.print()
        for title, text in zip(titles, row, strict=True):
            console.print(Text.assemble((title.ljust(widest), "bold"), text), soft_wrap=True)


def _cell(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


@contextlib.contextmanager
def bar(label: str, total: int | None, *, of_bytes: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error. Yields the function to call with each advance."""
    count_column = progress.DownloadColumn(binary_units=True) if of_bytes else progress.MofNCompleteColumn()
    columns = [
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        count_column,
        progress.TimeElapsedColumn(),
    ]
    with progress.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(label, total=total)
        yield lambda count: shown.advance(task, count)
