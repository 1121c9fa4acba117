"""One device through the native API: create, replace, read, rename, decommission, delete."""

from typing import Any

import pytest

from tests.support.app import App

ROWS = {"content-type": "application/x-ndjson"}
DEFAULTS: dict[str, Any] = {
    "cohort": "default",
    "dms": None,
    "extras": {},
    "name": None,
    "kind": None,
    "hardware_version": None,
    "software": None,
    "metadata": {},
    "tags": [],
    "owners": [],
    "schema": {},
    "config": {},
    "status": "NO_IDENTITY",
    "connected": False,
    "last_seen": None,
    "activated_at": None,
    "template": None,
    "revision": 1,
}
FULL: dict[str, Any] = {
    "name": "Kühlraum 3",
    "kind": "thermostat",
    "hardware_version": "rev C",
    "software": {"type": "main", "version": "2.1.0", "build": "881"},
    "metadata": {"location": "warehouse-7", "shelf": {"row": 4}, "big": 2**64 - 1, "ratio": 1.0},
    "tags": ["production", "cold"],
    "owners": ["ann@example.com"],
    "schema": {"temperature": {"type": "number", "unit": "celsius", "unit_symbol": "°C"}},
    "config": {"interval": 60},
    "dms": "line-1",
}
IDENTS = ["plain", "a:b", "x:decommission", "a/b", "50%", "q?#&=+", "ünï", "スイッチ", "..x", "a b", "-", "😀"]


def test_a_new_device_has_defaults_for_all_that_was_left_out(app: App) -> None:
    made = app.request("POST", "/v1/devices", {"ident": "d-1"})
    assert made.status == 201
    shown = made.json()
    assert shown["created_at"] == shown["updated_at"]
    assert {name: shown[name] for name in DEFAULTS} == DEFAULTS
    assert shown.keys() == {*DEFAULTS, "id", "ident", "created_at", "updated_at"}


def test_everything_that_was_written_is_read_back(app: App) -> None:
    made = app.request("POST", "/v1/devices", {"ident": "d-1", **FULL}).json()
    assert {name: made[name] for name in FULL} == FULL
    assert app.request("GET", "/v1/devices/d-1").json() == made


def test_extras_stay_where_a_put_leaves_them_out_and_go_by_a_patch(app: App) -> None:
    extras = {"memfault": {"description": "In hall 1."}, "relay": {"env": "test"}}
    app.request("POST", "/v1/devices", {"ident": "d", "extras": extras})
    assert app.request("PUT", "/v1/devices/d", {"name": "x"}).json()["extras"] == extras
    less = app.request("PATCH", "/v1/devices/d", {"extras": {"memfault": {"description": None}}}).json()
    assert less["extras"] == {"memfault": {}, "relay": {"env": "test"}}
    assert app.request("PATCH", "/v1/devices/d", {"extras": None}).json()["extras"] == {}
    swept = app.request("POST", "/v1/devices:update", {"all": True, "set": {"extras": extras}})
    assert swept.status == 200
    assert app.request("GET", "/v1/devices/d").json()["extras"] == extras


@pytest.mark.parametrize(
    ("extras", "field"),
    [
        ({"acme": {"a": 1}}, "extras.acme.a"),
        ({"memfault": {"nickname": "x"}}, "extras.memfault.nickname"),
        ({"memfault": "x"}, "extras.memfault"),
        ({"memfault": {"description": 5}}, "extras.memfault.description"),
        ({"relay": {"env": "a b"}}, "extras.relay.env"),
        ({"lamassu": {"icon": "a\nb"}}, "extras.lamassu.icon"),
        ({"lamassu": {"icon_color": None}}, "extras.lamassu.icon_color"),
        ({"blynk": {"properties": {"v1": "x"}}}, "extras.blynk.properties.v1"),
        ({"blynk": {"properties": {"v1": {"color": 1}}}}, "extras.blynk.properties"),
        ({"blynk": {"properties": {"v1": {"no word": "x"}}}}, "property"),
    ],
)
def test_extras_that_no_api_could_show_are_refused(app: App, extras: Any, field: str) -> None:
    refused = app.request("POST", "/v1/devices", {"ident": "d", "extras": extras})
    assert (refused.status, refused.json()["field"]) == (400, field)
    assert app.request("GET", "/v1/devices/d").status == 404


