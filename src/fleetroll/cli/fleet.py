"""`fleetroll device import` and `export`: whole fleets, streamed in both directions in constant memory."""

import contextlib
import math
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
import msgspec
from msgspec import Struct

from fleetroll.cli import files, output
from fleetroll.cli.connection import connected
from fleetroll.cli.devices import filter_option, search_option
from fleetroll.cli.failures import Exit, Failure

if TYPE_CHECKING:
    from fleetroll.cli.client import Client

_IMPORT, _EXPORT = "/v1/devices:import", "/v1/devices:export"
_MEDIA_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
_FORMATS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}
_CHUNK = 256 << 10
_UNDERWAY = 32  # chunks that the buffers between here and the server may hold
_BROKEN = b'{"error":'  # how no row begins

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(sorted(_MEDIA_TYPES)),
    help="Format of the rows; by default from the file name's extension.",
)


class _Trouble(Struct):
    code: str = ""
    message: str = ""


class _Result(Struct):
    """A result line. One without an outcome is the server's last word: it broke off."""

    outcome: str = ""
    line: int = 0
    ident: str | None = None
    error: _Trouble | None = None


_read_result = msgspec.json.Decoder(_Result).decode


def _format(option: str | None, file: str, otherwise: str | None) -> str:
    form = option or _FORMATS.get(Path(file).suffix.lower()) or otherwise
    if form is None:
        forms = " or ".join(f"--format {form}" for form in sorted({*_FORMATS.values()}))
        raise click.UsageError(f"The name {file!r} does not tell the format of the rows: give {forms}.")
    return form


def lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines without their ends. The last one comes even without an end."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from whole
    if rest:
        yield rest


# --- import ----------------------------------------------------------------------------------------------------------


@click.command("import", help="Store devices from FILE (- is standard input): CSV with a header line, or NDJSON.")
@click.argument("file", type=click.Path(allow_dash=True, exists=True, dir_okay=False))
@format_option
@click.option("--create-only", is_flag=True, help="Fail the rows of devices that exist, instead of updating them.")
@click.option("--dry-run", is_flag=True, help="Report what would happen and change nothing.")
@click.option("--errors", type=files.NAMED, help="File for the result lines of all failed rows.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's result line for every row.")
@connected
def load(
    client: "Client",
    file: str,
    form: str | None,
    create_only: bool,
    dry_run: bool,
    errors: Path | None,
    as_json: bool,
) -> None:
    media_type = _MEDIA_TYPES[_format(form, file, None)]
    if errors is not None and errors.exists() and file != files.STDIO and errors.samefile(file):
        raise click.UsageError("--errors names the file that is being imported.")
    params = {"mode": "create" if create_only else None, "dry_run": "true" if dry_run else None}
    headers = {"content-type": media_type}
    # A server that refuses an upload may hang up in the middle of it. What can be refused at once is asked at once.
    client.call("POST", _IMPORT, params={**params, "dry_run": "true"}, content=b"", headers=headers)
    tally = _Tally(as_json=as_json)
    try:
        with (
            files.replacing(errors) if errors else contextlib.nullcontext() as failed,
            _rows(file) as rows,
            client.stream("POST", _IMPORT, params=params, content=rows, headers=headers) as reply,
        ):
            tally.take(lines(reply.iter_bytes()), failed, rows.done)
    except (Failure, KeyboardInterrupt):
        if tally.rows:
            tally.report(dry_run=dry_run)
            if not dry_run:
                output.note("Rows that were sent after these may be stored as well.")
        raise
    tally.report(dry_run=dry_run)
    tally.raise_failure(dry_run=dry_run)


@contextlib.contextmanager
def _rows(file: str) -> Iterator["Upload"]:
    if file == files.STDIO:
        yield Upload(sys.stdin.buffer, lambda _: None)
        return
    total = Path(file).stat().st_size
    with Path(file).open("rb") as stream, output.progress("Importing", total, of_bytes=True) as advance:
        yield Upload(stream, advance)


class Upload:
    """The parts of a file of rows. It advances by those whose rows have results, or must have arrived.

    The network takes megabytes at once, so a bar of what was sent would stand at its end for most of an import. But a
    server behind a proxy sends no results before everything has arrived.
    """

    def __init__(self, stream: BinaryIO, advance: Callable[[int], None]) -> None:
        self._stream = stream
        self._advance = advance
        self._lines = 0
        self._sent: deque[tuple[int, int]] = deque()  # the last line and the bytes of each part without all its results

    def __iter__(self) -> Iterator[bytes]:
        read = getattr(self._stream, "read1", self._stream.read)  # what a pipe has is sent without waiting for more
        while part := read(_CHUNK):
            self._lines += part.count(b"\n")
            self._sent.append((self._lines, len(part)))
            if len(self._sent) > _UNDERWAY:
                self._advance(self._sent.popleft()[1])
            yield part

    def done(self, line: float) -> None:
        """Note that everything up to this line has its results."""
        while self._sent and self._sent[0][0] <= line:
            self._advance(self._sent.popleft()[1])


