"""The device API around its transcripts: what is stored is canonical, who writes is there, and tokens end at once."""

import asyncio
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from fleetroll.core import limits, tokens
from fleetroll.core.times import DAY, SECOND
from fleetroll.service import exports, presence
from fleetroll.service.datastreams import Address
from tests.dialects.blynk_device.test_transcripts import TEMPLATE
from tests.support import process
from tests.support.app import ADMIN_KEY, App, Response, running
from tests.support.transcripts import over_socket

MINUTE = 60_000


class Device:
    """A device that knows nothing but its token."""

    def __init__(self, app: App, ident: str, **members: Any) -> None:
        self.app = app
        self.url = f"/v1/devices/{ident}"
        made = app.request("POST", "/v1/devices", {"ident": ident, **members})
        assert made.status == 201, made.body
        self.token = app.request("GET", f"{self.url}/credentials").json()["device_token"]

    def ask(self, path: str, body: Any = None, **query: str) -> Response:
        asked = "".join(f"&{name}={quote(value)}" for name, value in query.items())
        method = "GET" if body is None else "POST"
        return self.app.request(method, f"/external/api/{path}?token={self.token}{asked}", body, key=None)

    def shown(self, part: str = "") -> Any:
        return self.app.request("GET", self.url + part).json()


@pytest.fixture
def station(app: App) -> Device:
    template = app.request("POST", "/v1/templates", TEMPLATE).json()["id"]
    return Device(app, "station", template=template)


def text(response: Response) -> str:
    return str(response.json()["error"]["message"])


def test_values_are_the_readings_of_every_other_api(station: Device) -> None:
    assert station.ask("update", v1="20.5").status == 200
    points = [[1_609_459_200_000, 1], [1_609_459_260_000, 3]]
    assert station.ask("batch/update", points, pin="v1").body == b"OK"
    last = station.shown("/telemetry")["readings"]
    assert [(one["metric"], one["value"]) for one in last] == [("temperature", 20.5)]
    span = "metric=temperature&interval=1h&from=2021-01-01T00:00:00Z&to=2021-01-02T00:00:00Z"
    assert station.shown(f"/telemetry?{span}")["buckets"] == [
        {"at": "2021-01-01T00:00:00Z", "mean": 2, "min": 1, "max": 3, "count": 2, "last": 3}
    ]
    written = {"readings": [{"metric": "temperature", "value": 30}]}
    assert station.app.request("POST", f"{station.url}/telemetry", written).status == 200
    assert station.ask("get", v1="").body == b"30.00000"


def test_a_batch_holds_so_many_points(station: Device) -> None:
    start = 1_700_000_000_000
    many = [[start + n, n] for n in range(limits.MAX_READINGS + 1)]
    refused = station.ask("batch/update", many, pin="v2")
    assert (refused.status, text(refused)) == (
        400,
        "Too much data in batch. Maximum batch size is 10000 points.",
    )
    assert station.ask("batch/update", many[1:], pin="v2").body == b"OK"
    assert station.ask("get", v2="").body == b"10000"


@pytest.mark.parametrize(("first", "second"), [("1e999", "1"), ("1", "-1e999"), ("x", "1"), ("1", "")])
def test_a_pair_has_two_numbers_that_can_be_kept(station: Device, first: str, second: str) -> None:
    bare, by_pin = Device(station.app, "bare"), f"v4={first}&v4={second}"
    for device, query in (
        (station, by_pin),
        (station, f"dataStreamId=4&value={first}&value={second}"),
        (bare, by_pin),
    ):
        refused = station.app.request("GET", f"/external/api/update?token={device.token}&{query}", key=None)
        assert (refused.status, text(refused)) == (400, "Value doesn't match the Datastream data type.")
        assert device.shown("/telemetry")["readings"] == []


