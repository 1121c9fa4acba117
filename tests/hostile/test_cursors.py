"""Cursors that were altered, belong to something else, or are old are refused, and never lead to other data.

And what a cursor promises: a traversal meets every row that stays, exactly once, whatever happens around it.
"""

import asyncio
import base64
import json
import os
import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from string import ascii_letters, digits
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec import structs

from fleetroll.application import Application
from fleetroll.config import Config
from fleetroll.core import limits
from fleetroll.core.times import SECOND, parse_iso
from fleetroll.wire.log import AccessLog
from tests.support.app import ADMIN_KEY, App, asgi, running
from tests.support.effort import often
from tests.support.raw import NATIVE, assert_refused
from tests.support.server_keys import ANOTHER_KEY

LISTS = {
    "devices": "/v1/devices",
    "a group's devices": "/v1/groups/all/devices",
    "organizations": "/v1/organizations",
    "keys": "/v1/keys",
    "owners": "/v1/owners",
    "groups": "/v1/groups",
    "metadata fields": "/v1/metadata-fields",
    "a timeline": "/v1/devices/device-00/timeline",
}


def fill(app: App, key: str = ADMIN_KEY) -> None:
    """Three or more of everything that has a list."""
    for number in range(12):
        body = {"name": f"name-{number % 3}", "kind": None if number % 4 else "sensor", "tags": ["t"]}
        app.request("PUT", f"/v1/devices/device-{number:02}", body, key=key)
    for number in range(4):
        app.request("POST", "/v1/organizations", {"slug": f"child-{number}"}, key=key)
        app.request("POST", "/v1/owners", {"ref": f"owner-{number}@example.com"}, key=key)
        app.request("POST", "/v1/metadata-fields", {"name": f"field-{number}", "type": "json"}, key=key)
        app.request("POST", "/v1/groups", {"name": f"group-{number}", "filter": "kind=sensor"}, key=key)
        app.request("POST", "/v1/keys", {"name": f"key-{number}", "role": "viewer"}, key=key)
        app.request("PATCH", "/v1/devices/device-00", {"name": f"name {number}"}, key=key)
    app.request("POST", "/v1/groups", {"name": "all", "filter": "tags:t"}, key=key)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("cursors") / "data") as app:
        fill(app)
        yield app


def page(app: App, path: str, key: str = ADMIN_KEY, **query: str) -> Any:
    response = app.request("GET", f"{path}?{urlencode({'limit': '2', **query})}", key=key)
    assert response.status == 200, response.body
    return response.json()


def cursor_of(app: App, path: str, key: str = ADMIN_KEY, **query: str) -> str:
    return str(page(app, path, key, **query)["next_cursor"])


def refused(app: App, path: str, cursor: str, key: str = ADMIN_KEY, status: int = 400, **query: str) -> None:
    target = f"{path}?{urlencode({'limit': '2', **query, 'cursor': cursor})}"
    assert_refused(app.request("GET", target, key=key), NATIVE, status)


@pytest.mark.parametrize("name", LISTS)
def test_a_cursor_that_was_altered_anywhere_is_refused(app: App, name: str) -> None:
    path = LISTS[name]
    cursor = cursor_of(app, path)
    assert page(app, path, cursor=cursor)
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for index in range(len(raw)):
        altered = bytes([*raw[:index], raw[index] ^ 1, *raw[index + 1 :]])
        refused(app, path, base64.urlsafe_b64encode(altered).rstrip(b"=").decode())
    for end in range(0, len(cursor), 3):
        refused(app, path, cursor[:end])
    for cut in (raw[:16], raw[16:], raw + b" ", b"\x00" * 16 + raw[16:], b"", raw[16:] + raw[:16]):
        refused(app, path, base64.urlsafe_b64encode(cut).rstrip(b"=").decode())


ODD = [
    "",
    " ",
    "0",
    "1",
    "null",
    "[]",
    "next",
    "AAAA",
    "A",
    "=",
    "====",
    "-_-_",
    "+/+/",
    "\u00e9",
    "\U0001f4df",
    "a" * 5_000,
]
ODD += ["eyJhbGciOiJub25lIn0.e30.", "' OR 1=1 --", "../../etc", "W10", "%", "\u2028"]


@pytest.mark.parametrize("name", LISTS)
def test_what_was_never_a_cursor_is_refused(app: App, name: str) -> None:
    for text in ODD:
        refused(app, LISTS[name], text)


