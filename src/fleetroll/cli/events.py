"""`fleetroll event`: following what happens, across restarts of the server and losses of the network."""

import contextlib
import itertools
import time
from collections.abc import Generator, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import click
import msgspec
from msgspec import Raw, Struct

from fleetroll.cli import output, times
from fleetroll.cli.connection import connected
from fleetroll.cli.failures import Exit, Failure
from fleetroll.cli.fleet import lines

if TYPE_CHECKING:
    from fleetroll.cli.client import Client

_EVENTS = "/v1/events"
_SILENCE_SECONDS = 40.0  # the server says something every 15 seconds
_READING = "device.telemetry"
_AGAIN = "Reconnected."
_AGAIN_WITH_A_GAP = "Reconnected; what happened meanwhile is not shown, as no event had been seen before."
_ANEW = "The server no longer knows the last event, as after restoring a backup; newer events follow."
_UNKNOWN = "unknown_event"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_PASSING = (Exit.UNREACHABLE, Exit.REFUSED)  # what was accepted once is refused only for a while


class _Event(Struct):
    at: str
    type: str
    name: str
    actor: str
    data: Raw = Raw()


class _Reading(Struct):
    metric: str
    value: Raw


class Message(Struct):
    """One server-sent event."""

    id: str
    data: bytes


class _Start(NamedTuple):
    """The number of the event to begin after, None for now, and the filter of the events that follow."""

    after: str | None
    filter: str | None


_NOTHING = Message("", b"")


@click.group("event", help="What happens to devices, keys, groups and organizations.")
def group() -> None:
    pass


@group.command("tail", help="Print every change as it happens, until Ctrl-C.")
@click.option("--filter", help="""For example: type = "device.*" AND name = "pump-*".""")
@click.option(
    "--since", metavar="WHEN", help="Start in the past: after event number N (0: all), 10m ago, or at a time."
)
@click.option("--telemetry", is_flag=True, help="Print readings as well, as they are stored.")
@click.option("--count", type=click.IntRange(1), help="End after this many events.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's JSON, one event per line.")
@connected
def tail(
    client: "Client", filter: str | None, since: str | None, telemetry: bool, count: int | None, as_json: bool
) -> None:
    start = _start(since, filter)
    params = {"filter": start.filter, "after": start.after, "telemetry": "true" if telemetry else None}
    with contextlib.closing(_follow(client, params)) as followed:
        for message in itertools.islice(followed, count):
            _show(message, as_json=as_json)


def _start(since: str | None, filter: str | None) -> _Start:
    """Where `--since` begins; a time becomes a condition of the filter. Raises click.UsageError."""
    if since is None or (since.isascii() and since.isdigit()):
        return _Start(since, filter)
    span = times.span(since)
    moment = times.instant(since) if span is None else times.written(datetime.now(UTC) - span)
    if moment is None:
        raise click.UsageError(f"--since must be an event number, or like 10m or 2026-01-01T00:00:00Z, not {since!r}.")
    return _Start("0", _narrowed(filter, f'at >= "{moment}"'))


def _narrowed(filter: str | None, condition: str) -> str:
    return f"({filter}) AND {condition}" if filter and filter.strip() else condition


def _show(message: Message, *, as_json: bool) -> None:
    if as_json:
        output.raw(message.data)
        return
    event = msgspec.json.decode(message.data, type=_Event)
    detail = _reading(event) if event.type == _READING else f"by {event.actor}"
    cells = (event.at[:19] + "Z", event.type.ljust(24), event.name, detail)
    click.echo("  ".join(output.plain(cell) for cell in cells))


def _reading(event: _Event) -> str:
    reading = msgspec.json.decode(event.data, type=_Reading)
    return f"{reading.metric} = {bytes(reading.value).decode()}"


def _follow(client: "Client", params: dict[str, str | None]) -> Generator[Message, None, None]:
    """Events without end. A lost connection is made again, after the last event seen; the first one has to work."""
    was_connected, last, pause = False, _NOTHING, 0.0
    while True:
        try:
            with _connection(client, params, last.id) as messages:
                if pause:
                    output.note(_AGAIN if last.id or params["after"] else _AGAIN_WITH_A_GAP)
                was_connected, pause = True, 0.0
                for message in messages:
                    last = Message(message.id or last.id, message.data)  # a reading has no number
                    yield message
        except Failure as failure:
            if not was_connected or failure.code not in _PASSING:
                raise
            if failure.reason == _UNKNOWN:
                output.note(_ANEW)
                params, last = _anew(params, last), _NOTHING
        if not pause:
            output.note("The connection was lost; reconnecting.")
        pause = min(pause * 2, _LONGEST_PAUSE) or _FIRST_PAUSE
        time.sleep(pause)


def _anew(params: dict[str, str | None], last: Message) -> dict[str, str | None]:
    """How to go on where numbers have begun anew: by the time of the last event, or from now on if there was none."""
    if not last.data:
        return {**params, "after": None}
    moment = msgspec.json.decode(last.data, type=_Event).at
    return {**params, "after": "0", "filter": _narrowed(params["filter"], f'at > "{moment}"')}


@contextlib.contextmanager
def _connection(client: "Client", params: dict[str, str | None], seen: str) -> Iterator[Iterator[Message]]:
    headers = {"accept": "text/event-stream"} | ({"last-event-id": seen} if seen else {})
    query = {**params, "after": None if seen else params["after"]}
    with client.stream("GET", _EVENTS, params=query, headers=headers, silence=_SILENCE_SECONDS) as reply:
        yield messages(_while_read(reply.iter_bytes()))


def _while_read(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Pass parts on, and notice soon that nobody reads any more: the server says something every few seconds."""
    for part in parts:
        output.require_reader()
        yield part


def messages(parts: Iterable[bytes]) -> Iterator[Message]:
    """The complete events of a stream. One that is cut off is none: it comes again after a reconnection."""
    number, data = "", b""
    for line in lines(parts):
        name, _, value = line.rstrip(b"\r").partition(b":")
        if name == b"id":
            number = value.strip().decode("ascii", "replace")
        elif name == b"data":
            data += value.removeprefix(b" ")
        elif not line.strip() and data:
            yield Message(number, data)
            data = b""
