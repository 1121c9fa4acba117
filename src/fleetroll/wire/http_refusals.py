"""The replies that the HTTP server gives by itself, before or instead of the application.

They are worded as the application words its own failures at the same target; without it, as small problem documents.
"""

import http
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind

Headers = list[tuple[bytes, bytes]]
Permission = Callable[[bytes], Headers]
"""The CORS header fields that let a page of an origin read a reply."""

Wording = Callable[["Refusal", bytes, str], tuple[str, bytes]]
"""The media type and body of a refusal, given its target, which may be cut off, and its request id."""

_KINDS = {414: Kind.TOO_LARGE, 431: Kind.TOO_LARGE, 500: Kind.INTERNAL, 503: Kind.UNAVAILABLE}


def without_permission(_origin: bytes) -> Headers:
    return []


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply that the server gives by itself, before or instead of the application."""

    status: int
    code: str
    detail: str
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def fault(self) -> Fault:
        """What a dialect's envelope makes a body of."""
        return Fault(_KINDS.get(self.status, Kind.INVALID), self.code, self.detail)

    def whole(self, wording: Wording, target: bytes) -> tuple[Headers, bytes]:
        """Its header fields and its body."""
        request_id = secrets.token_hex(16)
        media_type, body = wording(self, target, request_id)
        head = [
            (b"content-type", media_type.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
            *self.headers,
        ]
        return head, body

    def reply(self, headers: Headers, wording: Wording, target: bytes) -> bytes:
        """The reply as bytes, with `headers` besides its own."""
        head, body = self.whole(wording, target)
        lines = [b"%b: %b\r\n" % header for header in headers + head]
        return b"".join([STATUS_LINE[self.status], *lines, b"\r\n", body])


def as_problem(refusal: Refusal, _target: bytes, _request_id: str) -> tuple[str, bytes]:
    title = http.HTTPStatus(refusal.status).phrase
    problem = {"type": "about:blank", "title": title, "status": refusal.status, "code": refusal.code}
    return "application/problem+json", json.dumps({**problem, "detail": refusal.detail}).encode()


class Refusals(NamedTuple):
    """How a server gives its refusals: which pages may read them, and how they are worded."""

    permission: Permission = without_permission
    wording: Wording = as_problem


PLAIN = Refusals()


TARGET_TOO_LONG = Refusal(414, "target_too_long", f"The request target exceeds {limits.MAX_TARGET} bytes.")
HEAD_TOO_LARGE = Refusal(431, "headers_too_large", f"The header fields exceed {limits.MAX_HEADER_BLOCK} bytes.")
TOO_MANY_HEADERS = Refusal(431, "too_many_headers", f"There are more than {limits.MAX_HEADERS} header fields.")
NOISE = Refusal(400, "malformed_request", "The connection carries bytes that are not part of a request.")
OLD_PROTOCOL = Refusal(400, "malformed_request", "The request line has no HTTP version.")
UNKNOWN_VERSION = Refusal(505, "http_version_not_supported", "This server speaks HTTP/1.1 and HTTP/1.0.")
UNKNOWN_CODING = Refusal(501, "transfer_coding_not_supported", "The only transfer coding accepted is chunked.")
CHUNKED_TOO_EARLY = Refusal(400, "malformed_request", "HTTP/1.0 has no transfer codings.")
TARGET_FORM = Refusal(400, "malformed_request", "The request target must be a path, or a URL, with an optional query.")
NO_HOST = Refusal(400, "malformed_request", "An HTTP/1.1 request needs one Host header field.")
TWO_HOSTS = Refusal(400, "malformed_request", "There is more than one Host header field.")
METHOD_OVERRIDE = Refusal(400, "method_override_refused", "A method cannot be overridden; put it in the request line.")
TOO_SLOW = Refusal(408, "request_timeout", "The request did not arrive in time.")
TOO_MANY = Refusal(503, "too_many_connections", "The server has too many connections.", ((b"retry-after", b"1"),))
BROKEN_APPLICATION = Refusal(500, "internal_error", "The request could not be completed.")
