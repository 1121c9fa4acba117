"""`fleetroll import`: the devices of a running server of another maker, read through its API and stored through ours.

A source yields pages of rows and stores them. After each page that is stored, the cursor of the next one is written to
a state file, so a run that was broken off goes on where it stopped; a page that is stored twice does no harm.
"""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import click
import msgspec
from msgspec import Struct, field

from fleetroll.cli import files, output
from fleetroll.cli.connection import Options, address
from fleetroll.cli.failures import Exit, Failure

if TYPE_CHECKING:
    import httpx

    from fleetroll.cli.client import Client

T = TypeVar("T")
_MAX_ATTEMPTS = 5
_TIMEOUT_SECONDS = 60.0
_LONGEST_WAIT = 60.0
_TRY_LATER = {429, 500, 502, 503, 504, 529}
_ABOUT_SOURCE = "This is the source; check its address, the --url after the vendor's name."


Cursor = int | str
"""Where a page of a source begins, by number or by a bookmark of the source's."""
Result = dict[str, Any]
"""A row's `ident` and `outcome`, with the `error` of one that failed."""


class Page(Struct):
    """Some devices of a source. `following` is where the next page begins, None on the last one."""

    rows: list[dict[str, Any]]
    following: Cursor | None
    total: int


class _State(Struct):
    """What a state file says: the cursor of the next page."""

    source: str
    cursor: Cursor = field(name="place")  # the name that files of broken-off imports have


class Source(Protocol):
    """Another server. `name` tells its account from others, `first` is the cursor of the first page."""

    @property
    def name(self) -> str: ...

    @property
    def first(self) -> Cursor: ...

    def prepare(self, client: "Client") -> None:
        """Store what devices refer to, before the devices."""

    def page(self, cursor: Cursor) -> Page: ...

    def store(self, client: "Client", rows: list[dict[str, Any]], *, dry_run: bool) -> Iterator[Result]:
        """Store the rows of a page, or find out what that would do."""


def _address(_context: click.Context, _option: click.Parameter, url: str) -> str:
    return address(url)


def _token(_context: click.Context, _option: click.Parameter, token: str) -> str:
    token = token.strip()
    if not token:
        raise click.UsageError("--token is empty: is a variable unset?")
    if not (token.isascii() and token.isprintable()):
        raise click.UsageError("--token contains a line break or a non-ASCII character.")
    return token


def source_option(text: str) -> Callable[[Any], Any]:
    return click.option("--url", "source", required=True, callback=_address, help=text)


def token_option(variable: str, text: str) -> Callable[[Any], Any]:
    return click.option("--token", required=True, envvar=variable, show_envvar=True, callback=_token, help=text)


state_option = click.option("--state", type=files.NAMED, help="File that records the progress.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Report what would happen and change nothing.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print a result line for every device.")


class Clients(NamedTuple):
    """Of our own server, and of the source."""

    ours: "Client"
    source: "httpx.Client"


@contextlib.contextmanager
def clients(context: click.Context, url: str, **options: Any) -> Iterator[Clients]:
    """Clients of our own server and of the source at `url`, the latter with these options of httpx."""
    from fleetroll.cli import client  # noqa: PLC0415  # it takes a third of the time of `fleetroll --help`

    ours = context.obj if isinstance(context.obj, Options) else Options()
    with (
        client.connect(ours) as connected,
        client.reaching(url, _ABOUT_SOURCE),
        client.asking(url, timeout=_TIMEOUT_SECONDS, **options) as http,
    ):
        yield Clients(connected, http)