def test_a_request_has_two_megabytes(station: Device) -> None:
    points = [[1_700_000_000_000 + n, f"{n:0>150}"] for n in range(limits.MAX_READINGS)]
    body = json.dumps(points, separators=(",", ":")).encode()
    target, headers = f"/external/api/batch/update?token={station.token}&pin=v3", {"content-type": "application/json"}

    def send(raw: bytes) -> Response:
        return station.app.request("POST", target, key=None, headers=headers, raw=raw)

    assert limits.MAX_BODY < len(body) < 2_000_000
    assert send(body.ljust(limits.MAX_BATCH_BODY)).body == b"OK"
    assert station.ask("get", v3="").body == b"9999".rjust(150, b"0")
    refused = send(body.ljust(limits.MAX_BATCH_BODY + 1))
    assert (refused.status, text(refused)) == (413, "The body is larger than 2097152 bytes.")
    native = station.app.request("POST", f"{station.url}/telemetry", headers=headers, raw=body)
    assert native.status == 413


@pytest.mark.parametrize(
    "asked",
    [
        "update?dataStreamId=1&value=3&v4=9&v4=9",
        "update?pin=v1&value=3&v6=7",
        "update?v6=7&pin=v1&value=3",
        "update?pin=v1&value=3&v1=7",
        "update?dataStreamId=1&pin=v1&value=3",
        "get?dataStreamId=1&v6",
        "get?v1&pin=v1",
        "get?dataStreamId=1&pin=v2",
        "update/property?dataStreamId=1&pin=v2&color=red",
        "data/get?dataStreamId=1&pin=v2",
        "POST batch/update?pin=v1&v6=7",
        "POST batch/update?dataStreamId=1&pin=v2",
    ],
)
def test_of_two_ways_to_name_a_datastream_none_is_ignored(station: Device, asked: str) -> None:
    def ask(what: str) -> Response:
        method, _, target = what.rpartition(" ")
        body = [[1_700_000_000_000, 3]] if method else None
        return station.app.request(method or "GET", f"/external/api/{target}&token={station.token}", body, key=None)

    for path in ("update?dataStreamId=1&value=2", "get?dataStreamId=1", "POST batch/update?dataStreamId=1"):
        assert ask(path).status == 200
    was = station.shown("/telemetry"), station.shown("/timeline")
    refused = ask(asked)
    assert (refused.status, text(refused)) == (400, "Request with incorrect parameters")
    assert (station.shown("/telemetry"), station.shown("/timeline")) == was


def test_a_text_has_so_many_bytes(station: Device) -> None:
    assert station.ask("update", v3="x" * limits.MAX_READING_TEXT).status == 200
    assert text(station.ask("update", v3="x" * (limits.MAX_READING_TEXT + 1))) == (
        "Value doesn't match the Datastream data type."
    )


def test_writing_makes_a_device_online_and_reading_does_not(station: Device) -> None:
    for path in ("getAll", "isHardwareConnected"):
        assert station.ask(path).status == 200
    assert station.shown()["last_seen"] is None
    assert station.ask("logEvent", code="too_hot").status == 200
    shown = station.shown()
    assert (shown["connected"], shown["revision"]) == (True, 1)
    assert shown["activated_at"] == shown["last_seen"]
    later = station.app.services.clock() + 3600 * 1_000_000
    station.app.runner.run(presence.sweep(station.app.services.store, later))
    assert station.ask("isHardwareConnected").body == b"false"
    types = [event["type"] for event in station.shown("/timeline")["events"]]
    assert types == ["device.disconnected", "device.event.warning", "device.connected", "device.created"]


def test_a_refused_write_leaves_nothing_behind(station: Device) -> None:
    assert station.ask("update", v1="warm").status == 400
    assert station.ask("logEvent", code="none").status == 400
    assert station.ask("device/meta/update", metaFieldName="Rooms", value="four").status == 400
    assert station.shown()["connected"] is False
    assert len(station.shown("/timeline")["events"]) == 1


