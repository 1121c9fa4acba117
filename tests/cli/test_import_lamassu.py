"""`fleetroll import lamassu`, from one server of ours to another; between them, a proxy that can fall silent."""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import counts, run
from tests.cli.impostor import impostor
from tests.support import process
from tests.support.transcripts import Transport, over_socket

Fleetroll = Callable[..., Any]
COUNT = 250
MANAGER = "/api/devmanager/v1"
TOP, BELOW = (f"00000000-0000-4000-8000-00000000000{end}" for end in "12")
SLOT = {"status": "ACTIVE", "active_version": 1, "type": "x509", "versions": {"0": "0a", "1": "0b"},
        "expiration_date": "2090-01-01T00:00:00Z",
        "events": {"2026-01-01T00:00:00Z": {"type": "PROVISIONED", "description": ""}}}  # fmt: skip
SETTINGS = {
    "enrollment_settings": {
        "protocol": "EST_RFC7030",
        "enrollment_ca": "factory",
        "est_rfc7030_settings": {
            "auth_mode": "CLIENT_CERTIFICATE",
            "client_certificate_settings": {"validation_cas": ["vendor"]},
        },
        "device_provisioning_profile": {"icon": "CgChip", "icon_color": "#111", "metadata": {"a": 1}, "tags": ["t"]},
    },
    "reenrollment_settings": {"preventive_delta": "30d", "critical_delta": "7d"},
}


def device(number: int) -> dict[str, Any]:
    icons = {"icon": "CgSmartphoneChip", "icon_color": "#25ee32-#222222"} if number % 3 else {}
    return {
        "id": f"D{number:04}",
        "alias": f"Pump {number}",
        "tags": ["pump"] if number % 2 else [],
        "metadata": {"floor": number % 4, "big": 12345678901234567890 - (1 << 63), "nested": {"a": [1.5, None]}},
        "dms_id": "line",
        **icons,
    }


def tell(call: Transport, key: str, method: str, path: str, body: Any = None) -> Any:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    reply = call(method, path, headers, b"" if body is None else json.dumps(body).encode())
    assert reply.status < 300, (path, reply.status, reply.body)
    return json.loads(reply.body) if reply.body else None


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Process]:
    """A server with devices, a DMS and groups, spoken to as Lamassu."""
    with process.serving(tmp_path_factory.mktemp("source") / "data", "--lamassu-profile", "upstream") as started:
        call = over_socket(started.port)
        for number in range(COUNT):
            tell(call, started.key, "POST", f"{MANAGER}/devices", device(number))
        for number in (0, 1):
            tell(call, started.key, "PUT", f"{MANAGER}/devices/D000{number}/idslot", SLOT)
        tell(call, started.key, "DELETE", f"{MANAGER}/devices/D0001/decommission")
        tell(call, started.key, "DELETE", f"{MANAGER}/devices/D0002/decommission")
        tell(call, started.key, "POST", "/v1/authorities", {"name": "vendor"})
        dms = {"id": "line", "name": "Line", "metadata": {"b": 2}, "settings": SETTINGS}
        tell(call, started.key, "POST", "/api/dmsmanager/v1/dms", dms)
        group = {"id": TOP, "name": "Pumps", "criteria": [{"field": "tags", "operand": "ct", "value": "pump"}]}
        tell(call, started.key, "POST", f"{MANAGER}/device-groups", group)
        child = {"id": BELOW, "name": "Above", "parent_id": TOP,
                 "criteria": [{"field": "metadata", "operand": "jsonpath", "value": "$.floor > 2"}]}  # fmt: skip
        tell(call, started.key, "POST", f"{MANAGER}/device-groups", child)
        yield started


def given(source: str, key: str, *more: str) -> list[str]:
    return ["import", "lamassu", "--url", source, "--token", key, *more]


@pytest.fixture
def here(fleetroll: Fleetroll, server: process.Process, tmp_path: Path) -> dict[str, str]:
    """An empty organization to import to."""
    slug = tmp_path.name.replace("_", "-")[:60]
    assert fleetroll("org", "create", slug).code == 0
    return {"FLEETROLL_ORGANIZATION": slug}


def inside(server: process.Process, here: dict[str, str]) -> dict[str, str]:
    return {"authorization": f"Bearer {server.key}", "fleetroll-organization": here["FLEETROLL_ORGANIZATION"]}


