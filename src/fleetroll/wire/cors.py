"""What pages of other origins may do: those of configured origins call like any client, all others learn nothing."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from fleetroll.wire.http_cycle import WHOLE
from fleetroll.wire.serve import Receive, Scope, Send

App = Callable[[Scope, Receive, Send], Awaitable[None]]
RequestId = Callable[[Mapping[bytes, bytes]], str]
_ANY = "*"
_EXPOSED = ["ETag", "Location", "Retry-After", "X-Request-Id", "Idempotency-Replayed"]


class Cors:
    """The origins that an operator has configured; without any, nothing is said of origins at all."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = list(origins)

    def around(self, app: App, request_id: RequestId) -> Any:
        """The application, with CORS for browsers."""
        if not self._origins:
            return app
        return _Preflights(
            partial(_in_two_messages, app),
            request_id,
            allow_origins=self._origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
            max_age=600,
        )

    def permission(self, origin: bytes) -> list[tuple[bytes, bytes]]:
        """The header fields by which a page of `origin` may read a reply that no application gives."""
        if not self._origins:
            return []
        exposed = (b"access-control-expose-headers", ", ".join(_EXPOSED).encode())
        if _ANY in self._origins:
            return [(b"access-control-allow-origin", _ANY.encode()), exposed]
        vary = (b"vary", b"Origin")
        if origin.decode("latin-1") not in self._origins:
            return [vary]
        return [(b"access-control-allow-origin", origin), exposed, vary]


class _Preflights(CORSMiddleware):
    """Starlette's middleware, whose own replies have a request id, as all others do."""

    def __init__(self, app: ASGIApp, request_id: RequestId, **permissions: Any) -> None:
        super().__init__(app, **permissions)
        self._request_id = request_id

    def preflight_response(self, request_headers: Headers) -> Response:
        reply = super().preflight_response(request_headers)
        reply.headers["X-Request-Id"] = self._request_id(dict(request_headers.raw))
        return reply


async def _in_two_messages(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Hide our ASGI extension, which the middleware does not know: it adds its headers to the start of a reply."""
    extensions = {name: what for name, what in scope.get("extensions", {}).items() if name != WHOLE}
    await app({**scope, "extensions": extensions}, receive, send)
