"""Attributes: typed values with the time of each, which are metadata to every other API."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.app import App, Response, running

P = "/api/v0/organizations/default/projects/default"
A = f"{P}/devices/A/attributes"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        app.request("POST", f"{P}/devices", {"device_serial": "A", "hardware_version": "evt"})
        yield app


def put(app: App, **values: Any) -> Response:
    return app.request("PATCH", A, [{"string_key": name, "value": value} for name, value in values.items()])


def states(app: App, query: str = "") -> dict[str, Any]:
    reply = app.request("GET", f"{A}?{query}")
    assert reply.status == 200, reply.body
    items = reply.json()["data"]
    assert all(item["string_key"] == item["custom_metric"]["string_key"] for item in items)
    return {item["string_key"]: item["state"] and item["state"]["value"] for item in items}


def test_attributes_keep_their_types(app: App) -> None:
    values = {"count": 679, "ratio": 0.5, "whole": 2.0, "label": "text", "on": True, "off": False, "empty": ""}
    reply = put(app, **values)
    assert (reply.status, reply.body) == (204, b"")
    found = states(app)
    assert found == values
    assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in values.items()}
    metrics = {one["string_key"]: one["data_type"] for one in app.request("GET", f"{P}/custom-metrics").json()["data"]}
    assert metrics["count"] == "INT"
    assert (metrics["ratio"], metrics["label"], metrics["on"]) == ("FLOAT", "STRING", "BOOL")


def test_an_attribute_has_every_member_that_clients_read(app: App) -> None:
    put(app, K=679)
    (item,) = app.request("GET", A).json()["data"]
    assert list(item["custom_metric"]) == [
        "id", "string_key", "display_name", "description", "data_type", "favorite", "range",
        "range_violation_behavior", "device_write_policy",
    ]  # fmt: skip
    assert item["custom_metric"]["range"] == {"min": None, "max": None, "min_inclusive": True, "max_inclusive": True}
    assert list(item["state"]) == ["value", "time", "created_date", "updated_date"]


def test_each_key_has_the_time_of_its_own_last_change(app: App) -> None:
    def when(name: str) -> datetime:
        item = app.request("GET", f"{A}?q={name}").json()["data"][0]
        return datetime.fromisoformat(item["state"]["time"])

    put(app, one=1, two=1)
    before = when("one"), when("two")
    time.sleep(0.002)
    put(app, two=2)
    assert when("one") == before[0]
    assert when("two") > before[1]


def test_a_definition_fixes_the_type_and_null_takes_a_value_away(app: App) -> None:
    put(app, count=1)
    for wrong in ("text", 1.5, True):
        reply = put(app, count=wrong)
        assert (reply.status, reply.json()["error"]["code"]) == (400, 1000)
    assert states(app) == {"count": 1}
    put(app, count=None)
    assert states(app) == {"count": None}
    assert put(app, count=2).status == 204


def test_null_takes_away_what_it_is_given_for_and_no_null_of_another_api(app: App) -> None:
    app.request("PUT", "/v1/devices/A", {"metadata": {"count": 1, "empty": None}})
    assert put(app, count=None).status == 204
    assert app.request("GET", "/v1/devices/A").json()["metadata"] == {"empty": None}


def test_a_key_is_defined_when_it_is_first_written_here_even_if_another_api_had_put_it_there(app: App) -> None:
    app.request("PUT", "/v1/devices/A", {"metadata": {"battery": "unknown", "Foo": 1, "foo": 2}})
    assert app.request("GET", f"{P}/custom-metrics").json()["data"] == []
    assert put(app, battery=87, Foo=3, foo=4).status == 204
    metrics = {one["string_key"]: one["data_type"] for one in app.request("GET", f"{P}/custom-metrics").json()["data"]}
    assert metrics == {"battery": "INT", "Foo": "INT"}
    assert put(app, battery="low").status == 400
    assert states(app) == {"battery": 87, "Foo": 3, "foo": 4}


def test_a_key_that_is_shown_as_a_fraction_is_one_when_a_whole_number_is_written(app: App) -> None:
    app.request("PUT", "/v1/devices/A", {"metadata": {"limit": 1.5}})
    assert put(app, limit=2).status == 204
    (item,) = app.request("GET", A).json()["data"]
    assert (item["custom_metric"]["data_type"], item["state"]["value"]) == ("FLOAT", 2)
    assert put(app, limit=1.7).status == 204


def test_a_key_that_takes_any_type_is_shown_as_what_its_value_is(app: App) -> None:
    app.request("POST", "/v1/metadata-fields", {"name": "any", "type": "json"})
    for value, data_type in ((None, "STRING"), (5, "INT"), (1.5, "FLOAT"), (True, "BOOL"), ("x", "STRING")):
        assert put(app, any=value).status == 204
        (item,) = app.request("GET", A).json()["data"]
        assert (item["custom_metric"]["data_type"], (item["state"] or {}).get("value")) == (data_type, value)


def test_what_a_template_defines_is_not_defined_again(app: App) -> None:
    fields = [{"name": "limit", "type": "Number"}, {"name": "Serial", "type": "Text"}]
    template = app.request("POST", "/v1/templates", {"name": "Pump", "metafields": fields}).json()["id"]
    for ident in ("A", "B"):
        assert app.request("PUT", f"/v1/devices/{ident}", {"template": template}).status in {200, 201}
    assert put(app, LIMIT=5, serial="x", other=1).status == 204
    assert app.request("GET", "/v1/devices/A").json()["metadata"] == {"limit": 5, "Serial": "x", "other": 1}
    metrics = app.request("GET", f"{P}/custom-metrics").json()["data"]
    assert [one["string_key"] for one in metrics] == ["other"]
    # What the template takes is still taken, from this device and every other.
    assert app.request("PATCH", "/v1/devices/B", {"metadata": {"limit": 5.5}}).status == 200
    assert put(app, limit=5.5).status == 204
    assert put(app, limit="high").status == 400


def test_a_key_that_is_defined_on_one_device_keeps_no_other_from_being_written(app: App) -> None:
    app.request("PUT", "/v1/devices/B", {"metadata": {"battery": "unknown"}})
    assert put(app, battery=87).status == 204
    other = f"{P}/devices/B/attributes"
    assert app.request("PATCH", other, [{"string_key": "site", "value": "north"}]).status == 204
    assert app.request("GET", "/v1/devices/B").json()["metadata"] == {"battery": "unknown", "site": "north"}
    refused = app.request("PATCH", other, [{"string_key": "battery", "value": "low"}])
    assert (refused.status, refused.json()["error"]["message"]) == (400, "battery must be of type integer.")
    assert app.request("PATCH", other, [{"string_key": "battery", "value": 5}]).status == 204
    assert app.request("PATCH", other, [{"string_key": "battery", "value": 5.0}]).status == 400


def test_a_metric_is_defined_once_before_it_has_a_value(app: App) -> None:
    new = {"string_key": "battery", "data_type": "FLOAT", "description": "Volts"}
    reply = app.request("POST", f"{P}/custom-metrics", new)
    assert reply.status == 200
    assert {name: reply.json()["data"][name] for name in new} == new
    assert app.request("GET", "/v1/metadata-fields/battery").json()["description"] == "Volts"
    assert app.request("POST", f"{P}/custom-metrics", new).status == 409
    assert app.request("POST", f"{P}/custom-metrics", {**new, "data_type": "x"}).status == 400
    assert states(app) == {"battery": None}
    put(app, battery=3)
    assert states(app) == {"battery": 3}


def test_keys_are_found_whatever_their_case_and_by_wildcards(app: App) -> None:
    put(app, Temp_in=1, temp_out=2, humidity=3)
    put(app, TEMP_IN=5)
    assert states(app, "q=temp_IN") == {"Temp_in": 5}
    assert states(app, "q=temp_*") == {"Temp_in": 5, "temp_out": 2}
    assert states(app, "q=*i*") == {"Temp_in": 5, "humidity": 3}
    assert states(app, "q=temp_out&q=hum*") == {"temp_out": 2, "humidity": 3}
    assert states(app, "q=temp") == {}


def test_a_key_that_is_given_in_two_cases_at_once_is_one_key(app: App) -> None:
    items = [{"string_key": name, "value": value} for name, value in (("Foo", 1), ("foo", 2), ("FOO", 3))]
    assert app.request("PATCH", A, items).status == 204
    assert states(app) == {"Foo": 3}
    metrics = app.request("GET", f"{P}/custom-metrics").json()["data"]
    assert [one["string_key"] for one in metrics] == ["Foo"]


def test_of_names_that_differ_in_case_alone_each_is_found_by_itself(app: App) -> None:
    app.request("PUT", "/v1/devices/A", {"metadata": {"Foo": 1, "foo": 2}})
    assert put(app, Foo=3).status == 204
    assert states(app) == {"Foo": 3, "foo": 2}


def test_a_value_is_one_value_to_every_api(app: App) -> None:
    """Written by each API in turn, and after each write the same to all: attribute, metadata, property, metadata."""
    lamassu = "/api/devmanager/v1/devices/A"

    def as_every_api_has_it() -> list[Any]:
        native = app.request("GET", "/v1/devices/A").json()["metadata"]
        shown = app.request("GET", lamassu).json()["metadata"]
        found = app.request("GET", "/v1/devices:export?filter=metadata.site:*").body.splitlines()
        (exported,) = [json.loads(line)["metadata"] for line in found]
        return [states(app)["site"], native["site"], shown["site"], exported["site"]]

    def telemetron(site: str) -> Response:
        body = {"identifier": "A", "type": "sensor", "properties": {"site": site, "floor": 2}}
        return app.request("POST", "/api/ext-v1/device", body, headers={"x-api-key": app.key})

    def lamassu_patch(site: str) -> Response:
        patches = [{"op": "test", "path": "/site", "value": states(app)["site"]}]
        return app.request(
            "PATCH", f"{lamassu}/metadata", {"patches": [*patches, {"op": "add", "path": "/site", "value": site}]}
        )

    writes: dict[str, Callable[[str], Response]] = {
        "memfault": lambda site: put(app, site=site),
        "lamassu": lamassu_patch,
        "telemetron": telemetron,
        "native": lambda site: app.request("PATCH", "/v1/devices/A", {"metadata": {"site": site}}),
    }
    for name in (*writes, *writes):
        site = f"{name}, änd \U0001f600"
        reply = writes[name](site)
        assert reply.status in {200, 204}, (name, reply.body)
        assert as_every_api_has_it() == [site] * 4


def test_what_is_no_scalar_is_no_attribute_and_a_type_holds_for_every_api(app: App) -> None:
    put(app, site="north", floor=2)
    patch = {"metadata": {"nested": {"deep": 1}}}
    assert app.request("PATCH", "/v1/devices/A", patch).status == 200
    assert states(app) == {"site": "north", "floor": 2}
    wrong = app.request("PATCH", "/v1/devices/A", {"metadata": {"site": 5}})
    assert (wrong.status, wrong.json()["code"]) == (400, "metadata_type")
    telemetron = {"identifier": "A", "type": "sensor", "properties": {"site": 5}}
    assert app.request("POST", "/api/ext-v1/device", telemetron, headers={"x-api-key": app.key}).status == 400
    patches = {"patches": [{"op": "add", "path": "/site", "value": 5}]}
    assert app.request("PATCH", "/api/devmanager/v1/devices/A/metadata", patches).status == 400
    assert states(app)["site"] == "north"
    put(app, floor=3)
    assert app.request("GET", "/v1/devices?filter=metadata.floor%20=%203").json()["devices"][0]["ident"] == "A"


def test_a_device_sets_its_own_attributes_by_the_key_of_its_project(app: App) -> None:
    key = app.request("GET", f"{P}/api_key").json()["data"]["api_key"]
    headers = {"memfault-project-key": key}
    body = [{"string_key": "mode", "value": "eco"}]
    reply = app.request("PATCH", "/api/v0/attributes?device_serial=A", body, key=None, headers=headers)
    assert reply.status == 204
    assert states(app) == {"mode": "eco"}
    for path, status in (("?device_serial=none", 404), ("", 400)):
        refused = app.request("PATCH", f"/api/v0/attributes{path}", body, key=None, headers=headers)
        assert refused.status == status
    assert app.request("PATCH", "/api/v0/attributes?device_serial=A", body).status == 403


def test_attributes_of_a_missing_device_are_not_found(app: App) -> None:
    for method, body in (("GET", None), ("PATCH", [{"string_key": "a", "value": 1}])):
        reply = app.request(method, f"{P}/devices/none/attributes", body)
        assert reply.json()["error"]["message"] == "Device with device_serial `none` not found"


@pytest.mark.parametrize("body", [{}, [{"string_key": "a"}], [{"value": 1}], [{"string_key": "a", "value": [1]}]])
def test_a_body_that_is_no_list_of_keys_and_values_is_refused(app: App, body: Any) -> None:
    reply = app.request("PATCH", A, body)
    assert (reply.status, reply.json()["error"]["code"]) == (400, 1000)
    assert states(app) == {}