def seen(server: process.Process, here: dict[str, str], path: str) -> Any:
    """What the importing server shows as Lamassu, in the organization that was imported to."""
    reply = over_socket(server.port)("GET", path, inside(server, here), b"")
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def test_everything_that_can_travel_does_and_a_second_time_nothing(
    fleetroll: Fleetroll, source: process.Process, server: process.Process, here: dict[str, str], work: Path
) -> None:
    done = fleetroll(*given(source.url, source.key), **here)
    assert (done.code, done.err) == (0, "")
    assert counts(done.out) == {"created": COUNT, "updated": 0, "unchanged": 0, "failed": 0}
    there = over_socket(source.port)
    moments = ("creation_timestamp", "events")
    words = {"RENEWAL_PENDING": "RENEWAL_WINDOW", "EXPIRING_SOON": "ABOUT_TO_EXPIRE"}
    for ident in ("D0000", "D0001", "D0002", "D0003", "D0249"):
        was = tell(there, source.key, "GET", f"{MANAGER}/devices/{ident}")
        now = seen(server, here, f"{MANAGER}/devices/{ident}")
        assert now["status"] == words.get(was["status"], was["status"])
        for one in (was, now):
            one.pop("identity", {}).pop("events", None)
        assert {name: value for name, value in now.items() if name not in moments} == {
            name: value for name, value in was.items() if name not in moments
        }
    assert seen(server, here, f"{MANAGER}/devices/D0000")["identity"]["versions"] == SLOT["versions"]
    for path in (f"{MANAGER}/device-groups/{TOP}", f"{MANAGER}/device-groups/{BELOW}", "/api/dmsmanager/v1/dms/line"):
        was, now = tell(there, source.key, "GET", path), seen(server, here, path)
        for one in (was, now):
            for moment in ("created_at", "updated_at", "creation_ts"):
                one.pop(moment, None)
        assert now == was
    authorities = fleetroll("ca", "list", "--json", **here).json()["authorities"]
    assert {one["name"]: one["issues"] for one in authorities} == {"factory": True, "vendor": False}
    assert not list(work.glob("*.state"))
    again = fleetroll(*given(source.url, source.key), **here)
    assert counts(again.out) == {"created": 0, "updated": 0, "unchanged": COUNT, "failed": 0}


def test_a_rehearsal_changes_nothing(
    fleetroll: Fleetroll, source: process.Process, here: dict[str, str], work: Path
) -> None:
    done = fleetroll(*given(source.url, source.key, "--dry-run"), **here)
    assert done.out.startswith("Dry run: nothing was changed.\ncreated    250\n")
    assert fleetroll("device", "list", "--json", **here).json()["devices"] == []
    assert fleetroll("group", "list", "--json", **here).json()["groups"] == []
    assert not list(work.glob("*.state"))


def test_a_group_that_asks_in_the_native_language_asks_the_same_here(
    fleetroll: Fleetroll, source: process.Process, here: dict[str, str], work: Path
) -> None:
    there = {"FLEETROLL_URL": source.url, "FLEETROLL_KEY": source.key}
    assert fleetroll("group", "create", "floor/3", "metadata.floor = 3", **there).code == 0
    done = fleetroll(*given(source.url, source.key), **here)
    assert (done.code, done.err) == (0, "")
    assert fleetroll("group", "get", "floor/3", "--json", **here).json()["filter"] == "metadata.floor = 3"
    assert fleetroll("group", "delete", "floor/3", **there).code == 0


def test_a_rehearsal_counts_slots_and_decommissionings_as_changes(
    fleetroll: Fleetroll, source: process.Process, here: dict[str, str], work: Path
) -> None:
    for number in (0, 2, 4):
        metadata = json.dumps(device(number)["metadata"])
        made = fleetroll("device", "create", f"D{number:04}", f"name=Pump {number}", f"metadata:={metadata}", **here)
        assert made.code == 0
    rehearsed = fleetroll(*given(source.url, source.key, "--dry-run", "--json"), **here)
    outcomes = {one["ident"]: one["outcome"] for one in map(json.loads, rehearsed.out.splitlines())}
    assert [outcomes[ident] for ident in ("D0000", "D0002", "D0004")] == ["updated", "updated", "unchanged"]
    shown = fleetroll("device", "get", "D0002", "--json", **here).json()
    assert (shown["status"], shown["revision"]) == ("NO_IDENTITY", 1)
    stored = fleetroll(*given(source.url, source.key, "--json"), **here)
    assert {one["ident"]: one["outcome"] for one in map(json.loads, stored.out.splitlines())} == outcomes


