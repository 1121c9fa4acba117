"""Metadata fields: what is defined holds for every way in, and binds only what is written from then on."""

from typing import Any

import pytest

from tests.support.app import App

VALUES: dict[str, Any] = {"text": "x", "whole": 7, "broken": 1.5, "truth": True, "list": [1], "object": {"a": 1}}
ACCEPTED = {
    "string": {"text"},
    "integer": {"whole"},
    "number": {"whole", "broken"},
    "boolean": {"truth"},
    "json": set(VALUES),
}


def define(app: App, name: str, type: str, **members: Any) -> None:
    made = app.request("POST", "/v1/metadata-fields", {"name": name, "type": type, **members})
    assert made.status == 201, made.body


@pytest.mark.parametrize("type", ACCEPTED)
def test_a_field_takes_values_of_its_type_and_null(app: App, type: str) -> None:
    define(app, "f", type)
    for label, value in VALUES.items():
        reply = app.request("PUT", f"/v1/devices/{label}", {"metadata": {"f": value}})
        assert (reply.status == 201) is (label in ACCEPTED[type]), label
        assert reply.status == 201 or (reply.json()["code"], reply.json()["field"]) == ("metadata_type", "metadata.f")
    assert app.request("PUT", "/v1/devices/null", {"metadata": {"f": None}}).status == 201
    assert app.request("PUT", "/v1/devices/none", {"metadata": {"g": "anything"}}).status == 201


def test_a_required_field_is_asked_for_on_every_way_in(app: App) -> None:
    app.request("PUT", "/v1/devices/older", {"metadata": {"site": "a"}})
    define(app, "site", "string", required=True)
    ways = [
        app.request("POST", "/v1/devices", {"ident": "d"}),
        app.request("PUT", "/v1/devices/d", {}),
        app.request("PUT", "/v1/devices/older", {}),
        app.request("PATCH", "/v1/devices/older", {"metadata": {"site": None}}),
        app.request("PATCH", "/v1/devices/older", [{"op": "remove", "path": "/metadata/site"}]),
    ]
    assert [(reply.status, reply.json()["code"]) for reply in ways] == [(400, "metadata_required")] * len(ways)
    rows = b'{"ident":"d"}\n{"ident":"e","metadata":{"site":"b"}}\n{"ident":"older","metadata":{}}\n{"ident":"older"}\n'
    results = app.request("POST", "/v1/devices:import", raw=rows, headers={"content-type": "application/x-ndjson"})
    assert [row["outcome"] for row in results.lines()] == ["failed", "created", "failed", "unchanged"]
    assert results.lines()[0]["error"]["field"] == "metadata.site"
    swept = app.request("POST", "/v1/devices:update", {"set": {"metadata": {}}, "all": True}).lines()
    assert [row["error"]["code"] for row in swept] == ["metadata_required"] * 2


def test_a_definition_does_not_touch_devices_that_are_older(app: App) -> None:
    app.request("PUT", "/v1/devices/older", {"metadata": {"floor": "second"}})
    define(app, "floor", "integer")
    define(app, "site", "string", required=True)
    assert app.request("PATCH", "/v1/devices/older", {"name": "still editable"}).status == 200
    assert app.request("GET", "/v1/devices/older").json()["metadata"] == {"floor": "second"}
    assert app.request("PATCH", "/v1/devices/older", {"metadata": {"site": "a", "wing": "east"}}).status == 200
    for value in ("third", True, 1.5):
        assert app.request("PATCH", "/v1/devices/older", {"metadata": {"floor": value}}).status == 400
    row = b'{"ident":"older","metadata":{"floor":"second","site":"b"}}\n'
    stored = app.request("POST", "/v1/devices:import", raw=row, headers={"content-type": "application/x-ndjson"})
    assert stored.lines()[0]["outcome"] == "updated"
    assert app.request("PATCH", "/v1/devices/older", {"metadata": {"floor": 1}}).status == 200
    assert app.request("PATCH", "/v1/devices/older", {"metadata": {"floor": 1.0}}).status == 400


def test_a_device_that_is_older_than_a_required_field_is_given_other_members_without_it(app: App) -> None:
    app.request("PUT", "/v1/devices/older", {"metadata": {"floor": 1}})
    app.request("PUT", "/v1/devices/bare", {})
    define(app, "site", "string", required=True)
    project = "/api/v0/organizations/default/projects/default"
    for ident in ("older", "bare"):
        patched = app.request("PATCH", f"/v1/devices/{ident}", {"metadata": {"wing": "east"}})
        assert patched.status == 200, patched.body
        attributes = f"{project}/devices/{ident}/attributes"
        assert app.request("PATCH", attributes, [{"string_key": "floor", "value": 2}]).status == 204
        assert app.request("PATCH", f"/v1/devices/{ident}", {"metadata": {"site": "a"}}).status == 200
        assert app.request("PATCH", f"/v1/devices/{ident}", {"metadata": {"site": None}}).status == 400


def test_a_definition_can_be_relaxed_and_deleted_but_keeps_its_type(app: App) -> None:
    define(app, "site", "string", required=True)
    assert app.request("PATCH", "/v1/metadata-fields/site", {"type": "json"}).status == 400
    assert app.request("PATCH", "/v1/metadata-fields/site", {"required": False}).json()["required"] is False
    assert app.request("PUT", "/v1/devices/d", {}).status == 201
    assert app.request("DELETE", "/v1/metadata-fields/site").status == 204
    assert app.request("PUT", "/v1/devices/d", {"metadata": {"site": 7}}).status == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "f", "type": "colour"}, 400, "invalid_body"),
        ({"name": "", "type": "string"}, 400, "invalid_text"),
        ({"name": "f"}, 400, "invalid_body"),
        ({"name": "taken", "type": "json"}, 409, "metadata_field_exists"),
    ],
)
def test_a_definition_that_cannot_be_is_refused(app: App, body: dict[str, Any], status: int, code: str) -> None:
    define(app, "taken", "string")
    refused = app.request("POST", "/v1/metadata-fields", body)
    assert (refused.status, refused.json()["code"]) == (status, code)
    assert len(app.request("GET", "/v1/metadata-fields").json()["metadata_fields"]) == 1
