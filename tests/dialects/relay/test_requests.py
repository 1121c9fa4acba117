"""Whatever is sent is answered in the vendor's form; whatever is published is stored or left out, and stops nothing."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from fleetroll.bus.port import Batch, Message, Request
from fleetroll.core import limits
from fleetroll.core.ids import broker_org
from fleetroll.core.times import HOUR, SECOND
from fleetroll.service.broker import Registry
from tests.support.app import App, running
from tests.support.jwt import claims
from tests.support.state import State

HOSTILE = {
    "nothing": b"",
    "no JSON": b"{",
    "an array": b"[]",
    "a number": b"1",
    "null": b"null",
    "text": b'"text"',
    "NaN": b'{"ident": NaN}',
    "UTF-16": '{"ident": "a"}'.encode("utf-16"),
    "no UTF-8": b'{"ident": "\xff"}',
    "a lone surrogate": b'{"ident": "\\ud800"}',
    "NUL": b'{"ident": "a\\u0000"}',
    "brackets": b"[" * 100_000,
    "MessagePack": msgspec.msgpack.encode({"ident": "a"}),
    "two MiB": b'{"ident": "' + b"a" * (2 << 20) + b'"}',
    "a long number": b'{"ident": ' + b"9" * 5_000 + b"}",
    "wrong types": b'{"ident": [], "id": {}, "schema": 1, "config": [], "env": 7}',
    "nulls": b'{"ident": null, "id": null, "schema": null, "config": null, "env": null}',
    "more than there is": b'{"ident": "a", "id": "b", "creds": {}, "status": "ACTIVE", "org": 2}',
    "a foreign alphabet": '{"ident": "séñsor", "schema": {}, "config": {}}'.encode(),
    "a subject": b'{"ident": "a.b.>", "schema": {}, "config": {}}',
    "a schema of no type": b'{"ident": "a", "schema": {"t": {"type": "word"}}, "config": {}}',
}
OPERATIONS = ("create", "update", "delete", "list", "get", "sdk.schema.get", "sdk.config.get", "sdk.config.update")


class Desk:
    """A server without a broker, to which the broker's part is played by hand."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.org = broker_org(1)
        key = app.request("POST", "/v1/keys", {"name": "k", "role": "operator", "kind": "nats"}).json()
        self.user = claims(key["nats"]["api_key"])["sub"]
        self.registry = Registry(app.services, app.application.subjects.answer)
        self.sequence = 0

    def ask(self, operation: str, body: bytes, user: str = "") -> dict[str, Any]:
        request = Request(f"api.iot.devices.{self.org}.{operation}", user or self.user, body)
        return dict(json.loads(self.app.runner.run(self.app.application.subjects.answer(request))))

    def create(self, ident: str, schema: Any = None) -> dict[str, Any]:
        made = self.ask("create", json.dumps({"ident": ident, "schema": schema or {}, "config": {}}).encode())
        assert made["status"] == "DEVICE_CREATE_SUCCESS", made
        return dict(made["data"])

    def publish(
        self,
        device: str,
        *bodies: bytes,
        family: str = "telemetry",
        name: str = "t",
        env: str = "production",
        org: str = "",
        later: int = 0,
    ) -> list[Message]:
        """Returns what applications are told of it."""
        messages = []
        for body in bodies:
            self.sequence += 1
            at = self.app.services.clock() + later
            messages.append(Message(self.sequence, at, org or self.org, env, family, device, name, body))
        return list(self.app.runner.run(self.registry.ingest([Batch("stream", messages)])))

    def values(self, ident: str) -> list[Any]:
        found = self.app.request("GET", f"/v1/devices/{ident}/telemetry?metric=t&limit=100").json()
        return [one["value"] for one in found["readings"]]

    def timeline(self, ident: str, type: str) -> list[Any]:
        events = self.app.request("GET", f"/v1/devices/{ident}/timeline?limit=1000").json()["events"]
        return [event["data"] for event in events if event["type"] == type]

    def actors(self, ident: str) -> list[tuple[str, str]]:
        """Who did what, but for us."""
        events = self.app.request("GET", f"/v1/devices/{ident}/timeline?limit=1000").json()["events"]
        return sorted((event["type"], event["actor"]) for event in events if not event["actor"].startswith("key:"))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with running(tmp_path_factory.mktemp("requests") / "data") as app:
        yield Desk(app)