def test_a_program_is_told_of_each_device(
    fleetroll: Fleetroll, source: process.Process, server: process.Process, here: dict[str, str], work: Path
) -> None:
    rehearsed = fleetroll(*given(source.url, source.key, "--dry-run", "--json"), **here)
    created = [{"ident": f"D{number:04}", "outcome": "created"} for number in range(COUNT)]
    assert [json.loads(line) for line in rehearsed.out.splitlines()] == created
    assert fleetroll("device", "create", "D0000", **here).code == 0
    assert over_socket(server.port)("POST", "/v1/devices/D0000:decommission", inside(server, here), b"").status < 300
    stored = fleetroll(*given(source.url, source.key, "--json"), **here)
    assert (stored.code, stored.err) == (0, "")
    first, *rest = [json.loads(line) for line in stored.out.splitlines()]
    assert first == {"ident": "D0000", "outcome": "updated"}
    assert rest == created[1:]


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"id": 5},
        {"id": "\xe9"},
        {"id": "a", "settings": 5},
        {"id": "a", "name": "b", "settings": None, "parent_id": 5},
    ],
)
def test_a_source_whose_records_are_not_lamassus_is_told_apart(
    fleetroll: Fleetroll, here: dict[str, str], work: Path, record: dict[str, Any]
) -> None:
    with impostor(json.dumps({"list": [record], "total": 1}, ensure_ascii=False).encode("latin-1")) as url:
        refused = fleetroll("import", "lamassu", "--url", url, "--token", "no", **here)
    assert (refused.code, refused.out) == (1, "")
    assert "is not what such a server sends" in refused.err


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"id": "A", "dms_owner": "line", "icon": "x" * 300}, "icon must have 1 to 256 characters"),
        ({"id": "A", "dms_owner": "l\u200bine"}, "dms must not contain control"),
        ({"id": "A", "dms_owner": "line", "tags": ["a,b"]}, "a tag must have no comma"),
    ],
)
def test_a_device_that_does_not_fit_as_a_whole_is_reported_and_not_there_in_part(
    fleetroll: Fleetroll, here: dict[str, str], work: Path, record: dict[str, Any], words: str
) -> None:
    expected = {"created": 1, "updated": 0, "unchanged": 0, "failed": 1}
    with impostor(json.dumps({"list": [record, {"id": "B", "icon": "i"}], "total": 2}).encode()) as url:
        rehearsed = fleetroll(*given(url, "any", "--devices-only", "--dry-run"), **here)
        done = fleetroll(*given(url, "any", "--devices-only"), **here)
    assert (rehearsed.code, counts(rehearsed.out.partition("\n")[2])) == (6, expected)
    assert (done.code, counts(done.out)) == (6, expected)
    assert words in rehearsed.err
    assert words in done.err
    assert [device["ident"] for device in fleetroll("device", "list", "--json", **here).json()["devices"]] == ["B"]


def test_devices_beyond_the_quota_fail_each_by_itself(fleetroll: Fleetroll, here: dict[str, str], work: Path) -> None:
    assert fleetroll("org", "set", here["FLEETROLL_ORGANIZATION"], "--quota", "devices=1").code == 0
    records = [{"id": "A", "dms_owner": "line"}, {"id": "B", "icon": "i"}, {"id": "C"}]
    with impostor(json.dumps({"list": records, "total": 3}).encode()) as url:
        done = fleetroll(*given(url, "any", "--devices-only"), **here)
    assert (done.code, counts(done.out)) == (6, {"created": 1, "updated": 0, "unchanged": 0, "failed": 2})
    assert "B: This organization may have at most 1 devices" in done.err


