"""Clients that end their own side of the connection and still read: what they asked for as a whole is answered.

So do `nc -N` and some devices. A client that is gone looks the same, so what is not complete and what has no end is
given up at once. Most applications are bare ASGI callables, as with slow clients.
"""

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from fleetroll.wire.http_server import HttpServer
from tests.hostile.test_slow_clients import (
    LARGE,
    SHORT,
    Receive,
    Send,
    application,
    busy,
    connect,
    deadlines,
    read_all,
    read_until,
    serving,
)
from tests.support.app import ADMIN_KEY
from tests.support.process import Process
from tests.support.process import serving as serving_all

GET = b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
BUSY = GET.replace(b"/echo", b"/busy")
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
BUSY_POST = POST.replace(b"/echo", b"/busy")
UPGRADE = b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\n"
# Deadlines so long that nothing here ends by one of them.
PATIENT = deadlines()
AT_ONCE = 20.0
WORK = 0.3  # longer than it takes a client here to end its side

finished: list[str] = []


async def remembering(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["path"] == "/busy":
        await busy(scope, receive, send, WORK)
    else:
        await application(scope, receive, send)
    finished.append(scope["path"])


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[HttpServer]:
    finished.clear()
    with serving(remembering, PATIENT, new_loop=request.param) as server:
        yield server


def ask_and_end(server: HttpServer, *pieces: bytes) -> bytes:
    """All that comes back, up to the end of the connection, which must come soon."""
    begun = time.monotonic()
    with connect(server) as client:
        for piece in pieces:
            client.sendall(piece)
            time.sleep(0.05 * (len(pieces) > 1))
        client.shutdown(socket.SHUT_WR)
        received = read_all(client)
    assert time.monotonic() < begun + AT_ONCE
    return received


def bodies(received: bytes) -> list[bytes]:
    return [reply.partition(b"\r\n\r\n")[2] for reply in received.split(b"HTTP/1.1 200 OK\r\n")[1:]]


def becomes(true: Callable[[], bool]) -> bool:
    for _ in range(100):
        if true():
            return True
        time.sleep(AT_ONCE / 100)
    return False


COMPLETE: dict[str, tuple[bytes, list[bytes]]] = {
    "one": (GET, [b"/echo"]),
    "one that takes time": (BUSY, [b"0"]),
    "one with a body": (BUSY_POST + b"abc", [b"3"]),
    "one with chunks": (
        b"POST /busy HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        [b"3"],
    ),
    "one that offers an upgrade": (UPGRADE + b"abc", [b"abc"]),
    "one that wants the connection closed": (BUSY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), [b"0"]),
    "several": (GET + BUSY + POST + b"abc" + GET, [b"/echo", b"0", b"abc", b"/echo"]),
    "more than are parsed at a time": (BUSY + GET * 2000 + POST + b"end", [b"0", *[b"/echo"] * 2000, b"end"]),
    "a large reply": (GET.replace(b"/echo", b"/large"), [bytes(LARGE)]),
}


@pytest.mark.parametrize("row", COMPLETE)
def test_what_was_asked_for_as_a_whole_is_answered_and_the_connection_closed(server: HttpServer, row: str) -> None:
    sent, expected = COMPLETE[row]
    assert bodies(ask_and_end(server, sent)) == expected
    assert becomes(lambda: server.open_connections == 0)


def test_the_end_may_come_by_itself_after_the_requests(server: HttpServer) -> None:
    assert bodies(ask_and_end(server, BUSY, GET, b"")) == [b"0", b"/echo"]


INCOMPLETE: dict[str, bytes] = {
    "nothing": b"",
    "a blank line": b"\r\n",
    "half a line": b"GET /ec",
    "half a head": b"GET /echo HTTP/1.1\r\nHost: a\r\n",
    "no body": POST,
    "half a body": POST + b"ab",
    "a body that nobody has asked for yet": BUSY_POST + b"ab",
    "half a chunk": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
    "chunks without the last": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "half the body of one that offers an upgrade": UPGRADE + b"ab",
    "a body that waits for leave": POST.replace(b"Host: a", b"Host: a\r\nExpect: 100-continue"),
}


@pytest.mark.parametrize("row", INCOMPLETE)
def test_half_a_request_is_dropped_at_once(server: HttpServer, row: str) -> None:
    assert b"HTTP/1.1 2" not in ask_and_end(server, INCOMPLETE[row]).replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    assert becomes(lambda: server.open_connections == 0)


@pytest.mark.parametrize("row", INCOMPLETE)
def test_what_comes_before_half_a_request_is_answered_and_the_half_never_begun(server: HttpServer, row: str) -> None:
    half = INCOMPLETE[row].replace(b"/echo", b"/large").replace(b"/busy", b"/large")
    assert bodies(ask_and_end(server, BUSY + GET + half)) == [b"0", b"/echo"]
    assert "/large" not in finished