def test_coming_and_going_are_not_logged_by_hand(app: App) -> None:
    events = [{"code": code.lower(), "name": code, "type": code} for code in ("ONLINE", "OFFLINE")]
    template = app.request("POST", "/v1/templates", {"name": "Presence", "events": events})
    assert [event["code"] for event in template.json()["events"]] == ["online", "offline"], "a template may name them"
    device = Device(app, "station", template=template.json()["id"])
    for code in ("online", "offline"):
        refused = device.ask("logEvent", code=code)
        assert (refused.status, text(refused)) == (400, "Can't find Event with this code in Product template")
        triggered = {"deviceId": device.shown()["id"], "eventCode": code}
        in_its_name = app.request("POST", "/api/v1/organization/device/trigger-event", triggered)
        assert (in_its_name.status, text(in_its_name)) == (404, "Event with provided code is not found.")
        native = app.request("POST", f"{device.url}:log-event", {"code": code})
        assert (native.status, native.json()["code"]) == (400, "presence_event")
    assert [event["type"] for event in device.shown("/timeline")["events"]] == ["device.created"]


def test_what_was_done_to_a_device_says_whether_it_was_there(station: Device) -> None:
    app, number = station.app, station.shown()["id"]

    def quiet() -> None:
        later = app.services.clock() + 3600 * 1_000_000
        app.runner.run(presence.sweep(app.services.store, later))

    def rename(name: str) -> None:
        assert app.request("PUT", f"/api/v1/organization/device?deviceId={number}", {"name": name}).status == 200

    def said() -> list[bool]:
        content = app.request("GET", f"/api/v1/organization/device/logs?deviceId={number}").json()["content"]
        return [one["isOnline"] for one in reversed(content)]

    rename("Before")
    assert station.ask("update", v1="1").status == 200
    rename("There")
    quiet()
    rename("Gone")
    assert station.ask("update", v1="2").status == 200
    rename("Again")
    assert said() == [False, False, True, False, True]
    assert app.request("DELETE", f"/api/v1/organization/device/clear?deviceId={number}").status == 204
    rename("Cleared")
    assert said()[-2:] == [True, True]
    base = app.request("GET", f"/api/v1/organization/device/baseInfo?deviceId={number}").json()
    assert base["connectTime"] == base["firstConnectTime"] > 0
    quiet()
    rename("Later")
    assert said()[-3:] == [True, True, False]
    base = app.request("GET", f"/api/v1/organization/device/baseInfo?deviceId={number}").json()
    assert 0 < base["connectTime"] < base["disconnectTime"]


PAIRS = [["x", "y"], [[1], 2], [None, 1], {"a": 1}, [], [1, 2, 3], [True, 1]]


@pytest.mark.parametrize("value", PAIRS, ids=str)
def test_what_is_no_location_is_refused_everywhere(station: Device, value: Any) -> None:
    written = {"readings": [{"metric": "v4", "value": value}]}
    refused = station.app.request("POST", f"{station.url}/telemetry", written)
    assert (refused.status, refused.json()["code"]) == (400, "wrong_type")
    assert station.shown("/telemetry")["readings"] == []
    assert station.ask("getAll").json() == {}


def test_a_reading_is_held_to_its_datastream_whatever_brings_it(station: Device) -> None:
    def status(metric: str, value: Any) -> int:
        written = {"readings": [{"metric": metric, "value": value}]}
        return station.app.request("POST", f"{station.url}/telemetry", written).status

    assert [status("v2", value) for value in (1.5, "1", True)] == [400, 400, 400]
    assert [status(metric, value) for metric, value in (("v2", 2), ("v2", 3.0), ("v4", [13.4, 52]))] == [200, 200, 200]
    assert station.ask("getAll").json() == {"v2": 3, "v4": [13.4, 52.0]}


def test_what_was_stored_before_is_read_as_it_is(app: App) -> None:
    stored = [*PAIRS, "nowhere", 1.5, False]
    names = [f"m{place}" for place in range(len(stored))]
    device = Device(app, "older")
    readings = [{"metric": name, "value": value} for name, value in zip(names, stored, strict=True)]
    assert app.request("POST", f"{device.url}/telemetry", {"readings": readings}).status == 200
    for kind in ("location", "integer", "double", "string", "enum"):
        streams = [{"pin": f"v{place}", "alias": name, "type": kind} for place, name in enumerate(names)]
        made = app.request("POST", "/v1/templates", {"name": kind, "datastreams": streams})
        assert app.request("PATCH", device.url, {"template": made.json()["id"]}).status == 200
        number, expected = device.shown()["id"], {f"v{place}": value for place, value in enumerate(stored)}
        assert device.ask("getAll").json() == expected
        organization = f"/api/v1/organization/device/datastreams?deviceId={number}"
        assert app.request("GET", organization).json() == expected
        for pin, value in expected.items():
            assert device.ask("get", **{pin: ""}).status == 200
            past = app.request("GET", f"/api/v1/organization/device/datastream/history?deviceId={number}&pin={pin}")
            assert [one["value"] for one in past.json()["content"]] == [value]
    assert app.request("GET", f"/api/v1/organization/device?deviceId={number}").status == 200


