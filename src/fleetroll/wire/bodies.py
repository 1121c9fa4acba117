"""Request bodies: counted while they arrive, checked before they are decoded, decoded strictly.

One written rule for a member that is given twice in one JSON object: the last one wins, everywhere.
"""

import asyncio
import csv
import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import inspect

from fleetroll.core import documents, limits
from fleetroll.core.faults import Fault, Kind, as_value, brief, invalid
from fleetroll.wire.dialect import Lines

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
FORM = "application/x-www-form-urlencoded"

_decode_any = msgspec.json.Decoder().decode
_CONTROL = re.compile(rb"\\[bf]|\\u00(?:0[0-8bcef]|1[0-9a-f]|7f|[89][0-9a-f])|\x7f|\xc2[\x80-\x9f]", re.IGNORECASE)


class Gone(Exception):
    """The client closed the connection before its request was complete; there is nobody to answer."""


async def read(receive: Receive, limit: int, hold: Callable[[int], None] = lambda _: None) -> bytes:
    """The whole body. Raises Fault too_large once it has more than `limit` bytes, and Gone.

    `hold` hears of each part that has to wait for others, and may refuse to.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise too_large(limit)
        return body
    parts, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        hold(len(part))
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def too_large(limit: int) -> Fault:
    return Fault(Kind.TOO_LARGE, "body_too_large", f"The body is larger than {limit} bytes.")


def check_media_type(header: bytes | None, accepted: tuple[str, ...], encoding: bytes | None) -> str:
    """The media type of the body. Raises Fault invalid `unsupported_media_type`; nothing is ever decompressed."""
    if encoding is not None and encoding.strip().lower() not in {b"", b"identity"}:
        raise _unsupported("Content-Encoding is not supported; send the body as it is.", "Content-Encoding")
    media_type, _, parameters = (header or b"").decode("latin-1").partition(";")
    media_type = media_type.strip().lower()
    if not accepted:
        return media_type
    if media_type not in accepted:
        raise _unsupported(f"Content-Type must be {' or '.join(accepted)}.")
    if parameters and not all(map(_is_harmless, parameters.split(";"))):
        raise _unsupported("The only charset is utf-8.")
    return media_type


def _is_harmless(parameter: str) -> bool:
    name, _, value = parameter.strip().lower().partition("=")
    return name.strip() != "charset" or value.strip().strip('"') in {"utf-8", "utf8"}


def _unsupported(message: str, field: str = "Content-Type") -> Fault:
    return invalid("unsupported_media_type", message, field)


def decode(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    """A JSON body in the decoder's shape. Raises Fault invalid `invalid_json`, `invalid_text` or `invalid_body`."""
    sound(body)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as problem:
        raise _misshapen(str(problem), decoder.type) from None


def sound(body: bytes) -> Any:
    """The value that the JSON is. Raises Fault invalid for what is no JSON of ours, whatever its shape.

    A decoder with a shape skips the members that the shape does not name: in them it would pass bad UTF-8 and numbers
    without end. So one without a shape goes first, and the verdict on a text is the same on every route.
    """
    if documents.depth_exceeds(body, limits.MAX_JSON_DEPTH):
        raise invalid("invalid_json", f"The JSON is nested deeper than {limits.MAX_JSON_DEPTH} levels.")
    if documents.has_negative_zero(body):
        raise invalid("invalid_json", "The JSON has the integer -0, which cannot be kept exactly.")
    try:
        value = _decode_any(body)
    except (msgspec.DecodeError, ValueError) as problem:
        raise invalid("invalid_json", "Invalid JSON payload", reason=_reason(problem, body)) from None
    if _has_control(body):
        raise invalid("invalid_text", "The JSON has a control character other than tab and line ends in a text.")
    return value


def _reason(problem: Exception, body: bytes) -> str:
    """What keeps a body from being JSON, and where, as msgspec says it."""
    if isinstance(problem, UnicodeDecodeError):
        return "a text that is not UTF-8"
    words = str(problem).removeprefix("JSON is malformed: ") if body.strip() else "an empty body"
    return _PLACE.sub("", words).replace("Input data was truncated", "it ends too early")