def test_a_token_for_the_history_is_good_for_reading_and_outlives_no_key_of_another_application(desk: Desk) -> None:
    key = desk.app.request("POST", "/v1/keys", {"name": "k", "role": "admin", "kind": "nats"}).json()
    user = claims(key["nats"]["api_key"])["sub"]
    asked = Request("accounts.user.get_http_token", user, b'{"service": "influx"}')
    token = json.loads(desk.app.runner.run(desk.app.application.subjects.answer(asked)))["data"]["token"]
    device = desk.create("visited")["id"]
    past = {
        "device_id": device,
        "fields": ["t"],
        "start": "2023-01-01T00:00:00.000Z",
        "end": "2024-01-01T00:00:00.000Z",
    }
    assert desk.app.request("POST", "/iot/db/telemetry/history", past, key=token).status == 200
    assert desk.app.request("GET", "/v1/me", key=token).json()["key"]["scopes"] == ["devices:read"]
    refused = [
        desk.app.request("POST", "/v1/keys", {"name": "for ever", "role": "admin"}, key=token),
        desk.app.request("GET", "/v1/devices/visited/timeline", key=token),
        desk.app.request("DELETE", "/v1/devices/visited", key=token),
    ]
    assert [one.status for one in refused] == [403, 403, 403]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_whatever_is_sent_has_an_answer_in_the_vendors_form(desk: Desk, operation: str, body: bytes) -> None:
    before = desk.ask("list", b"{}")
    answer = desk.ask(operation, body)
    assert isinstance(answer["status"], str)
    assert isinstance(answer["data"], dict)
    if operation != "list":
        assert answer["status"].endswith("_FAILURE"), answer
        assert answer["data"]["msg"]
    assert desk.ask("list", b"{}") == before


def test_the_failures_that_the_vendor_specifies(desk: Desk) -> None:
    made = desk.create("taken")
    desk.create("other")
    again = desk.ask("create", b'{"ident": "taken", "schema": {}, "config": {}}')
    assert again["status"] == "DEVICE_CREATE_FAILURE"
    assert again["data"]["code"] == "DEVICE_IDENT_EXISTS"
    assert isinstance(again["data"]["msg"], list)
    renamed = desk.ask("update", json.dumps({"id": made["id"], "ident": "other"}).encode())
    assert (renamed["status"], renamed["data"]["code"]) == ("DEVICE_UPDATE_FAILURE", "DEVICE_IDENT_EXISTS")
    missing = desk.ask("delete", b'{"ident": "nobody"}')
    assert (missing["status"], missing["data"]["code"]) == ("DEVICE_DELETE_FAILURE", "INVALID_DEVICE_ID")
    assert desk.ask("get", b'{"ident": "nobody"}')["status"] == "DEVICE_GET_FAILURE"


@pytest.mark.parametrize("ident", ["a/b", "a.b", "a:b", "100%", "a b", "séñsor", "a*>", "\U0001f4a1", "x" * 256])
def test_a_device_that_another_api_has_named_is_read_changed_and_deleted_here(desk: Desk, ident: str) -> None:
    assert desk.app.request("POST", "/v1/devices", {"ident": ident}).status == 201
    named = json.dumps({"ident": ident}).encode()
    (listed,) = [one for one in desk.ask("list", b"{}")["data"]["devices"] if one["ident"] == ident]
    assert desk.ask("get", named)["data"] == listed
    changed = {**listed, "config": {"a": 1}}
    assert desk.ask("update", json.dumps(changed).encode())["data"]["device"] == changed
    other = desk.ask("update", json.dumps({**changed, "ident": "b/c"}).encode())
    assert "ident contains invalid characters" in other["data"]["msg"]
    assert desk.ask("delete", named)["data"]["device_id"] == listed["id"]
    assert desk.ask("get", named)["data"]["code"] == "INVALID_DEVICE_ID"