def test_the_metafields_of_a_device_are_its_metadata(station: Device) -> None:
    assert station.ask("device/meta/update", metaFieldName="Serial Number", value="SN:123").status == 200
    assert station.shown()["metadata"] == {"Serial Number": "SN:123"}
    changed = station.shown("/timeline")["events"][0]
    assert changed["type"] == "device.updated"
    assert changed["actor"] == f"device:{station.shown()['id']}"


def test_a_metafield_that_the_organization_defines_otherwise_takes_no_other_value(app: App, station: Device) -> None:
    defined = {"name": "Serial Number", "type": "integer"}
    assert app.request("POST", "/v1/metadata-fields", defined).status == 201
    refused = station.ask("device/meta/update", metaFieldName="Serial Number", value="SN:123")
    assert (refused.status, text(refused)) == (400, "Wrong value")
    assert station.shown()["metadata"] == {}


def test_a_token_ends_with_its_rotation_and_with_its_device(app: App, station: Device) -> None:
    old = station.token
    station.token = app.request("POST", f"{station.url}:rotate-credentials").json()["device_token"]
    assert station.ask("getAll").status == 200
    assert app.request("GET", f"/external/api/getAll?token={old}", key=None).status == 400
    assert app.request("POST", f"{station.url}:decommission").status == 200
    assert text(station.ask("getAll")) == "Invalid token."
    other = Device(app, "other")
    assert app.request("DELETE", other.url).status == 204
    assert text(other.ask("update", v1="1")) == "Invalid token."


def test_a_transferred_device_keeps_its_token_and_takes_its_values_along(app: App) -> None:
    device = Device(app, "bare")
    assert device.ask("update", v1="5").status == 200
    assert app.request("POST", "/v1/organizations", {"slug": "child"}).status == 201
    assert app.request("POST", f"{device.url}:transfer", {"organization": "child"}).status == 200
    assert device.ask("get", v1="").body == b"5"
    assert device.ask("update", v1="6").status == 200
    assert device.ask("get", v1="").body == b"6"


def test_what_a_device_says_while_it_is_transferred_is_taken_where_it_is_then(app: App) -> None:
    """It was let in before, and its turn comes after."""
    assert app.request("POST", "/v1/organizations", {"slug": "child"}).status == 201
    child = {"Fleetroll-Organization": "child"}
    device = Device(app, "bare")

    async def race() -> list[int]:
        moved = app.call("POST", f"{device.url}:transfer", {"organization": "child"})
        said = app.call("GET", f"/external/api/update?token={device.token}&v1=7", key=None)
        noted = app.call("GET", f"/external/api/update/property?token={device.token}&pin=v1&color=red", key=None)
        return [response.status for response in await asyncio.gather(moved, said, noted)]

    assert app.runner.run(race()) == [200, 200, 200]
    assert device.ask("get", v1="").body == b"7"
    shown = app.request("GET", device.url, headers=child).json()
    assert (shown["ident"], shown["connected"]) == ("bare", True)