def test_a_cursor_in_another_spelling_is_refused(app: App) -> None:
    """Base64 can be written in more than one way: with padding, other letters, or other bits that nobody reads."""
    for path in LISTS.values():
        cursor = cursor_of(app, path)
        assert page(app, path, cursor=cursor)
        others = {f"{cursor[:-1]}{last}" for last in ascii_letters + digits} - {cursor}
        others |= {cursor.translate(str.maketrans("-_", "+/")), cursor.swapcase()} - {cursor}
        others |= {f"{cursor}{end}" for end in ("=", "==", "===", " ", "\u200b")} | {f" {cursor}"}
        for text in others:
            refused(app, path, text)
    assert_refused(app.request("GET", f"/v1/devices?cursor={cursor}&cursor={cursor}"), NATIVE, 400)


def test_a_cursor_of_one_list_is_no_good_for_any_other(app: App) -> None:
    app.request("PUT", "/v1/devices/device-01", {"name": "again"})
    lists = {**LISTS, "another timeline": "/v1/devices/device-01/timeline"}
    for name, path in lists.items():
        if name == "another timeline":
            continue
        cursor = cursor_of(app, path)
        for other, target in lists.items():
            if other != name:
                refused(app, target, cursor)


QUERIES: list[dict[str, str]] = [
    {},
    {"sort": "name"},
    {"sort": "-name"},
    {"sort": "ident"},
    {"sort": "created_at"},
    {"filter": "tags:t"},
    {"filter": 'tags:"t"'},
    {"filter": "tags:t AND name:name"},
    {"q": "device"},
    {"q": "device-0"},
    {"q": "device", "filter": "tags:t"},
    {"q": "device", "sort": "name"},
]


def test_a_cursor_of_one_filter_or_order_is_no_good_for_any_other(app: App) -> None:
    for query in QUERIES:
        cursor = cursor_of(app, "/v1/devices", **query)
        for other in QUERIES:
            if other != query:
                refused(app, "/v1/devices", cursor, **other)
        assert page(app, "/v1/devices", cursor=cursor, **query)
        assert page(app, "/v1/devices", **dict(reversed(query.items())), cursor=cursor)


def test_a_query_that_only_looks_like_another_does_not_share_its_cursors(app: App) -> None:
    """What separates parameters may also stand within one."""
    for one, other in (
        ({"q": "d&filter=tags:t"}, {"q": "d", "filter": "tags:t"}),
        ({"q": "d&sort=name"}, {"q": "d", "sort": "name"}),
    ):
        for number in range(3):
            app.request("PUT", f"/v1/devices/odd-{number}", {"name": f"{one['q']} {number}"})
        refused(app, "/v1/devices", cursor_of(app, "/v1/devices", **one), **other)
        for number in range(3):
            app.request("DELETE", f"/v1/devices/odd-{number}")


def test_a_cursor_of_another_tenant_shows_nothing(app: App) -> None:
    headers = {"fleetroll-organization": "child-0"}
    made = app.request("POST", "/v1/keys", {"name": "theirs", "role": "admin"}, headers=headers)
    theirs = made.json()["key"]
    fill(app, theirs)
    for path in LISTS.values():
        refused(app, path, cursor_of(app, path), key=theirs)
        refused(app, path, cursor_of(app, path, key=theirs))


def test_a_cursor_that_was_signed_with_another_server_key_is_refused(app: App, tmp_path: Path) -> None:
    """So nobody makes one who only knows how: this server has the same lists, of the same organization."""
    with running(tmp_path / "data", server_key=ANOTHER_KEY) as other:
        fill(other)
        for path in LISTS.values():
            refused(app, path, cursor_of(other, path))


def test_a_cursor_expires_after_its_day_and_says_so(tmp_path: Path) -> None:
    """One injected clock, for signing and for checking."""
    with running(tmp_path / "data") as app:
        fill(app)
        now = app.services.clock()
        clock = {"now": now}
        services = structs.replace(app.services, clock=lambda: clock["now"])

        async def build() -> Application:
            return Application(
                Config(key_rate=0, organization_rate=0), services, AccessLog(None, asyncio.get_running_loop())
            )

        application = app.runner.run(build())

        def ask(target: str) -> Any:
            headers = {"authorization": f"Bearer {ADMIN_KEY}"}
            return app.runner.run(asgi(application.asgi, "GET", target, headers, b""))

        for path in LISTS.values():
            clock["now"] = now
            cursor = ask(f"{path}?limit=1").json()["next_cursor"]
            clock["now"] = now + limits.CURSOR_LIFETIME * 1_000_000
            assert ask(f"{path}?limit=1&cursor={cursor}").status == 200
            clock["now"] += 2_000_000
            body = assert_refused(ask(f"{path}?limit=1&cursor={cursor}"), NATIVE, 410)
            assert body["code"] == "cursor_expired"


