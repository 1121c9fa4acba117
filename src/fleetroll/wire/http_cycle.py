"""One request and its reply: uvicorn's ASGI cycle, which also measures its waiting and can send a reply in one write.

For a small reply, a second write costs as much as making it, so an application that has the whole reply may send it as
one message. This extension of ASGI is announced in the scope; other applications see no difference.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from fleetroll.wire.http_deadlines import Deadlines
from fleetroll.wire.http_refusals import BROKEN_APPLICATION, as_problem

# The type of a message that has a reply's start and its whole body in one, and never a `connection` header field.
WHOLE: Final = "http.response.whole"
EXTENSIONS: Final[dict[str, Any]] = {WHOLE: {}}


class Cycle(RequestResponseCycle):
    """One request and its reply. It measures how long the application has waited for bytes of the body.

    Time in which nobody asks for the body, because the application is busy or its reply is blocked, is not counted.
    """

    asked_at = 0.0  # 0.0 while the application is not waiting
    waited = 0.0
    received = 0
    continued_keep_alive = False
    ends_with_connection = False

    def receive(self) -> Coroutine[Any, Any, ASGIReceiveEvent]:
        if self.waiting_for_100_continue:
            self.keep_alive = self.continued_keep_alive
        if self.more_body and not self.message_event.is_set():
            return self._wait_for_body()
        return super().receive()

    async def _wait_for_body(self) -> ASGIReceiveEvent:
        loop = asyncio.get_running_loop()
        self.asked_at = loop.time()
        try:
            return await super().receive()
        finally:
            self.waited += loop.time() - self.asked_at
            self.asked_at = 0.0

    def is_starved(self, now: float, deadlines: Deadlines, margin: float) -> bool:
        if not self.asked_at or self.message_event.is_set():
            return False
        waiting = now - self.asked_at
        waited = self.waited + waiting
        too_slow = waited >= deadlines.body_grace and self.received < waited * deadlines.minimum_rate
        return too_slow or waiting >= deadlines.body_stall - margin

    def send(self, message: Any) -> Coroutine[Any, Any, None]:
        if message["type"] == WHOLE:
            return self._send_whole(message)
        if self.scope["http_version"] == "1.0":
            self._avoid_chunks(message)
        return super().send(message)

    def _avoid_chunks(self, message: Any) -> None:
        """HTTP/1.0 knows no chunks: they would pass for content. A reply without a length ends with the connection."""
        if message["type"] == "http.response.start":
            self.ends_with_connection = all(name != b"content-length" for name, _ in message["headers"])
            self.chunked_encoding = False if self.ends_with_connection else None
        elif self.ends_with_connection:
            self.expected_content_length = len(message["body"])

    async def _send_whole(self, message: dict[str, Any]) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_started:
            raise RuntimeError("a whole reply follows another one")
        head = self._head(message["status"], message["headers"])
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(head if self.scope["method"] == "HEAD" else head + message["body"])
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        lines = [STATUS_LINE[status]]
        for name, value in (*self.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        head = b"".join(lines)
        expected = len(self.default_headers) + len(headers) + 3 - self.keep_alive
        if head.count(b"\n") != expected or head.count(b"\r") != expected or 0 in head:
            raise RuntimeError("a header field of a reply would break out of its line")
        return head

    def close_after_reply(self) -> None:
        self.keep_alive = self.continued_keep_alive = False

    def disconnect(self) -> None:
        """Tell the application that nobody listens any more."""
        self.disconnected = True
        self.message_event.set()

    async def send_500_response(self) -> None:
        head, body = BROKEN_APPLICATION.whole(as_problem, b"")  # a broken application is not asked for words
        await self.send({"type": "http.response.start", "status": BROKEN_APPLICATION.status, "headers": head})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})


class ReplyPort:
    """What a reply sees of its connection: the transport, but closing is the connection's decision."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close