def test_a_device_has_its_values_all_the_time_while_it_is_transferred(app: App) -> None:
    """Its readings go with it, so whoever has found it where it was must not look for them there."""
    child = app.request("POST", "/v1/organizations", {"slug": "child"}).json()["id"]
    device = Device(app, "bare")
    number = device.shown()["id"]
    assert device.ask("update", v1="7").status == 200
    found: dict[str, set[bytes]] = {}
    moving = True

    async def move() -> None:
        nonlocal moving
        for org in (child, 1) * 10:
            body = {"deviceId": number, "newOrgId": org}
            moved = await app.call("POST", "/api/v1/organization/device/transfer/to-organization", body)
            assert moved.status == 204
        moving = False

    async def ask(path: str, key: str | None) -> None:
        while moving:
            await asyncio.sleep(0)
            found.setdefault(path, set()).add((await app.call("GET", path, key=key)).body)

    async def race() -> None:
        await asyncio.gather(
            move(),
            ask(f"/external/api/get?token={device.token}&v1", None),
            ask(f"/external/api/getAll?token={device.token}", None),
            ask(f"/api/v1/organization/device/datastreams?deviceId={number}", ADMIN_KEY),
        )

    app.runner.run(race())
    assert list(map(sorted, found.values())) == [[b"7"], [b'{"v1":7}'], [b'{"v1":7}']]


# --- files -----------------------------------------------------------------------------------------------------------


def table(device: Device, **query: str) -> list[list[str]]:
    """The rows of the file that a link leads to."""
    link = device.ask("data/get", **query)
    assert link.status == 200, link.body
    found = device.app.request("GET", link.json()["link"], key=None)
    assert (found.status, found.headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(found.body)) as archive:
        (name,) = archive.namelist()
        return [row.split(",", 1) for row in archive.read(name).decode().splitlines()]


