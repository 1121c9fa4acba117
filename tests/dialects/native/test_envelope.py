"""The ten kinds of failure as problem documents: status, headers and every member of the body."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from fleetroll.core.faults import Fault, Kind, conflict, invalid, not_found, stale
from fleetroll.dialects.native.routes import DIALECT
from fleetroll.service import devices
from fleetroll.wire.dialect import Dialect, Route
from fleetroll.wire.log import AccessLog
from fleetroll.wire.metrics import Metrics
from fleetroll.wire.request import Request
from fleetroll.wire.serve import Kernel
from fleetroll.wire.settings import Settings
from tests.support.app import App, asgi, running

FAULTS: dict[str, Fault | Exception] = {
    "invalid": invalid("invalid_filter", "Unknown field at column 3.", "filter", column=3),
    "unauthenticated": Fault(Kind.UNAUTHENTICATED, "unauthenticated", "Invalid or missing API key."),
    "forbidden": Fault(Kind.FORBIDDEN, "permission_denied", "This key does not have permission."),
    "not_found": not_found("device", "pump <7>"),
    "conflict": conflict("ident_taken", "A device with this identifier already exists.", "ident"),
    "stale": stale(),
    "too_large": Fault(Kind.TOO_LARGE, "body_too_large", "The body is larger than 1048576 bytes."),
    "rate_limited": Fault(Kind.RATE_LIMITED, "rate_limited", "Too many requests.", retry_after=7),
    "unavailable": Fault(Kind.UNAVAILABLE, "unavailable", "The store is not available.", retry_after=1),
    "internal": Fault(Kind.INTERNAL, "internal", "The server failed; it has been logged."),
    "bug": ZeroDivisionError("/srv/secret/path SELECT token"),
    "too_costly": Fault(Kind.UNAVAILABLE, "query_too_costly", "This filter takes too long."),
    "expired": invalid("cursor_expired", "This cursor is too old; start again from the first page.", "cursor"),
    "full": Fault(Kind.UNAVAILABLE, "storage_full", "The disk is full."),
    "media": invalid("unsupported_media_type", "Content-Type must be application/json.", "Content-Type"),
    "method": invalid("method_not_allowed", "This path allows GET.", allowed="GET"),
}
GOLDEN = {
    "invalid": (400, "Bad Request", {"field": "filter", "errors": {"column": 3}}),
    "unauthenticated": (401, "Unauthorized", {}),
    "forbidden": (403, "Forbidden", {}),
    "not_found": (404, "Not Found", {}),
    "conflict": (409, "Conflict", {"field": "ident"}),
    "stale": (412, "Precondition Failed", {}),
    "too_large": (413, "Request Entity Too Large", {}),
    "rate_limited": (429, "Too Many Requests", {}),
    "unavailable": (503, "Service Unavailable", {}),
    "internal": (500, "Internal Server Error", {}),
    "bug": (500, "Internal Server Error", {}),
    "too_costly": (422, "Unprocessable Entity", {}),
    "expired": (410, "Gone", {"field": "cursor"}),
    "full": (507, "Insufficient Storage", {}),
    "media": (415, "Unsupported Media Type", {"field": "Content-Type"}),
    "method": (405, "Method Not Allowed", {}),
}
HEADERS = {
    "unauthenticated": {"www-authenticate": 'Bearer realm="fleetroll"'},
    "rate_limited": {"retry-after": "7"},
    "unavailable": {"retry-after": "1"},
    "method": {"allow": "GET"},
}


def fail(request: Request) -> Any:
    raise FAULTS[request.path["fault"]]


FAILING = Dialect(
    name="failing",
    title="The native envelope around every failure there is",
    prefixes=DIALECT.prefixes,
    routes=(Route("GET", "/v1/{fault}", devices.get, fail, lambda *_: None, "Fail"),),
    envelope=DIALECT.envelope,
    credentials=DIALECT.credentials,
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("envelope") / "data") as app:
        yield app


@pytest.mark.parametrize("name", FAULTS)
def test_a_failure_is_a_problem_document(app: App, name: str) -> None:
    async def call() -> Any:
        log = AccessLog(None, asyncio.get_running_loop())
        kernel = Kernel(app.services, (FAILING,), FAILING, Settings(), Metrics(), log)
        headers = {"authorization": f"Bearer {app.key}", "x-request-id": "req-1"}
        return await asgi(kernel, "GET", f"/v1/{name}", headers, b"")

    reply = app.runner.run(call())
    status, title, members = GOLDEN[name]
    told = FAULTS[name] if isinstance(FAULTS[name], Fault) else FAULTS["internal"]
    assert isinstance(told, Fault)
    assert reply.status == status
    assert reply.headers == {
        "content-type": "application/problem+json",
        "content-length": str(len(reply.body)),
        "x-request-id": "req-1",
        **HEADERS.get(name, {}),
    }
    expected = {"type": "about:blank", "title": title, "status": status, "detail": told.message, "code": told.code}
    assert json.loads(reply.body) == expected | {"request_id": "req-1"} | members


def test_every_kind_is_in_this_table() -> None:
    assert {fault.kind for fault in FAULTS.values() if isinstance(fault, Fault)} == set(Kind)


def test_an_envelope_that_forgets_a_kind_is_refused_when_it_is_made() -> None:
    for kind in Kind:
        statuses = {other: status for other, status in DIALECT.envelope.statuses.items() if other is not kind}
        with pytest.raises(AssertionError, match=kind.name):
            structs.replace(DIALECT.envelope, statuses=statuses)


@pytest.mark.parametrize(
    ("path", "body", "field", "words"),
    [
        ("/v1/templates", {"datastreams": [{"pin": "v1"}, {"pin": "v2", "type": "x"}]}, "datastreams[1].type", "enum"),
        ("/v1/templates", {"events": [{"code": "a", "name": "A", "type": "x"}]}, "events[0].type", "CRITICAL"),
        ("/v1/dms", {"settings": {"registration": "x"}}, "settings.registration", "JITP"),
        ("/v1/dms", {"settings": {"keygen": {"type": "x"}}}, "settings.keygen.type", "RSA"),
    ],
)
def test_an_unknown_word_is_answered_with_those_that_exist(
    tmp_path: Path, path: str, body: dict[str, Any], field: str, words: str
) -> None:
    with running(tmp_path / "data") as app:
        refused = app.request("POST", path, {"name": "new", **body})
    assert (refused.status, refused.json()["field"]) == (400, field)
    listed = refused.json()["detail"].removeprefix(f"{field}: It must be one of ").removesuffix(".")
    assert words in listed.split(", ")


@pytest.mark.parametrize(
    ("path", "body", "field", "members"),
    [
        ("/v1/owners", {"email": "ann@example.com"}, "email", {"ref", "name"}),
        ("/v1/devices", {"ident": "d", "software": {"flavour": "x"}}, "software.flavour", {"type", "version", "build"}),
        ("/v1/templates", {"name": "t", "events": [{"id": 1, "kode": "a"}]}, "events[0].kode", {"code", "type"}),
    ],
)
def test_a_member_that_there_is_not_is_named_and_answered_by_those_there_are(
    tmp_path: Path, path: str, body: dict[str, Any], field: str, members: set[str]
) -> None:
    with running(tmp_path / "data") as app:
        refused = app.request("POST", path, body)
    assert (refused.status, refused.json()["field"]) == (400, field)
    listed = refused.json()["detail"].removeprefix(f"{field}: Unknown member; the members here are ").removesuffix(".")
    assert members <= set(listed.split(", "))


def test_a_patch_of_a_member_that_there_is_not_is_answered_in_the_same_words(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        app.request("PUT", "/v1/devices/d", {})
        merged = app.request("PATCH", "/v1/devices/d", {"colour": "red"})
        patched = app.request("PATCH", "/v1/devices/d", [{"op": "add", "path": "/colour", "value": "red"}])
    told = [
        (reply.status, reply.json()["field"], reply.json()["detail"].partition(" are ")[0])
        for reply in (merged, patched)
    ]
    assert told == [(400, "colour", "colour: Unknown member; the members here")] * 2
    assert "hardware_version, " in merged.json()["detail"]


def test_a_request_that_takes_no_body_is_refused_with_one_that_means_something(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        app.request("POST", "/v1/devices", {"ident": "a"})
        refused = app.request("POST", "/v1/devices/a:decommission", {"dry_run": True})
        assert (refused.status, refused.json()["code"]) == (400, "unexpected_body")
        assert app.request("GET", "/v1/devices/a").json()["status"] == "NO_IDENTITY"
        assert app.request("DELETE", "/v1/devices/a", {"dry_run": True}).status == 400
        assert app.request("POST", "/v1/devices/a:decommission", {}).json()["status"] == "DECOMMISSIONED"


def test_what_the_server_refuses_before_any_route_looks_the_same(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        for reply in (app.request("GET", "/nowhere"), app.request("GET", "/v1/nowhere"), app.request("PUT", "/v1/me")):
            assert reply.headers["content-type"] == "application/problem+json"
            assert reply.json()["request_id"] == reply.headers["x-request-id"]
            assert reply.json()["status"] == reply.status
