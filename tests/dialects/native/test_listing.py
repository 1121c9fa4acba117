"""Lists of devices: filters, search, order, paging and counting."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.support.app import App, running

FLEET: dict[str, dict[str, Any]] = {
    "alpha": {"kind": "valve", "name": "North gate", "tags": ["production"], "metadata": {"location": "warehouse-1"}},
    "bravo": {"kind": "valve", "tags": ["production", "old"], "metadata": {"location": "office", "floor": 2}},
    "charlie": {
        "kind": "meter",
        "name": "Äpfel",
        "owners": ["ann@example.com"],
        "metadata": {"location": "warehouse-2", "lines": ["north", "south", 7], "site": {"city": "Bonn"}},
    },
    "delta": {"metadata": {"floor": 10, "spare": True, "note": None}, "software": {"version": "2.0"}},
}


def populated(app: App) -> App:
    for ident, members in FLEET.items():
        app.request("PUT", f"/v1/devices/{ident}", members)
    app.request("POST", "/v1/devices/delta:decommission")
    return app


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        yield populated(app)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """For tests that only read."""
    with running(tmp_path_factory.mktemp("fleet") / "data") as app:
        yield populated(app)


def listed(app: App, path: str = "/v1/devices", **query: Any) -> Any:
    found = app.request("GET", f"{path}?{urlencode(query)}")
    assert found.status == 200, found.body
    return found.json()


def idents(app: App, **query: Any) -> list[str]:
    return [device["ident"] for device in listed(app, **query)["devices"]]


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("", ["alpha", "bravo", "charlie", "delta"]),
        ('status = "NO_IDENTITY" AND tags:"production"', ["alpha", "bravo"]),
        ("status = DECOMMISSIONED", ["delta"]),
        ("status != DECOMMISSIONED", ["alpha", "bravo", "charlie"]),
        ('metadata.location = "warehouse-*"', ["alpha", "charlie"]),
        ("metadata.floor > 2", ["delta"]),
        ("metadata.floor:*", ["bravo", "delta"]),
        ("metadata.spare = true", ["delta"]),
        ("metadata.spare = false", []),
        ("metadata.spare:* AND NOT metadata.spare = false", ["delta"]),
        ("metadata.note = null", ["delta"]),
        ("software.version = 2.0", ["delta"]),
        ('software.version = "2.0"', ["delta"]),
        ('metadata.floor = "2"', []),
        ("name = null", ["bravo", "delta"]),
        ("software != null", ["delta"]),
        ("tags = null", ["charlie", "delta"]),
        ('owners:"*@Example.com"', ["charlie"]),
        ('name = ""', ["bravo", "delta"]),
        ('name != ""', ["alpha", "charlie"]),
        ("metadata.lines = north", ["charlie"]),
        ("metadata.lines != north", ["alpha", "bravo", "delta"]),
        ("metadata.lines = n*", ["charlie"]),
        ("metadata.lines:nor", []),
        ("metadata.lines:7", ["charlie"]),
        ("metadata.lines > 1", []),
        ("metadata.site:city", ["charlie"]),
        ("metadata.site.city:Bon", ["charlie"]),
        ("metadata.site.zip:*", []),
        ("metadata.floor = *", ["bravo", "delta"]),
        ("tags:old OR kind = meter", ["bravo", "charlie"]),
        ("kind = valve AND NOT tags:old", ["alpha"]),
        ("-kind:*", ["delta"]),
        ("owners:ann@example.com", ["charlie"]),
        ('owners = " Ann@Example.COM " AND NOT owners:"ANN"', ["charlie"]),
        ("gate", ["alpha"]),
        ("ÄPFEL", ["charlie"]),
        ("connected = true", []),
        ('last_seen < "2026-01-01T00:00:00Z"', []),
        ('created_at > "2026-01-01T00:00:00Z"', ["alpha", "bravo", "charlie", "delta"]),
        ("ident >= bravo AND ident < delta", ["bravo", "charlie"]),
    ],
)
def test_a_filter_finds_what_it_says_in_lists_counts_and_exports(fleet: App, filter: str, found: list[str]) -> None:
    assert idents(fleet, filter=filter) == found
    assert listed(fleet, filter=filter, count="true", limit=1)["total"] == len(found)
    exported = fleet.request("GET", f"/v1/devices:export?filter={quote(filter)}").lines()
    assert [device["ident"] for device in exported] == found


@pytest.mark.parametrize(
    ("filter", "column"),
    [("colour = red", 1), ("status = GREEN", 10), ("kind = ", 8), ("(kind = a", 1), ("last_seen < soon", 13)],
)
def test_a_filter_that_makes_no_sense_is_refused_with_the_column(fleet: App, filter: str, column: int) -> None:
    refused = fleet.request("GET", f"/v1/devices?filter={quote(filter)}")
    assert (refused.status, refused.json()["code"]) == (400, "invalid_filter")
    assert refused.json()["errors"] == {"column": column}


def test_search_looks_into_identifier_and_name_whatever_the_case(fleet: App) -> None:
    assert idents(fleet, q="GATE") == ["alpha"]
    assert idents(fleet, q="äpf") == ["charlie"]
    assert idents(fleet, q="A", filter="kind = valve") == ["alpha", "bravo"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("ident", ["alpha", "bravo", "charlie", "delta"]),
        ("-ident", ["delta", "charlie", "bravo", "alpha"]),
        ("ident desc", ["delta", "charlie", "bravo", "alpha"]),
        ("-id", ["delta", "charlie", "bravo", "alpha"]),
        ("status", ["delta", "alpha", "bravo", "charlie"]),
        ("-created_at", ["delta", "charlie", "bravo", "alpha"]),
    ],
)
def test_a_list_comes_in_the_order_that_was_asked_for(fleet: App, sort: str, order: list[str]) -> None:
    assert idents(fleet, sort=sort) == order


def pages(app: App, **query: Any) -> list[list[str]]:
    found, cursor = [], {}
    while True:
        page = listed(app, **query, **cursor)
        found.append([device["ident"] for device in page["devices"]])
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("sort", ["id", "-id", "ident", "-name", "name", "kind", "-kind", "last_seen", "status"])
@pytest.mark.parametrize("limit", [1, 3])
def test_pages_give_every_device_once_and_in_order(fleet: App, sort: str, limit: int) -> None:
    found = pages(fleet, sort=sort, limit=limit)
    assert [ident for page in found for ident in page] == idents(fleet, sort=sort)
    assert all(len(page) == limit for page in found[:-1])


def test_pages_skip_and_repeat_nothing_while_devices_come_and_go(app: App) -> None:
    first = listed(app, limit=2)
    app.request("DELETE", "/v1/devices/alpha")
    app.request("PUT", "/v1/devices/echo", {})
    app.request("PATCH", "/v1/devices/charlie", {"name": "changed"})
    rest = listed(app, limit=9, cursor=first["next_cursor"])
    assert [device["ident"] for device in rest["devices"]] == ["charlie", "delta", "echo"]


def test_a_page_of_exactly_all_devices_is_the_last(fleet: App) -> None:
    assert listed(fleet, limit=4)["next_cursor"] is None
    assert "total" not in listed(fleet)


def broken(cursor: str) -> Iterator[str]:
    yield cursor[:-1]
    yield cursor[1:]
    yield cursor + "A"
    yield "A" + cursor[1:] if cursor[0] != "A" else "B" + cursor[1:]
    yield ""
    yield "ä"
    yield "x" * 9000


def test_a_cursor_that_was_touched_is_refused(fleet: App) -> None:
    cursor = listed(fleet, limit=1)["next_cursor"]
    for touched in broken(cursor):
        refused = fleet.request("GET", f"/v1/devices?{urlencode({'limit': 1, 'cursor': touched})}")
        assert (refused.status, refused.json()["code"]) == (400, "invalid_cursor"), touched


def test_a_cursor_is_good_for_its_own_list_only(app: App) -> None:
    app.request("POST", "/v1/organizations", {"slug": "kid"})
    app.request("POST", "/v1/groups", {"name": "g", "filter": "kind:*"})
    cursor = listed(app, limit=1, filter="kind = valve", sort="ident")["next_cursor"]
    query = {"limit": 1, "filter": "kind = valve", "sort": "ident", "cursor": cursor}
    assert [d["ident"] for d in listed(app, **query)["devices"]] == ["bravo"]
    assert [d["ident"] for d in listed(app, **(query | {"limit": 7, "count": "true"}))["devices"]] == ["bravo"]
    for change in ({"filter": "kind = meter"}, {"sort": "-ident"}, {"q": "a"}):
        assert app.request("GET", f"/v1/devices?{urlencode(query | change)}").status == 400, change
    assert app.request("GET", f"/v1/groups/g/devices?{urlencode(query)}").status == 400
    abroad = app.request("GET", f"/v1/devices?{urlencode(query)}", headers={"Fleetroll-Organization": "kid"})
    assert abroad.status == 400


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("limit=0", "out_of_range", "limit"),
        ("limit=1001", "out_of_range", "limit"),
        ("limit=-1", "out_of_range", "limit"),
        ("limit=1e3", "out_of_range", "limit"),
        ("limit=" + "9" * 5000, "out_of_range", "limit"),
        ("limit=1&limit=2", "repeated_parameter", "limit"),
        ("count=yes", "invalid_parameter", "count"),
        ("colour=red", "unknown_parameter", "colour"),
        ("sort=metadata", "invalid_sort", "sort"),
        ("sort=ident,name", "invalid_sort", "sort"),
        ("filter=%00", "invalid_text", None),
        ("q=%ff", "invalid_text", None),
    ],
)
def test_a_query_that_means_nothing_is_refused(fleet: App, query: str, code: str, field: str | None) -> None:
    refused = fleet.request("GET", f"/v1/devices?{query}")
    assert (refused.status, refused.json()["code"], refused.json().get("field")) == (400, code, field)


def test_devices_of_one_second_keep_their_order_across_pages(app: App) -> None:
    rows = "".join(f'{{"ident":"n{number:03}","kind":"same"}}\n' for number in range(120)).encode()
    app.request("POST", "/v1/devices:import", raw=rows, headers={"content-type": "application/x-ndjson"})
    found = [ident for page in pages(app, filter="kind = same", sort="-created_at", limit=17) for ident in page]
    assert len(found) == 120
    assert all(left > right for left, right in pairwise(found))
