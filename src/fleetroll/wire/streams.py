"""Replies that are sent in parts: rows as NDJSON or CSV, server-sent events, plain bytes. Memory stays constant."""

import asyncio
import contextlib
import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec

from fleetroll.core import limits
from fleetroll.core.faults import Fault, invalid
from fleetroll.wire.bodies import ClientGone, Receive
from fleetroll.wire.dialect import Route, Stream
from fleetroll.wire.request import Request
from fleetroll.wire.spool import Spool

_NDJSON, _CSV = "application/x-ndjson", "text/csv; charset=utf-8"
_OF_PROXIES = frozenset({b"via", b"forwarded", b"x-forwarded-for"})
_LOOK_SECONDS = 1.0
_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines


def content_type(route: Route, request: Request, headers: Mapping[bytes, bytes]) -> str:
    if route.stream is Stream.EVENTS:
        return "text/event-stream"
    if route.stream is Stream.BYTES:
        return "application/octet-stream"
    return _CSV if _wants_csv(route, request, headers) else _NDJSON


def headers(route: Route, items: Any) -> list[tuple[bytes, bytes]]:
    """The length of a reply of bytes; with events, a field that keeps nginx from buffering them."""
    if route.stream is Stream.BYTES:
        return [(b"content-length", b"%d" % items.size)]
    return [(b"x-accel-buffering", b"no")] if route.stream is Stream.EVENTS else []


def writer(route: Route, request: Request, headers: Mapping[bytes, bytes], items: Any) -> AsyncGenerator[bytes, None]:
    """The parts of the reply's body.

    `items` gives lists of results, each of which the route's `encode` makes a shape of; for bytes, it gives `chunks`.
    """
    if route.stream is Stream.BYTES:
        chunks: AsyncGenerator[bytes, None] = items.chunks()
        return chunks
    if route.stream is Stream.EVENTS:
        return _events(route, request, items)
    if _wants_csv(route, request, headers):
        return _csv_rows(route, request, items)
    return _rows(route, request, items)


def _wants_csv(route: Route, request: Request, headers: Mapping[bytes, bytes]) -> bool:
    if route.cells is None:
        return False
    wanted = request.query.get("format")
    if wanted not in {None, "csv", "ndjson"}:
        raise invalid("invalid_parameter", "format must be csv or ndjson.", "format")
    return wanted == "csv" or (wanted is None and headers.get(b"accept", b"").startswith(b"text/csv"))


async def _rows(route: Route, request: Request, items: AsyncIterator[list[Any]]) -> AsyncGenerator[bytes, None]:
    encode = route.encode
    async for batch in items:
        yield _encode_lines([encode(item, request) for item in batch])


