"""Check-in: devices that report by themselves, by chunks and by JSON, with the key of their project."""

import base64
import binascii
import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import cbor2
import pytest

from fleetroll.core import limits
from tests.support.app import App, Response
from tests.support.process import serving
from tests.support.transcripts import over_socket

P = "/api/v0/organizations/default/projects/default"
# A chunk as firmware sends it to try its connection.
VENDORS = bytes.fromhex(
    "0802a702010301076a5445535453455249414c0a6d746573742d736f667477617265096a312e302e302d74657374"
    "066d746573742d686172647761726504a101a1726368756e6b5f746573745f737563636573730131e4"
)
EVENT = {2: 1, 3: 1, 6: "evt", 7: "S1", 9: "1.0.0", 10: "main-fw", 11: b"\x01\x02"}


def key(app: App) -> str:
    found: str = app.request("GET", f"{P}/api_key").json()["data"]["api_key"]
    return found


def report(app: App, method: str, path: str, body: Any = None, raw: bytes | None = None, **headers: str) -> Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.request(method, path, body, key=None, raw=raw, headers={"memfault-project-key": key(app), **given})


def chunk(app: App, serial: str, *sent: bytes) -> None:
    for one in sent:
        reply = report(app, "POST", f"/api/v0/chunks/{serial}", raw=one, content_type="application/octet-stream")
        assert (reply.status, reply.body) == (202, b"Accepted")


def at_once(app: App, serial: str, sent: list[bytes]) -> None:
    body = b"".join(b"--x\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(one), one) for one in sent) + b"--x--\r\n"
    reply = report(app, "POST", f"/api/v0/chunks/{serial}", raw=body, content_type="multipart/mixed; boundary=x")
    assert (reply.status, reply.body) == (202, b"Accepted")


def device(app: App, serial: str) -> Any:
    reply = app.request("GET", f"{P}/devices/{serial}")
    assert reply.status == 200, reply.body
    return reply.json()["data"]


def mailbox(app: App, serial: str) -> tuple[int, int, int]:
    found = app.request("GET", f"/v1/devices/{serial}/chunks").json()
    return found["received"], found["undecoded"], len(found["kept"])


def framed(message: bytes) -> bytes:
    return b"\x08" + message + binascii.crc_hqx(message, 0).to_bytes(2, "little")


def message(event: Any) -> bytes:
    return b"\x02" + cbor2.dumps(event)


# --- chunks ----------------------------------------------------------------------------------------------------------


def test_a_device_that_never_was_created_appears_by_its_first_chunk(app: App) -> None:
    chunk(app, "NEW1", VENDORS)
    shown = device(app, "NEW1")
    assert shown["hardware_version"] == "test-hardware"
    assert shown["cohort"]["slug"] == "default"
    assert shown["last_seen"] is not None
    assert shown["last_seen_release"]["version"] == "1.0.0-test"
    assert shown["last_seen_software_version"]["software_type"]["name"] == "test-software"
    native = app.request("GET", "/v1/devices/NEW1").json()
    assert (native["connected"], native["software"]) == (True, {"type": "test-software", "version": "1.0.0-test"})
    assert app.request("GET", "/v1/devices?filter=software_version%20=%20%221.0.0-test%22").json()["devices"]
    assert mailbox(app, "NEW1") == (1, 0, 1)


def test_a_message_may_come_in_pieces_over_several_requests(app: App) -> None:
    whole = message(EVENT)
    body = whole + binascii.crc_hqx(whole, 0).to_bytes(2, "little")
    chunk(app, "S1", b"\x48" + bytes([len(whole)]) + body[:20])
    assert device(app, "S1")["last_seen_release"] is None
    chunk(app, "S1", b"\xc0\x14" + body[20:30], b"\x80\x1e" + body[30:])
    assert device(app, "S1")["last_seen_release"] == {
        "id": 1, "version": "1.0.0", "revision": "0102",
    }  # fmt: skip
    assert mailbox(app, "S1") == (3, 0, 3)


def test_chunks_come_in_base64_and_many_in_one_request(app: App) -> None:
    encoded = {"content_type": "application/octet-stream", "content_encoding": "base64"}
    reply = report(app, "POST", "/api/v0/chunks/B64", raw=base64.b64encode(VENDORS), **encoded)
    assert (reply.status, device(app, "B64")["hardware_version"]) == (202, "test-hardware")
    packed = {**encoded, "content_encoding": "gzip"}
    assert report(app, "POST", "/api/v0/chunks/B64", raw=gzip.compress(VENDORS), **packed).status == 415
    part = b"--x\r\nContent-Length: %dContent-Type: application/octet-stream\r\n\r\n%s\r\n"
    body = b"".join(part % (len(one), one) for one in (VENDORS, framed(message(EVENT)))) + b"--x--\r\n"
    reply = report(app, "POST", "/api/v0/chunks/MANY", raw=body, content_type="multipart/mixed; boundary=x")
    assert reply.status == 202
    shown = device(app, "MANY")
    assert (shown["hardware_version"], shown["last_seen_release"]["version"]) == ("test-hardware", "1.0.0")


def test_as_many_chunks_come_in_one_request_as_are_taken_in(app: App) -> None:
    part, together = b"--x\r\n\r\n\x80\r\n", {"content_type": "multipart/mixed; boundary=x"}
    whole = part * limits.MAX_CHUNKS + b"--x--\r\n"
    assert report(app, "POST", "/api/v0/chunks/MANY", raw=whole, **together).status == 202
    reply = report(app, "POST", "/api/v0/chunks/MANY", raw=part + whole, **together)
    assert (reply.status, reply.json()["error"]["code"]) == (413, 1007)
    assert mailbox(app, "MANY")[0] == limits.MAX_CHUNKS


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00",
        b"\x08",
        VENDORS[:-1] + b"x",
        b"\x80\x05late",
        framed(b"\x02not CBOR \xff"),
        framed(b"\x02" + b"\x9f" * 5_000),
        framed(message([1, 2])),
        framed(b"\x02\xd8\x23\x61("),
        b"\xff" * 300,
    ],
)
def test_what_cannot_be_decoded_is_kept_and_counted_and_the_device_was_seen(app: App, sent: bytes) -> None:
    chunk(app, "ODD", sent)
    assert device(app, "ODD")["last_seen"] is not None
    assert mailbox(app, "ODD") == (1, 1, 1)
    chunk(app, "ODD", VENDORS)
    assert device(app, "ODD")["hardware_version"] == "test-hardware"


