"""Requests whose bytes are ambiguous, malformed or too large: refused, closed, and never seen by the application.

Every refused row is followed on the wire by a second, innocent request. It must get no reply, because nobody can
tell any more where it begins; that is how requests are smuggled.
"""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fleetroll.core import limits
from fleetroll.wire.http_server import Deadlines, HttpServer
from tests.hostile.test_slow_clients import Receive, Send, application, connect, read_all, read_until, serving

HOST = b"Host: a\r\n"
CHUNKED = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
SECOND = b"GET /echo?smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def get(*fields: bytes) -> bytes:
    return b"GET /echo HTTP/1.1\r\n" + HOST + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def post(body: bytes, *fields: bytes) -> bytes:
    return b"POST /echo HTTP/1.1\r\n" + HOST + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


REFUSED: dict[str, tuple[bytes, int]] = {
    # Two opinions about the length of the body.
    "two lengths that differ": (post(b"abc", b"Content-Length: 3", b"Content-Length: 4"), 400),
    "two lengths that agree": (post(b"abc", b"Content-Length: 3", b"Content-Length: 3"), 400),
    "a list of lengths": (post(b"abc", b"Content-Length: 3, 3"), 400),
    "length before chunked": (post(b"0\r\n\r\n", b"Content-Length: 3", b"Transfer-Encoding: chunked"), 400),
    "chunked before length": (post(b"0\r\n\r\n", b"Transfer-Encoding: chunked", b"Content-Length: 3"), 400),
    "chunked twice": (post(b"0\r\n\r\n", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
    "chunked, then something else": (post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, gzip"), 400),
    "something else, then chunked": (post(b"0\r\n\r\n", b"Transfer-Encoding: gzip, chunked"), 501),
    "an unknown coding": (post(b"0\r\n\r\n", b"Transfer-Encoding: xchunked"), 501),
    "chunked behind a vertical tab": (post(b"0\r\n\r\n", b"Transfer-Encoding:\x0bchunked"), 400),
    "chunked in HTTP/1.0": (b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a signed length": (post(b"abc", b"Content-Length: +3"), 400),
    "a negative length": (post(b"abc", b"Content-Length: -3"), 400),
    "an empty length": (post(b"", b"Content-Length:"), 400),
    "a length with a separator": (post(b"abc", b"Content-Length: 3_0"), 400),
    "a length in hexadecimal": (post(b"abc", b"Content-Length: 0x3"), 400),
    "a length beyond 64 bits": (post(b"abc", b"Content-Length: 99999999999999999999"), 400),
    "a space before the colon": (post(b"abc", b"Content-Length : 3"), 400),
    # Chunks.
    "a chunk size that is no number": (CHUNKED + b"zz\r\n\r\n", 400),
    "a negative chunk size": (CHUNKED + b"-1\r\n\r\n", 400),
    "a chunk size beyond 64 bits": (CHUNKED + b"fffffffffffffffff\r\nabc\r\n", 400),
    "a chunk longer than its size": (CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n", 400),
    "a chunk size that ends in a bare line feed": (CHUNKED + b"3\nabc\r\n0\r\n\r\n", 400),
    "a space after the chunk size": (CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n", 400),
    "an endless chunk extension": (CHUNKED + b"3;" + b"x" * (64 << 10), 400),
    "an endless trailer": (CHUNKED + b"0\r\nX: " + b"x" * (64 << 10), 400),
    # Lines.
    "a folded header": (get(b"A: b", b" folded"), 400),
    "a folded first header": (b"GET /echo HTTP/1.1\r\n folded: b\r\n" + HOST + b"\r\n", 400),
    "a bare carriage return in a value": (get(b"A: b\rc"), 400),
    "a bare carriage return in the request line": (b"GET /echo\rx HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a carriage return too many": (get(b"A: b\r"), 400),
    "bare line feeds": (b"GET /echo HTTP/1.1\nHost: a\n\n", 400),
    "one bare line feed": (b"GET /echo HTTP/1.1\r\nHost: a\nA: b\r\n\r\n", 400),
    "a NUL in a value": (get(b"A: b\x00c"), 400),
    "a control character in a value": (get(b"A: \x01"), 400),
    "a NUL in a name": (get(b"A\x00: b"), 400),
    "a space in a name": (get(b"A b: c"), 400),
    "an empty name": (get(b": c"), 400),
    "a line without a colon": (get(b"nocolon"), 400),
    "no Host": (b"GET /echo HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (get(b"Host: b"), 400),
    "an overridden method": (get(b"X-HTTP-Method-Override: DELETE"), 400),
    # Versions and methods.
    "HTTP/0.9": (b"GET /echo\r\n\r\n", 400),
    "HTTP/0.9 by name": (b"GET /echo HTTP/0.9\r\n" + HOST + b"\r\n", 400),
    "HTTP/1.2": (b"GET /echo HTTP/1.2\r\n" + HOST + b"\r\n", 505),
    "HTTP/2.0": (b"GET /echo HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "HTTP/2 with prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a version in lower case": (b"GET /echo http/1.1\r\n" + HOST + b"\r\n", 400),
    "an unknown method": (b"FOO /echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a method in lower case": (b"get /echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "endless blank lines": (b"\r\n" * (32 << 10), 400),
    # Targets.
    "an absolute target without a Host": (b"GET http://a/echo HTTP/1.1\r\n\r\n", 400),
    "an absolute target without an authority": (b"GET http:///echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an absolute target with a user": (b"GET http://u@a/echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an absolute target with a fragment": (b"GET http://a/echo#x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an absolute target of another scheme": (b"GET ftp://a/echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an authority alone": (b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a tunnel": (b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a star that is not for OPTIONS": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a fragment": (b"GET /echo#part HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a target without a slash": (b"GET echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a space in the target": (b"GET /echo x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "bytes beyond ASCII in the target": (b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    # Sizes.
    "a long target": (b"GET /" + b"x" * limits.MAX_TARGET + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "a target without end": (b"GET /" + b"x" * (1 << 20), 414),
    "one header field too many": (get(*[b"A: b"] * limits.MAX_HEADERS), 431),
    "a large header field": (get(b"A: " + b"x" * limits.MAX_HEADER_BLOCK), 431),
    "many that are large together": (get(*[b"A: " + b"x" * 1000] * 17), 431),
    "a header field without end": (b"GET /echo HTTP/1.1\r\nA: " + b"x" * (1 << 20), 431),
    "a header name without end": (b"GET /echo HTTP/1.1\r\n" + b"x" * (1 << 20), 431),
    "header fields without end": (b"GET /echo HTTP/1.1\r\n" + b"A: b\r\n" * 100_000, 431),
}

ACCEPTED: dict[str, tuple[bytes, bytes]] = {
    "a plain request": (get(), b"/echo"),
    "as many header fields as allowed": (get(*[b"A: b"] * (limits.MAX_HEADERS - 1)), b"/echo"),
    "a header block just within its bound": (get(b"A: " + b"x" * (limits.MAX_HEADER_BLOCK - 16)), b"/echo"),
    "a target just within its bound": (
        b"GET /echo?" + b"x" * (limits.MAX_TARGET - 6) + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"/echo",
    ),
    "an absolute target": (b"GET http://a/echo HTTP/1.1\r\n" + HOST + b"\r\n", b"/echo"),
    "HTTP/1.0 without a Host": (b"GET /echo HTTP/1.0\r\n\r\n", b"/echo"),
    "HTTP/1.0 that expects what it does not know": (
        b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        b"abc",
    ),
    "a body with a length": (post(b"abc", b"Content-Length: 3"), b"abc"),
    "a body in chunks": (CHUNKED + b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", b"abcd"),
    "a chunk extension and a trailer": (CHUNKED + b"3;x=1\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", b"abc"),
    "Latin-1 in a value": (get(b"A: \xe9"), b"/echo"),
    "blank lines before the request": (b"\r\n\r\n" + get(), b"/echo"),
    "an offer to upgrade": (get(b"Connection: Upgrade", b"Upgrade: websocket"), b"/echo"),
    "an upgrade that nothing asks for": (post(b"abc", b"Upgrade: h2c", b"Content-Length: 3"), b"abc"),
    "an offer to upgrade with a body": (
        post(b"abc", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"Content-Length: 3"),
        b"abc",
    ),
    "an offer to upgrade with chunks": (
        post(b"3\r\nabc\r\n0\r\n\r\n", b"Connection: Upgrade", b"Upgrade: h2c", b"Transfer-Encoding: chunked"),
        b"abc",
    ),
}

# Kept connections are closed soon, because most of these tests read until the end.
DEADLINES = Deadlines(header=2.0, keep_alive=0.1, body_stall=2.0, linger=0.5, drain_settle=0.05)

seen: list[dict[str, Any]] = []


async def remembering(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    seen.append(scope)
    await application(scope, receive, send)


@pytest.fixture(scope="module")
def running() -> Iterator[HttpServer]:
    with serving(remembering, DEADLINES) as server:
        yield server


@pytest.fixture
def server(running: HttpServer) -> HttpServer:
    seen.clear()
    return running


def exchange(server: HttpServer, sent: bytes) -> bytes:
    """Send on a thread, because a server that refuses early may leave the rest unread; return all that comes back."""
    with connect(server) as client:
        sender = threading.Thread(target=send_as_far_as_possible, args=(client, sent))
        sender.start()
        received = read_all(client)
        sender.join()
    return received


def seen_with(query: bytes) -> list[dict[str, Any]]:
    """By query, because the application may still be told of a request of the test before."""
    return [scope for scope in seen if scope["query_string"] == query]


def statuses(received: bytes) -> list[bytes]:
    return [part.split()[0] for part in received.split(b"HTTP/1.1 ")[1:]]


def send_as_far_as_possible(client: Any, sent: bytes) -> None:
    try:
        client.sendall(sent)
    except OSError:
        return  # closed halfway, as it should be


@pytest.mark.parametrize("row", REFUSED)
def test_an_ill_framed_request_is_refused_and_nothing_after_it_is_answered(server: HttpServer, row: str) -> None:
    request, status = REFUSED[row]
    received = exchange(server, request + SECOND)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), received[:200]
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    assert b"x-request-id: " in head
    problem = json.loads(body)  # a second reply behind it would not parse
    assert problem.keys() == {"type", "title", "status", "code", "detail"}
    assert problem["status"] == status
    assert not seen_with(b"smuggled")


@pytest.mark.parametrize("row", ACCEPTED)
def test_a_well_framed_request_is_answered(server: HttpServer, row: str) -> None:
    request, body = ACCEPTED[row]
    received = exchange(server, request)
    assert received.startswith(b"HTTP/1.1 200 "), received[:300]
    assert received.endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize("row", [row for row, (request, _) in ACCEPTED.items() if len(request) < 1000])
def test_the_bytes_of_a_request_may_arrive_one_by_one(server: HttpServer, row: str) -> None:
    request, body = ACCEPTED[row]
    with connect(server) as client:
        for position in range(len(request)):
            client.sendall(request[position : position + 1])
        assert read_all(client).endswith(b"\r\n\r\n" + body)


def test_a_refusal_waits_for_the_replies_that_are_due_before_it(server: HttpServer) -> None:
    received = exchange(server, get() + get() + b"NONSENSE\r\n\r\n" + SECOND)
    assert statuses(received) == [b"200", b"200", b"400"]


def test_a_body_that_breaks_while_its_request_waits_for_its_turn_is_refused_in_turn(server: HttpServer) -> None:
    received = exchange(server, get() + get() + CHUNKED + b"zz\r\n" + SECOND)
    assert statuses(received) == [b"200", b"200", b"400"]


def test_a_body_that_breaks_under_a_begun_reply_ends_the_reply_without_its_end(server: HttpServer) -> None:
    with connect(server) as client:
        client.sendall(CHUNKED.replace(b"/echo", b"/duplex") + b"3\r\nabc\r\n")
        read_until(client, b"3\r\nABC\r\n")
        client.sendall(b"zz\r\n" + SECOND)
        assert read_all(client) == b""


def test_a_trailer_is_not_taken_for_a_header_field(server: HttpServer) -> None:
    head = CHUNKED.replace(b"/echo", b"/echo?trailer")
    exchange(server, head + b"3\r\nabc\r\n0\r\nAuthorization: Bearer smuggled\r\n\r\n")
    assert [name for name, _ in seen_with(b"trailer")[0]["headers"]] == [b"host", b"transfer-encoding"]


def test_the_body_of_a_declined_upgrade_is_not_taken_for_a_request(server: HttpServer) -> None:
    upgrade = (b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: %d" % len(SECOND))
    assert exchange(server, post(SECOND, *upgrade) + SECOND).endswith(b"\r\n\r\n" + SECOND)
    assert not seen_with(b"smuggled")


def test_a_client_that_waits_for_leave_to_send_gets_it_and_keeps_its_connection(server: HttpServer) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    with connect(server) as client:
        for _ in range(2):
            client.sendall(head)
            assert read_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b"abc")
            assert b"connection: close" not in read_until(client, b"abc")


def test_a_client_that_is_answered_without_leave_to_send_loses_its_connection(server: HttpServer) -> None:
    head = b"POST /deaf HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    assert b"connection: close\r\n" in exchange(server, head)


def test_the_reply_to_head_has_no_body(server: HttpServer) -> None:
    received = exchange(server, b"HEAD /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b"content-length: 5\r\nconnection: close\r\n\r\n")


def test_an_exception_of_the_application_becomes_a_problem_that_tells_nothing(server: HttpServer) -> None:
    received = exchange(server, b"GET /unknown HTTP/1.1\r\nHost: a\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 500 ")
    assert json.loads(received.partition(b"\r\n\r\n")[2])["code"] == "internal_error"
    assert b"KeyError" not in received


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        (b"http://b.example:8080/echo?absolute", b"b.example:8080", b"/echo"),
        (b"HTTPS://[::1]//echo%2F?absolute", b"[::1]", b"//echo%2F"),
        (b"http://b?absolute", b"b", b"/"),
    ],
)
def test_of_an_absolute_target_the_authority_counts_and_not_the_host(
    server: HttpServer, target: bytes, host: bytes, path: bytes
) -> None:
    exchange(server, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nX-Other: c\r\n\r\n")
    (scope,) = seen_with(b"absolute")
    assert (scope["raw_path"], scope["scheme"]) == (path, "http")
    assert sorted(scope["headers"]) == [(b"host", host), (b"x-other", b"c")]


def test_a_path_reaches_the_application_as_it_was_sent(server: HttpServer) -> None:
    exchange(server, b"GET /unknown/a%2Fb//%00?q=%20 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [scope["raw_path"] for scope in seen_with(b"q=%20")] == [b"/unknown/a%2Fb//%00"]