def test_a_refusal_is_still_given_after_the_replies_that_are_due(server: HttpServer) -> None:
    received = ask_and_end(server, BUSY + GET + b"NONSENSE\r\n\r\n")
    assert [part.split()[0] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"400"]


# What is sent, what comes while the client's side is open, and what comes after it has ended.
REPLIED: dict[str, tuple[bytes, bytes, bytes]] = {
    "a kept connection is closed": (GET, b"/echo", b""),
    "the unread rest of an answered body is not waited for": (
        b"POST /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc",
        b"unread",
        b"",
    ),
    "a body that ends under its reply ends the reply without its end": (
        b"POST /duplex HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"3\r\nABC\r\n",
        b"",
    ),
    "an endless reply is told": (GET.replace(b"/echo", b"/heard"), b"first\r\n", b"4\r\nlast\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("row", REPLIED)
def test_a_client_that_ends_after_its_reply_has_come_or_begun(server: HttpServer, row: str) -> None:
    sent, before, after = REPLIED[row]
    with connect(server) as client:
        client.sendall(sent)
        read_until(client, before)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == after
    assert becomes(lambda: server.open_connections == 0)


def test_a_client_that_was_refused_is_not_lingered_for(server: HttpServer) -> None:
    with connect(server) as client:
        client.sendall(BUSY.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\nzz"))
        assert read_all(client).startswith(b"HTTP/1.1 400 ")
        client.shutdown(socket.SHUT_WR)
        assert becomes(lambda: server.open_connections == 0)


def test_a_half_closed_client_that_does_not_read_is_given_up() -> None:
    with serving(allowed=deadlines(reader_stall=SHORT)) as server:
        with connect(server, receive_buffer=4096) as client:
            client.sendall(GET.replace(b"/echo", b"/large"))
            client.shutdown(socket.SHUT_WR)
            assert becomes(lambda: server.ended["reader_timeout"] == 1)
        assert becomes(lambda: server.open_connections == 0)


def test_a_client_that_is_gone_altogether_leaves_nothing_behind(server: HttpServer) -> None:
    for path in (b"/busy", b"/large", b"/heard"):
        with connect(server) as client:
            client.sendall(GET.replace(b"/echo", path))
            client.shutdown(socket.SHUT_WR)
    assert becomes(lambda: server.open_connections == 0)
    assert becomes(lambda: set(finished) == {"/busy", "/large", "/heard"})


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    own = ("-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", chain, "-subj", "/CN=localhost")
    subprocess.run(["openssl", "req", "-x509", *own], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


@pytest.mark.parametrize("end", [socket.socket.shutdown, lambda client, _how: client.unwrap()], ids=["FIN", "notify"])
def test_over_tls_which_has_no_halves_nothing_is_kept(certificate: ssl.SSLContext, end: Callable[..., object]) -> None:
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with serving(allowed=PATIENT, tls=certificate) as server, anybody.wrap_socket(connect(server)) as client:
        client.sendall(GET.replace(b"/echo", b"/heard"))
        read_until(client, b"first\r\n")
        end(client, socket.SHUT_WR)
        assert becomes(lambda: server.open_connections == 0)


# --- the whole server ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving_all(tmp_path_factory.mktemp("half") / "data") as process:
        yield process


def request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {ADMIN_KEY}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def told(fleet: Process, sent: bytes) -> bytes:
    # A stream that stays open is silent for 15 seconds.
    with socket.create_connection(("127.0.0.1", fleet.port), timeout=12) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def test_writes_that_wait_for_their_commit_are_answered(fleet: Process) -> None:
    writes = b"".join(request("PUT", f"/v1/devices/kept-{number}", b"{}") for number in range(50))
    received = told(fleet, writes + request("GET", "/v1/devices/kept-49") + request("PUT", "/v1/devices/half")[:-4])
    assert [received.count(b"HTTP/1.1 %d " % status) for status in (201, 200)] == [50, 1]


def test_half_a_write_does_nothing(fleet: Process) -> None:
    assert told(fleet, request("PUT", "/v1/devices/half", b'{"name": "a"}')[:-1]) == b""
    assert b"HTTP/1.1 404 " in told(fleet, request("GET", "/v1/devices/half"))


def test_a_whole_export_is_given(fleet: Process) -> None:
    told(fleet, request("PUT", "/v1/devices/exported", b"{}"))
    assert told(fleet, request("GET", "/v1/devices:export")).endswith(b"\r\n0\r\n\r\n")


def test_a_follower_of_events_hears_what_there_is_and_no_more(fleet: Process) -> None:
    """It may be gone for good, and would take up others' room until a reply to it failed."""
    told(fleet, request("PUT", "/v1/devices/followed", b"{}"))
    received = told(fleet, request("GET", "/v1/events?after=0"))
    assert b'"name":"followed"' in received
    assert received.endswith(b"\r\n0\r\n\r\n")