def test_an_event_is_decoded_up_to_a_size_that_keeps_nobody_waiting(app: App) -> None:
    room = limits.MAX_EVENT - len(message(EVENT | {5: b"\0" * 1000})) + 1000
    largest = message(EVENT | {5: b"\0" * room})
    assert len(largest) == limits.MAX_EVENT
    chunk(app, "S1", framed(largest))
    assert device(app, "S1")["last_seen_release"]["version"] == "1.0.0"
    chunk(app, "S1", framed(message(EVENT | {5: b"\0" * (room + 1), 9: "2.0.0"})))
    # Keys that all have the same hash in a table: 80,000 of them took a minute, in which nobody was answered.
    same = {key * ((1 << 61) - 1): 0 for key in range(1, 10_000)}
    chunk(app, "S1", framed(message(EVENT | same | {9: "2.0.0"})))
    assert device(app, "S1")["last_seen_release"]["version"] == "1.0.0"
    assert mailbox(app, "S1")[:2] == (3, 2)


def test_many_long_events_at_once_keep_nobody_waiting_either(app: App) -> None:
    short, long = (framed(message(EVENT | {5: b"\0" * room})) for room in (900, 7_900))
    at_once(app, "S1", [short] * 900)
    assert mailbox(app, "S1")[:2] == (900, 0)
    at_once(app, "S2", [long] * 24)
    received, undecoded, _ = mailbox(app, "S2")
    assert received == 24
    assert 0 < undecoded < 12


@pytest.mark.parametrize("tag", [35, 36])
def test_a_regular_expression_or_a_mail_in_an_event_is_a_text_like_any_other(app: App, tag: int) -> None:
    # One of 5 KB took 2.5 seconds to compile, in which nobody was answered.
    costly = "(?i)" + "[\u0100-\uffff]" * 600
    chunk(app, "S1", framed(message(EVENT | {5: cbor2.CBORTag(tag, costly), 9: cbor2.CBORTag(tag, "[[2.0]")})))
    assert device(app, "S1")["last_seen_release"]["version"] == "[[2.0]"