def run(client: "Client", source: Source, state: Path, *, dry_run: bool, as_json: bool) -> None:
    """Store all devices of a source, print a summary or the result of each, and raise Failure if rows failed."""
    first = _first_cursor(state, source)
    if first != source.first:
        output.note(f"Continuing where the last run stopped, as recorded in {state}.")
    counts: Counter[str] = Counter()
    failures: list[str] = []
    source.prepare(client)
    for page in _pages(source, first):
        for result in source.store(client, page.rows, dry_run=dry_run):
            counts[result["outcome"]] += 1
            if result["outcome"] == "failed" and len(failures) < output.SHOWN_FAILURES:
                failures.append(f"{result.get('ident')}: {result['error']['message']}")
            if as_json:
                output.raw(msgspec.json.encode(result))
        if page.following is not None and not dry_run:
            with files.replacing(state) as stream:
                stream.write(msgspec.json.encode(_State(source.name, page.following)))
    if not dry_run:
        state.unlink(missing_ok=True)
    if not as_json:
        _report(counts, failures, dry_run=dry_run)
    if failed := counts["failed"]:
        message = f"{failed} of {counts.total()} devices failed."
        raise Failure(Exit.ROWS_FAILED, message, "" if dry_run else "The others are stored.")


def _pages(source: Source, first: Cursor) -> Iterator[Page]:
    page = source.page(first)
    with output.progress("Importing", page.total) as advance:
        while True:
            yield page
            advance(len(page.rows))
            if page.following is None:
                return
            page = source.page(page.following)


def _first_cursor(state: Path, source: Source) -> Cursor:
    """Where to begin: at the first page, or where a run for the same source was broken off."""
    if not state.exists():
        return source.first
    try:
        progress = msgspec.json.decode(state.read_bytes(), type=_State)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Failure(Exit.FILE, f"{state} is not the state file of an import.", "Remove it to start over.") from None
    if progress.source == source.name:
        return progress.cursor
    raise Failure(Exit.FILE, f"{state} belongs to an import from {progress.source}.", "Name another one with --state.")


def store(
    client: "Client", rows: list[dict[str, Any]], *, dry_run: bool, create_only: bool = False
) -> Iterator[Result]:
    """Store rows as `/v1/devices:import` takes them. With `create_only` those of devices that exist fail."""
    content = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    headers = {"content-type": "application/x-ndjson"}
    params = {"dry_run": "true" if dry_run else None, "mode": "create" if create_only else None}
    reply = client.call("POST", "/v1/devices:import", params=params, content=content, headers=headers)
    for line in reply.content.splitlines():
        result = json.loads(line)
        if "outcome" not in result:
            raise Failure(Exit.REFUSED, f"The server broke off: {result['error']['message']}")
        row = rows[result.pop("line") - 1]  # a line of this page alone
        yield {**result, "ident": row.get("ident")}


def _report(counts: Mapping[str, int], failures: list[str], *, dry_run: bool) -> None:
    for failure in failures:
        output.note(failure)
    if (unshown := counts.get("failed", 0) - len(failures)) > 0:
        output.note(f"... and {unshown} more; --json prints the result of each")
    output.outcomes(counts, dry_run=dry_run)


def with_retries(request: Callable[[], "httpx.Response"]) -> "httpx.Response":
    """The reply of a source. While it is busy the request is repeated, after the seconds that it names or ever more."""
    for attempt in range(_MAX_ATTEMPTS):
        reply = request()
        if reply.status_code not in _TRY_LATER or attempt == _MAX_ATTEMPTS - 1:
            return reply
        after = reply.headers.get("retry-after", "")
        time.sleep(min(float(after) if after.isdigit() else 0.5 * 2**attempt, _LONGEST_WAIT))
    raise AssertionError("the last attempt returns")


def require(reply: "httpx.Response", path: str, advice: str, shape: type[T]) -> T:
    """A source's successful reply, in the shape that the API of its maker gives it. Raises Failure for any other."""
    if reply.status_code in {401, 403}:
        message = f"The source answers {reply.status_code} to {path}."
        raise Failure(Exit.UNAUTHORISED, message, advice)
    if not reply.is_success:
        code = Exit.NOT_FOUND if reply.status_code == 404 else Exit.REFUSED
        raise Failure(code, f"The source answers {reply.status_code} to {path}.", advice)
    try:
        return msgspec.json.decode(reply.content, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        message = f"The source's answer to {path} is not what such a server sends."
        raise Failure(Exit.REFUSED, message, advice) from None