class _Tally:
    """Counts outcomes, and tells of the first failures as they come."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._counts: Counter[str] = Counter()
        self._broken: _Trouble | None = None

    @property
    def rows(self) -> int:
        return self._counts.total()

    def take(self, results: Iterable[bytes], failed: BinaryIO | None, done: Callable[[float], None]) -> None:
        """Count the results, and tell `done` up to which line there are any."""
        for line in results:
            result = _read_result(line)
            if result.outcome:
                self._take(result, line, failed)
                done(result.line)
            else:
                self._broken = result.error
        if self._broken is None:
            done(math.inf)  # blank lines have no results

    def _take(self, result: _Result, line: bytes, failed: BinaryIO | None) -> None:
        self._counts[result.outcome] += 1
        if self._as_json:
            output.raw(line)
        if result.outcome == "failed":
            self._fail(result, line, failed)

    def _fail(self, result: _Result, line: bytes, failed: BinaryIO | None) -> None:
        if not self._as_json and self._counts["failed"] <= output.SHOWN_FAILURES:
            name = f" ({result.ident})" if result.ident else ""
            output.note(f"line {result.line}{name}: {result.error.message if result.error else 'failed'}")
        if failed is not None:
            failed.write(line + b"\n")

    def report(self, *, dry_run: bool) -> None:
        if self._as_json:
            return
        if (unshown := self._counts["failed"] - output.SHOWN_FAILURES) > 0:
            output.note(f"... and {unshown} more; --errors FILE keeps all of them")
        output.outcomes(self._counts, dry_run=dry_run)

    def raise_failure(self, *, dry_run: bool) -> None:
        """Raise Failure if anything went wrong."""
        rows, failed = self.rows, self._counts["failed"]
        if self._broken is not None:
            message = f"The server broke off after {rows} rows: {self._broken.message}"
            advice = "All of these but the failed ones are stored; importing the whole file again does no harm."
            raise Failure(Exit.REFUSED, message, "" if dry_run else advice)
        if failed:
            advice = "Correct them and import again; stored rows stay as they are."
            raise Failure(Exit.ROWS_FAILED, f"{failed} of {rows} rows failed.", advice)


# --- export ----------------------------------------------------------------------------------------------------------


@click.command("export", help="Write devices to FILE, or to standard output; importing them again changes nothing.")
@click.argument("file", default=files.STDIO, type=click.Path(allow_dash=True, dir_okay=False))
@format_option
@filter_option
@search_option
@connected
def export(client: "Client", file: str, form: str | None, filter: str | None, q: str | None) -> None:
    filters = {"filter": filter, "q": q}
    params = {**filters, "format": _format(form, file, "ndjson" if file == files.STDIO else None)}
    with client.stream("GET", _EXPORT, params=params) as reply:
        if file == files.STDIO:
            stream = sys.stdout.buffer
            _copy(reply.iter_bytes(), stream, lambda _: None)
            stream.flush()
            return
        total = _count(client, filters) if output.is_watched() else None
        with files.replacing(Path(file)) as stream, output.progress("Exporting", total) as advance:
            count = _copy(reply.iter_bytes(), stream, advance)
    header = 1 if params["format"] == "csv" else 0
    output.note(f"Exported {count - header} devices to {file}.")


def _count(client: "Client", filters: dict[str, str | None]) -> int:
    total: int = client.call("GET", "/v1/devices", params={**filters, "limit": 1, "count": "true"}).json()["total"]
    return total


def _copy(parts: Iterable[bytes], stream: BinaryIO, advance: Callable[[int], None]) -> int:
    """Copy rows and count them. A server that breaks off says so in the last line, which therefore is held back."""
    count, unwritten = 0, b""
    for part in parts:
        data = unwritten + part
        cut = data.rfind(b"\n", 0, -1) + 1
        stream.write(data[:cut])
        unwritten = data[cut:]
        rows = data.count(b"\n", 0, cut)
        count += rows
        advance(rows)
    if unwritten.startswith(_BROKEN):
        result = _read_result(unwritten)
        message = result.error.message if result.error else "it did not say why."
        raise Failure(Exit.REFUSED, f"The server broke off after {count} rows: {message}")
    stream.write(unwritten)
    return count + bool(unwritten)


COMMANDS = {"import": load, "export": export}
