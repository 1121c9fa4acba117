"""A reply that an application sends as one message leaves as it would in two, and no header of it breaks its line."""

import re
from typing import Any

import pytest

from fleetroll.wire.http_cycle import WHOLE
from tests.hostile.test_slow_clients import Receive, Send, connect, read_all, serving

CLOSE = "Connection: close"
HEADERS = {
    "/plain": [(b"content-length", b"5"), (b"x-kind", b"plain")],
    "/value": [(b"content-length", b"5"), (b"x-kind", b"a\r\nset-cookie: b")],
    "/feed": [(b"content-length", b"5"), (b"x-kind", b"a\nb")],
    "/return": [(b"content-length", b"5"), (b"x-kind", b"a\rb")],
    "/nul": [(b"content-length", b"5"), (b"x-kind", b"a\0b")],
    "/name": [(b"content-length", b"5"), (b"x\r\ny", b"a")],
}

DATE = re.compile(rb"(?<=\r\ndate: )[^\r]+")  # the clock goes on


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["path"] == "/parts":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"who", b"le"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    headers, body = HEADERS[scope["path"]], b"whole"
    if scope["query_string"] == b"two":
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    assert WHOLE in scope["extensions"]
    await send({"type": WHOLE, "status": 200, "headers": headers, "body": body})
    if scope["query_string"] == b"again":
        await send({"type": WHOLE, "status": 200, "headers": headers, "body": body})


def reply(method: str, target: str, *fields: str, version: str = "1.1") -> bytes:
    """Everything that comes on a connection until it is closed: by this request, or by another one behind it."""
    request = "\r\n".join([f"{method} {target} HTTP/{version}", "Host: a", *fields, "", ""])
    with serving(application) as server, connect(server) as client:
        client.sendall(request.encode())
        if CLOSE not in fields and version == "1.1":
            client.sendall(b"GET /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return read_all(client)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("field", ["X: y", CLOSE])
def test_a_reply_in_one_message_reads_like_one_in_two(method: str, field: str) -> None:
    whole, parted = (DATE.sub(b"", reply(method, target, field)) for target in ("/plain", "/plain?two"))
    assert whole == parted


def test_the_connection_is_good_for_more() -> None:
    assert reply("GET", "/plain").count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize("path", ["/value", "/feed", "/return", "/nul", "/name"])
def test_a_header_that_would_break_its_line_is_an_error_of_the_server(path: str) -> None:
    received = reply("GET", path, CLOSE)
    assert received.startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in received


def test_a_second_reply_is_never_sent() -> None:
    received = reply("GET", "/plain?again", CLOSE)
    assert received.count(b"whole") == 1
    assert received.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("field", ["X: y", "Connection: keep-alive"])
@pytest.mark.parametrize("target", ["/parts", "/plain", "/plain?two"])
@pytest.mark.parametrize(("method", "body"), [("GET", b"whole"), ("HEAD", b"")])
def test_http_1_0_gets_no_chunks_and_the_end_of_the_connection(
    method: str, body: bytes, target: str, field: str
) -> None:
    head, _, received = reply(method, target, field, version="1.0").partition(b"\r\n\r\n")
    assert received == body
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
