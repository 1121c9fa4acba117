"""What a browser does with a page's call to another origin, by the rules of the Fetch standard."""

import json
from typing import Any

from tests.support.app import App, Response

_SIMPLE_METHODS = {"GET", "HEAD", "POST"}
_SIMPLE_TYPES = {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"}


class Blocked(Exception):
    """The page sees a network error instead of a reply."""


class Page:
    """A page of `origin` whose scripts call a server with a token that they have."""

    def __init__(self, running: App, origin: str) -> None:
        self._app = running
        self._origin = origin

    def fetch(self, method: str, target: str, body: Any = None, **headers: str) -> Response:
        """The reply as the script sees it; a body without a type is sent as text. Raises Blocked."""
        sent = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        if body is not None:
            sent.setdefault("content-type", "text/plain;charset=UTF-8")
        asked = sorted(name for name in {"authorization", *sent} if not _is_simple(name, sent.get(name, "")))
        self._preflight(method, target, asked)
        raw = b"" if body is None else json.dumps(body).encode()
        reply = self._app.request(method, target, headers={"origin": self._origin, **sent}, raw=raw)
        self._require_origin(reply)
        return reply

    def _preflight(self, method: str, target: str, asked: list[str]) -> None:
        headers = {
            "origin": self._origin,
            "access-control-request-method": method,
            "access-control-request-headers": ",".join(asked),
        }
        leave = self._app.request("OPTIONS", target, key=None, headers=headers)
        self._require_origin(leave)
        if not 200 <= leave.status < 300:
            raise Blocked(f"the preflight is answered with {leave.status}")
        if method not in {*_SIMPLE_METHODS, *_listed(leave, "methods")}:
            raise Blocked(f"{method} is not allowed")
        # A star does not cover Authorization.
        if missing := {name for name in asked if name not in _listed(leave, "headers")}:
            raise Blocked(f"{missing} is not allowed")

    def _require_origin(self, reply: Response) -> None:
        if reply.headers.get("access-control-allow-origin") not in {"*", self._origin}:
            raise Blocked("the origin is not allowed")


def _is_simple(name: str, value: str) -> bool:
    if name == "content-type":
        return value.partition(";")[0].strip().lower() in _SIMPLE_TYPES
    return name in {"accept", "accept-language", "content-language"}


def _listed(reply: Response, what: str) -> set[str]:
    words = reply.headers.get(f"access-control-allow-{what}", "").split(",")
    return {word.strip() if what == "methods" else word.strip().lower() for word in words}