def test_a_list_of_long_foreign_identifiers_fits_into_a_message(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        desk = Desk(app)
        rows = "".join(json.dumps({"ident": f"{'漢' * 250}{number}"}) + "\n" for number in range(10_500)).encode()
        stored = app.request("POST", "/v1/devices:import", raw=rows, headers={"content-type": "application/x-ndjson"})
        assert stored.status == 200
        request = Request(f"api.iot.devices.{desk.org}.list", desk.user, b"{}")
        answer = app.runner.run(app.application.subjects.answer(request))
    assert len(answer) <= limits.MAX_BUS_PAYLOAD
    listed = json.loads(answer)["data"]
    assert (listed["truncated"], len(listed["devices"]) > 5_000) == (True, True)


def test_an_id_names_a_device_only_as_a_whole(desk: Desk) -> None:
    """Digits of the device's number beside those of another moment of creation are the id of no device."""
    made = desk.create("whole")
    alias = "0" * 8 + made["id"][8:]
    answer = desk.ask("update", json.dumps({"id": alias, "config": {"a": 1}}).encode())
    assert (answer["status"], answer["data"]["code"]) == ("DEVICE_UPDATE_FAILURE", "INVALID_DEVICE_ID")
    assert answer["data"]["msg"] == f"Device {alias} was not found."
    assert desk.ask("get", b'{"ident": "whole"}')["data"]["config"] == {}
    asked = {"start": "2023-01-01T00:00:00.000Z", "end": "2024-01-01T00:00:00.000Z", "fields": ["t"]}
    for id, status in ((made["id"], 200), (alias, 404)):
        assert desk.app.request("POST", "/iot/db/telemetry/history", {**asked, "device_id": id}).status == status
    desk.publish(alias, b'{"value": "to nobody"}', family="commands", name="go")
    desk.publish(made["id"], b'{"value": "to it"}', family="commands", name="go")
    assert [data["value"] for data in desk.timeline("whole", "device.command")] == ["to it"]


def test_a_device_reaches_itself_by_its_whole_id_alone(desk: Desk) -> None:
    made, other = desk.create("itself"), desk.create("neighbour")
    user = claims(made["creds"]["api_key"])["sub"]
    for id, found in ((made["id"], True), ("0" * 8 + made["id"][8:], False), (other["id"], False), ("f" * 24, False)):
        for operation in ("sdk.schema.get", "sdk.config.get"):
            answer = desk.ask(operation, json.dumps({"id": id}).encode(), user)
            assert answer["status"].endswith("SUCCESS" if found else "FAILURE")
            assert found or answer["data"] == {"msg": f"Device {id} was not found.", "code": "INVALID_DEVICE_ID"}


def test_an_update_takes_what_is_empty_as_it_is(desk: Desk) -> None:
    """The JavaScript SDK sends an empty object, which the Python one leaves out."""
    made = desk.create("full", {"t": {"type": "number"}})
    told = {"id": made["id"], "config": {"a": 1}}
    assert desk.ask("update", json.dumps(told).encode())["data"]["device"]["config"] == {"a": 1}
    emptied = desk.ask("update", json.dumps({**told, "config": {}, "schema": {}}).encode())["data"]["device"]
    assert (emptied["config"], emptied["schema"]) == ({}, {})


def test_the_limit_of_a_plan_is_said_with_its_numbers(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        app.request("POST", "/v1/organizations", {"slug": "small", "quotas": {"devices": 2}})
        acting = {"fleetroll-organization": "small"}
        body = {"name": "k", "role": "operator", "kind": "nats"}
        key = app.request("POST", "/v1/keys", body, headers=acting).json()
        desk = Desk(app)
        desk.user, desk.org = claims(key["nats"]["api_key"])["sub"], broker_org(2)
        desk.create("one")
        desk.create("two")
        for limit in (2, 1):  # a plan may become smaller than what there is
            app.request("PATCH", "/v1/organizations/small", {"quotas": {"devices": limit}})
            refused = desk.ask("create", b'{"ident": "three", "schema": {}, "config": {}}')
            assert refused["data"]["code"] == "DEVICE_CREATE_LIMIT_REACHED"
            assert refused["data"]["data"] == {"limit": limit, "current_count": 2}


# --- what is published -----------------------------------------------------------------------------------------------


def test_applications_are_told_of_what_was_stored_and_of_nothing_else(desk: Desk) -> None:
    device = desk.create("heard", {"t": {"type": "number"}})["id"]
    told = desk.publish(device, b"1", b'"no"', b"NaN", b"2", b"null")
    assert [msgspec.msgpack.decode(one.body)["value"] for one in told] == [1, 2] == desk.values("heard")
    assert desk.publish(device, b"1", name="other") == []
    long = msgspec.json.encode({"value": "a" * limits.MAX_DOCUMENT})
    for family in ("events", "logs"):
        told = desk.publish(device, b'{"value": "a"}', long, family=family, name="info")
        (body,) = [msgspec.msgpack.decode(one.body) for one in told]
        said = {"type": "info", "data": "a"} if family == "logs" else {"value": "a"}
        assert body == {**said, "timestamp": body["timestamp"]}
    assert desk.publish("f" * 24, b"1") + desk.publish("f" * 24, b"1", family="events") == []
    assert desk.publish(device, b"1", family="commands") == []


def test_the_timeline_says_who_published(desk: Desk) -> None:
    device = desk.create("spoken")["id"]
    for family in ("events", "logs", "commands"):
        desk.publish(device, b'{"value": "a"}', family=family)
    itself = f"device:{int(device[8:], 16)}"
    assert desk.actors("spoken") == [
        ("device.command", "application"), ("device.event", itself), ("device.log", itself),
    ]  # fmt: skip


@pytest.mark.parametrize("word", ["a\0b", "n" * (limits.MAX_NAME + 1)], ids=["NUL", "long"])
@pytest.mark.parametrize("part", ["name", "env"])
def test_what_is_called_what_cannot_be_stored_is_left_out_without_a_note(desk: Desk, part: str, word: str) -> None:
    ident = f"misnamed-{desk.sequence}"
    device = desk.create(ident)["id"]
    for family in ("telemetry", "events", "logs", "commands"):
        assert desk.publish(device, b'{"value": 1}', b"no report", family=family, **{part: word}) == []
    assert (desk.actors(ident), desk.values(ident)) == ([], [])
    desk.publish(device, b'{"value": 1}', family="events", **{part: "n" * limits.MAX_NAME})
    assert len(desk.timeline(ident, "device.event")) == 1


PUBLISHED = {
    **{name: body for name, body in HOSTILE.items() if name not in {"a number", "text"}},
    "MessagePack that ends early": msgspec.msgpack.encode({"value": 1, "timestamp": 1})[:-1],
    "an extension": msgspec.msgpack.encode({"value": msgspec.msgpack.Ext(5, b"x")}),
    "bytes": msgspec.msgpack.encode({"value": b"\x00\xff"}),
    "infinity": msgspec.msgpack.encode({"value": float("inf")}),
    "a time of no age": msgspec.msgpack.encode({"value": 1, "timestamp": 1 << 60}),
    "a time before all": msgspec.msgpack.encode({"value": 1, "timestamp": -5}),
    "another type": msgspec.msgpack.encode({"value": "warm"}),
}


@pytest.mark.parametrize("body", PUBLISHED.values(), ids=PUBLISHED)
def test_what_is_no_reading_is_left_out_and_the_next_one_arrives(desk: Desk, body: bytes) -> None:
    ident = f"d-{desk.sequence}"
    device = desk.create(ident, {"t": {"type": "number"}})["id"]
    desk.publish(device, body, msgspec.msgpack.encode({"value": 21, "timestamp": 1_700_000_000_000}), body)
    assert desk.values(ident) == [21]
    assert [data["metric"] for data in desk.timeline(ident, "device.reading_refused")] == ["t"]
    for family in ("events", "logs"):
        desk.publish(device, body, b'{"value": "next"}', family=family)
    assert "next" in [data["value"] for data in desk.timeline(ident, "device.event")]


@pytest.mark.parametrize(("function", "value"), [("min", -1.7e308), ("mean", 0), ("stddev", None), ("count", 2)])
def test_events_with_numbers_however_far_apart_are_summed_up(desk: Desk, function: str, value: float | None) -> None:
    device = desk.create(f"far-{function}")["id"]
    said = [msgspec.msgpack.encode({"value": one, "timestamp": 1_700_000_000_000}) for one in (1.7e308, -1.7e308)]
    desk.publish(device, *said, family="events", name="swing")
    asked = {"device_id": device, "start": "2023-01-01T00:00:00.000Z", "end": "2024-01-01T00:00:00.000Z"}
    asked |= {"event_names": ["swing"], "aggregate_fn": function}
    found = desk.app.request("POST", "/iot/db/event/history", asked)
    assert found.status == 200, found.body
    assert [frame["swing"]["value"] for frame in found.json()["data"]["frames"]] == ([] if value is None else [value])


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7])
def test_commands_to_several_devices_come_once_wherever_a_page_ends(desk: Desk, limit: int) -> None:
    devices = [desk.create(f"arm-{limit}-{number}")["id"] for number in range(3)]
    commands = [(device, number) for device, count in zip(devices, (3, 1, 4), strict=True) for number in range(count)]
    for device, number in commands:
        said = json.dumps({"value": number, "timestamp": 1_700_000_000_000 + number}).encode()
        desk.publish(device, said, family="commands", name="move")
    asked = {"device_ids": devices, "start": "2023-01-01T00:00:00.000Z", "end": "2024-01-01T00:00:00.000Z"}
    found: list[tuple[str, int]] = []
    offset: int | None = 0
    while offset is not None:
        page = desk.app.request("POST", "/iot/db/command/history", {**asked, "limit": limit, "offset": offset}).json()
        found += [(device, point["value"]) for frame in page["data"]["frames"] for device, point in frame.items()]
        offset = page["data"]["page"]["next_offset"]
    assert found == commands


