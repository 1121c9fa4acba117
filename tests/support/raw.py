"""Requests with any bytes in any place, by plain ASGI, and what every refusal owes: its dialect's form, and quiet."""

import asyncio
import base64
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from fleetroll.application import DIALECTS
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.secrets import Issuer
from fleetroll.wire.dialect import API_KEY_HEADER, CLIENT_BASIC, Dialect
from tests.support.app import ADMIN_KEY, App, Response

_KEYS = {Issuer.KEY, Issuer.CLIENT}
KEYED = tuple(dialect for dialect in DIALECTS if _KEYS & {form.issuer for form in dialect.credentials})
"""Those that take a key; the others have proofs of their own."""
_AT_ONCE = 16  # backups on PostgreSQL wait for each other,
_SECONDS = 120  # so the last of them may take as long as all
NATIVE = next(dialect for dialect in DIALECTS if dialect.name == "native")
# What a reply could betray: frames, paths, statements, and the words of our language and libraries.
_BETRAYAL = re.compile(
    r"Traceback|\bFile \"|\.py\b|site-packages|\b0x[0-9a-f]{6,}|<class|msgspec|apsw|sqlite|\bSELECT\b|\bINSERT\b|"
    r"NoneType|UNSET|Error:|Exception|`(?:str|int|float|bool|bytes|datetime)\b|codec|fleetroll\."
)


class Raw(Struct, frozen=True):
    """One request as bytes. `parts` are the pieces in which the body arrives."""

    method: str = "GET"
    target: bytes = b"/"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    parts: tuple[bytes, ...] = (b"",)

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)


def words(text: str) -> list[str]:
    """A table of short cases, written without quotes."""
    return text.split()


def credential(dialect: Dialect) -> tuple[bytes, bytes]:
    """A header that carries the first key in the form that the dialect asks for first."""
    if dialect.credentials[0] is CLIENT_BASIC:
        return b"authorization", b"Basic " + base64.b64encode(f":{ADMIN_KEY}".encode())
    if dialect.credentials[0] is API_KEY_HEADER:
        return b"x-api-key", ADMIN_KEY.encode()
    return b"authorization", b"Bearer " + ADMIN_KEY.encode()


def send(app: App, request: Raw) -> Response:
    return app.run(deliver(app, request))


def send_all(app: App, requests: Iterable[Raw]) -> list[Response]:
    """Many of them at once, so that their writes share commits."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def delivered(request: Raw) -> Response:
        async with turns:
            return await deliver(app, request)

    async def gathered() -> list[Response]:
        return list(await asyncio.gather(*map(delivered, requests)))

    return app.run(gathered())


async def deliver(app: App, request: Raw) -> Response:
    """One request to its reply. A client that follows events hangs up once the stream has begun."""
    path, _, query = request.target.partition(b"?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(request.headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    client = _Client(request.parts)
    async with asyncio.timeout(_SECONDS):
        await app.application.asgi(scope, client.receive, client.send)
    return client.response()


class _Client:
    """The client's side of one exchange."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._inbox = list(parts) or [b""]
        self._outbox: list[Any] = []
        self._following = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self._inbox:
            part = self._inbox.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._inbox)}
        await self._following.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self._outbox.append(message)
        if dict(message.get("headers", ())).get(b"content-type") == b"text/event-stream":
            self._following.set()

    def response(self) -> Response:
        start, *rest = self._outbox
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        return Response(start["status"], headers, b"".join(part.get("body", b"") for part in rest))


def assert_refused(response: Response, dialect: Dialect, status: int | None = None, *, loud: bool = False) -> Any:
    """The decoded body of a refusal, which is 4xx, in the dialect's own envelope, and says nothing of our insides.

    `loud` allows for words of ours that the request itself had.
    """
    assert response.status == status if status else 400 <= response.status < 500, (response.status, response.body)
    assert response.headers["content-type"] == dialect.envelope.media_type
    body = json.loads(response.body)
    assert all(body.get(name) not in (None, "", {}) for name in _members(dialect)), body
    assert loud or not _BETRAYAL.search(response.body.decode()), response.body
    return body


def verdict(response: Response) -> tuple[int, str]:
    """What a refusal says, but for the number of the request."""
    body = json.loads(response.body)
    body.pop("request_id", None)
    return response.status, json.dumps(body, sort_keys=True)


def _members(dialect: Dialect) -> set[str]:
    """The members that every error body of the dialect has."""
    shape = dialect.envelope.body(Fault(Kind.INVALID, "code", "message"), 400, "request")
    return set(msgspec.to_builtins(shape))