def test_a_device_is_given_its_dms_as_it_is_made_and_keeps_it(app: App) -> None:
    assert app.request("PUT", "/v1/devices/d", {"dms": "line-1"}).json()["dms"] == "line-1"
    assert app.request("PUT", "/v1/devices/d", {"dms": "line-2"}).json()["dms"] == "line-1"
    assert app.request("PUT", "/v1/devices/d", {}).json()["dms"] == "line-1"
    requests = (("PATCH", "/v1/devices/d", {"dms": "line-2"}), ("PATCH", "/v1/devices/d", {"dms": None}))
    sweep = ("POST", "/v1/devices:update", {"all": True, "set": {"dms": "line-2"}})
    for method, path, body in (*requests, sweep):
        refused = app.request(method, path, body)
        assert (refused.status, refused.json()["code"]) == (400, "read_only"), body
    row = app.request("POST", "/v1/devices:import", raw=b'{"ident":"d","dms":"line-2"}', headers=ROWS)
    assert row.lines()[0]["outcome"] == "unchanged"
    assert app.request("GET", "/v1/devices/d").json()["dms"] == "line-1"


def test_a_created_device_is_found_at_its_location_under_its_entity_tag(app: App) -> None:
    for ident in IDENTS:
        made = app.request("POST", "/v1/devices", {"ident": ident})
        read = app.request("GET", made.headers["location"])
        assert read.status == 200, ident
        assert read.json() == made.json()
        assert read.headers["etag"] == made.headers["etag"]


def test_any_identifier_can_be_read_changed_and_deleted_by_its_path(app: App) -> None:
    for ident in IDENTS:
        path = app.request("POST", "/v1/devices", {"ident": ident}).headers["location"]
        assert app.request("PATCH", path, {"name": "x"}).json()["name"] == "x", ident
        assert app.request("PUT", path, {"name": "y"}).json()["name"] == "y", ident
        assert app.request("POST", f"{path}:decommission").json()["status"] == "DECOMMISSIONED", ident
        assert app.request("DELETE", path).status == 204, ident
        assert app.request("GET", path).status == 404, ident


def test_a_colon_in_an_identifier_needs_no_escape_unless_a_verb_follows(app: App) -> None:
    app.request("PUT", "/v1/devices/x:decommission", {})
    app.request("PUT", "/v1/devices/x", {})
    assert app.request("GET", "/v1/devices/x:decommission").json()["ident"] == "x:decommission"
    app.request("POST", "/v1/devices/x:decommission")
    assert app.request("GET", "/v1/devices/x").json()["status"] == "DECOMMISSIONED"
    assert app.request("GET", "/v1/devices/x:decommission").json()["status"] == "NO_IDENTITY"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "invalid_body", "ident"),
        ({"ident": ""}, "invalid_ident", "ident"),
        ({"ident": "."}, "invalid_ident", "ident"),
        ({"ident": "x" * 257}, "invalid_ident", "ident"),
        ({"ident": " d"}, "invalid_ident", "ident"),
        ({"ident": "a\nb"}, "invalid_ident", "ident"),
        ({"ident": "a\u200bb"}, "invalid_ident", "ident"),
        ({"ident": 7}, "invalid_body", "ident"),
        ({"ident": "d", "colour": "red"}, "invalid_body", "colour"),
        ({"ident": "d", "name": ""}, "invalid_text", "name"),
        ({"ident": "d", "tags": ["a,b"]}, "invalid_tag", "tags"),
        ({"ident": "d", "tags": [str(n) for n in range(65)]}, "too_many", "tags"),
        ({"ident": "d", "metadata": []}, "invalid_body", "metadata"),
        ({"ident": "d", "metadata": {"x": 2**64}}, "invalid_document", "metadata"),
        ({"ident": "d", "metadata": {"x": "y" * 65536}}, "document_too_large", "metadata"),
        ({"ident": "d", "schema": {"t": "celsius"}}, "invalid_schema", "schema"),
        ({"ident": "d", "software": {"flavour": "x"}}, "invalid_body", "software.flavour"),
    ],
)
def test_a_device_that_cannot_be_is_refused_with_its_reason_and_not_stored(
    app: App, body: dict[str, Any], code: str, field: str | None
) -> None:
    refused = app.request("POST", "/v1/devices", body)
    assert (refused.status, refused.json()["code"]) == (400, code)
    assert refused.json().get("field") == field
    assert app.request("GET", "/v1/devices").json()["devices"] == []


def test_an_identifier_is_taken_in_every_unicode_form_but_not_in_another_case(app: App) -> None:
    app.request("POST", "/v1/devices", {"ident": "caf\u00e9"})
    twin = app.request("POST", "/v1/devices", {"ident": "cafe\u0301"})
    assert (twin.status, twin.json()["code"]) == (409, "ident_taken")
    assert app.request("GET", "/v1/devices/cafe%CC%81").json()["ident"] == "caf\u00e9"
    assert app.request("POST", "/v1/devices", {"ident": "CAF\u00c9"}).status == 201


