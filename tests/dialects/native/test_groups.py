"""Saved groups: a filter with a name, whose members are whatever it finds at the moment."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.app import App, running


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        for ident, tags in (("a", ["red"]), ("b", ["red", "big"]), ("c", [])):
            app.request("PUT", f"/v1/devices/{ident}", {"tags": tags})
        yield app


def members(app: App, query: str = "") -> list[str]:
    return [device["ident"] for device in app.request("GET", f"/v1/groups/g/devices{query}").json()["devices"]]


def test_a_group_has_the_devices_that_its_filter_finds_now(app: App) -> None:
    assert app.request("POST", "/v1/groups", {"name": "g", "filter": "tags:red"}).status == 201
    assert members(app) == ["a", "b"]
    app.request("PATCH", "/v1/devices/c", {"tags": ["red"]})
    app.request("DELETE", "/v1/devices/a")
    assert members(app) == ["b", "c"]
    app.request("PATCH", "/v1/groups/g", {"filter": "tags:big"})
    assert members(app) == ["b"]


def test_a_group_can_be_narrowed_sorted_counted_and_paged(app: App) -> None:
    app.request("POST", "/v1/groups", {"name": "g", "filter": "tags:red OR ident = c"})
    assert members(app, "?filter=tags:red&sort=-ident") == ["b", "a"]
    page = app.request("GET", "/v1/groups/g/devices?limit=2&count=true").json()
    assert page["total"] == 3
    assert members(app, f"?limit=2&cursor={page['next_cursor']}") == ["c"]


@pytest.mark.parametrize("filter", ["nope = 1", "status = ", "tags:red AND", "(", "x" * 5000])
def test_a_filter_that_makes_no_sense_is_refused_before_it_is_saved(app: App, filter: str) -> None:
    refused = app.request("POST", "/v1/groups", {"name": "g", "filter": filter})
    assert (refused.status, refused.json()["code"]) == (400, "invalid_filter")
    app.request("POST", "/v1/groups", {"name": "g", "filter": "tags:red"})
    assert app.request("PATCH", "/v1/groups/g", {"filter": filter}).status == 400
    assert app.request("GET", "/v1/groups/g").json()["filter"] == "tags:red"


def test_a_group_is_renamed_by_nobody_and_deleted_without_its_devices(app: App) -> None:
    app.request("POST", "/v1/groups", {"name": "g", "filter": "", "description": "all\nof them"})
    assert members(app) == ["a", "b", "c"]
    assert app.request("PATCH", "/v1/groups/g", {"name": "h"}).status == 400
    assert app.request("POST", "/v1/groups", {"name": "g", "filter": ""}).json()["code"] == "group_exists"
    assert app.request("DELETE", "/v1/groups/g").status == 204
    assert app.request("GET", "/v1/groups/g/devices").json()["code"] == "group_not_found"
    assert app.request("GET", "/v1/stats").json()["total"] == 3


def test_a_group_may_have_any_printable_name(app: App) -> None:
    for name in ("a/b", "x:y", "grün 50%", "devices"):
        app.request("POST", "/v1/groups", {"name": name, "filter": "tags:big"})
    for path in ("a%2Fb", "x:y", "gr%C3%BCn%2050%25", "devices"):
        found = app.request("GET", f"/v1/groups/{path}/devices").json()["devices"]
        assert [device["ident"] for device in found] == ["b"], path
    assert len(app.request("GET", "/v1/groups").json()["groups"]) == 4
