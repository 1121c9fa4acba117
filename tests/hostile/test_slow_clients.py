"""Clients that take their time, on purpose or not, against a real server with short deadlines; and how it stops.

The applications are bare ASGI callables, so that only the server is under test. A test shortens the deadline that it
is about and no other, for a slow machine may hold up a client that is not meant to be slow. Bounds on time are
generous: they tell "closed by a deadline" from "left open", and nothing finer.
"""

import asyncio
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
import uvloop

from fleetroll.core import limits
from fleetroll.wire.http_server import Deadlines, HttpServer

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

ENDLESS = 600.0
SHORT = 1.0  # a deadline that a test waits for, and longer than a busy machine holds up a client


def deadlines(**short: float) -> Deadlines:
    """Deadlines that nobody meets by accident, except those that are given."""
    names = ("header", "keep_alive", "body_stall", "body_grace", "reader_stall", "linger")
    return Deadlines(**{**dict.fromkeys(names, ENDLESS), "drain_settle": 0.05, **short})


PATIENCE = 30.0
EACH = 30
CLOSED = select.POLLRDHUP | select.POLLHUP | select.POLLERR
LARGE = 8 << 20
ECHO_HELLO = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"


async def read_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body += message["body"]
        more = message["more_body"]
    return body


async def reply(send: Send, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def pour(send: Send, amount: int) -> None:
    for _ in range(amount >> 16):
        await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await ROUTES[scope["path"]](scope, receive, send)


async def echo(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    try:
        body = await read_body(receive)
    except ConnectionError:
        return
    await reply(send, body or scope["raw_path"])


async def large(_scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await read_body(receive)
    headers = [(b"content-length", b"%d" % LARGE)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await pour(send, LARGE)
    await send({"type": "http.response.body", "body": b""})


async def whole(_scope: dict[str, Any], _receive: Receive, send: Send) -> None:
    await reply(send, bytes(LARGE))


async def duplex(_scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": message.get("body", b"").upper(), "more_body": more})


async def flood(_scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Replies far more than fits into any buffer, and goes on reading the body meanwhile."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    _, body = await asyncio.gather(pour(send, LARGE), read_body(receive))
    await send({"type": "http.response.body", "body": b"%d" % len(body)})


async def busy(_scope: dict[str, Any], receive: Receive, send: Send, seconds: float = 1.5 * SHORT) -> None:
    """Do something else before reading the body: by default for longer than the deadlines of a body."""
    await asyncio.sleep(seconds)
    await reply(send, b"%d" % len(await read_body(receive)))


async def deaf(_scope: dict[str, Any], _receive: Receive, send: Send) -> None:
    await reply(send, b"unread")


async def stream(scope: dict[str, Any], _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    await scope["state"]["draining"].wait()
    await send({"type": "http.response.body", "body": b"last"})


async def heard(scope: dict[str, Any], _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    await scope["state"]["client_ended"].wait()
    await send({"type": "http.response.body", "body": b"last"})


ROUTES = {f"/{route.__name__}": route for route in (echo, large, whole, duplex, flood, busy, deaf, stream, heard)}


@contextmanager
def serving(
    app: Any = application,
    allowed: Deadlines | None = None,
    new_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
    **options: Any,
) -> Iterator[HttpServer]:
    """The server in a thread of its own, on a free port. Unless `allowed` says otherwise, clients have all the time."""
    ready = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    def announce(_server: HttpServer) -> None:
        ready.set()

    server = HttpServer(app, deadlines=allowed or deadlines(), on_ready=announce, **options)

    def serve() -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            loops.append(runner.get_loop())  # known before it listens, so that one that is late is ended as well
            runner.run(server.run())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield server
    finally:
        with suppress(RuntimeError):  # it has ended already, as the test told it to
            loops[0].call_soon_threadsafe(server.stop)
        thread.join(PATIENCE)
        assert not thread.is_alive()


def connect(server: HttpServer, *, receive_buffer: int | None = None) -> socket.socket:
    client = socket.socket()
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(PATIENCE)
    client.connect(server.addresses[0])
    return client


def read_all(client: socket.socket) -> bytes:
    received = b""
    while data := client.recv(1 << 16):
        received += data
    return received


def read_until(client: socket.socket, ending: bytes) -> bytes:
    received = b""
    while not received.endswith(ending):
        data = client.recv(1 << 16)
        assert data, received
        received += data
    return received


def closed(clients: list[socket.socket], drip: bytes) -> int:
    """How many of the clients, which drip and never read, the server closes before the test's patience ends."""
    given_up = time.monotonic() + PATIENCE
    poll = select.poll()
    open_clients = {client.fileno(): client for client in clients}
    for number in open_clients:
        poll.register(number, CLOSED)
    while open_clients and time.monotonic() < given_up:
        for number, _ in poll.poll(50):
            poll.unregister(number)
            del open_clients[number]
        for client in open_clients.values():
            trickle(client, drip)
    return len(clients) - len(open_clients)


def trickle(client: socket.socket, drip: bytes) -> None:
    try:
        client.send(drip, socket.MSG_DONTWAIT)
    except OSError:
        return  # closed in this moment: the next poll tells


class NormalClient:
    """Asks again and again on one thread and one connection."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.stopped = threading.Event()
        self.replies = 0
        self.failure: Exception | None = None
        self.thread = threading.Thread(target=self.ask)

    def __enter__(self) -> "NormalClient":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()

    def ask(self) -> None:
        try:
            with connect(self.server) as client:
                while not self.stopped.is_set():
                    client.sendall(ECHO_HELLO)
                    read_until(client, b"hello")
                    self.replies += 1
                    time.sleep(0.01)
        except Exception as failure:  # noqa: BLE001 - the test that waits for this thread reports it
            self.failure = failure


# The deadline that each kind misses, what it sends at once, what it drips, and the reason that the server counts.
SLOW_KINDS = {
    "silent": ("header", b"", b"", "silent"),
    "partial line": ("header", b"GET /ech", b"", "request_timeout"),
    "partial header": ("header", b"GET /echo HTTP/1.1\r\nHost: a\r\nX-Par", b"", "request_timeout"),
    "dripped header": ("header", b"GET /echo HTTP/1.1\r\nHost: a\r\n", b"X-Drip: 1\r\n", "request_timeout"),
    "dripped blank line": ("header", b"", b"\r\n", "silent"),
    "stalled body": (
        "body_stall",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
        b"",
        "request_timeout",
    ),
    "dripped body": (
        "body_grace",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n",
        b"a",
        "request_timeout",
    ),
    "stalled reader": ("reader_stall", b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n", b"", "reader_timeout"),
}


@pytest.mark.parametrize("kind", SLOW_KINDS)
def test_slow_clients_are_closed_in_time_while_a_normal_client_is_answered(kind: str) -> None:
    deadline, opening, drip, reason = SLOW_KINDS[kind]
    allowed = deadlines(**{deadline: SHORT}, linger=SHORT)
    with serving(allowed=allowed) as server, NormalClient(server) as normal, ExitStack() as sockets:
        clients = []
        begun = time.monotonic()
        for _ in range(EACH):
            clients.append(sockets.enter_context(connect(server, receive_buffer=4096)))
            clients[-1].sendall(opening)
        before = normal.replies
        assert closed(clients, drip) == EACH
        assert time.monotonic() - begun > SHORT / 2, "nobody is closed at once"
        assert normal.replies > before
    assert server.ended[reason] == EACH
    assert normal.failure is None


@pytest.mark.parametrize(
    ("target", "status", "code"), [(b"/echo", b"408", b"request_timeout"), (b"/" * 9000, b"414", b"target_too_long")]
)
def test_a_slow_request_head_is_told_why_before_the_connection_closes(
    target: bytes, status: bytes, code: bytes
) -> None:
    with serving(allowed=deadlines(header=SHORT, linger=SHORT)) as server, connect(server) as client:
        client.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\n" % target)
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 %b " % status)
    assert b'"code": "%b"' % code in answer


def test_a_silent_client_gets_no_unasked_reply() -> None:
    with serving(allowed=deadlines(header=SHORT)) as server, connect(server) as client:
        assert read_all(client) == b""


def test_an_idle_connection_is_kept_for_the_next_request_and_closed_after_the_keep_alive_time() -> None:
    with serving(allowed=deadlines(keep_alive=3 * SHORT)) as server, connect(server) as client:
        for _ in range(3):
            client.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_until(client, b"/echo").startswith(b"HTTP/1.1 200 ")
            time.sleep(0.1)
        assert read_all(client) == b""
        assert server.ended["idle"] == 1


class Standstill(asyncio.Protocol):
    """When it is told to, nothing of this process's loop runs for a while, as when the machine is suspended."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self._transport: asyncio.BaseTransport | None = None
        self._told, self._tell = socket.socketpair()

    async def application(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if self._transport is None:
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.connect_accepted_socket(lambda: self, self._told)
        await application(scope, receive, send)

    def eof_received(self) -> None:
        self.begun.set()
        time.sleep(1.5 * SHORT)

    def begin(self) -> None:
        self._tell.close()
        assert self.begun.wait(PATIENCE)


GET_ECHO = b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
POST_DUPLEX = b"POST /duplex HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
# What a client has sent before, how the reply to it ends, and the same of what comes while the server stands still.
OVERSLEPT = {
    "a request": (GET_ECHO, b"/echo", GET_ECHO, b"/echo"),
    "a body": (POST_DUPLEX, b"\r\n\r\n", b"3\r\none\r\n0\r\n\r\n", b"3\r\nONE\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("what", OVERSLEPT)
def test_what_came_while_the_server_stood_still_is_answered_and_not_held_against_the_client(what: str) -> None:
    before, replied, meanwhile, answered = OVERSLEPT[what]
    standstill = Standstill()
    allowed = deadlines(keep_alive=SHORT, body_stall=SHORT)
    with serving(standstill.application, allowed) as server, connect(server) as client:
        client.sendall(before)
        read_until(client, replied)
        standstill.begin()
        client.sendall(meanwhile)
        read_until(client, answered)


def test_the_head_of_a_following_request_has_the_same_deadline() -> None:
    with serving(allowed=deadlines(header=SHORT, linger=SHORT)) as server, connect(server) as client:
        client.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        read_until(client, b"/echo")
        client.sendall(b"GET /echo HTTP/1.1\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_waits_for_a_busy_application_is_not_held_against_the_client() -> None:
    size = 1 << 20
    with serving(allowed=deadlines(body_stall=SHORT, body_grace=SHORT)) as server, connect(server) as client:
        client.sendall(b"POST /busy HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        threading.Thread(target=client.sendall, args=(bytes(size),)).start()
        assert read_until(client, b"%d" % size).startswith(b"HTTP/1.1 200 ")


def test_the_unread_rest_of_an_answered_body_is_waited_for_and_then_given_up() -> None:
    head = b"POST /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n"
    with serving(allowed=deadlines(header=SHORT)) as server, connect(server) as patient, connect(server) as stalled:
        for client in (patient, stalled):
            client.sendall(head + b"abc")
            assert read_until(client, b"unread").startswith(b"HTTP/1.1 200 ")
        patient.sendall(b"def" + head + b"abcdef")
        assert read_until(patient, b"unread").startswith(b"HTTP/1.1 200 ")
        assert read_all(stalled) == b""


def test_a_reader_that_is_slow_but_moves_gets_the_whole_reply() -> None:
    with serving(allowed=deadlines(reader_stall=SHORT)) as server, connect(server, receive_buffer=1 << 16) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received, begun = 0, time.monotonic()
        while data := client.recv(1 << 20):
            received += len(data)
            if time.monotonic() < begun + 2 * SHORT:
                time.sleep(0.02)
        assert received > LARGE


def test_replies_that_nobody_reads_have_a_bound_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_UNREAD_REPLIES", 2 * LARGE)
    with serving(allowed=deadlines()) as server, ExitStack() as stack:
        silent = [stack.enter_context(connect(server, receive_buffer=1 << 16)) for _ in range(10)]
        for client in silent:
            client.sendall(b"GET /whole HTTP/1.1\r\nHost: a\r\n\r\n")
        until = time.monotonic() + PATIENCE
        while server.ended["unread"] < 5 and time.monotonic() < until:
            time.sleep(0.01)
        assert server.ended["unread"] >= 5
        with connect(server) as reader:
            reader.sendall(b"GET /whole HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert len(read_all(reader)) > LARGE, "who reads is served"


def test_a_reply_may_wait_while_the_body_of_its_request_still_arrives() -> None:
    pieces = 8
    with serving(allowed=deadlines(reader_stall=SHORT)) as server, connect(server) as client:
        client.sendall(b"POST /flood HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(pieces):
            client.sendall(b"800\r\n" + bytes(0x800) + b"\r\n")
            time.sleep(0.2 * SHORT)
        client.sendall(b"0\r\n\r\n")
        assert read_all(client).endswith(b"5\r\n%d\r\n0\r\n\r\n" % (pieces * 0x800))


def test_a_reply_that_blocks_together_with_its_body_is_given_up() -> None:
    with serving(allowed=deadlines(reader_stall=SHORT)) as server, connect(server) as client:
        client.sendall(b"POST /flood HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert closed([client], b"") == 1
        assert server.ended["reader_timeout"] == 1


def test_body_and_reply_may_alternate_piece_by_piece() -> None:
    with serving() as server, connect(server) as client:
        client.sendall(b"POST /duplex HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"one", b"two", b"ten"):
            client.sendall(b"3\r\n" + piece + b"\r\n")
            read_until(client, b"3\r\n" + piece.upper() + b"\r\n")
        client.sendall(b"0\r\n\r\n")
        read_until(client, b"0\r\n\r\n")


def test_connections_beyond_the_bound_are_told_to_come_back() -> None:
    with serving(max_connections=2) as server, ExitStack() as sockets:
        kept = [sockets.enter_context(connect(server)) for _ in range(2)]
        kept[0].sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        read_until(kept[0], b"/echo")
        with connect(server) as excess:
            excess.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = read_all(excess)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer
        kept[1].sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_until(kept[1], b"/echo").startswith(b"HTTP/1.1 200 ")


def test_a_client_that_pipelines_without_end_is_answered_in_order() -> None:
    count = 5000
    with serving() as server, connect(server) as client:
        requests = b"".join(b"GET /echo HTTP/1.1\r\nHost: a\r\nX: %05d\r\n\r\n" % number for number in range(count))
        threading.Thread(target=client.sendall, args=(requests,)).start()
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < count:
            data = client.recv(1 << 16)
            assert data
            received += data


DRAINED_PROGRAM = """
import asyncio, sys, uvloop
from fleetroll.wire.http_server import Deadlines, HttpServer

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    if scope["path"] == "/endless":
        await asyncio.sleep(3600)
    elif scope["path"] == "/stream":
        await scope["state"]["draining"].wait()
    else:
        await asyncio.sleep(0.3)
    await send({"type": "http.response.body", "body": b"ended"})

def ready(server):
    print(server.addresses[0][1], flush=True)

server = HttpServer(app, deadlines=Deadlines(drain=float(sys.argv[1])), on_ready=ready)
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(server.run())
"""


@contextmanager
def program(drain: float = ENDLESS) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-c", DRAINED_PROGRAM, str(drain)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def begin(port: int, path: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    read_until(client, b"begun\r\n")
    return client


def await_closed(port: int) -> None:
    """Wait until nobody listens."""
    given_up = time.monotonic() + PATIENCE
    with suppress(ConnectionError):  # refused, or, where the listener ends in this moment, reset
        while time.monotonic() < given_up:
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
        pytest.fail("somebody still listens")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_after_a_signal_requests_in_flight_are_answered_and_the_process_ends(number: signal.Signals) -> None:
    with program() as (process, port), begin(port, b"/slow") as slow, begin(port, b"/stream") as endless:
        process.send_signal(number)
        assert read_all(slow).endswith(b"ended\r\n0\r\n\r\n")
        assert read_all(endless).endswith(b"ended\r\n0\r\n\r\n")
        await_closed(port)
        assert process.wait(PATIENCE) == 0


def test_a_reply_that_never_ends_is_cut_at_the_drain_deadline() -> None:
    with program(drain=0.5) as (process, port), begin(port, b"/endless"):
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_second_signal_cuts_the_drain_short() -> None:
    with program() as (process, port), begin(port, b"/endless"):
        process.send_signal(signal.SIGTERM)
        await_closed(port)  # two signals that wait together would be one
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_request_on_a_kept_connection_is_still_answered_while_the_server_begins_to_drain() -> None:
    with connect_while_draining(deadlines(drain_settle=PATIENCE, drain=PATIENCE)) as client:
        client.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close\r\n" in answer


@contextmanager
def connect_while_draining(allowed: Deadlines) -> Iterator[socket.socket]:
    loops: list[asyncio.AbstractEventLoop] = []

    async def remembering(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        loops.append(asyncio.get_running_loop())
        await application(scope, receive, send)

    with serving(remembering, allowed) as server, connect(server) as client:
        client.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        read_until(client, b"/echo")
        loops[0].call_soon_threadsafe(server.stop)
        while not server.draining.is_set():
            time.sleep(0.005)
        yield client
