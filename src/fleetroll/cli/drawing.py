"""What rich draws: tables and bars. Imported when first needed, because rich takes as long as a whole `--help`."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich import progress
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 100_000  # columns of a pipe: what another program reads is never cut
_GAP = 2  # between columns


def table(titles: Sequence[tuple[str, int | None]], pages: Iterable[Iterable[Sequence[str]]]) -> None:
    """Print pages of rows of plain text under titles: cut to the width of a terminal, whole to anything else.

    A page is printed before the next one is asked for. On a terminal that is too narrow for a table, each row becomes
    lines of its own, and nothing is left out.
    """
    whole = not sys.stdout.isatty()
    console = Console(file=sys.stdout, width=_UNBOUNDED if whole else None, highlight=False)
    columns = [(title, None if whole else most) for title, most in titles]
    widths = [len(title) for title, _ in titles]
    for number, page in enumerate(pages):
        rows = list(page)
        widths = _least_widths(columns, widths, rows)
        if sum(widths) + _GAP * (len(widths) - 1) > console.width:
            _print_apart(console, [title for title, _ in columns], rows, is_first=not number)
        else:
            console.print(_drawn(columns, widths, rows, is_first=not number))


def _drawn(
    columns: Sequence[tuple[str, int | None]], widths: Sequence[int], rows: Iterable[Sequence[str]], *, is_first: bool
) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="bold", show_header=is_first)
    for (title, most), width in zip(columns, widths, strict=True):
        # Where there is no room for all, the columns with a bound give way.
        drawn.add_column(_cell(title), no_wrap=most is None, min_width=width, max_width=most)
    for row in rows:
        drawn.add_row(*map(_cell, row))
    return drawn


def _least_widths(
    columns: Sequence[tuple[str, int | None]], widths: Sequence[int], rows: Sequence[Sequence[str]]
) -> list[int]:
    """What each column takes once those with a bound have given way, and no less than on the pages before."""
    least = []
    for index, ((_, most), width) in enumerate(zip(columns, widths, strict=True)):
        contents = () if most is not None else (cell_len(row[index]) for row in rows)
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
    done = progress.DownloadColumn(binary_units=True) if of_bytes else progress.MofNCompleteColumn()
    columns = [progress.TextColumn("{task.description}"), progress.BarColumn(), done, progress.TimeElapsedColumn()]
    with progress.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(label, total=total)
        yield lambda count: shown.advance(task, count)