@pytest.mark.parametrize("tag", [4, 5, 30])
def test_a_number_of_any_length_in_an_event_is_not_computed(app: App, tag: int) -> None:
    # A request of decimal numbers with thousands of digits each took 100 ms.
    uncomputable = cbor2.CBORTag(tag, "x")
    chunk(app, "S1", framed(message(EVENT | {5: uncomputable, 9: "1.0.7"})))
    assert device(app, "S1")["last_seen_release"]["version"] == "1.0.7"


def test_chunks_are_shown_as_they_came_and_whether_more_is_to_come(app: App) -> None:
    before = app.request("POST", f"{P}/devices", {"device_serial": "S1", "hardware_version": "evt"})
    assert before.status == 200
    nothing = {"received": 0, "undecoded": 0, "incomplete": False, "kept": []}
    assert app.request("GET", "/v1/devices/S1/chunks").json() == nothing
    whole = message(EVENT)
    sent = [b"\xff\x00odd", b"\x48" + bytes([len(whole)]) + whole[:20]]
    chunk(app, "S1", *sent)
    found = app.request("GET", "/v1/devices/S1/chunks").json()
    assert [base64.b64decode(one["data"]) for one in found["kept"]] == sent
    assert (found["received"], found["undecoded"], found["incomplete"]) == (2, 1, True)
    assert found["kept"][-1]["at"] == app.request("GET", "/v1/devices/S1").json()["last_seen"]


def test_software_that_was_reported_is_a_resource(app: App) -> None:
    chunk(app, "S1", framed(message(EVENT)), framed(message(EVENT | {9: "2.0.0", 10: "boot/x"})), VENDORS)
    found = app.request("GET", "/v1/software-versions?limit=2").json()
    shown = [(one["type"], one["version"]) for one in found["software_versions"]]
    assert shown == [("boot/x", "2.0.0"), ("main-fw", "1.0.0")]
    rest = app.request("GET", f"/v1/software-versions?limit=2&cursor={found['next_cursor']}").json()
    assert [(one["type"], one["version"]) for one in rest["software_versions"]] == [("test-software", "1.0.0-test")]
    assert rest["next_cursor"] is None
    (first, _) = found["software_versions"]
    assert app.request("GET", "/v1/software-versions/boot%2Fx/2.0.0").json() == first
    assert app.request("GET", "/v1/software-versions/main-fw/9").json()["code"] == "software_version_not_found"


def test_of_many_chunks_the_last_few_are_kept(app: App) -> None:
    chunk(app, "S1", *[b"\x80%d" % number for number in range(limits.KEPT_CHUNKS + 3)])
    assert mailbox(app, "S1") == (limits.KEPT_CHUNKS + 3, limits.KEPT_CHUNKS + 3, limits.KEPT_CHUNKS)
    app.request("DELETE", f"{P}/devices/S1")
    chunk(app, "S1", VENDORS)
    assert mailbox(app, "S1") == (1, 0, 1)


def test_hardware_is_noted_once_and_software_always(app: App) -> None:
    chunk(app, "S1", framed(message(EVENT)), framed(message(EVENT | {6: "other", 9: "2.0.0"})))
    shown = device(app, "S1")
    assert (shown["hardware_version"], shown["last_seen_release"]["version"]) == ("evt", "2.0.0")


def test_a_check_in_that_says_nothing_new_is_no_new_revision(app: App) -> None:
    chunk(app, "S1", framed(message(EVENT)))
    before = app.request("GET", "/v1/devices/S1").json()
    chunk(app, "S1", framed(message(EVENT)))
    after = app.request("GET", "/v1/devices/S1").json()
    assert (after["revision"], after["updated_at"]) == (before["revision"], before["updated_at"])


def test_versions_beyond_the_quota_are_not_made_and_their_devices_are_taken_in(app: App) -> None:
    projects = "/api/v0/organizations/default/projects"
    made = app.request("POST", projects, {"name": "Full", "slug": "full"}).json()["data"]
    app.request("PATCH", "/v1/organizations/full", {"quotas": {"hardware_versions": 1, "software_versions": 2}})
    for number in range(3):
        event = {"type": "x", "device_serial": f"S{number}", "hardware_version": f"hw{number}"}
        for one in (event, {**event, "hardware_version": None, "software_version": f"1.{number}"}):
            sent = {"memfault-project-key": made["api_key"]}
            assert app.request("POST", "/api/v0/events", [one], key=None, headers=sent).status == 202
    hardware = app.request("GET", f"{projects}/full/hardware_versions").json()["data"]
    software = app.request("GET", f"{projects}/full/software_types/main/software_versions").json()["data"]
    found = [one["hardware_version"] for one in app.request("GET", f"{projects}/full/devices").json()["data"]]
    assert ([one["name"] for one in hardware], found) == (["hw0"], ["hw0", "", ""])
    assert [one["version"] for one in software] == ["1.0", "1.1"]
    usage = app.request("GET", "/v1/organizations/full").json()["usage"]
    assert (usage["hardware_versions"], usage["software_versions"], usage["devices"]) == (1, 2, 3)


