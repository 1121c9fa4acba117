"""Request bodies of many rows, as NDJSON or CSV: each row is judged by itself while the next ones arrive."""

import asyncio
import contextlib
import csv
import itertools
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import msgspec

from fleetroll.core import documents, limits
from fleetroll.core.faults import Fault, Kind, as_value, brief, invalid
from fleetroll.wire.bodies import ClientGone, Receive, convert, decode
from fleetroll.wire.dialect import Lines

_ROWS_AT_A_TIME = 32
_PIECE = 32 << 10  # bytes that are split into rows at a time: each may be a line end, and as many may have arrived
_BLANK = b" \t\r\n,"
_MARK = b"\xef\xbb\xbf"  # the byte order mark with which some programs begin a file in UTF-8


async def rows(
    receive: Receive, lines: Lines, media_type: str, hold: Callable[[int], None]
) -> AsyncGenerator[list[Any], None]:
    """The rows of a streamed body, decoded, some at a time: others get their turn on the event loop in between.

    When the body pauses, an empty list is yielded: its sender may be waiting for the results of the rows so far. `hold`
    is told the size of a row whose end is still to come, and may raise to refuse it. Raises ClientGone, and Fault for
    what makes the rest of a CSV unreadable.
    """
    reader = _Csv(lines) if media_type == "text/csv" else _Ndjson(lines)
    while True:
        hold(len(reader.rest))
        coming = asyncio.ensure_future(receive())
        try:
            await asyncio.sleep(0)  # lets `receive` deliver what has arrived already
            if not coming.done():
                await asyncio.wait([coming], timeout=limits.IMPORT_PAUSE)
            if not coming.done():
                yield []
            message = await coming
        finally:
            coming.cancel()
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = message.get("more_body", False)
        pieces = _pieces(message.get("body", b""))
        del coming, message  # or the body's last part would be kept beside its rest
        while pieces:
            piece = pieces.pop(0)
            found = reader.feed(piece, last=not (pieces or more), waits=not pieces)
            while some := list(itertools.islice(found, _ROWS_AT_A_TIME)):
                yield some
                await asyncio.sleep(0)
            await asyncio.sleep(0)  # it may have been all blank lines
        if not more:
            return


def _pieces(data: bytes) -> list[bytes]:
    return [data[start : start + _PIECE] for start in range(0, len(data), _PIECE)] or [data]