SORTS = [
    "",
    "id",
    "-id",
    "ident",
    "-ident",
    "name",
    "-name",
    "kind",
    "-kind",
    "created_at",
    "-created_at",
    "status",
    "last_seen",
]


@pytest.mark.parametrize(("path", "sort"), [*((path, "") for path in LISTS.values()), *product(["/v1/devices"], SORTS)])
def test_a_cursor_says_nothing_that_its_bearer_could_not_see(app: App, path: str, sort: str) -> None:
    """Whoever decodes one finds when it was made, and what the last row of the page shows."""
    shown = page(app, path, **({"sort": sort} if sort else {}))
    (rows,) = (value for value in shown.values() if isinstance(value, list))
    cursor = shown["next_cursor"]
    made, place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[16:])
    assert abs(app.services.clock() // SECOND - made) < 60
    values = [*rows[-1].values(), parse_iso(rows[-1].get("created_at", ""))]
    assert all(value in values for value in (place if isinstance(place, list) else [place])), (place, values)


# --- traversals ------------------------------------------------------------------------------------------------------

LAMASSU = "/api/devmanager/v1/devices"
N = [None, True, 0, 1, 1.0, 2**53 + 1, 2**53, "text", "", "2026-01-01", "2026-01-01T00:00:00Z", [1], {"a": 1}]
NATIVE_FILTERS = ["", "tags:stable", "name:s AND NOT kind=none", "tags:stable OR tags:moving"]
TRAVERSALS = [
    *(
        ("/v1/devices", {"sort": sort, "filter": filter, "limit": "7"})
        for sort, filter in product(SORTS, NATIVE_FILTERS)
    ),
    *(
        (LAMASSU, {"sort_by": sort, "sort_mode": mode, "filter": filter, "page_size": "7"})
        for sort in ("", "id", "dms_owner", "status", "creation_timestamp", "metadata[jsonpath]$.n")
        for mode in ("asc", "desc")
        for filter in ("", "tags[ct]stable", "metadata[jsonpath]exists($.n)")
    ),
]


def body(dice: random.Random, tag: str) -> dict[str, Any]:
    """A device that has something of everything that a list is sorted by, or not."""
    whole = {"name": f"s{dice.randrange(9)}", "kind": f"k{dice.randrange(3)}", "dms": f"d{dice.randrange(3)}"}
    kept = {name: text for name, text in whole.items() if name == "name" or dice.random() < 0.7}
    return {**kept, "tags": [tag], "metadata": {"n": dice.choice(N)}}


@pytest.mark.parametrize(
    ("path", "query"), TRAVERSALS, ids=lambda value: value if isinstance(value, str) else urlencode(value)
)
def test_a_traversal_meets_every_stable_row_once_while_others_come_and_go(
    app: App, path: str, query: dict[str, str]
) -> None:
    dice = random.Random(f"{os.environ['FLEETROLL_SEED']} {query}")
    stable = [f"stable-{number:02}" for number in range(30)]
    for _ in range(often(1)):
        lines = "\n".join(json.dumps({"ident": ident, **body(dice, "stable")}) for ident in stable)
        headers = {"content-type": "application/x-ndjson"}
        app.request("POST", "/v1/devices:import", raw=lines.encode(), headers=headers)
        seen = app.run(traversed(app, dice, path, {name: value for name, value in query.items() if value}))
        assert sorted(ident for ident in seen if ident in stable) == stable


async def write(app: App, dice: random.Random) -> None:
    path = f"/v1/devices/moving-{dice.randrange(7)}"
    match dice.randrange(3):
        case 0:
            await app.call("PUT", path, body(dice, "moving"))
        case 1:
            await app.call("DELETE", path)
        case 2:
            await app.call("PATCH", path, {"name": None, **body(dice, "moving")})


async def traversed(app: App, dice: random.Random, path: str, query: dict[str, str]) -> list[str]:
    """The identifiers on all pages, while others write."""
    seen: list[str] = []
    while True:
        reading = app.call("GET", f"{path}?{urlencode(query)}")
        found = (await asyncio.gather(reading, *(write(app, dice) for _ in range(3))))[0].json()
        if path == LAMASSU:
            seen += [device["id"] for device in found["list"]]
            query = {"bookmark": found["next"]}
        else:
            seen += [device["ident"] for device in found["devices"]]
            query = {**query, "cursor": found["next_cursor"]}
        if not query.get("cursor", query.get("bookmark")):
            return seen