@pytest.mark.parametrize("full", ["hardware_versions", "software_versions"])
def test_a_version_beyond_the_quota_does_not_keep_the_other_from_being_noted(app: App, full: str) -> None:
    app.request("POST", "/api/v0/organizations/default/projects", {"name": "Full", "slug": "full"})
    app.request("PATCH", "/v1/organizations/full", {"quotas": {full: 0}})
    made = app.request("GET", "/api/v0/organizations/default/projects/full/api_key").json()["data"]["api_key"]
    event = {"type": "x", "device_serial": "S1", "hardware_version": "evt", "software_version": "1"}
    sent = {"memfault-project-key": made}
    assert app.request("POST", "/api/v0/events", [event], key=None, headers=sent).status == 202
    shown = app.request("GET", "/api/v0/organizations/default/projects/full/devices/S1").json()["data"]
    noted = {"hardware_versions": shown["hardware_version"], "software_versions": shown["last_seen_release"]}
    made_for_it = {name for name, version in noted.items() if version}
    assert made_for_it == noted.keys() - {full}
    usage = app.request("GET", "/v1/organizations/full").json()["usage"]
    assert usage == {"devices": 1, **dict.fromkeys(made_for_it, 1)}, "no version without its device"


@pytest.mark.parametrize(
    "event",
    [EVENT | {6: "x" * 200}, EVENT | {6: 5, 9: None}, EVENT | {9: "a\nb"}, {2: 2, 4: {1: -1}}, {2: 2, 4: {1: 2**60}}],
)
def test_members_that_cannot_be_are_passed_over(app: App, event: Any) -> None:
    chunk(app, "S1", framed(message(event)))
    assert mailbox(app, "S1") == (1, 0, 1)
    assert app.request("GET", f"{P}/devices/S1/reboots").json() == {"data": []}


def test_the_key_is_looked_at_before_the_body_and_an_empty_body_tells_that_it_is_good(app: App) -> None:
    octets = {"content-type": "application/octet-stream"}
    path = "/api/v0/chunks/S1"
    assert app.request("POST", path, key=None, raw=b"").status == 403
    assert app.request("POST", path, key=None, raw=b"", headers={"memfault-project-key": "0" * 32}).status == 403
    assert app.request("POST", path, raw=VENDORS, headers=octets).status == 403, "a key of the management API"
    assert report(app, "POST", path, raw=b"").status == 411
    assert report(app, "POST", path, raw=VENDORS, content_type="text/plain").status == 415
    large = b"x" * (limits.MAX_BODY + 1)
    assert report(app, "POST", path, raw=large, content_type=octets["content-type"]).status == 413
    assert report(app, "POST", "/api/v0/chunks/a%20b", raw=VENDORS, content_type=octets["content-type"]).status == 400
    assert app.request("GET", "/v1/devices?count=true").json()["total"] == 0
    old = key(app)
    app.request("POST", f"{P}/api_key")
    refused = app.request("POST", path, key=None, raw=VENDORS, headers={"memfault-project-key": old, **octets})
    assert (refused.status, refused.json()["error"]["type"]) == (403, "ForbiddenError")


# --- JSON ------------------------------------------------------------------------------------------------------------

REPORTED = {
    "type": "heartbeat",
    "device_serial": "J1",
    "hardware_version": "evt",
    "software_type": "main",
    "software_version": "1.2.3",
    "sdk_version": "0.5.0",
    "event_info": {"metrics": {"uptime_s": 5}},
}


