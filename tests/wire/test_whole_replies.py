"""A reply that an application sends as one message leaves as it would in two, and no header of it breaks its line."""

from typing import Any

import pytest

from fleetroll.wire.http_exchange import WHOLE
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


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    headers, body = HEADERS[scope["path"]], b"whole"
    if scope["query_string"] == b"two":
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    assert WHOLE in scope["extensions"]
    await send({"type": WHOLE, "status": 200, "headers": headers, "body": body})
    if scope["query_string"] == b"again":
        await send({"type": WHOLE, "status": 200, "headers": headers, "body": body})


def reply(method: str, target: str, *fields: str) -> bytes:
    """Everything that comes on a connection until it is closed: by this request, or by another one behind it."""
    request = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a", *fields, "", ""])
    with serving(application) as server, connect(server) as client:
        client.sendall(request.encode())
        if CLOSE not in fields:
            client.sendall(b"GET /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return read_all(client)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("field", ["X: y", CLOSE])
def test_it_reads_like_one_in_two_messages(method: str, field: str) -> None:
    assert reply(method, "/plain", field) == reply(method, "/plain?two", field)


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
