"""The replies that the HTTP server gives by itself, before or instead of the application: small problem documents."""

import http
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from fleetroll.core import limits

Headers = list[tuple[bytes, bytes]]
Permission = Callable[[bytes], Headers]
"""The header fields by which a page of an origin may read a reply."""


def without_permission(_origin: bytes) -> Headers:
    return []


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply that the server gives by itself, before or instead of the application."""

    status: int
    code: str
    detail: str
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def body(self) -> bytes:
        title = http.HTTPStatus(self.status).phrase
        problem = {"type": "about:blank", "title": title, "status": self.status, "code": self.code}
        return json.dumps({**problem, "detail": self.detail}).encode()

    def head(self, length: int) -> Headers:
        return [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % length),
            (b"x-request-id", secrets.token_hex(16).encode()),
            (b"connection", b"close"),
            *self.headers,
        ]

    def reply(self, headers: Headers) -> bytes:
        """Its bytes, with `headers` besides its own."""
        body = self.body()
        lines = [b"%b: %b\r\n" % header for header in headers + self.head(len(body))]
        return b"".join([STATUS_LINE[self.status], *lines, b"\r\n", body])


TARGET_TOO_LONG = Refusal(414, "target_too_long", f"The request target exceeds {limits.MAX_TARGET} bytes.")
HEAD_TOO_LARGE = Refusal(431, "headers_too_large", f"The header fields exceed {limits.MAX_HEADER_BLOCK} bytes.")
TOO_MANY_HEADERS = Refusal(431, "too_many_headers", f"There are more than {limits.MAX_HEADERS} header fields.")
NOISE = Refusal(400, "malformed_request", "The connection carries bytes that belong to no request.")
OLD_PROTOCOL = Refusal(400, "malformed_request", "The request line names no HTTP version.")
UNKNOWN_VERSION = Refusal(505, "http_version_not_supported", "This server speaks HTTP/1.1 and HTTP/1.0.")
UNKNOWN_CODING = Refusal(501, "transfer_coding_not_supported", "The only transfer coding accepted is chunked.")
CHUNKED_TOO_EARLY = Refusal(400, "malformed_request", "HTTP/1.0 has no transfer codings.")
TARGET_FORM = Refusal(400, "malformed_request", "The request target must be a path with an optional query.")
NO_HOST = Refusal(400, "malformed_request", "An HTTP/1.1 request needs one Host header field.")
TWO_HOSTS = Refusal(400, "malformed_request", "There is more than one Host header field.")
METHOD_OVERRIDE = Refusal(400, "method_override_refused", "The method of a request is the one in its first line.")
TOO_SLOW = Refusal(408, "request_timeout", "The request did not arrive in time.")
TOO_MANY = Refusal(503, "too_many_connections", "The server has no room for a connection.", ((b"retry-after", b"1"),))
BROKEN_APPLICATION = Refusal(500, "internal_error", "The request could not be completed.")