def test_put_creates_and_then_replaces_all_of_it_but_its_dms(app: App) -> None:
    made = app.request("PUT", "/v1/devices/d-1", FULL)
    assert (made.status, made.headers["location"]) == (201, "/v1/devices/d-1")
    replaced = app.request("PUT", "/v1/devices/d-1", {"name": "only this"})
    assert (replaced.status, "location" in replaced.headers) == (200, False)
    shown = replaced.json()
    assert {name: shown[name] for name in DEFAULTS} == DEFAULTS | {"name": "only this", "dms": "line-1", "revision": 2}
    assert shown["id"] == made.json()["id"]


def test_putting_a_device_back_as_it_was_read_changes_nothing(app: App) -> None:
    made = app.request("PUT", "/v1/devices/d-1", FULL)
    again = app.request("PUT", "/v1/devices/d-1", made.json())
    assert again.json() == made.json()
    assert again.headers["etag"] == made.headers["etag"]


@pytest.mark.parametrize("ident", ["caf\u00e9", "cafe\u0301"])
def test_a_device_is_put_back_by_either_unicode_form_of_its_identifier(app: App, ident: str) -> None:
    made = app.request("POST", "/v1/devices", {"ident": ident})
    for path in ("/v1/devices/caf%C3%A9", "/v1/devices/cafe%CC%81"):
        assert app.request("PUT", path, app.request("GET", path).json()).json() == made.json()


def test_put_refuses_a_body_that_names_another_device(app: App) -> None:
    refused = app.request("PUT", "/v1/devices/d-1", {"ident": "d-2"})
    assert (refused.status, refused.json()["code"]) == (400, "ident_mismatch")
    assert app.request("GET", "/v1/devices/d-1").status == 404


def test_a_decommissioned_device_stays_so(app: App) -> None:
    app.request("PUT", "/v1/devices/d-1", {})
    assert app.request("POST", "/v1/devices/d-1:decommission").json()["status"] == "DECOMMISSIONED"
    again = app.request("POST", "/v1/devices/d-1:decommission")
    assert (again.status, again.json()["code"]) == (409, "status_forbids")


def test_a_deleted_device_is_gone_and_its_number_is_never_used_again(app: App) -> None:
    first = app.request("PUT", "/v1/devices/d-1", FULL).json()
    assert app.request("DELETE", "/v1/devices/d-1").body == b""
    assert app.request("GET", "/v1/devices/d-1").json()["code"] == "device_not_found"
    assert app.request("DELETE", "/v1/devices/d-1").status == 404
    second = app.request("PUT", "/v1/devices/d-1", {}).json()
    assert second["id"] > first["id"]
    assert second["metadata"] == {}


def test_creating_with_an_idempotency_key_happens_once(app: App) -> None:
    headers = {"Idempotency-Key": "once"}
    first = app.request("POST", "/v1/devices", {"ident": "d-1"}, headers=headers)
    again = app.request("POST", "/v1/devices", {"ident": "d-1"}, headers=headers)
    assert (again.status, again.body, again.headers["idempotency-replayed"]) == (201, first.body, "true")
    assert again.headers["etag"] == first.headers["etag"]
    other = app.request("POST", "/v1/devices", {"ident": "d-2"}, headers=headers)
    assert (other.status, other.json()["code"]) == (422, "idempotency_key_reused")


def test_an_idempotency_key_means_nothing_to_methods_that_are_idempotent_anyway(app: App) -> None:
    headers = {"Idempotency-Key": "once"}
    assert app.request("PUT", "/v1/devices/d-1", {"name": "a"}, headers=headers).status == 201
    replaced = app.request("PUT", "/v1/devices/d-1", {"name": "b"}, headers=headers)
    assert (replaced.status, replaced.json()["name"]) == (200, "b")
    assert "idempotency-replayed" not in replaced.headers


def test_stats_count_by_every_usual_question(app: App) -> None:
    app.request("PUT", "/v1/devices/a", {"kind": "valve", "tags": ["x", "y"]})
    app.request("PUT", "/v1/devices/b", {"kind": "valve", "tags": ["x"]})
    app.request("PUT", "/v1/devices/c", {})
    app.request("POST", "/v1/devices/c:decommission")
    assert app.request("GET", "/v1/stats").json() == {
        "total": 3,
        "by_status": {"NO_IDENTITY": 2, "DECOMMISSIONED": 1},
        "by_kind": {"valve": 2, "": 1},
        "by_tag": {"x": 2, "y": 1},
        "by_connected": {"true": 0, "false": 3},
        "by_cohort": {"default": 3},
    }
