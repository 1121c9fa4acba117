"""Values of a device through the organization API: the same readings as the device's own, written in its name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetroll.core import documents, limits
from tests.support.app import App, Response, running

O = "/api/v1/organization"  # noqa: E741  # as the vendor's pages abbreviate it
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


def test_values_of_the_past_are_imported_within_their_bounds(app: App) -> None:
    values = [{"value": 20, "ts": 1_609_459_200_000}, {"value": 99, "ts": 1_609_459_260_000}]
    imported = {"deviceId": 1, "dataStreamId": 1, "values": values}
    assert ask(app, "POST", "/device/import/batch", imported).status == 204
    ident = app.request("GET", "/v1/devices").json()["devices"][0]["ident"]
    found = app.request("GET", f"/v1/devices/{ident}/telemetry?metric=temperature").json()["readings"]
    assert [(one["at"], one["value"]) for one in found] == [("2021-01-01T00:00:00Z", 20), ("2021-01-01T00:01:00Z", 85)]


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
        ("/device/datastream", {"deviceId": 1, "dataStreamId": 9, "value": 1}, 400, "There is no such datastream."),
        (
            "/device/datastream",
            {"deviceId": 1, "dataStreamId": 1, "value": "x"},
            400,
            "Value doesn't match the Datastream data type.",
        ),
        ("/device/datastream", {"deviceId": 1, "dataStreamId": 1}, 400, None),
        ("/device/datastreams", {"deviceId": 1, "values": {"1": 5, "v9": 1}}, 400, "No datastream setup for that pin."),
        ("/device/datastreams", {"deviceId": 1, "values": {"1": 5, "x": 1}}, 400, "Wrong pin format."),
        ("/device/datastreams", {"deviceId": 1, "values": {"1": 5, "3": [1]}}, 400, None),
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
        ("/device/datastream/property", {"deviceId": 1, "dataStreamId": 1, "property": "a b", "value": "x"}, 400, None),
    ],
)
def test_a_refusal_writes_nothing(app: App, path: str, body: Any, status: int, message: str | None) -> None:
    refused = ask(app, "POST", path, body)
    assert refused.status == status, refused.body
    assert message is None or refused.json()["error"]["message"] == message
    assert ask(app, "GET", "/device/datastreams?deviceId=1").json() == {}
    assert ask(app, "GET", "/device/datastreams?deviceId=1&pins=x").status == 400