def test_a_device_that_has_renewed_for_long_comes_with_what_its_slot_had_last(
    fleetroll: Fleetroll, server: process.Process, here: dict[str, str], work: Path
) -> None:
    events = {f"2026-01-01T00:00:{number // 10:02}.{number % 10}Z": {"type": "RENEWED"} for number in range(300)}
    slot = SLOT | {"active_version": 9, "versions": {str(number): f"{number:04x}" for number in range(150)}}
    record = {"id": "A", "status": "ACTIVE", "identity": slot | {"events": events}}
    with impostor(json.dumps({"list": [record], "total": 1}).encode()) as url:
        done = fleetroll(*given(url, "any", "--devices-only"), **here)
        again = fleetroll(*given(url, "any", "--devices-only"), **here)
    assert (counts(done.out)["created"], counts(again.out)["unchanged"]) == (1, 1)
    stored = seen(server, here, f"{MANAGER}/devices/A")["identity"]
    assert sorted(map(int, stored["versions"])) == [9, *range(51, 150)]
    assert len(stored["events"]) == 100
    assert "2026-01-01T00:00:20Z" in stored["events"]


def test_an_import_keeps_to_the_rate_of_its_key(tmp_path: Path, work: Path) -> None:
    records = [{"id": f"D{number}", "status": "ACTIVE", "identity": SLOT} for number in range(9)]
    with (
        impostor(json.dumps({"list": records, "total": len(records)}).encode()) as url,
        process.serving(tmp_path / "data", "--key-rate", "4") as target,
    ):
        done = run(*given(url, "any", "--devices-only"), FLEETROLL_URL=target.url, FLEETROLL_KEY=target.key)
    assert (done.code, counts(done.out)["created"]) == (0, len(records))


def test_a_key_that_may_not_import_is_told_so(
    fleetroll: Fleetroll, source: process.Process, here: dict[str, str], work: Path
) -> None:
    viewer = fleetroll("key", "create", "reader", "--role", "viewer", "--json").json()["key"]
    refused = fleetroll(*given(source.url, source.key, "--devices-only"), **here | {"FLEETROLL_KEY": viewer})
    assert (refused.code, refused.out) == (4, "")
    assert "This key does not have permission for devices:write" in refused.err
    unknown = fleetroll(*given(source.url, source.key, "--devices-only"), **here | {"FLEETROLL_KEY": "unknown"})
    assert (unknown.code, "Give a valid key" in unknown.err) == (4, True)


def test_a_server_that_does_not_answer_as_lamassu_takes_no_import(
    source: process.Process, tmp_path: Path, work: Path
) -> None:
    with process.serving(tmp_path / "data", "--disable", "lamassu") as target:
        here = {"FLEETROLL_URL": target.url, "FLEETROLL_KEY": target.key}
        refused = run(*given(source.url, source.key), **here)
        assert (refused.code, refused.out) == (1, "")
        assert "Start it without --disable lamassu" in refused.err
        assert run("device", "list", "--json", **here).json()["devices"] == []


@contextlib.contextmanager
def proxy(target: str, silent_after: int, lost: str = "-") -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """A proxy to the source that answers no page of devices after that many, until it is told to go on.

    The path `lost` is answered with 404.

    Yields its address, the event that it sets when it has fallen silent, and the one to set for it to go on.
    """
    silent, on = threading.Event(), threading.Event()
    pages = iter(range(silent_after))

    class Passing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith(f"{MANAGER}/devices?") and next(pages, None) is None and not on.is_set():
                silent.set()
                on.wait(60)
                self.close_connection = True
                return
            reply = httpx.get(target + self.path, headers={"authorization": self.headers["authorization"]})
            self.send_response(404 if self.path == lost else reply.status_code)
            self.send_header("content-length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Passing) as listening:
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}", silent, on
        finally:
            on.set()
            listening.shutdown()


