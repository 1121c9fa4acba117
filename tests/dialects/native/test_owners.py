"""Owners: named by devices or made by themselves, changed, and kept while they have devices."""

from typing import Any

import pytest

from tests.support.app import App


def test_an_owner_is_made_read_changed_and_deleted(app: App) -> None:
    made = app.request("POST", "/v1/owners", {"ref": " Ann@Example.com ", "name": "Ann", "address": "1 Road\nTown"})
    assert (made.status, made.json()["ref"]) == (201, "ann@example.com")
    changed = app.request("PATCH", "/v1/owners/ann@example.com", {"phone": "+1 555", "name": None})
    assert changed.json() == made.json() | {
        "phone": "+1 555",
        "name": None,
        "revision": 2,
        "updated_at": changed.json()["updated_at"],
    }
    assert app.request("GET", "/v1/owners/ann@example.com").json() == changed.json()
    assert app.request("DELETE", "/v1/owners/ann@example.com").status == 204
    assert app.request("GET", "/v1/owners/ann@example.com").json()["code"] == "owner_not_found"


def test_naming_an_unknown_owner_makes_it(app: App) -> None:
    app.request("PUT", "/v1/devices/d", {"owners": ["Bob@example.com", "bob@example.com", "warehouse 7"]})
    assert app.request("GET", "/v1/devices/d").json()["owners"] == ["bob@example.com", "warehouse 7"]
    assert [owner["name"] for owner in app.request("GET", "/v1/owners").json()["owners"]] == ["bob", "warehouse 7"]
    assert app.request("GET", "/v1/owners/warehouse%207").status == 200


def test_an_owner_with_devices_stays(app: App) -> None:
    app.request("PUT", "/v1/devices/d", {"owners": ["ann@example.com"]})
    refused = app.request("DELETE", "/v1/owners/ann@example.com")
    assert (refused.status, refused.json()["code"]) == (409, "owner_has_devices")
    app.request("PATCH", "/v1/devices/d", {"owners": []})
    assert app.request("DELETE", "/v1/owners/ann@example.com").status == 204


def test_two_owners_cannot_share_a_reference(app: App) -> None:
    app.request("POST", "/v1/owners", {"ref": "ann@example.com"})
    twin = app.request("POST", "/v1/owners", {"ref": "ANN@example.com"})
    assert (twin.status, twin.json()["code"]) == (409, "owner_exists")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"ref": ""}, "invalid_text"),
        ({"ref": "a\nb"}, "invalid_text"),
        ({"ref": "x" * 255}, "invalid_text"),
        ({"ref": "a", "name": "x" * 257}, "invalid_text"),
        ({"ref": "a", "devices": []}, "invalid_body"),
        ({}, "invalid_body"),
    ],
)
def test_an_owner_that_cannot_be_is_refused(app: App, body: dict[str, Any], code: str) -> None:
    refused = app.request("POST", "/v1/owners", body)
    assert (refused.status, refused.json()["code"]) == (400, code)
    assert app.request("GET", "/v1/owners").json()["owners"] == []


def test_owners_are_listed_in_pages(app: App) -> None:
    for ref in ("c", "a", "b"):
        app.request("POST", "/v1/owners", {"ref": ref})
    first = app.request("GET", "/v1/owners?limit=2").json()
    rest = app.request("GET", f"/v1/owners?limit=2&cursor={first['next_cursor']}").json()
    assert [owner["ref"] for owner in first["owners"] + rest["owners"]] == ["a", "b", "c"]
