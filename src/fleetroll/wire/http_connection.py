"""One client's connection: uvicorn's parser and ASGI cycle, behind bounds and deadlines of our own.

It decides what is one well-formed request, how large a head may be, and how long a client may take over a line, a body
or a reply. No request arms a timer of its own: the connection keeps a few timestamps, and the server's sweeper reads
them.
"""

import array
import asyncio
import fcntl
import logging
import re
import socket
import struct
import termios
import urllib.parse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final, cast

import httptools
import uvicorn
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from fleetroll.core import limits
from fleetroll.wire.http_cycle import EXTENSIONS, Cycle, ReplyPort
from fleetroll.wire.http_deadlines import Deadlines
from fleetroll.wire.http_refusals import (
    CHUNKED_TOO_EARLY,
    HEAD_TOO_LARGE,
    METHOD_OVERRIDE,
    NO_HOST,
    NOISE,
    OLD_PROTOCOL,
    TARGET_FORM,
    TARGET_TOO_LONG,
    TOO_MANY,
    TOO_MANY_HEADERS,
    TOO_SLOW,
    TWO_HOSTS,
    UNKNOWN_CODING,
    UNKNOWN_VERSION,
    Refusal,
    Refusals,
)
from fleetroll.wire.reply_room import ReplyRoom

logger = logging.getLogger("fleetroll.http")
_FRAGMENT: Final = ord("#")
# An authority that names a user is refused: it is likely to be there to mislead somebody (RFC 9110, 4.2.4).
_ABSOLUTE: Final = re.compile(rb"https?://(?P<authority>[A-Za-z0-9._\[\]:-]+)(?P<rest>(?:[/?].*)?)", re.I | re.S)

# A read may bring 256 KiB. Parsed in slices, a huge head is refused before it is held as a whole, and of thousands of
# pipelined requests only those of one slice become objects that wait for their turn.
SLICE: Final = 8 << 10
# What the parser may take before it reports a whole head or a piece of a body, with room for the request line.
MAX_UNREPORTED: Final = limits.MAX_TARGET + limits.MAX_HEADER_BLOCK + 256

# Where the parser stands in the bytes of one connection; the last two discard whatever still arrives.
BETWEEN: Final = 0
HEAD: Final = 1
BODY: Final = 2
SEALED: Final = 3
LINGERING: Final = 4


class Broken(Exception):
    """Stops the parser; the reason is kept by the connection, because the parser's own error would lose it."""


@dataclass(slots=True)
class Watch:
    """What all connections of one server share."""

    deadlines: Deadlines
    max_connections: int
    refusals: Refusals
    replies: "ReplyRoom[Connection]" = field(default_factory=ReplyRoom)
    ended: Counter[str] = field(default_factory=Counter)
    draining: asyncio.Event = field(default_factory=asyncio.Event)