def test_a_run_that_was_killed_goes_on_where_it_stopped_and_each_device_comes_once(
    fleetroll: Fleetroll, source: process.Process, server: process.Process, here: dict[str, str], work: Path
) -> None:
    environment = {**os.environ, "FLEETROLL_URL": server.url, "FLEETROLL_KEY": server.key, **here}
    with proxy(source.url, 2) as (url, silent, on):
        command = [sys.executable, "-m", "fleetroll", *given(url, source.key)]
        running = subprocess.Popen(command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert silent.wait(60)
        running.kill()
        running.communicate(timeout=60)
        on.set()
        assert json.loads((work / "lamassu.state").read_text())["source"] == url
        done = fleetroll(*given(url, source.key), **here)
    assert done.code == 0, done.err
    assert "Continuing where the last run stopped" in done.err
    assert counts(done.out) == {"created": COUNT - 200, "updated": 0, "unchanged": 0, "failed": 0}
    assert not (work / "lamassu.state").exists()
    assert seen(server, here, f"{MANAGER}/stats")["total"] == COUNT
    for number in (0, 99, 100, 199, 200, 249):
        timeline = seen(server, here, f"/v1/devices/D{number:04}/timeline")["events"]
        assert [one["type"] for one in timeline].count("device.created") == 1


def test_a_source_that_refuses_is_told_of(
    fleetroll: Fleetroll, source: process.Process, here: dict[str, str], work: Path
) -> None:
    refused = fleetroll(*given(source.url, "no"), **here)
    assert (refused.code, "401" in refused.err) == (4, True)
    assert fleetroll(*given("http://127.0.0.1:9", "no"), **here).code == 3
    state = work / "lamassu.state"
    state.write_text(json.dumps({"source": source.url, "place": "stale"}))
    stale = fleetroll(*given(source.url, source.key, "--devices-only"), **here)
    assert (stale.code, "Remove the state file" in stale.err) == (1, True)
    state.write_text(json.dumps({"source": "elsewhere", "place": "x"}))
    assert "belongs to an import from elsewhere" in fleetroll(*given(source.url, source.key), **here).err


def test_what_has_no_place_here_is_left_out_and_reported(
    fleetroll: Fleetroll, source: process.Process, server: process.Process, here: dict[str, str], work: Path
) -> None:
    """Another group has the name here, so that the one below has no parent; a decommissioned device takes no slot."""
    assert fleetroll("group", "create", "Pumps", "kind = x", **here).code == 0
    assert fleetroll("device", "create", "D0000", **here).code == 0
    ended = over_socket(server.port)("DELETE", f"{MANAGER}/devices/D0000/decommission", inside(server, here), b"")
    assert ended.status == 204
    done = fleetroll(*given(source.url, source.key), **here)
    assert "group Above is left out: device group not found" in done.err
    assert counts(done.out) == {"created": COUNT - 1, "updated": 1, "unchanged": 0, "failed": 0}
    assert seen(server, here, f"{MANAGER}/devices/D0000")["status"] == "DECOMMISSIONED"


def test_a_dms_that_names_an_authority_which_is_gone_is_left_out_and_the_rest_comes(
    fleetroll: Fleetroll, source: process.Process, here: dict[str, str]
) -> None:
    with proxy(source.url, COUNT, "/api/ca/v1/cas/vendor") as (url, _, _):
        done = fleetroll(*given(url, source.key), **here)
    assert (done.code, counts(done.out)["created"]) == (0, COUNT)
    assert "authority vendor is left out" in done.err
    assert "DMS line is left out" in done.err
    assert fleetroll("group", "list", "--json", **here).json()["groups"]


def test_a_device_that_has_enrolled_here_since_keeps_its_slot(
    source: process.Process, tmp_path: Path, work: Path
) -> None:
    listening = ("--est", "127.0.0.1:0", "--est-name", "localhost", "--nats", "off")
    with process.serving(tmp_path / "data", *listening) as target:
        here = {"FLEETROLL_URL": target.url, "FLEETROLL_KEY": target.key}
        assert run(*given(source.url, source.key), **here).code == 0
        call = over_socket(target.port)
        anybody = {"settings": {"admission": {"proof": "NO_AUTH"}, "replaceable": True}}
        tell(call, target.key, "PATCH", "/v1/dms/line", anybody)
        (work / "ca.pem").write_text(run("ca", "show", **here).out)
        port = re.search(r"https://127\.0\.0\.1:(\d+)", (tmp_path / "data.log").read_text())
        assert port
        asked = ("--est", f"https://localhost:{port[1]}", "--dms", "line", "--trust", str(work / "ca.pem"))
        assert run("device", "enroll", "D0000", *asked, "--out", str(work)).code == 0
        enrolled = tell(call, target.key, "GET", f"{MANAGER}/devices/D0000")
        assert enrolled["identity"]["active_version"] == 2
        again = run(*given(source.url, source.key), **here)
        assert counts(again.out)["unchanged"] == COUNT
        assert tell(call, target.key, "GET", f"{MANAGER}/devices/D0000") == enrolled
