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


def table(titles: Sequence[tuple[str, int | None]], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of plain text under titles: cut to the width of a terminal, whole to anything else.

    On a terminal that is too narrow for that, each row becomes lines of its own, and nothing is left out.
    """
    whole, rows = not sys.stdout.isatty(), list(rows)
    console = Console(file=sys.stdout, width=_UNBOUNDED if whole else None, highlight=False)
    if _least_width(titles, rows) > console.width:
        _print_apart(console, [title for title, _ in titles], rows)
        return
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for title, most in titles:
        # Where there is no room for all, the columns with a bound give way.
        drawn.add_column(_cell(title), no_wrap=most is None, min_width=len(title), max_width=None if whole else most)
    for row in rows:
        drawn.add_row(*map(_cell, row))
    console.print(drawn)


def _least_width(titles: Sequence[tuple[str, int | None]], rows: Sequence[Sequence[str]]) -> int:
    """What a table takes if all columns with a bound have given way."""
    columns = [
        max(len(title), *(cell_len(row[place]) for row in rows)) if most is None and rows else len(title)
        for place, (title, most) in enumerate(titles)
    ]
    return sum(columns) + _GAP * (len(columns) - 1)


def _print_apart(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widest = max(map(len, titles)) + _GAP
    for number, row in enumerate(rows):
        if number:
            console.print()
        for title, text in zip(titles, row, strict=True):
            console.print(Text.assemble((title.ljust(widest), "bold"), text), soft_wrap=True)


def _cell(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


@contextlib.contextmanager
def bar(label: str, total: int | None, of_bytes: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error. Yields what is to be told of each advance."""
    done = progress.DownloadColumn() if of_bytes else progress.MofNCompleteColumn()
    columns = [progress.TextColumn("{task.description}"), progress.BarColumn(), done, progress.TimeElapsedColumn()]
    with progress.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(label, total=total)
        yield lambda count: shown.advance(task, count)