def test_the_values_of_a_device_are_fetched_as_a_file(station: Device) -> None:
    now = station.app.services.clock() // 60_000_000 * 60_000 - 10 * MINUTE
    points = [[now, 1], [now + 1000, 2.5], [now + MINUTE, 7], [now - 40 * 86_400_000, 9]]
    assert station.ask("batch/update", points, pin="v1").body == b"OK"
    raw = [["ts", "value"], [str(now), "1"], [str(now + 1000), "2.5"], [str(now + MINUTE), "7"]]
    assert table(station, pin="v1") == raw
    assert table(station, pin="v1", period="THREE_MONTHS")[1][1] == "9"
    means = table(station, pin="v1", granularityType="MINUTE", sourceType="MAX", period="DAY")
    assert means == [["ts", "value"], [str(now), "2.5"], [str(now + MINUTE), "7"]]
    shown = table(station, pin="v1", format="ISO_SIMPLE", tzName="Asia/Kolkata")[1][0]
    assert len(shown) == len("2026-01-31 12:00:00")
    assert int(shown[14:16]) == (now // MINUTE + 30) % 60


def test_an_export_takes_the_words_that_are_described_and_no_others(station: Device) -> None:
    path = station.app.request("GET", "/openapi.json", key=None).json()["paths"]["/external/api/data/get"]
    words = {one["name"]: one["schema"]["enum"] for one in path["get"]["parameters"] if "enum" in one["schema"]}
    assert words.keys() == {"period", "granularityType", "sourceType", "format"}
    for name, known in words.items():
        # The device has no data, so what is understood is refused in other words.
        replies = [station.ask("data/get", pin="v1", **{name: word}) for word in (*known, "nonsense")]
        refused = [b"incorrect parameters" in reply.body for reply in replies]
        assert refused == [*([False] * len(known)), True], name


def test_a_number_is_described_by_how_large_it_may_be(station: Device) -> None:
    path = station.app.request("GET", "/openapi.json", key=None).json()["paths"]["/external/api/get"]
    (told,) = [one["schema"] for one in path["get"]["parameters"] if one["name"] == "dataStreamId"]
    for number, is_one in ((told["minimum"], True), (told["maximum"], True), (told["maximum"] + 1, False)):
        reply = station.ask("get", dataStreamId=str(number))
        assert (b"exist" in reply.body) == is_one, reply.body


def test_a_file_has_the_latest_values_that_fit(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    device, now = Device(app, "bare"), app.services.clock() // 1000 - 10 * MINUTE
    said = [[now + number, f"r{number:02}" * 33] for number in range(20)]
    assert device.ask("batch/update", said, pin="v1").body == b"OK"
    rows = [[str(at), value] for at, value in said]
    monkeypatch.setattr(limits, "READINGS_AT_A_TIME", 3)
    for most, size, count in ((100, 10_000, 20), (100, 1_000, 12), (100, 1, 3), (6, 10_000, 6)):
        monkeypatch.setattr(limits, "MAX_EXPORT_READINGS", most)
        monkeypatch.setattr(limits, "MAX_EXPORT_BYTES", size)
        assert table(device, pin="v1")[1:] == rows[-count:]


@pytest.mark.parametrize("name", ["Mars/Olympus", "Europe", "../UTC", "localtime", "posixrules", "right/UTC"])
def test_times_are_written_in_a_zone_that_the_world_knows(station: Device, name: str) -> None:
    """And not in one that only this machine has a file for."""
    assert station.ask("update", v1="5").status == 200
    refused = station.ask("data/get", pin="v1", format="ISO_SIMPLE", tzName=name)
    assert (refused.status, text(refused)) == (400, "Request with incorrect parameters")


def test_the_address_of_a_file_is_the_operators_where_there_is_one(tmp_path: Path) -> None:
    with running(tmp_path / "data", public_url="https://iot.example.com/fleet") as app:
        device = Device(app, "bare")
        assert device.ask("update", v1="5").status == 200
        link = device.ask("data/get", pin="v1").json()["link"]
        assert link.startswith("https://iot.example.com/fleet/external/api/data/file/device_data_")


def test_a_device_has_so_many_exports_a_day(app: App) -> None:
    device = Device(app, "bare")
    assert device.ask("update", v1="5").status == 200
    for _ in range(limits.EXPORTS_PER_DAY):
        assert device.ask("data/get", pin="v1").status == 200
    refused = device.ask("data/get", pin="v1")
    assert refused.status == 429
    assert 0 < int(refused.headers["retry-after"]) <= 86_400


def fetched(device: Device, link: str) -> Response:
    return device.app.request("GET", link, key=None)


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("device_data_", "anything_"),
        (".zip", ".csv"),
        ("device_data_", "device_data_1"),
        ("pin=v1", "pin=v2"),
        ("period=DAY", "period=WEEK"),
        ("format=TS", "format=ISO_US"),
        ("tzName=UTC", "tzName=Asia/Kolkata"),
        ("&ordered=", "&ordered=1"),
        ("&proof=", "&proof=A"),
        ("&proof=", "&proof=%C3%A9"),
        ("&proof=", "&prove="),
        ("&ordered=", "&order="),
    ],
)
def test_no_file_is_fetched_but_one_that_was_ordered(station: Device, part: str, other: str) -> None:
    assert station.ask("batch/update", v1="5", v2="6").status == 200
    asked = {"pin": "v1", "period": "DAY", "format": "TS", "tzName": "UTC"}
    link = station.ask("data/get", **asked).json()["link"]
    assert part in link
    refused = fetched(station, link.replace(part, other))
    assert refused.status in {400, 404}
    assert text(refused)
    assert fetched(station, link).status == 200
    other_device = Device(station.app, "other")
    assert other_device.ask("update", v1="5").status == 200
    assert fetched(station, link.replace(station.token, other_device.token)).status == 404


def test_a_file_without_an_order_is_refused(station: Device) -> None:
    assert station.ask("update", v1="5").status == 200
    number = station.shown()["id"]
    for name in ("anything.zip", f"device_data_{number}.zip"):
        assert station.ask(f"data/file/{name}", pin="v1", period="DAY").status == 400
        query = {"pin": "v1", "period": "DAY", "ordered": str(station.app.services.clock()), "proof": "A" * 24}
        refused = station.ask(f"data/file/{name}", **query)
        assert (refused.status, text(refused)) == (404, "This file was never ordered, or has expired; order it again.")


