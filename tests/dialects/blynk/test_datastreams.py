"""Values of a device through the organization API: the same readings as the device's own, written in its name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetroll.core import documents, limits
from tests.support.app import App, Response, running

O = "/api/v1/organization"  # noqa: E741  # as the vendor's pages abbreviate it
NO_STREAM = "Data stream with identifier 9 is not found!"
METER = {
    "name": "Meter",
    "datastreams": [
        {"pin": 1, "alias": "temperature", "min": -40, "max": 85},
        {"pin": 2, "type": "STRING"},
        {"pin": 3, "type": "LOCATION"},
    ],
}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        template = ask(app, "POST", "/template/create", METER).json()["templateIds"][0]
        assert ask(app, "POST", "/device/create", {"templateId": template, "name": "meter"}).json()["id"] == 1
        yield app


def ask(app: App, method: str, path: str, body: Any = None) -> Response:
    return app.request(method, O + path, body)


def device(app: App, path: str) -> Any:
    token = ask(app, "GET", "/device?deviceId=1").json()["token"]
    return app.request("GET", f"/external/api/{path}?token={token}", key=None).json()


def test_what_is_written_is_what_the_device_reads(app: App) -> None:
    assert ask(app, "GET", "/device/datastreams?deviceId=1").json() == {}
    assert ask(app, "POST", "/device/datastream", {"deviceId": 1, "dataStreamId": 1, "value": 21.5}).status == 204
    several = {"deviceId": 1, "values": {"2": "wet", "V3": [13.4, 52.5]}}
    assert ask(app, "POST", "/device/datastreams", several).status == 204
    expected = {"v1": 21.5, "v2": "wet", "v3": [13.4, 52.5]}
    assert ask(app, "GET", "/device/datastreams?deviceId=1").json() == expected == device(app, "getAll")
    assert ask(app, "GET", "/device/datastreams?deviceId=1&pins=v1").json() == {"v1": 21.5}
    assert ask(app, "GET", "/device/datastreams?deviceId=1&pins=v2,V3").json() == {"v2": "wet", "v3": [13.4, 52.5]}
    assert ask(app, "GET", "/device/online?deviceId=1").json() == {"connected": False}, "it did not say so itself"


def test_a_fraction_is_one_wherever_it_is_shown(app: App) -> None:
    ask(app, "POST", "/device/datastreams", {"deviceId": 1, "values": {"v1": 21, "v3": [13, 52]}})
    shown = ask(app, "GET", "/device?deviceId=1").json()["dataStreamValues"]
    assert repr([one.get("value") for one in shown]) == "[21.0, None, [13.0, 52.0]]"
    assert repr(device(app, "getAll")) == "{'v1': 21.0, 'v3': [13.0, 52.0]}"


def test_values_of_the_past_are_imported_within_their_bounds(app: App) -> None:
    values = [{"value": 20, "ts": 1_609_459_200_000}, {"value": 99, "ts": 1_609_459_260_000}]
    imported = {"deviceId": 1, "dataStreamId": 1, "values": values}
    assert ask(app, "POST", "/device/import/batch", imported).status == 204
    ident = app.request("GET", "/v1/devices").json()["devices"][0]["ident"]
    found = app.request("GET", f"/v1/devices/{ident}/telemetry?metric=temperature").json()["readings"]
    assert [(one["at"], one["value"]) for one in found] == [("2021-01-01T00:00:00Z", 20), ("2021-01-01T00:01:00Z", 85)]


def test_a_request_is_on_record_with_the_last_value_of_each_datastream(app: App) -> None:
    values = [{"value": 20, "ts": 1_609_459_200_000}, {"value": 30, "ts": 1_609_459_260_000}]
    ask(app, "POST", "/device/import/batch", {"deviceId": 1, "dataStreamId": 1, "values": values})
    ask(app, "POST", "/device/datastreams", {"deviceId": 1, "values": {"v2": "wet", "v3": [13.4, 52.5]}})
    ask(app, "POST", "/device/datastreams", {"deviceId": 1, "values": {"v1": 1, "v2": 2, "v9": 3}})
    logs = ask(app, "GET", "/device/logs?deviceId=1&size=3").json()["content"]
    written = [(one["pin"], one["pinType"], one["value"], one["isOnline"]) for one in logs]
    assert sorted(written) == [
        (1, "VIRTUAL", 30, False),
        (2, "VIRTUAL", "wet", False),
        (3, "VIRTUAL", [13.4, 52.5], False),
    ]


def test_a_device_without_a_template_is_written_to_by_pin(app: App) -> None:
    number = app.request("PUT", "/v1/devices/bare", {}).json()["id"]
    assert ask(app, "POST", "/device/datastreams", {"deviceId": number, "values": {"d7": 1}}).status == 204
    (newest, *_) = ask(app, "GET", f"/device/logs?deviceId={number}").json()["content"]
    assert (newest["pin"], newest["pinType"], newest["value"]) == (7, "DIGITAL", 1)


def test_the_history_of_a_datastream_is_read_by_page_and_time(app: App) -> None:
    first = 1_609_459_200_000
    values = [{"value": number, "ts": first + number} for number in range(5)]
    ask(app, "POST", "/device/import/batch", {"deviceId": 1, "dataStreamId": 1, "values": values})

    def history(query: str) -> Any:
        return ask(app, "GET", f"/device/datastream/history?deviceId=1&pin={query}").json()

    shown = [{"createdAt": first + number, "value": float(number)} for number in reversed(range(5))]
    assert history("V1") == {"content": shown, "totalElements": 5}
    assert history("v1&page=1&size=2") == {"content": shown[2:4], "totalElements": 5}
    assert history(f"v1&from={first + 1}&to={first + 3}") == {"content": shown[1:4], "totalElements": 3}
    assert history("v2") == {"content": [], "totalElements": 0}


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("deviceId=1", 400, "pin is required."),
        ("deviceId=1&pin=x", 400, "Wrong pin format."),
        ("deviceId=1&pin=v9", 400, "No datastream setup for that pin."),
        ("deviceId=1&pin=v1&from=yesterday", 400, "from must be a time in milliseconds since 1970."),
        ("deviceId=1&pin=v1&to=-1", 400, "to must be a time in milliseconds since 1970."),
        ("deviceId=9&pin=v1", 404, "Device with identifier 9 is not found or belong to another organization."),
    ],
)
def test_a_history_that_cannot_be_read_is_refused(app: App, query: str, status: int, message: str) -> None:
    refused = ask(app, "GET", f"/device/datastream/history?{query}")
    assert (refused.status, refused.json()) == (status, {"error": {"message": message}})


def test_a_property_is_noted(app: App) -> None:
    wanted = {"deviceId": 1, "dataStreamId": 1, "property": "color", "value": "#ff0000"}
    assert ask(app, "POST", "/device/datastream/property", wanted).status == 204
    (newest, *_) = ask(app, "GET", "/device/logs?deviceId=1").json()["content"]
    assert newest["value"] == "device.updated extras"
    record = app.runner.run(app.services.store.read.devices.by_id(1, 1))
    assert record is not None
    assert documents.load(record.extras)["blynk"]["properties"] == {"v1": {"color": "#ff0000"}}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/device/datastream", {"deviceId": 9, "dataStreamId": 1, "value": 1}, 404, None),
        ("/device/datastream", {"deviceId": 1, "dataStreamId": 9, "value": 1}, 404, NO_STREAM),
        ("/device/datastreams", {"deviceId": 1, "values": {"1": 5, "9": 1}}, 404, NO_STREAM),
        (
            "/device/datastream",
            {"deviceId": 1, "dataStreamId": 1, "value": "x"},
            400,
            "Value doesn't match the Datastream data type.",
        ),
        (
            "/device/datastream",
            {"deviceId": 1, "dataStreamId": 3, "value": [10**400, 1]},
            400,
            "Value doesn't match the Datastream data type.",
        ),
        ("/device/datastream", {"deviceId": 1, "dataStreamId": 1}, 400, None),
        ("/device/datastreams", {"deviceId": 1, "values": {"1": 5, "v9": 1}}, 400, "No datastream setup for that pin."),
        ("/device/datastreams", {"deviceId": 1, "values": {"1": 5, "x": 1}}, 400, "Wrong pin format."),
        ("/device/datastreams", {"deviceId": 1, "values": {"1": 5, "3": [1]}}, 400, None),
        ("/device/import/batch", {"deviceId": 1, "dataStreamId": 9, "values": [{"value": 1, "ts": 1}]}, 404, NO_STREAM),
        ("/device/import/batch", {"deviceId": 1, "dataStreamId": 1, "values": [{"value": 1, "ts": -1}]}, 400, None),
        (
            "/device/import/batch",
            {
                "deviceId": 1,
                "dataStreamId": 1,
                "values": [{"value": 1, "ts": n} for n in range(limits.MAX_READINGS + 1)],
            },
            400,
            None,
        ),
        (
            "/device/datastream/property",
            {"deviceId": 1, "dataStreamId": 9, "property": "color", "value": "x"},
            404,
            NO_STREAM,
        ),
        ("/device/datastream/property", {"deviceId": 1, "dataStreamId": 1, "property": "a b", "value": "x"}, 400, None),
    ],
)
def test_a_refusal_writes_nothing(app: App, path: str, body: Any, status: int, message: str | None) -> None:
    refused = ask(app, "POST", path, body)
    assert refused.status == status, refused.body
    assert message is None or refused.json()["error"]["message"] == message
    assert ask(app, "GET", "/device/datastreams?deviceId=1").json() == {}
    assert ask(app, "GET", "/device/datastreams?deviceId=1&pins=x").status == 400