def test_events_in_json_check_a_device_in(app: App) -> None:
    reply = report(app, "POST", "/api/v0/events", [REPORTED, {**REPORTED, "device_serial": "J2", "type": "x"}])
    assert reply.status == 202
    status = report(app, "GET", reply.headers["location"])
    assert (status.status, status.json()) == (200, {"status": "SUCCESS"})
    for serial in ("J1", "J2"):
        shown = device(app, serial)
        assert (shown["hardware_version"], shown["last_seen_release"]["version"]) == ("evt", "1.2.3")
    for serial, member in (("J3", "fw_version"), ("J4", "release_version")):
        older = {"type": "heartbeat", "device_serial": serial, member: "0.9"}
        assert report(app, "POST", "/api/v0/events", [older]).status == 202
        assert device(app, serial)["last_seen_release"]["version"] == "0.9"


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"type": "heartbeat"}, {"0": {"device_serial": ["Missing required member"]}}),
        ({**REPORTED, "device_serial": "a b"}, {"0": {"device_serial": ["Not a valid serial."]}}),
        ({**REPORTED, "software_version": 5}, {"0": {"software_version": ["Expected string or null, got integer"]}}),
        *(
            ({**REPORTED, "captured_date": date}, {"0": {"captured_date": ["Not a valid datetime."]}})
            for date in ("soon", "9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00")
        ),
        (
            {**REPORTED, "type": "reboot", "event_info": {"reason": -1}},
            {"0": {"event_info": {"reason": ["Not a valid integer."]}}},
        ),
    ],
)
def test_an_event_that_breaks_a_rule_is_found_by_its_place_and_nothing_is_taken_in(
    app: App, event: Any, message: Any
) -> None:
    reply = report(app, "POST", "/api/v0/events", [event])
    error = reply.json()["error"]
    assert (reply.status, error["code"], error["type"]) == (400, 1000, "InvalidUsageError")
    assert error["message"] == message
    assert app.request("GET", "/v1/devices?count=true").json()["total"] == 0


def test_reboots_are_listed_newest_first_with_the_software_that_ran(app: App) -> None:
    chunk(app, "S1", framed(message(EVENT | {1: 1_600_000_000, 2: 2, 4: {1: 7, 4: 3}})))
    rebooted = {**REPORTED, "device_serial": "S1", "type": "reboot", "event_info": {"reason": 2}}
    report(app, "POST", "/api/v0/events", [rebooted])
    report(app, "POST", "/api/v0/events", [{**rebooted, "captured_date": "2019-01-19T05:01:13+00:00"}])  # sent late
    found = app.request("GET", f"{P}/devices/S1/reboots").json()["data"]
    assert [(one["type"], one["reason"], one["mcu_reason_register"]) for one in found] == [
        ("memfault", 2, None),
        ("memfault", 7, 3),
        ("memfault", 2, None),
    ]
    assert found[1]["time"] == "2020-09-13T12:26:40.000000+00:00"
    assert found[1]["software_version"]["software_type"]["name"] == "main-fw"
    assert len(app.request("GET", f"{P}/devices/S1/reboots?per_page=1").json()["data"]) == 1
    paged = [app.request("GET", f"{P}/devices/S1/reboots?per_page=2&page={page}").json()["data"] for page in (1, 2, 3)]
    assert paged == [found[:2], found[2:], []]
    since = app.request("GET", f"{P}/devices/S1/reboots?since=2021-01-01T00:00:00Z").json()["data"]
    assert [one["reason"] for one in since] == [2]
    events = app.request("GET", "/v1/devices/S1/timeline").json()["events"]
    assert [event["type"] for event in events].count("device.rebooted") == 3


@pytest.mark.parametrize(
    "date", ["0001-01-01T00:00:00+00:00", "1969-12-31T23:59:59+00:00", "9999-12-31T23:59:59+00:00"]
)
def test_a_reboot_is_listed_whatever_the_clock_of_its_device_shows(app: App, date: str) -> None:
    rebooted = {**REPORTED, "type": "reboot", "event_info": {"reason": 2}, "captured_date": date}
    assert report(app, "POST", "/api/v0/events", [rebooted]).status == 202
    found = app.request("GET", f"{P}/devices/J1/reboots").json()["data"]
    assert [one["time"] for one in found] == [date.replace("+", ".000000+")]