def test_a_file_is_of_when_it_was_ordered_and_is_there_for_an_hour(station: Device) -> None:
    assert station.ask("update", v1="5").status == 200
    link = station.ask("data/get", pin="v1").json()["link"]
    first = fetched(station, link)
    assert station.ask("update", v1="6").status == 200
    assert fetched(station, link).body == first.body
    services, number = station.app.services, station.shown()["id"]
    wanted = exports.Export(Address(pin="v1"), 30 * DAY, None, "mean")
    for age, status in ((limits.EXPORT_LIFETIME - 60, 200), (limits.EXPORT_LIFETIME, 404)):
        old = exports.Order(wanted, number, services.clock() - age * SECOND)
        proof = tokens.export_proof(services.server_key, msgspec.json.encode(old))
        query = {"pin": "v1", "ordered": str(old.at), "proof": proof}
        assert station.ask(f"data/file/device_data_{number}.zip", **query).status == status


# --- a sensor --------------------------------------------------------------------------------------------------------

SENSOR = """
import json, sys, urllib.error, urllib.request

server, token = sys.argv[1:]

def ask(path, body=None):
    headers = {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(f"{server}/external/api/{path}", body, headers)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.read().decode()

def url(path, **query):
    return path + "?" + "&".join([f"token={token}", *[f"{name}={value}" for name, value in query.items()]])

assert ask(url("isHardwareConnected")) == "false"
for temperature in (20.5, 21.0, 21.5):
    assert ask(url("update", v1=temperature)) == ""
assert ask(url("batch/update", v2=44, v3="open")) == "OK"
history = [[1609459200000 + 60000 * minute, minute / 2] for minute in range(120)]
assert ask(url("batch/update", pin="V1"), json.dumps(history).encode()) == "OK"
assert float(ask(url("get") + "&v1")) == 21.5
assert json.loads(ask(url("getAll"))) == {"v1": 21.5, "v2": 44, "v3": "open"}
assert ask(url("logEvent", code="too_hot")) == ""
assert ask(url("isHardwareConnected")) == "true"
try:
    ask(url("update", v77=1))
except urllib.error.HTTPError as refusal:
    assert refusal.code == 400
    assert json.load(refusal) == {"error": {"message": "No datastream setup for that pin."}}
print("done")
"""


def test_a_head_over_a_socket_writes_nothing(tmp_path: Path) -> None:
    with process.serving(tmp_path / "data") as server:
        send = over_socket(server.port)
        key = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}
        template = send("POST", "/v1/templates", key, json.dumps(TEMPLATE).encode()).json()["id"]
        send("POST", "/v1/devices", key, b'{"ident":"sensor","template":%d}' % template)
        was = send("GET", "/v1/devices/sensor", key, b"").json()
        token = send("GET", "/v1/devices/sensor/credentials", key, b"").json()["device_token"]
        for path, allowed in (("update", "GET"), ("batch/update", "GET, POST")):
            target = f"/external/api/{path}?token={token}&v1=100"
            head = send("HEAD", target, {}, b"")
            assert (head.status, head.headers["allow"], head.body) == (405, allowed, b"")
            assert send("DELETE", target, {}, b"").headers["allow"] == allowed
        assert send("GET", f"/external/api/getAll?token={token}", {}, b"").json() == {}
        assert send("HEAD", f"/external/api/getAll?token={token}", {}, b"").status == 200
        assert send("GET", "/v1/devices/sensor", key, b"").json() == was
        assert send("GET", f"/external/api/update?token={token}&v1=100", {}, b"").status == 200
        assert send("GET", f"/external/api/getAll?token={token}", {}, b"").json() == {"v1": 100.0}


def test_a_sensor_needs_nothing_but_its_token(tmp_path: Path) -> None:
    with process.serving(tmp_path / "data") as server:
        send = over_socket(server.port)

        def make(path: str, body: Any) -> Any:
            headers = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}
            content = json.dumps(body).encode() if body else b""
            return send("POST" if body else "GET", path, headers, content).json()

        template = make("/v1/templates", TEMPLATE)["id"]
        make("/v1/devices", {"ident": "sensor", "template": template})
        token = make("/v1/devices/sensor/credentials", None)["device_token"]
        script = [sys.executable, "-c", SENSOR, f"http://127.0.0.1:{server.port}", token]
        ran = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
        assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr
        assert make("/v1/devices/sensor", None)["connected"]
