"""Transcripts: requests with the replies they must get, as text that an expert of the API can review.

An exchange begins with a line `### title`. Then come the request, as in HTTP, and after a line `HTTP 200` the reply:
headers that must be there as written, a blank line, and the body, which is compared as JSON unless it is plain text.
What differs from run to run is a placeholder, `{{kind}}` or `{{kind.label}}`: where it is first expected it takes any
text that the pattern of its kind allows, and from then on, in requests too, it stands for that text.
"""

import asyncio
import http.client
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from fleetroll.wire.http_server import HttpServer
from tests.support.app import ADMIN_KEY, App, Response, above_the_store, running

Transport = Callable[[str, str, dict[str, str], bytes], Response]
TRANSPORTS = ("in_process", pytest.param("over_socket", marks=above_the_store))

_PLACEHOLDER = re.compile(r"{{([a-z]+)((?:\.[a-z0-9]+)?)}}")
_STATUS = re.compile(r"^HTTP (\d{3})$", re.MULTILINE)


class Message(Struct):
    """`start` is the request line of a request and the status of a reply."""

    start: str
    headers: dict[str, str]
    body: str


class Exchange(Struct):
    title: str
    request: Message
    reply: Message


def read(file: Path) -> list[Exchange]:
    """The exchanges of a transcript in order. Text before the first is about all of them."""
    _, *parts = re.split(r"^### ", file.read_text(), flags=re.MULTILINE)
    return [_exchange(part) for part in parts]


def _exchange(text: str) -> Exchange:
    title, _, rest = text.partition("\n")
    request, status, reply = _STATUS.split(rest)
    return Exchange(title, _message(request.strip()), _message(f"{status}{reply.rstrip()}"))


def _message(text: str) -> Message:
    head, _, body = text.partition("\n\n")
    start, *lines = head.splitlines()
    pairs = (line.partition(":") for line in lines)
    return Message(start, {name.lower(): value.strip() for name, _, value in pairs}, body.strip())


@contextmanager
def served(transport: str, data: Path) -> Iterator[Transport]:
    """An application of its own, reached by one of the `TRANSPORTS`. None needs a process: to start one takes longer
    than most transcripts do, and `tests/dialects/conftest.py` has one for those that can share it.
    """
    with running(data) as app:
        if transport == "in_process":
            yield over_asgi(app)
            return
        server = HttpServer(app.application.asgi, refusals=app.application.refusals)
        app.run(server.start())
        send = over_socket(server.addresses[0][1])
        try:
            yield lambda *request: app.run(asyncio.to_thread(send, *request))
        finally:
            app.run(server.drain())


def tenant(send: Transport, slug: str) -> str:
    """An organization for one transcript, and a key to it."""
    headers = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}
    made = send("POST", "/v1/organizations", headers, b'{"slug": "%s"}' % slug.encode())
    assert made.status == 201, made.body
    acting = headers | {"fleetroll-organization": slug}
    key: str = send("POST", "/v1/keys", acting, b'{"name": "sync", "role": "admin"}').json()["key"]
    return key


def over_asgi(app: App) -> Transport:
    def send(method: str, target: str, headers: dict[str, str], body: bytes) -> Response:
        return app.request(method, target, key=None, headers=headers, raw=body)

    return send


def over_socket(port: int) -> Transport:
    def send(method: str, target: str, headers: dict[str, str], body: bytes) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(method, target, body or None, headers)
            reply = connection.getresponse()
            return Response(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    return send


def play(exchanges: list[Exchange], send: Transport, kinds: Mapping[str, str], known: dict[str, str]) -> None:
    """Send every request and compare every reply. `known` holds what placeholders stand for from the start."""
    for exchange in exchanges:
        request, expected = exchange.request, exchange.reply
        method, target = _filled(request.start, known).split(" ", 1)
        headers = {name: _filled(value, known) for name, value in request.headers.items()}
        reply = send(method, target, headers, _filled(request.body, known).encode())
        shown = f"{exchange.title}: {reply.status} {reply.body.decode()}"
        assert str(reply.status) == expected.start, shown
        for name, value in expected.headers.items():
            assert name in reply.headers, f"{shown}: no {name}"
            _compare(value, reply.headers[name], kinds, known, shown)
        if reply.headers.get("content-type", "").startswith("text/plain"):
            _compare(expected.body, reply.body.decode(), kinds, known, shown)
        elif expected.body:
            _compare(json.loads(expected.body), reply.json(), kinds, known, shown)
        else:
            assert reply.body == b"", shown


def _filled(text: str, known: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: known[match[1] + match[2]], text)


def _compare(expected: Any, found: Any, kinds: Mapping[str, str], known: dict[str, str], shown: str) -> None:
    """Assert equality, members in the same order, and learn what placeholders stand for."""
    if isinstance(expected, dict) and isinstance(found, dict):
        assert len(found) == len(expected), shown
        for (name, value), (key, other) in zip(expected.items(), found.items(), strict=True):
            _compare(name, key, kinds, known, shown)  # a key may be a placeholder too
            _compare(value, other, kinds, known, shown)
    elif isinstance(expected, list) and isinstance(found, list):
        assert len(found) == len(expected), shown
        for one, other in zip(expected, found, strict=True):
            _compare(one, other, kinds, known, shown)
    elif isinstance(expected, str) and (match := _PLACEHOLDER.fullmatch(expected)):
        assert isinstance(found, str) or type(found) is int, shown
        text = str(found)  # a number is known by its digits
        assert re.fullmatch(kinds[match[1]], text), shown
        assert known.setdefault(match[1] + match[2], text) == text, shown
    else:
        assert type(found) is type(expected), shown
        assert found == expected, shown
