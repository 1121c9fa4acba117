"""The few pages that belong to the server rather than to a dialect: its health, its metrics, and its documentation."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec import Struct

from fleetroll import __version__
from fleetroll.wire import docs_page, openapi
from fleetroll.wire.dialect import Dialect
from fleetroll.wire.metrics import CONTENT_TYPE, Condition, Metrics
from fleetroll.wire.serve import Kernel, Receive, Scope, Send, send_whole

_JSON = "application/json"
# Nothing but our own styles: the page has no script, and nothing in it comes from a request.
_PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class _Page(Struct, frozen=True):
    status: int
    media_type: str
    body: bytes
    location: str | None = None


class SystemPages:
    """An ASGI application that answers the server's own paths, and leaves all others to the kernel."""

    def __init__(
        self,
        kernel: Kernel,
        dialects: Sequence[Dialect],
        metrics: Metrics,
        ready: Callable[[], bool],
        condition: Callable[[], Condition],
    ) -> None:
        self._kernel = kernel
        self._metrics = metrics
        self._ready = ready
        self._condition = condition
        self._dialects = dialects
        self._described: tuple[bytes, bytes] | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        page = _PAGES.get(scope["path"])
        if page is None or scope["method"] not in {"GET", "HEAD"}:
            return self._kernel(scope, receive, send)
        return self._show(page, scope, send)

    async def _show(self, make: Callable[["SystemPages"], Awaitable[_Page]], scope: Scope, send: Send) -> None:
        page = await make(self)
        headers = [
            (b"content-type", page.media_type.encode()),
            (b"content-length", b"%d" % len(page.body)),
            (b"x-request-id", self._kernel.request_id(dict(scope["headers"])).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", _PAGE_POLICY.encode()),
        ]
        if page.location is not None:
            headers.append((b"location", page.location.encode()))
        await send_whole(scope, send, page.status, headers, page.body)

    async def entrance(self) -> _Page:
        """Where people begin who have nothing but the server's address."""
        return _Page(302, "text/plain; charset=utf-8", b"See /docs\n", location="/docs")

    async def health(self) -> _Page:
        return _Page(200, _JSON, msgspec.json.encode({"status": "alive", "version": __version__}))

    async def readiness(self) -> _Page:
        if self._ready():
            return _Page(200, _JSON, b'{"status":"ready"}')
        return _Page(503, _JSON, b'{"status":"not ready"}')

    async def metrics(self) -> _Page:
        return _Page(200, CONTENT_TYPE, self._metrics.render(self._condition()))

    async def description(self) -> _Page:
        return _Page(200, _JSON, (await self._descriptions())[0])

    async def reference(self) -> _Page:
        return _Page(200, "text/html; charset=utf-8", (await self._descriptions())[1])

    async def _descriptions(self) -> tuple[bytes, bytes]:
        """The OpenAPI document and the reference page.

        They are made when first asked for, because each takes as long as a large part of the start-up.
        """
        if self._described is None:
            self._described = await asyncio.to_thread(_describe, self._dialects)
        return self._described


def _describe(dialects: Sequence[Dialect]) -> tuple[bytes, bytes]:
    description = openapi.describe(dialects)
    return msgspec.json.encode(description), docs_page.render(dialects, description)


_PAGES: dict[str, Callable[[SystemPages], Awaitable[_Page]]] = {
    "/": SystemPages.entrance,
    "/health": SystemPages.health,
    "/ready": SystemPages.readiness,
    "/metrics": SystemPages.metrics,
    "/openapi.json": SystemPages.description,
    "/docs": SystemPages.reference,
}
OPEN_PATHS = frozenset(_PAGES)
"""The paths that answer GET and HEAD without a credential."""
