"""Quiet errors: whatever is wrong with a request, its refusal says nothing of what we are made of."""

import json
from typing import Any

import pytest

from fleetroll.wire.dialect import Dialect, Route
from tests.access.world import Caller, World, present, row_of
from tests.support.quiet import assert_quiet, betrayals
from tests.support.raw import KEYED, Raw, assert_refused, send, send_all
from tests.support.state import State

ROUTES = [(dialect, route) for dialect in KEYED for route in dialect.routes]
NAMES = [f"{route.method} {route.path}" for _, route in ROUTES]
HOSTILE = ["'; DROP TABLE x;--", "${7*7}", "{{7*7}}", "%s%n", "../../../../x", "\\", '"', "a" * 5_000]
BODIES: list[bytes] = [
    *(b"", b"{", b"null", b"[]", b'"x"', b"1", b"NaN", b"\xff", b"\xef\xbb\xbf{}", b"[" * 200, b'{"a":1e999}'),
    *(json.dumps(value).encode() for value in ({"nosuch": 1}, [{"op": "nosuch"}], {"a": "\0"})),
]
WRONG: list[Any] = [None, True, -1, 2**70, 1.5, [], {}, [None], {"a": None}, "", "\0", "x" * 5_000, *HOSTILE]
HEADERS = {
    "if-match": ["x", '"', "*,", "\xff"],
    "if-none-match": ["x"],
    "idempotency-key": ["", "\xff", "k" * 300],
    "content-type": ["", "x", "text/plain", "application/json; charset=utf-16", "multipart/form-data"],
    "content-encoding": ["gzip"],
    "last-event-id": ["x", "-1", "9" * 40],
    "fleetroll-organization": ["x", "a.b.c", "\xff"],
    "x-request-id": ["{}", "x" * 100],
}
QUERIES = [
    "nosuch=1",
    "filter=%28",
    "filter=nosuch%3D1",
    "sort=nosuch",
    "limit=0",
    "limit=x",
    "cursor=x",
    "%ff=1",
    "a=%00",
]
PATHS = [
    b"/v1",
    b"/v1/",
    b"/v1/nosuch",
    b"/api/ext-v1/nosuch",
    b"/v1/devices/%ff",
    b"/v1/devices/%00",
    b"//",
    b"/\xff",
]


def variants(route: Route, valid: Raw) -> list[Raw]:
    """The valid request with one thing wrong at a time."""
    found = [replaced(valid, query=query) for query in QUERIES]
    found += [replaced(valid, header=(name, value)) for name, values in HEADERS.items() for value in values]
    row = row_of(route)
    if isinstance(row.body, dict):
        found += [replaced(valid, body=body) for body in BODIES]
        found += [
            replaced(valid, body=json.dumps({**row.body, name: value}).encode()) for name in row.body for value in WRONG
        ]
    return found


def replaced(
    valid: Raw, *, query: str | None = None, header: tuple[str, str] | None = None, body: bytes | None = None
) -> Raw:
    target = f"{valid.target.decode()}?{query}".encode() if query else valid.target
    headers = dict(valid.headers)
    if header:
        headers[header[0].encode()] = header[1].encode("latin-1")
    return Raw(valid.method, target, tuple(headers.items()), valid.parts if body is None else (body,))


@pytest.mark.parametrize(("dialect", "route"), ROUTES, ids=NAMES)
def test_no_refusal_says_what_we_are_made_of(dialect: Dialect, route: Route, world: World) -> None:
    row = row_of(route)
    key = (world.root if row.least == "root" else world.own).key("admin")
    parts = world.sample(row) if row.reads else {**world.sample(row), "new": "refused"}
    valid = world.request(route, row, parts, Caller("admin", present(dialect, key), row.done))
    requests = variants(route, valid)
    refusals = 0
    for request, response in zip(requests, send_all(world.app, requests), strict=True):
        assert response.status < 500 or response.status == row.done, (request, response)
        if 400 <= response.status < 500:
            refusals += 1
            assert_refused(response, dialect, response.status, loud=True)
            assert_quiet(response, echoed=HOSTILE)
    assert refusals > 5


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "TRACE", "CONNECT", "NOSUCH"])
def test_an_unknown_path_says_nothing_either(path: bytes, method: str, world: World, state: State) -> None:
    before = state.all()
    response = send(world.app, Raw(method, path))
    assert 400 <= response.status < 500
    assert_quiet(response)
    assert state.all() == before


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("no such file: /var/lib/fleetroll/x", "a path"),
        ("UNIQUE constraint failed: device.ident", "SQL"),
        ("near FROM: syntax error", "SQL"),
        ('Traceback (most recent call last): File "x"', "a stack"),
        ("<object at 0x7f45350b3c10>", "a stack"),
        ("apsw.ConstraintError", "a library"),
        ("KeyError: 'x'", "a class"),
        ("expected DeviceInput", "a class"),
        ("connect to 127.0.0.1 failed", "a host"),
    ],
)
def test_the_check_knows_what_would_give_us_away(text: str, kind: str) -> None:
    assert kind in betrayals(text)


def test_the_check_lets_plain_words_pass() -> None:
    assert not betrayals("Device sensor-1 was not found. Delete what the organization holds first, where it is yours.")