@pytest.mark.parametrize("times", [1, 3, 40])
def test_what_was_said_comes_once_wherever_a_reply_is_full(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    device = desk.create(f"wordy-{times}")["id"]
    said = [{"value": {"text": f"{n:04}" * 250}, "timestamp": 1_700_000_000_000 + n // times} for n in range(80)]
    desk.publish(device, *[json.dumps(one).encode() for one in said], family="logs", name="info")
    asked = {"device_id": device, "start": "2023-01-01T00:00:00.000Z", "end": "2024-01-01T00:00:00.000Z"}
    for size, count in ((limits.HISTORY_BYTES, 1), (10_000, 8), (1, 80)):
        monkeypatch.setattr(limits, "HISTORY_BYTES", size)
        found = list(pages(desk, "log", asked))
        assert [value for page in found for _, value in page] == [one["value"] for one in said]
        assert len(found) == count
    counted = desk.app.request("POST", "/iot/db/log/history", {**asked, "aggregate_fn": "count"}).json()["data"]
    assert [frame["info"]["value"] for frame in counted["frames"]] == [80]


def test_long_readings_come_once_wherever_a_reply_is_full(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    device = desk.create("verbose")["id"]
    readings = [
        {"metric": metric, "value": {"text": f"{n:04}" * 250}, "at": f"2023-06-01T00:00:00.{n * 400:06}Z"}
        for metric in "ab"
        for n in range(30)
    ]
    assert desk.app.request("POST", "/v1/devices/verbose/telemetry", {"readings": readings}).status == 200
    asked = {"device_id": device, "start": "2023-01-01T00:00:00.000Z", "end": "2024-01-01T00:00:00.000Z"}
    for at_a_time, size, most in ((250, limits.HISTORY_BYTES, 60), (250, 10_000, 30), (4, 10_000, 16), (2, 1, 3)):
        monkeypatch.setattr(limits, "READINGS_AT_A_TIME", at_a_time)
        monkeypatch.setattr(limits, "HISTORY_BYTES", size)
        found = list(pages(desk, "telemetry", {**asked, "fields": ["a", "b"]}))
        assert [value for page in found for _, value in page] == [one["value"] for one in readings]
        assert max(map(len, found)) <= most


@pytest.mark.parametrize("given", ["true", "yes", 1, 0, [], {}])
def test_whether_the_last_values_are_wanted_is_true_or_false(desk: Desk, given: Any) -> None:
    asked = {"device_id": "f" * 24, "start": "2023-01-01T00:00:00.000Z", "end": "2024-01-01T00:00:00.000Z"}
    wanted = {**asked, "fields": ["t"], "last_value": given}
    refused = desk.app.request("POST", "/iot/db/telemetry/history", wanted)
    assert refused.status == 400, refused.body
    told = {"code": "INVALID_REQUEST", "message": "last_value must be true or false"}
    assert refused.json() == {"status": False, "data": told}


def test_a_page_of_the_past_has_at_least_one_value_and_at_most_as_many_as_the_sdk_asks_for(desk: Desk) -> None:
    device = desk.create("long")["id"]
    desk.publish(device, *[json.dumps({"value": n, "timestamp": 1_700_000_000_000 + n}).encode() for n in (1, 2)])
    asked = {"device_id": device, "start": "2023-01-01T00:00:00.000Z", "end": "2024-01-01T00:00:00.000Z"}
    for limit, found in ((None, [1, 2]), (limits.MAX_RANGE, [1, 2]), (1, [1])):
        page = desk.app.request("POST", "/iot/db/telemetry/history", {**asked, "fields": ["t"], "limit": limit}).json()
        assert [frame["t"]["value"] for frame in page["data"]["frames"]] == found
        assert page["data"]["page"]["has_more"] is (len(found) == 1)
    for limit in (0, limits.MAX_RANGE + 1):
        for noun, series in (("telemetry", {"fields": ["t"]}), ("event", {})):
            refused = desk.app.request("POST", f"/iot/db/{noun}/history", {**asked, **series, "limit": limit})
            message = f"limit must be a whole number from 1 to {limits.MAX_RANGE}"
            assert (refused.status, refused.json()["data"]["message"]) == (400, message)


def pages(desk: Desk, noun: str, asked: dict[str, Any]) -> Iterator[list[tuple[str, Any]]]:
    """What each page of an answer says, by name."""
    page: Any = {"has_more": True, "next_offset": 0}
    while page["has_more"]:
        question = {**asked, "offset": page["next_offset"]}
        reply = desk.app.request("POST", f"/iot/db/{noun}/history", question).json()["data"]
        yield [(name, point["value"]) for frame in reply["frames"] for name, point in frame.items()]
        page = reply["page"]


@pytest.mark.parametrize("function", ["count", "last", "median"])
@pytest.mark.parametrize("start", ["2023-06-01T00:00:00Z", "2023-06-01T00:00:00.000150Z"])
@pytest.mark.parametrize("limit", [1, 7, 25, 26, 50])
def test_numbers_of_readings_come_page_by_page_as_well(desk: Desk, limit: int, start: str, function: str) -> None:
    ident = f"summed-{limit}-{function}-{len(start)}"
    device = desk.create(ident)["id"]
    readings = [
        {"metric": metric, "value": n, "at": f"2023-06-01T00:00:00.{n * 200:06}Z"}
        for metric in "ab"
        for n in range(125)
    ]
    assert desk.app.request("POST", f"/v1/devices/{ident}/telemetry", {"readings": readings}).status == 200
    asked = {"device_id": device, "start": start, "end": "2023-06-01T00:00:01Z", "fields": ["a", "b"]}
    asked |= {"aggregate_fn": function, "interval": "1ms"}
    (whole,) = pages(desk, "telemetry", asked)
    assert len(whole) == 50
    found = list(pages(desk, "telemetry", {**asked, "limit": limit}))
    assert [len(page) for page in found[:-1]] == [limit] * (-(-50 // limit) - 1)
    assert list(itertools.chain(*found)) == whole


def test_times_of_the_past_are_taken_as_the_sdk_lets_them_through(desk: Desk) -> None:
    device = desk.create("since")["id"]
    desk.publish(device, b'{"value": 1, "timestamp": 1700000000123}')
    for start in (
        "2023-11-14T22:13:20.123000",  # Python's utcnow().isoformat()
        "2023-11-14T22:13:20",
        "2023-11-14T22:13",
        "2023-11-14 22:13:20+00:00",  # Python's str()
        "2023-11-14T23:13:20+01:00",
        "2023-11-14",
    ):
        asked = {"device_id": device, "fields": ["t"], "start": start, "end": start.replace("2023", "2024")}
        found = desk.app.request("POST", "/iot/db/telemetry/history", asked)
        assert found.status == 200, (start, found.body)
        assert [frame["t"]["value"] for frame in found.json()["data"]["frames"]] == [1], start
    refused = desk.app.request("POST", "/iot/db/telemetry/history", {**asked, "start": "yesterday"})
    assert refused.json()["data"]["message"].startswith("start must be an ISO 8601 time")


def test_numbers_of_more_stretches_of_time_than_fit_on_a_page_are_on_the_next_ones(desk: Desk) -> None:
    device = desk.create("fine")["id"]
    places = [0, 1, limits.MAX_BUCKETS - 1, limits.MAX_BUCKETS, 5 * limits.MAX_BUCKETS, 10**7]
    desk.publish(device, *[json.dumps({"value": n, "timestamp": 1_700_000_000_000 + n}).encode() for n in places])
    asked = {"device_id": device, "start": "2000-01-01T00:00:00Z", "end": "2024-01-01T00:00:00Z", "fields": ["t"]}
    found = list(pages(desk, "telemetry", {**asked, "aggregate_fn": "sum", "interval": "1ms"}))
    assert [value for page in found for _, value in page] == places
    assert len(found) <= len(places)


@pytest.mark.parametrize("limit", [1, 7, 10, 12, 25])
def test_readings_within_one_millisecond_come_once_wherever_a_page_ends(desk: Desk, limit: int) -> None:
    device = desk.create(f"fast-{limit}")["id"]
    readings = [
        {"metric": metric, "value": n, "at": f"2023-06-01T00:00:00.{n * 100:06}Z"} for metric in "ab" for n in range(25)
    ]
    assert desk.app.request("POST", f"/v1/devices/fast-{limit}/telemetry", {"readings": readings}).status == 200
    asked = {"device_id": device, "start": "2023-01-01T00:00:00.000Z", "end": "2024-01-01T00:00:00.000Z"}
    found = pages(desk, "telemetry", {**asked, "fields": ["a", "b"], "limit": limit})
    assert list(itertools.chain(*found)) == [(metric, n) for metric in "ab" for n in range(25)]


def test_a_page_may_end_in_the_last_of_as_many_series_as_can_be_asked_for(desk: Desk) -> None:
    device = desk.create("broad")["id"]
    desk.publish(device, *[json.dumps({"value": n, "timestamp": 1_700_000_000_000 + n}).encode() for n in (1, 2)])
    asked = {"device_id": device, "start": "2023-01-01T00:00:00.000Z", "end": "2024-01-01T00:00:00.000Z", "limit": 1}
    asked["fields"] = [*(f"none-{n}" for n in range(limits.MAX_SERIES_PER_DEVICE - 1)), "t"]
    first = desk.app.request("POST", "/iot/db/telemetry/history", asked).json()["data"]
    place = first["page"]["next_offset"]
    assert place < 1 << 53, "a number that every client can hold"
    last = desk.app.request("POST", "/iot/db/telemetry/history", {**asked, "offset": place}).json()["data"]
    assert [frame["t"]["value"] for page in (first, last) for frame in page["frames"]] == [1, 2]


def test_what_is_rare_is_found_page_by_page_and_not_at_once(desk: Desk) -> None:
    device = desk.create("talkative")["id"]
    said = [{"value": n, "timestamp": 1_700_000_000_000 + n} for n in range(limits.MAX_RANGE + 1)]
    desk.publish(device, *[json.dumps(one).encode() for one in said[:-1]], family="logs", name="info")
    desk.publish(device, json.dumps(said[-1]).encode(), family="logs", name="error")
    asked = {"device_id": device, "start": "2023-01-01T00:00:00.000Z", "end": "2024-01-01T00:00:00.000Z"}
    asked |= {"levels": ["error"]}
    first = desk.app.request("POST", "/iot/db/log/history", asked).json()["data"]
    assert (first["frames"], first["page"]["has_more"]) == ([], True)
    next_page = {**asked, "offset": first["page"]["next_offset"]}
    last = desk.app.request("POST", "/iot/db/log/history", next_page).json()["data"]
    assert [frame["error"]["value"] for frame in last["frames"]] == [limits.MAX_RANGE]
    assert last["page"] == {"has_more": False, "next_offset": None}
    counted = desk.app.request("POST", "/iot/db/log/history", {**asked, "aggregate_fn": "count"}).json()["data"]
    assert [frame["error"]["value"] for frame in counted["frames"]] == [1]


def test_readings_that_break_the_schema_are_noted_once_an_hour(desk: Desk) -> None:
    device = desk.create("strict", {"t": {"type": "number"}, "u": {"type": "number"}})["id"]
    desk.publish(device, *[b'{"value": "warm"}'] * 5)
    desk.publish(device, b'{"value": "warm"}', name="u")
    desk.publish(device, b'{"value": 1}', name="unknown")
    noted = desk.timeline("strict", "device.reading_refused")
    assert sorted(data["metric"] for data in noted) == ["t", "u", "unknown"]


def test_readings_that_break_the_schema_for_hours_are_noted_in_each(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, began = desk.create("wrong", {"t": {"type": "number"}})["id"], desk.app.services.clock()
    for hours in (0, 1, 1, 2):
        services = structs.replace(desk.app.services, clock=lambda at=began + hours * HOUR: at)
        monkeypatch.setattr(desk, "registry", Registry(services, desk.app.application.subjects.answer))
        desk.publish(device, b'{"value": "warm"}')
    assert len(desk.timeline("wrong", "device.reading_refused")) == 3


def test_a_log_line_in_colours_is_kept(desk: Desk) -> None:
    device = desk.create("colours")["id"]
    line = msgspec.msgpack.encode({"type": "warn", "timestamp": 1_700_000_000_000, "data": "\x1b[33mhot\x1b[0m\tnow\n"})
    desk.publish(device, line, family="logs", name="warn")
    assert desk.timeline("colours", "device.log") == [
        {"name": "warn", "value": "\ufffd[33mhot\ufffd[0m\tnow\n", "env": "production"}
    ]


@pytest.mark.parametrize(("family", "refused"), [("events", "device.event_refused"), ("logs", "device.log_refused")])
def test_what_cannot_be_kept_is_noted_once_an_hour(desk: Desk, family: str, refused: str) -> None:
    ident = f"lost-{family}"
    device = desk.create(ident)["id"]
    large = msgspec.msgpack.encode({"value": [1 / 3] * 6_000, "timestamp": 1_700_000_000_000})  # larger in JSON
    for body in (large, b"no report"):
        desk.publish(device, *[body] * 5, family=family, name="one")
    desk.publish(device, msgspec.msgpack.encode({"value": {"t": float("nan")}}), family=family, name="other")
    noted = desk.timeline(ident, refused)
    assert sorted((data["name"], data["code"]) for data in noted) == [
        ("one", "document_too_large"), ("other", "invalid_document"),
    ]  # fmt: skip
    desk.publish(device, b"no report", family="commands", name="one")  # of an application
    assert len([*desk.timeline(ident, refused), *desk.timeline(ident, "device.reading_refused")]) == 2


def test_a_command_that_cannot_be_shown_is_known_to_have_been_sent(desk: Desk) -> None:
    device = desk.create("told")["id"]
    said = {"value": "\x1bopen", "timestamp": 1_700_000_000_000}
    for body in (msgspec.msgpack.encode(said), b"neither of them", msgspec.msgpack.encode({**said, "value": "open"})):
        desk.publish(device, body, family="commands", name="door")
    sent = [(one["value"], one.get("code")) for one in desk.timeline("told", "device.command")]
    assert sorted(sent, key=str) == [("open", None), (None, "invalid_document"), (None, "invalid_report")]
    whole = {"device_ids": [device], "start": "2020-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"}
    found = desk.app.request("POST", "/iot/db/command/history", whole).json()["data"]["frames"]
    assert sorted([frame[device]["value"] for frame in found], key=str) == [None, None, "open"]


def test_what_a_device_had_on_its_way_when_it_was_deleted_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app, closing(State(tmp_path / "data" / "fleetroll.db")) as state:
        desk = Desk(app)
        device = desk.create("brief")["id"]
        assert app.request("DELETE", "/v1/devices/brief").status == 204
        before = {**state.all(), "progress": []}
        for family in ("telemetry", "events", "logs", "commands"):
            desk.publish(device, b'{"value": 1}', b"no report", family=family)
        assert {**state.all(), "progress": []} == before


def test_what_a_device_had_on_its_way_when_it_was_given_away_goes_with_it(tmp_path: Path) -> None:
    """Until its connection was closed: what an old credential says later is not its new organization's."""
    with running(tmp_path / "data") as app:
        desk = Desk(app)
        app.request("POST", "/v1/organizations", {"slug": "buyer"})
        made = desk.create("sold", {"t": {"type": "number"}})
        desk.create("stays")
        moved = app.request("POST", "/v1/devices/sold:transfer", {"organization": "buyer"})
        assert moved.status == 200, moved.body
        sent = map(msgspec.msgpack.encode, ({"value": 1, "timestamp": 1000}, {"value": "no"}))
        told = desk.publish(made["id"], *sent)
        hot = msgspec.msgpack.encode({"value": "hot", "timestamp": 1000})
        told += desk.publish(made["id"], hot, family="events", name="e")
        told += desk.publish(made["id"], b"NaN")
        told += desk.publish(made["id"], b"2", later=2 * SECOND)
        told += desk.publish(made["id"], b"3", family="events", name="e", later=2 * SECOND)
        assert [(one.org, one.family) for one in told] == [(broker_org(2), "telemetry"), (broker_org(2), "events")]
        at_home = {"fleetroll-organization": "buyer"}
        found = app.request("GET", "/v1/devices/sold/telemetry?metric=t", headers=at_home).json()["readings"]
        assert [(one["at"], one["value"]) for one in found] == [("1970-01-01T00:00:01Z", 1)]
        events = app.request("GET", "/v1/devices/sold/timeline?limit=3", headers=at_home).json()["events"]
        said = {event["type"]: event["data"] for event in events}
        assert said["device.event"]["value"] == "hot"
        assert said["device.reading_refused"]["code"] == "wrong_type"


def test_a_batch_that_comes_again_changes_nothing(desk: Desk) -> None:
    device = desk.create("twice", {"t": {"type": "number"}})["id"]
    desk.publish(device, b'{"value": 1}', family="events", name="door")
    desk.sequence -= 1
    desk.publish(device, b'{"value": 1}', family="events", name="door")
    assert len(desk.timeline("twice", "device.event")) == 1
    desk.sequence -= 1
    told = desk.publish(device, b'{"value": 1}', b'{"value": 2}', family="events", name="door")
    assert [data["value"] for data in desk.timeline("twice", "device.event")] == [2, 1], "of which a part comes again"
    assert [one.sequence for one in told] == [desk.sequence]


def test_messages_of_two_streams_have_the_same_numbers_and_are_told_apart(desk: Desk) -> None:
    device = desk.create("double", {"t": {"type": "number"}})["id"]
    org, at = broker_org(1), desk.app.services.clock()
    batches = [
        Batch(stream, [Message(7, at, org, "production", family, device, "t", body)])
        for stream, family, body in (("one", "telemetry", b"1"), ("other", "events", b"NaN"), ("third", "events", b"3"))
    ]
    told = desk.app.runner.run(desk.registry.ingest(batches))
    assert [one.family for one in told] == ["telemetry", "events"]
    assert desk.values("double") == [1]
    assert desk.app.runner.run(desk.registry.ingest(batches)) == []
    found = desk.app.runner.run(desk.registry.ingested())
    assert [found[batch.stream].sequence for batch in batches] == [7, 7, 7]


def test_what_comes_under_a_place_that_the_broker_had_given_before_it_lost_some_is_new(desk: Desk) -> None:
    device = desk.create("restored", {"t": {"type": "number"}})["id"]
    desk.publish(device, b'{"value": 1}', family="events", name="door", later=-9 * SECOND)
    reached = desk.app.runner.run(desk.registry.ingested())["stream"]
    assert (reached.sequence, reached.at <= desk.app.services.clock() - 9 * SECOND) == (desk.sequence, True)
    desk.sequence -= 1
    desk.app.runner.run(desk.registry.rewind("stream", desk.sequence))
    desk.publish(device, b'{"value": 2}', family="events", name="door")
    assert [data["value"] for data in desk.timeline("restored", "device.event")] == [2, 1]


def test_a_stream_goes_on_where_another_was_that_it_replaces(desk: Desk) -> None:
    device = desk.create("moved", {"t": {"type": "number"}})["id"]
    desk.publish(device, b'{"value": 1}', family="events", name="door")
    before = desk.app.runner.run(desk.registry.ingested())
    desk.app.runner.run(desk.registry.go_on("again", "stream"))
    reached = before.pop("stream")
    assert desk.app.runner.run(desk.registry.ingested()) == {**before, "again": reached}


def test_a_device_of_another_organization_is_not_reported_for(desk: Desk) -> None:
    device = desk.create("mine", {"t": {"type": "number"}})["id"]
    for org in ("org_2", "org_zz", "nobody", "org_"):
        desk.publish(device, b'{"value": 1}', org=org)
        desk.publish(device, b'{"value": 1}', org=org, family="events")
    desk.publish("f" * 24, b'{"value": 1}')
    desk.publish("*", b'{"value": 1}')
    assert desk.values("mine") == []
    assert desk.timeline("mine", "device.event") == []


def test_each_follower_is_told_of_its_own_organizations_part_of_a_batch(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        desk = Desk(app)
        app.request("POST", "/v1/organizations", {"slug": "buyer"})
        ours, sold = (desk.create(ident)["id"] for ident in ("ours", "sold"))
        app.request("POST", "/v1/devices/sold:transfer", {"organization": "buyer"})
        with (
            app.services.live.following(1, asyncio.Event()) as one,
            app.services.live.following(2, asyncio.Event()) as two,
        ):
            at = app.services.clock() - SECOND
            batch = [
                Message(place, at, desk.org, "production", "telemetry", device, "t", b"%d" % place)
                for place, device in enumerate((ours, sold, ours), 1)
            ]
            app.runner.run(desk.registry.ingest([Batch("stream", batch)]))
            assert [(reading.ident, reading.value) for reading in one.take()[0]] == [("ours", 1), ("ours", 3)]
            assert [(reading.ident, reading.value) for reading in two.take()[0]] == [("sold", 2)]


def test_a_device_made_here_is_the_same_device_everywhere(desk: Desk) -> None:
    made = desk.create("everywhere", {"t": {"type": "number"}})
    native = desk.app.request("GET", "/v1/devices/everywhere").json()
    assert native["schema"] == {"t": {"type": "number"}}
    desk.app.request("PUT", "/v1/devices/everywhere", {"config": {"a": 1}, "schema": {"t": {"type": "number"}}})
    assert desk.ask("get", b'{"ident": "everywhere"}')["data"]["config"] == {"a": 1}
    desk.publish(made["id"], b"23.5")
    assert desk.values("everywhere") == [23.5]