async def until_gone(parts: AsyncGenerator[bytes, None], client_ended: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """The parts. While none come, a client that has closed its sending side is sent an empty line now and then.

    One that has left looks the same until something is sent to it. Where a part takes long, as one that waits for its
    turn at the store, empty ones come before it, so that whoever sends them can look for the client.
    """
    clock = asyncio.get_running_loop().time
    spoken = clock()
    async with contextlib.aclosing(_punctual(parts)) as punctual:
        async for part in punctual:
            is_silent = not part and client_ended.is_set() and clock() - spoken >= limits.EVENT_HEARTBEAT
            if part or is_silent:
                spoken = clock()
            yield b"\n" if is_silent else part


async def _punctual(parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The parts, and an empty one in each second of waiting for one, except for the first, which decides the status."""
    making: asyncio.Future[bytes | None] | None = None
    patience = None
    try:
        while True:
            making = making or asyncio.ensure_future(_following(parts))
            await asyncio.wait((making,), timeout=patience)
            part: bytes | None = b""
            if making.done():
                part, making = making.result(), None
            if part is None:
                return
            patience = _LOOK_SECONDS
            yield part
    finally:
        if making is not None:
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)  # there is nobody left to be told what goes wrong
        await parts.aclose()


async def _following(parts: AsyncGenerator[bytes, None]) -> bytes | None:
    """The next part; None where there are no more."""
    return await anext(parts, None)


async def _csv_rows(route: Route, request: Request, items: AsyncIterator[list[Any]]) -> AsyncGenerator[bytes, None]:
    assert route.cells is not None
    yield _csv_text([list(route.columns)])
    async for batch in items:
        yield _csv_text([route.cells(route.encode(item, request)) for item in batch])


def _csv_text(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


async def _events(route: Route, request: Request, items: AsyncIterator[list[Any]]) -> AsyncGenerator[bytes, None]:
    """Events with their numbers, so that a client that comes back can say where it was. Comments keep the line open.

    The first comment comes with the first batch: a client that has read it misses nothing from then on.
    """
    yield b": following\n\n" + _events_of(await anext(items), route, request)
    clock = asyncio.get_running_loop().time
    spoken = clock()
    async for batch in items:
        part = _events_of(batch, route, request)
        if not part and clock() - spoken >= limits.EVENT_HEARTBEAT:
            part = b": still here\n\n"
        if part:
            spoken = clock()
        yield part


def _events_of(batch: list[Any], route: Route, request: Request) -> bytes:
    return b"".join(_event(route.encode(item, request)) for item in batch)


def _event(shape: Any) -> bytes:
    """One without a number leaves the client's position as it is."""
    number = b"id: %d\n" % shape.id if shape.id else b""
    return b"%bevent: %b\ndata: %b\n\n" % (number, shape.type.encode(), _encode(shape))


async def leave_out(parts: AsyncGenerator[bytes, None], send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """End the reply to a HEAD request, whose body nobody would read."""
    await parts.aclose()
    await send({"type": "http.response.body", "body": b""})


def is_forwarded(scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> bool:
    """Whether a proxy is on the way, which may forward no more of a request once the reply to it begins.

    nginx does so. By default it speaks HTTP/1.0, which no other client does any more.
    """
    return scope.get("http_version") == "1.0" or not _OF_PROXIES.isdisjoint(headers)


async def copy(
    parts: AsyncGenerator[bytes, None],
    receive: Receive,
    send: Callable[[dict[str, Any]], Awaitable[None]],
    *,
    duplex: bool,
) -> None:
    """Send a body whose head is sent. `duplex`: the request is still arriving, and must not wait for the reply.

    Raises ClientGone.
    """
    gone = None if duplex else asyncio.ensure_future(_disconnected(receive))
    try:
        async for part in parts:
            if gone is not None and gone.done():
                raise ClientGone
            if part:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        if gone is not None:
            gone.cancel()
        await parts.aclose()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def prefixed(first: bytes, parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """`first` and all other parts. A Fault cannot change the status any more; it becomes the last line."""
    try:
        yield first
        async for part in parts:
            yield part
    except Fault as fault:
        yield _last_line(fault)
    finally:
        await parts.aclose()


async def spooled(first: bytes, parts: AsyncGenerator[bytes, None], *, is_whole: bool) -> AsyncGenerator[bytes, None]:
    """As `prefixed`, but the request does not wait until the client reads the reply.

    The first part is empty, and comes when the reply may begin: at once, or, with `is_whole`, once all other parts are
    made or the disk has no room for more.
    """
    spool = Spool()
    producer = asyncio.ensure_future(_fill(spool, first, parts))
    try:
        if is_whole:
            await spool.settled()
        yield b""
        async for part in spool.drain():
            yield part
        await producer
    finally:
        producer.cancel()
        await asyncio.wait([producer])
        await parts.aclose()


async def _fill(spool: Spool, first: bytes, parts: AsyncGenerator[bytes, None]) -> None:
    try:
        async for part in prefixed(first, parts):
            await spool.put(part)
    finally:
        spool.finish()


def _last_line(fault: Fault) -> bytes:
    return _encode({"error": {"code": fault.code, "message": fault.message}}) + b"\n"