def test_reboots_go_with_their_device_to_a_project_where_their_software_never_ran(app: App) -> None:
    for version in ("1.0", "1.1"):
        rebooted = {**REPORTED, "type": "reboot", "event_info": {"reason": 2}, "software_version": version}
        assert report(app, "POST", "/api/v0/events", [rebooted]).status == 202
    was = app.request("GET", f"{P}/devices/J1/reboots").json()["data"]
    app.request("POST", "/v1/organizations", {"slug": "other"})
    assert app.request("POST", "/v1/devices/J1:transfer", {"organization": "other"}).status == 200
    there = "/api/v0/organizations/default/projects/other"
    now = app.request("GET", f"{there}/devices/J1/reboots").json()["data"]
    numbers = [one["software_version"].pop("id") for one in now]
    assert [one["software_version"].pop("id") for one in was] != numbers
    assert now == was
    assert numbers[1] == 0, "no version here has this number"


def test_reboots_are_found_behind_everything_else_that_happened(app: App) -> None:
    rebooted = {**REPORTED, "type": "reboot", "event_info": {"reason": 2}}
    report(app, "POST", "/api/v0/events", [rebooted])
    updates = [{**REPORTED, "software_version": f"1.{number % 2}"} for number in range(limits.MAX_PAGE)]
    assert report(app, "POST", "/api/v0/events", updates).status == 202
    assert [one["reason"] for one in app.request("GET", f"{P}/devices/J1/reboots").json()["data"]] == [2]


def test_whoever_asks_by_a_serial_that_cannot_be_is_told_where_it_stands(app: App) -> None:
    wrong = ["Not a valid serial."]
    reply = report(app, "POST", "/api/v0/device-config", {"device": {"device_serial": "a b"}})
    assert (reply.status, reply.json()["error"]["message"]) == (400, {"device": {"device_serial": wrong}})
    query = "device_serial=a%20b&hardware_version=evt&software_type=main"
    reply = report(app, "GET", f"/api/v0/releases/latest?{query}")
    assert (reply.status, reply.json()["error"]["message"]) == (400, {"device_serial": wrong})


def test_every_check_in_moves_the_time_a_device_was_last_seen(app: App) -> None:
    times = []
    for serial in ("J1", "J2", "J1"):
        report(app, "POST", "/api/v0/events", [{**REPORTED, "device_serial": serial}])
        times.append(device(app, serial)["last_seen"])
    assert times == sorted(set(times))
    found = app.request("GET", f"{P}/devices?sort=-last_seen").json()["data"]
    assert [one["device_serial"] for one in found] == ["J1", "J2"]


def test_asking_for_configuration_or_software_is_being_seen(app: App) -> None:
    asked = {"device_serial": "C1", "hardware_version": "evt", "software_version": "1.0", "software_type": "main"}
    reply = report(app, "POST", "/api/v0/device-config", {"device": asked})
    sampling = reply.json()["data"]["config"]["memfault"]["sampling"]
    assert (reply.status, sampling["logging.resolution"]) == (200, "normal")
    assert device(app, "C1")["last_seen"] is not None
    query = "device_serial=C2&hardware_version=evt&software_type=main&current_version=1.0"
    for path in ("/api/v0/releases/latest", "/api/v0/releases/latest/url"):
        latest = report(app, "GET", f"{path}?{query}")
        assert (latest.status, latest.headers["memfault-reason"]) == (204, "latest")
    assert device(app, "C2")["last_seen_release"]["version"] == "1.0"
    assert report(app, "GET", "/api/v0/releases/latest?hardware_version=evt").status == 400


# --- the vendor's own client -----------------------------------------------------------------------------------------


def test_memfault_cli_posts_chunks_without_being_changed(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        send, headers = over_socket(server.port), {"authorization": f"Bearer {server.key}"}
        project_key = send("GET", f"{P}/api_key", headers, b"").json()["data"]["api_key"]
        (tmp_path / "chunk.bin").write_bytes(VENDORS)
        exported = "".join(f"MC:{base64.b64encode(framed(message(EVENT))).decode()}:\n" for _ in range(3))
        (tmp_path / "export.txt").write_text(exported)
        memfault = str(Path(sys.executable).with_name("memfault"))
        given = [memfault, "--url", server.url, "--project-key", project_key, "post-chunk"]
        for arguments in (
            ["--device-serial", "CLI1", "--encoding", "bin", "chunk.bin"],
            ["--device-serial", "CLI2", "--encoding", "sdk_data_export", "export.txt"],
        ):
            done = subprocess.run(
                [*given, *arguments], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, done.stdout + done.stderr
        for serial, version in (("CLI1", "1.0.0-test"), ("CLI2", "1.0.0")):
            found = send("GET", f"{P}/devices/{serial}", headers, b"").json()["data"]
            assert found["last_seen_release"]["version"] == version