def _has_control(body: bytes) -> bool:
    """Whether a text in valid JSON holds a control character; those below U+0020 can only be there by escape."""
    if documents.BACKSLASH not in body and body.isascii() and documents.DELETE not in body:
        return False
    return _CONTROL.search(body.replace(b"\\\\", b"")) is not None


# Places and types as msgspec names them, from the end of the message: a member's name may look like either.
_PLACE = re.compile(r" - at `(?:key in )?\$(?P<place>[^`]*)`\Z")
_TYPE = re.compile(r"`(?:(?:str|int|float|bool|datetime|object|array|null)(?: \| )?)+`")
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "datetime": "time"}
_STEP = re.compile(r"[^.\[]+|\[[^\]]*\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)


_UNKNOWN_WORD = "Invalid enum value"


def _misshapen(problem: str, shape: Any) -> Fault:
    """msgspec's messages, as in: Expected `str`, got `int` - at `$.name`; here in the words of JSON, and brief."""
    place = _PLACE.search(problem)
    message = problem[: place.start()] if place else problem
    field = (place["place"].lstrip(".") or None) if place else None
    if unknown := _UNKNOWN.match(message):
        message = f"There is no member {brief(unknown[1])}"
    elif missing := _MISSING.match(message):
        field = f"{field}.{missing[1]}" if field else missing[1]
        message = "Missing required member"
    elif message.startswith(_UNKNOWN_WORD):
        message = f"It must be one of {', '.join(_words(shape, field or ''))}."
    else:
        message = _TYPE.sub(_plain_types, message).replace("`", "")
    return invalid("invalid_body", f"{field}: {message}" if field else message, field)


def _words(shape: Any, place: str) -> list[str]:
    """The words that a shape takes at a place, as in `datastreams[0].type`."""
    kinds = _each(inspect.type_info(shape))
    for step in _STEP.findall(place):
        kinds = [below for kind in kinds for found in _below(kind, step) for below in _each(found)]
    return [str(member.value) for kind in kinds if isinstance(kind, inspect.EnumType) for member in kind.cls]


def _each(kind: inspect.Type) -> Sequence[inspect.Type]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _below(kind: inspect.Type, step: str) -> Iterator[inspect.Type]:
    """The types of what is a step into a value of this one: of a member of an object, or of the items of a list."""
    if step.startswith("["):
        yield from (getattr(kind, name) for name in ("item_type", "value_type") if hasattr(kind, name))
    yield from (member.type for member in getattr(kind, "fields", ()) if member.encode_name == step)


def _plain_types(found: "re.Match[str]") -> str:
    return " or ".join(_TYPES.get(name, name) for name in found.group().strip("`").split(" | "))


# --- rows ------------------------------------------------------------------------------------------------------------

_ROWS_AT_A_TIME = 32
_MARK = b"\xef\xbb\xbf"  # by which some programs say that a file of theirs is in UTF-8


async def rows(
    receive: Receive, lines: Lines, media_type: str, hold: Callable[[int], None]
) -> AsyncIterator[list[Any]]:
    """The rows of a streamed body, decoded, some at a time: others have their turn on the event loop in between.

    Where the body pauses, an empty list is given: who sends it may be waiting for what becomes of the rows so far.
    `hold` hears how much there is of a row whose end is still to come, and may refuse it.
    """
    reader = _Csv(lines) if media_type == "text/csv" else _Ndjson(lines)
    while True:
        hold(len(reader.rest))
        coming = asyncio.ensure_future(receive())
        try:
            await asyncio.sleep(0)  # in which what is there has come
            if not coming.done():
                await asyncio.wait([coming], timeout=limits.IMPORT_PAUSE)
            if not coming.done():
                yield []
            message = await coming
        finally:
            coming.cancel()
        if message["type"] == "http.disconnect":
            raise Gone
        more = message.get("more_body", False)
        found = reader.feed(message.get("body", b""), last=not more)
        del coming, message  # or the body's last part would be kept beside what is left of it
        while some := list(itertools.islice(found, _ROWS_AT_A_TIME)):
            yield some
            await asyncio.sleep(0)
        if not more:
            return


class _Ndjson:
    """Splits bytes at line ends; blank lines count as lines but are no rows."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._decoder = msgspec.json.Decoder(lines.shape)
        self.rest = b""
        self._line = 0

    def feed(self, data: bytes, *, last: bool) -> Iterator[Any]:
        *complete, self.rest = (self.rest + data).split(b"\n")
        if last:
            complete.append(self.rest)
            self.rest = b""
        # Of a line that is too long, enough is kept to know that it is; the rest of the file is none the worse.
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

    Blank lines count as lines but are no rows; a row is known by the line on which it begins.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.rest = b""
        self._looked_at = 0  # bytes of the rest
        self._is_open = False
        self._line = 0
        self._columns: list[str] | None = None

    def feed(self, data: bytes, *, last: bool) -> Iterator[Any]:
        data = self.rest + data
        for record in self._records(data.removesuffix(b"\n") if last else data, last):
            begins = self._line + 1
            self._line += 1 + record.count(b"\n")
            if not record.strip():
                continue
            if self._columns is None:
                self._columns = self._header(record)
            else:
                yield self._row(begins, record)

    def _records(self, data: bytes, last: bool) -> list[bytes]:
        """Complete records. A record is complete at a line end that is in no quoted cell."""
        found, start, begins = [], 0, self._looked_at
        end = data.find(b"\n", begins)
        while end >= 0:
            self._is_open = _ends_open(data, begins, end, self._is_open)
            begins = end + 1
            if not self._is_open:
                found.append(data[start:end])
                start = begins
            end = data.find(b"\n", begins)
        self.rest, self._looked_at = data[start:], begins - start
        if last and self.rest:
            found.append(self.rest)
            self.rest = b""
        if len(self.rest) > limits.MAX_IMPORT_LINE:
            begins = self._line + sum(record.count(b"\n") + 1 for record in found) + 1
            raise _spanning(_line_too_long(begins), begins, begins + self.rest.count(b"\n"))
        return found

    def _header(self, record: bytes) -> list[str]:
        columns = _cells(record.removeprefix(_MARK))
        if len(set(columns)) != len(columns):
            raise invalid("invalid_csv", "The CSV header names a column twice.")
        self._lines.header(columns)
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
        return dict(zip(columns, cells, strict=True))


def _spanning(fault: Fault, begins: int, ends: int) -> Fault:
    """Says how far a row goes: a quote that nobody has closed takes along what was meant as other rows."""
    if begins == ends:
        return fault
    reach = f"The row goes on to line {ends}, as a quote opens a cell in it."
    return Fault(fault.kind, fault.code, f"{fault.message} {reach}", fault.field, details=fault.details)


def _ends_open(data: bytes, place: int, end: int, is_open: bool) -> bool:
    """Whether a line of CSV ends in a quoted cell, given whether it began in one.

    A quote opens a cell only where the cell begins: one within it, as of inches, must not take the next rows along.
    """
    if not is_open and data.startswith(b'"', place, end):
        place, is_open = place + 1, True
    while True:
        place = data.find(b'"' if is_open else b',"', place, end)
        if place < 0:
            return is_open
        if not is_open:
            place, is_open = place + 2, True
        elif data.startswith(b'""', place, end):
            place += 2
        else:
            place, is_open = place + 1, False


def _cells(record: bytes) -> list[str]:
    try:
        text = record.decode().rstrip("\r")
        # An odd quote was never closed, or stands inside a cell where it should be two.
        if not documents.CONTROL.search(text) and text.count('"') % 2 == 0:
            return next(csv.reader([text], strict=True))
    except (UnicodeDecodeError, csv.Error, StopIteration):
        pass
    raise invalid("invalid_csv", "This is not a CSV record in UTF-8 without control characters (RFC 4180).")


def convert(value: Any, shape: Any) -> Any:
    """A JSON-like value in a shape. Raises Fault invalid `invalid_body`."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as problem:
        raise _misshapen(str(problem), shape) from None


def _line_too_long(line: int) -> Fault:
    return Fault(Kind.TOO_LARGE, "line_too_long", f"Line {line} is longer than {limits.MAX_IMPORT_LINE} bytes.")