class _Ndjson:
    """Splits bytes at line ends; blank lines count as lines but are no rows."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._decoder = msgspec.json.Decoder(lines.shape)
        self.rest = b""
        self._line = 0

    def feed(self, data: bytes, *, last: bool, waits: bool) -> Iterator[Any]:
        *complete, self.rest = (self.rest + data).split(b"\n")
        if last:
            complete.append(self.rest)
            self.rest = b""
        # Of a line that is too long, just enough is kept to know it; the rest of the file is read as usual.
        self.rest = self.rest[: limits.MAX_IMPORT_LINE + 1]
        if self._line == 0 and complete:
            complete[0] = complete[0].removeprefix(_MARK)
        for line in complete:
            self._line += 1
            if line.strip():
                yield self._row(line)

    def _row(self, line: bytes) -> Any:
        try:
            if len(line) > limits.MAX_IMPORT_LINE:
                raise _line_too_long(self._line)
            return self._lines.decode(self._line, decode(self._decoder, line))
        except Fault as fault:
            return self._lines.fail(self._line, as_value(fault))


class _Csv:
    """Splits text at the line ends that are not inside quotes; the first record names the columns.

    Blank lines, and those with nothing but commas, as below a spreadsheet's rows, count as lines but are no rows; a
    row's number is that of the line on which it begins.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.rest = b""
        self._searched = 0  # bytes of `rest`
        self._is_open = False
        self._line = 0
        self._columns: list[str] | None = None
        self._unnamed: list[int] = []  # their cells must be empty: a spreadsheet may export more columns than it shows

    def feed(self, data: bytes, *, last: bool, waits: bool) -> Iterator[Any]:
        data = self.rest + data
        records = self._records(data.removesuffix(b"\n") if last else data, last=last, waits=waits)
        if self._line == 0 and records:
            records[0] = records[0].removeprefix(_MARK)
        for record in records:
            begins = self._line + 1
            self._line += 1 + record.count(b"\n")
            if not record.strip(_BLANK):
                continue
            if self._columns is None:
                self._columns = self._header(record)
            else:
                yield self._row(begins, record)

    def _records(self, data: bytes, *, last: bool, waits: bool) -> list[bytes]:
        """Complete records. A record is complete at a line end that is in no quoted cell.

        One that is too long ends the import only if it `waits` for bytes to arrive: its end may have arrived already.
        """
        found, start, position = [], 0, self._searched
        while (end := data.find(b"\n", position)) >= 0:
            self._is_open = _ends_open(data, position, end, self._is_open)
            position = end + 1
            if not self._is_open:
                found.append(data[start:end])
                start = position
        self.rest, self._searched = data[start:], position - start
        if last and self.rest:
            found.append(self.rest)
            self.rest = b""
        if waits and len(self.rest) > limits.MAX_IMPORT_LINE:
            line = self._line + sum(record.count(b"\n") + 1 for record in found) + 1
            raise _spanning(_line_too_long(line), line, line + self.rest.count(b"\n"))
        return found

    def _header(self, record: bytes) -> list[str]:
        columns = _cells(record)
        if len(columns) > limits.MAX_IMPORT_COLUMNS:
            raise invalid("invalid_csv", f"A CSV may have at most {limits.MAX_IMPORT_COLUMNS} columns.")
        named = Counter(column for column in columns if column)
        for column, count in named.items():
            if count > 1:
                raise invalid("invalid_csv", f'The CSV header names the column "{brief(column)}" twice.')
        self._lines.header(list(named))
        self._unnamed = [number for number, column in enumerate(columns) if not column]
        return columns

    def _row(self, line: int, record: bytes) -> Any:
        try:
            if len(record) > limits.MAX_IMPORT_LINE:
                raise _line_too_long(line)
            return self._lines.decode(line, convert(self._lines.cells(self._named(record)), self._lines.shape))
        except Fault as fault:
            return self._lines.fail(line, as_value(_spanning(fault, line, self._line)))

    def _named(self, record: bytes) -> dict[str, str]:
        cells, columns = _cells(record), self._columns or []
        if len(cells) != len(columns):
            raise invalid("invalid_csv", f"Expected {len(columns)} cells, found {len(cells)}.")
        for number in self._unnamed:
            if cells[number]:
                raise invalid("invalid_csv", f"Cell {number + 1} is not empty, but its column has no name.")
        named = dict(zip(columns, cells, strict=True))
        named.pop("", None)
        return named


def _spanning(fault: Fault, begins: int, ends: int) -> Fault:
    """The fault, saying how far its row goes: an unclosed quote swallows what was meant as further rows."""
    if begins == ends:
        return fault
    reach = f"The row continues to line {ends}, because one of its cells begins with a quote."
    return Fault(fault.kind, fault.code, f"{fault.message} {reach}", fault.field, details=fault.details)


def _ends_open(data: bytes, position: int, end: int, is_open: bool) -> bool:
    """Whether a line of CSV ends in a quoted cell, given whether it began in one.

    A quote opens a cell only where the cell begins: one within it, as for inches, must not swallow the next rows.
    """
    if not is_open and data.startswith(b'"', position, end):
        position, is_open = position + 1, True
    while True:
        position = data.find(b'"' if is_open else b',"', position, end)
        if position < 0:
            return is_open
        if not is_open:
            position, is_open = position + 2, True
        elif data.startswith(b'""', position, end):
            position += 2
        else:
            position, is_open = position + 1, False


def _cells(record: bytes) -> list[str]:
    try:
        text = record.decode().rstrip("\r")
    except UnicodeDecodeError:
        raise invalid("invalid_csv", "The row is not UTF-8 text.") from None
    if documents.CONTROL.search(text):
        raise invalid("invalid_csv", "The row has a control character other than tab and line ends.")
    # With an odd number of quotes, one was never closed, or stands undoubled inside a cell.
    if text.count('"') % 2 == 0:
        with contextlib.suppress(csv.Error, StopIteration):
            return next(csv.reader([text], strict=True))
    raise invalid("invalid_csv", _NO_RECORD)


_NO_RECORD = (
    'The row is not as RFC 4180 has it: a cell with a quote must be written like "5"" pipe", and lines must end in LF '
    "or CRLF."
)


def _line_too_long(line: int) -> Fault:
    return Fault(Kind.TOO_LARGE, "line_too_long", f"Line {line} is longer than {limits.MAX_IMPORT_LINE} bytes.")