class Connection(HttpToolsProtocol):
    """One client's connection: uvicorn's parser callbacks with bounds, and the clock that the sweeper reads."""

    cycle: Cycle
    running: Cycle | None = None  # the request whose turn it is to be answered; `cycle` is the newest one

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        watch: Watch,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.client_ended = asyncio.Event()
        super().__init__(config, server_state, {**app_state, "client_ended": self.client_ended}, loop)
        self.logger = logger
        self.access_log = False
        self.watch = watch
        self.tls: dict[object, object] | None = None
        self.margin = watch.deadlines.sweep
        self.phase = BETWEEN
        self.since = loop.time()
        self.unreported = 0  # bytes fed to the parser since it reported a head or a piece of a body
        self.held = b""  # pipelined requests not parsed yet
        self.head_size = 0
        self.url = b""
        self.host_seen = self.is_chunked = self.offers_upgrade = False
        self.content_length = self.origin = b""
        self.reason: Refusal | None = None  # the first objection to what is being parsed
        self.final_refusal: Refusal | None = None  # to be sent after the replies that are still due
        self.blocked_at = 0.0
        self.blocked_unsent = self.blocked_received = 0

    # What the transport reports.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.port = cast(asyncio.Transport, ReplyPort(transport, self.finish))
        self.tls = _tls(transport)
        excess = len(self.connections) - self.watch.max_connections
        if excess <= 0:
            return
        if excess > 16 + self.watch.max_connections // 10:
            transport.abort()  # a refusal lingers, and the lingering must not become the overload
        else:
            self.refuse(TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.running is not None and not self.running.response_complete:
            self.running.disconnect()  # uvicorn wakes the newest request only
        self.client_ended.set()
        self.pipeline.clear()
        self.phase = SEALED
        self.watch.replies.release(self)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more, but may still read. TLS knows no such state: its transports close by themselves."""
        if self.tls is not None:
            return False
        self.client_ended.set()
        if not self.held:
            self._end_with_replies()
        return True

    def data_received(self, data: bytes) -> None:
        if self.phase >= SEALED:
            return
        if len(data) > SLICE or self.held:
            self._receive_in_slices(data)
            return
        self.unreported += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline_upgrade(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            self.refuse(self.reason or self._refusal_of(error))
        if self.unreported > MAX_UNREPORTED and self.phase < SEALED:
            # A header field, trailer, chunk extension or blank line without end; the parser would keep it all.
            self.refuse(self.reason or (HEAD_TOO_LARGE if self.phase == HEAD else NOISE))

    def _receive_in_slices(self, data: bytes) -> None:
        data, self.held = self.held + data, b""
        for start in range(0, len(data), SLICE):
            if self.pipeline:
                self.held = data[start:]
                self.flow.pause_reading()
                return
            self.data_received(data[start : start + SLICE])
        if self.client_ended.is_set():
            self._end_with_replies()

    def pause_writing(self) -> None:
        super().pause_writing()
        for connection in self.watch.replies.hold(self, self.transport.get_write_buffer_size()):
            self.loop.call_soon(connection.give_up)  # not now: this one is in the middle of writing

    def resume_writing(self) -> None:
        self.blocked_at = 0.0
        self.watch.replies.release(self)
        super().resume_writing()

    # What the parser reports.

    def on_message_begin(self) -> None:
        if self.running is not None:
            self.since = self.loop.time()
        self.phase = HEAD
        self.unreported = self.head_size = 0
        self.url = b""
        self.content_length = self.origin = b""
        self.host_seen = self.is_chunked = self.offers_upgrade = self.expect_100_continue = False
        self.headers = []

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > limits.MAX_TARGET:
            self._object(TARGET_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.head_size += len(name) + len(value) + 4
        if self.head_size > limits.MAX_HEADER_BLOCK:
            self._object(HEAD_TOO_LARGE)
        if self.phase == BODY:
            return  # a trailer: appended to the header fields it could pass for a checked one
        if len(self.headers) >= limits.MAX_HEADERS:
            self._object(TOO_MANY_HEADERS)
        name = name.lower()
        note = NOTED_HEADERS.get(name)
        if note is not None:
            note(self, value)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        method = self.parser.get_method().decode("ascii")
        self.reason = self.reason or self._objection(version, method)
        if self.reason is not None:
            raise Broken(self.reason.code)
        self.expect_100_continue = self.expect_100_continue and version == "1.1"
        self.offers_upgrade = self.offers_upgrade and self.parser.should_upgrade()
        path, _, query = self.url.partition(b"?")
        self.scope = self._describe(version, method, path, query)
        if self.tls is not None:
            self.scope["extensions"] = {"tls": self.tls, **EXTENSIONS}
        self.phase = BODY
        self.unreported = 0
        self._admit(keep_alive=version != "1.0" and self.parser.should_keep_alive())

    def on_body(self, body: bytes) -> None:
        self.unreported = 0
        cycle = self.cycle
        if self.phase != BODY or cycle.response_complete:
            return
        cycle.received += len(body)
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self.offers_upgrade and self._body_is_due():
            return  # the parser skips the body of such a request; `_decline_upgrade` reads it
        self.phase = BETWEEN
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    # From a parsed head to a running request.

    def _objection(self, version: str, method: str) -> Refusal | None:
        if version not in ("1.1", "1.0"):
            return OLD_PROTOCOL if version == "0.9" else UNKNOWN_VERSION
        if not self.host_seen and version == "1.1":
            return NO_HOST
        if self.is_chunked and version == "1.0":
            return CHUNKED_TOO_EARLY
        if not self.url.startswith(b"/"):
            self._take_authority()
        # A fragment would be cut off silently, and the request would be about another resource than meant.
        is_path = self.url.startswith(b"/") and _FRAGMENT not in self.url
        if not is_path and not (self.url == b"*" and method == "OPTIONS"):
            return TARGET_FORM
        return None

    def _take_authority(self) -> None:
        """Reduce a target in absolute form to its path; its authority replaces Host (RFC 9112, 3.2.2)."""
        if found := _ABSOLUTE.fullmatch(self.url):
            self.url = b"/" + found["rest"].removeprefix(b"/")
            self.headers = [field for field in self.headers if field[0] != b"host"]
            self.headers.append((b"host", found["authority"]))

    def _describe(self, version: str, method: str, path: bytes, query: bytes) -> HTTPScope:
        text = path.decode("ascii")
        return cast(
            HTTPScope,
            {
                "type": "http",
                "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
                "http_version": version,
                "server": self.server,
                "client": self.client,
                "scheme": self.scheme,
                "method": method,
                "root_path": "",
                "path": urllib.parse.unquote(text) if "%" in text else text,
                "raw_path": path,
                "query_string": query,
                "headers": self.headers,
                "state": self.app_state.copy(),
                "extensions": EXTENSIONS,
            },
        )

    def _admit(self, *, keep_alive: bool) -> None:
        keep_alive = keep_alive and not self.offers_upgrade and not self.watch.draining.is_set()
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.port,
            flow=self.flow,
            logger=logger,
            access_logger=logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive and not self.expect_100_continue,
            on_response=self.on_response_complete,
        )
        # After a reply instead of 100 Continue nobody knows whether the body follows: such a connection ends.
        self.cycle.continued_keep_alive = keep_alive
        if self.running is None or self.running.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.running = cast(Cycle, cycle)
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.phase == LINGERING or self.transport.is_closing():
            return
        self.since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            if self.held and not self.pipeline:
                self._receive_in_slices(b"")
        elif self.final_refusal is not None:
            self._send_refusal(self.final_refusal)
        elif self.client_ended.is_set():
            self.transport.close()

    # Upgrades are declined by answering in HTTP/1.1, which every client that offers one must accept.

    def _body_is_due(self) -> bool:
        return self.is_chunked or bool(self.content_length.strip(b"0"))

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read the body that the parser took for another protocol: left unread, it could smuggle in a second one."""
        if not self._body_is_due():
            self.phase = SEALED
            return
        framing = b"content-length: " + self.content_length
        if self.is_chunked:
            framing = b"transfer-encoding: chunked"
        body_only = SimpleNamespace(on_body=self.on_body, on_message_complete=self._complete_upgrade_request)
        self.parser = httptools.HttpRequestParser(body_only)
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        self.data_received(rest)

    def _complete_upgrade_request(self) -> None:
        self.offers_upgrade = False
        self.on_message_complete()
        self.phase = SEALED

    # Refusing and closing.

    def _object(self, reason: Refusal) -> None:
        """Refuse the request, but only once its head is over: its Origin says who may read the refusal."""
        self.reason = self.reason or reason
        if self.phase == BODY:
            raise Broken(reason.code)

    def _refusal_of(self, error: httptools.HttpParserError) -> Refusal:
        if isinstance(error, httptools.HttpParserCallbackError):
            logger.error("a parser callback failed", exc_info=error)
        if "HTTP version" in str(error):
            return UNKNOWN_VERSION
        return Refusal(400, "malformed_request", f"The request is not well-formed HTTP/1.1: {error}.")

    def refuse(self, refusal: Refusal) -> None:
        """Answer `refusal` when its turn comes, and close. Nothing more is read from this client."""
        body_is_broken = self.phase == BODY and not self.cycle.response_complete
        self.phase = SEALED
        self.watch.ended[refusal.code] += 1
        logger.debug("refused a request from %s: %s", self.client, refusal.code)
        if body_is_broken:
            self._refuse_body(refusal)
        elif self._is_replying():
            self.final_refusal = refusal
        else:
            self._send_refusal(refusal)

    def _refuse_body(self, refusal: Refusal) -> None:
        """The newest request has reached its task, or the queue, before its body turned out to be unusable."""
        if self.cycle is not self.running:
            self.pipeline.popleft()
            self.final_refusal = refusal
            return
        self.cycle.disconnect()
        if self.cycle.response_started:
            self._linger()  # a second status line inside a reply would be taken for content
        else:
            self._send_refusal(refusal)

    def _send_refusal(self, refusal: Refusal) -> None:
        refusals = self.watch.refusals
        headers = self.server_state.default_headers + refusals.permission(self.origin)
        self.transport.write(refusal.reply(headers, refusals.wording, self.url))
        self._linger()

    def _linger(self) -> None:
        """Close for writing, and go on discarding: a close with bytes unread resets, and the reply would be lost."""
        self.phase = LINGERING
        self.since = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.transport.can_write_eof() and not self.client_ended.is_set():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _end_with_replies(self) -> None:
        """Nothing more will arrive: drop an incomplete request, and close once the others are answered."""
        if self.phase == BODY and not self.cycle.response_complete:
            self._drop_newest()
        if self.phase == LINGERING or not self._is_replying():
            self.transport.close()
        self.phase = SEALED

    def _drop_newest(self) -> None:
        if self.cycle is self.running:
            self.cycle.disconnect()
            self.transport.close()
        else:
            self.pipeline.popleft()

    def _is_replying(self) -> bool:
        return self.running is not None and not self.running.response_complete

    def finish(self) -> None:
        """The reply is over, or given up, and the connection must end."""
        if self.phase == BODY:
            self._linger()
        elif self.phase != LINGERING:
            self.transport.close()

    def shutdown(self) -> None:
        """The server drains: the newest request received is the last one answered."""
        if self.cycle is not None:
            self.cycle.close_after_reply()

    def close_if_idle(self) -> None:
        if not self._is_replying():
            self.transport.close()

    # What the sweeper enforces.

    def enforce(self, now: float) -> None:
        if self.flow.write_paused or self.transport.is_closing():
            self._enforce_reading(now)
        elif self.running is None or self.running.response_complete or self.phase == LINGERING:
            if now - self.since >= self._patience() - self.margin:
                self._close_waiting()
        elif self.running.is_starved(now, self.watch.deadlines, self.margin):
            self._expire()

    def _patience(self) -> float:
        if self.phase == LINGERING:
            return self.watch.deadlines.linger
        if self.phase == BETWEEN and self.running is not None:
            return self.watch.deadlines.keep_alive
        return self.watch.deadlines.header  # a first request, a begun head, or the unread rest of an answered body

    def _close_waiting(self) -> None:
        if self.phase == HEAD:
            self._expire()
        elif self.phase in (BETWEEN, BODY):
            self.watch.ended["idle" if self.running is not None else "silent"] += 1
            self.transport.close()
        else:
            self.transport.close()

    def _expire(self) -> None:
        self.refuse(self.reason or TOO_SLOW)  # an objection stands, however fast the client is
        self.since = 0.0  # it has used up its time: the next sweep closes what lingers

    def _enforce_reading(self, now: float) -> None:
        """A blocked reply must move, or at least the body of its request: a client may send all before it reads.

        Bytes moving in neither direction mean that both sides wait for each other, and only we can end that.
        """
        client: socket.socket | None = self.transport.get_extra_info("socket")
        if client is None:
            return  # TLS has ended, and we are about to be told
        unsent = self._unsent(client)
        received = self.running.received if self.running is not None else 0
        elapsed = now - self.blocked_at
        moved = self.blocked_unsent - unsent + received - self.blocked_received
        if not self.blocked_at:
            self.blocked_at, self.blocked_unsent, self.blocked_received = now, unsent, received
        elif elapsed >= self.watch.deadlines.reader_stall - self.margin:
            if moved >= elapsed * self.watch.deadlines.minimum_rate:
                self.blocked_at, self.blocked_unsent, self.blocked_received = now, unsent, received
            else:
                self.watch.ended["reader_timeout"] += 1
                self._reset(client)

    def _unsent(self, client: socket.socket) -> int:
        """Bytes that the client has not taken: in our buffer, and in the kernel's, which takes ours in large steps."""
        waiting = array.array("i", [0])
        try:
            fcntl.ioctl(client.fileno(), termios.TIOCOUTQ, waiting)
        except (OSError, ValueError):
            waiting[0] = 0  # the socket is gone already, or the system does not tell
        return self.transport.get_write_buffer_size() + waiting[0]

    def give_up(self) -> None:
        """Drop the connection with the reply that its client does not take, because others need the room."""
        client: socket.socket | None = self.transport.get_extra_info("socket")
        if client is not None and self in self.connections:
            self.watch.ended["unread"] += 1
            self._reset(client)

    def _reset(self, client: socket.socket) -> None:
        """Drop the connection, and with it what the kernel would keep for a client that never reads."""
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def _tls(transport: asyncio.Transport) -> dict[object, object] | None:
    """What applications are told of a TLS connection: the certificate that the client has shown, in DER."""
    connection = transport.get_extra_info("ssl_object")
    return None if connection is None else {"client_certificate": connection.getpeercert(binary_form=True)}


def _note_host(connection: Connection, _value: bytes) -> None:
    if connection.host_seen:
        connection._object(TWO_HOSTS)
    connection.host_seen = True


def _note_length(connection: Connection, value: bytes) -> None:
    connection.content_length = value.strip()


def _note_coding(connection: Connection, value: bytes) -> None:
    if value.strip().lower() != b"chunked":
        connection._object(UNKNOWN_CODING)
    connection.is_chunked = True


def _note_expectation(connection: Connection, value: bytes) -> None:
    connection.expect_100_continue = value.lower() == b"100-continue"


def _note_upgrade(connection: Connection, _value: bytes) -> None:
    connection.offers_upgrade = True


def _note_override(connection: Connection, _value: bytes) -> None:
    connection._object(METHOD_OVERRIDE)


def _note_origin(connection: Connection, value: bytes) -> None:
    connection.origin = connection.origin or value


NOTED_HEADERS: Final[dict[bytes, Callable[[Connection, bytes], None]]] = {
    b"host": _note_host,
    b"content-length": _note_length,
    b"transfer-encoding": _note_coding,
    b"expect": _note_expectation,
    b"upgrade": _note_upgrade,
    b"origin": _note_origin,
    b"x-http-method-override": _note_override,
    b"x-http-method": _note_override,
    b"x-method-override": _note_override,
}
