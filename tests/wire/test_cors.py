"""Browsers: pages of the configured origins may call, pages of any other origin may not, and by default none may."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetroll.config import ConfigError, origin
from fleetroll.core import limits
from fleetroll.wire.cors import Cors
from fleetroll.wire.http_refusals import Refusals
from fleetroll.wire.http_server import HttpServer
from tests.hostile.test_slow_clients import SHORT, connect, deadlines, read_all, serving
from tests.support.app import App, Response, running

OURS, THEIRS = "https://console.example.com", "https://evil.example.com"
GET = b"GET /echo HTTP/1.1\r\nHost: a\r\n"


def preflight(app: App, origin: str, method: str = "PUT") -> Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type, if-match, idempotency-key",
    }
    return app.request("OPTIONS", "/v1/devices/d", key=None, headers=headers)


def allowed(reply: Response) -> str | None:
    return reply.headers.get("access-control-allow-origin")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_a_configured_origin_may_call_with_every_method(tmp_path: Path, method: str) -> None:
    with running(tmp_path / "data", cors_origins=(OURS,)) as app:
        reply = preflight(app, OURS, method)
    assert (reply.status, allowed(reply)) == (200, OURS)
    assert method in reply.headers["access-control-allow-methods"].split(", ")
    assert "authorization" in reply.headers["access-control-allow-headers"].lower()


def test_a_configured_origin_reads_replies_and_refusals_with_their_headers(tmp_path: Path) -> None:
    with running(tmp_path / "data", cors_origins=(OURS, "https://other.example.com")) as app:
        for key, status in ((app.key, 200), ("wrong", 401)):
            reply = app.request("GET", "/v1/devices", key=key, headers={"Origin": OURS})
            assert (reply.status, allowed(reply)) == (status, OURS)
            exposed = reply.headers["access-control-expose-headers"]
            assert {"ETag", "Location", "Retry-After", "X-Request-Id"} <= set(exposed.split(", "))
            assert "Origin" in reply.headers["vary"]


def test_any_other_origin_gets_no_permission(tmp_path: Path) -> None:
    with running(tmp_path / "data", cors_origins=(OURS,)) as app:
        for origin in (THEIRS, OURS + ".evil.com", "null", OURS.replace("https", "http"), OURS.upper()):
            assert allowed(preflight(app, origin)) != origin, origin
            assert allowed(app.request("GET", "/v1/devices", headers={"Origin": origin})) is None, origin


def test_without_configuration_no_origin_is_named(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        assert allowed(app.request("GET", "/v1/devices", headers={"Origin": OURS})) is None
        refused = preflight(app, OURS)
    assert (refused.status, allowed(refused)) == (405, None)


def test_credentials_never_travel_by_themselves(tmp_path: Path) -> None:
    with running(tmp_path / "data", cors_origins=(OURS,)) as app:
        for reply in (preflight(app, OURS), app.request("GET", "/v1/devices", headers={"Origin": OURS})):
            assert "access-control-allow-credentials" not in reply.headers


# Where the rest of the target, of a field or of the body is too much or missing, and an Origin after it.
REFUSED = {
    "a target that is too long": (b"GET /" + b"x" * limits.MAX_TARGET + b" HTTP/1.1\r\nHost: a\r\n", b"414"),
    "a header field that is too large": (GET + b"X: " + b"x" * limits.MAX_HEADER_BLOCK + b"\r\n", b"431"),
    "too many header fields": (GET + b"X: y\r\n" * limits.MAX_HEADERS, b"431"),
    "a second Host": (GET + b"Host: b\r\n", b"400"),
    "another method than the first line's": (GET + b"X-HTTP-Method: PUT\r\n", b"400"),
    "an unknown transfer coding": (GET + b"Transfer-Encoding: gzip\r\n", b"501"),
    "no Host": (b"GET /echo HTTP/1.1\r\n", b"400"),
    "a body that does not come": (GET + b"Content-Length: 3\r\n", b"408"),
    "a body in a form of no body": (GET + b"Transfer-Encoding: chunked\r\nX: zz\r\n", b"400"),
}


@pytest.fixture(scope="module")
def edge() -> Iterator[HttpServer]:
    with serving(allowed=deadlines(body_stall=SHORT), refusals=Refusals(Cors((OURS,)).permission)) as server:
        yield server


def refused(server: HttpServer, head: bytes, origin: str) -> tuple[bytes, bytes]:
    """The status, and the head of the reply."""
    with connect(server) as client:
        client.sendall(head + b"Origin: " + origin.encode() + b"\r\n\r\nzz")
        head, _, _ = read_all(client).partition(b"\r\n\r\n")
    return head.split()[1], head


@pytest.mark.parametrize("row", REFUSED)
def test_a_configured_origin_reads_what_no_application_answers(edge: HttpServer, row: str) -> None:
    sent, expected = REFUSED[row]
    status, head = refused(edge, sent, OURS)
    assert status == expected
    assert b"\r\naccess-control-allow-origin: " + OURS.encode() + b"\r\n" in head
    assert re.search(b"\r\naccess-control-expose-headers: .*Retry-After, X-Request-Id", head)
    assert b"\r\nvary: Origin\r\n" in head


@pytest.mark.parametrize("row", REFUSED)
def test_any_other_origin_reads_none_of_it(edge: HttpServer, row: str) -> None:
    sent, expected = REFUSED[row]
    status, head = refused(edge, sent, THEIRS)
    assert status == expected
    assert b"access-control-" not in head
    assert b"\r\nvary: Origin\r\n" in head


def test_where_all_origins_are_configured_any_reads_what_no_application_answers() -> None:
    sent, expected = REFUSED["no Host"]
    with serving(refusals=Refusals(Cors(("*",)).permission)) as server:
        status, head = refused(server, sent, THEIRS)
    assert status == expected
    assert b"\r\naccess-control-allow-origin: *\r\n" in head
    assert re.search(b"\r\naccess-control-expose-headers: .*Retry-After, X-Request-Id", head)


def test_the_origin_of_one_request_is_not_that_of_the_next(edge: HttpServer) -> None:
    with connect(edge) as client:
        client.sendall(GET + b"Origin: " + OURS.encode() + b"\r\n\r\n" + GET + b"Host: b\r\n\r\n")
        assert b"access-control-" not in read_all(client)


@pytest.mark.parametrize(
    "text",
    [
        "https://a.example.com",
        "http://127.0.0.1:3000",
        "http://[::1]:80443",
        "capacitor://localhost",
        "https://a:80",
        "*",
        "null",
    ],
)
def test_an_origin_is_what_a_browser_calls_one(text: str) -> None:
    assert origin(text, "--cors") == text


@pytest.mark.parametrize(
    "text",
    [
        "", "a.example.com", "https://", "https://a.example.com/", "https://a.example.com/app", "https://A.example.com",
        "https://a.example.com:443", "http://a.example.com:80", "https://a.example.com,https://b.example.com",
        "https://*.example.com", "https://me@a.example.com", "https://ä.example.com", "https://a.example.com\n",
    ],
)  # fmt: skip
def test_what_no_browser_calls_an_origin_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--cors must be an origin"):
        origin(text, "--cors")
