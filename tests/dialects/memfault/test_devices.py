"""Devices in Memfault's form: every member, parameter and operation of its page, and what other APIs see of them."""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fleetroll.core import limits
from fleetroll.core.ids import MAX_ID
from fleetroll.store.port import Records
from tests.support.app import App, Response, running

P = "/api/v0/organizations/default/projects/default"
SEEN = 1_547_874_073_000_000
DEVICE = {"device_serial": "ABCD1234", "owner_ref": "awesome_employee_1234", "hardware_version": "hwrev1"}


def made(app: App, serial: str, **members: Any) -> Any:
    reply = app.request("POST", f"{P}/devices", {**DEVICE, "device_serial": serial, **members})
    assert reply.status == 200, reply.body
    return reply.json()["data"]


def listed(app: App, query: str = "") -> list[str]:
    reply = app.request("GET", f"{P}/devices?{query}")
    assert reply.status == 200, reply.body
    return [device["device_serial"] for device in reply.json()["data"]]


def seen(app: App, serial: str, at: int) -> None:
    async def work(records: Records) -> None:
        device = await records.devices.get(1, serial)
        assert device is not None
        await records.presence.heard(1, [device.id], at)

    app.runner.run(app.services.store.write(work))


def refused(reply: Response, status: int, code: int) -> Any:
    assert reply.status == status, reply.body
    error = reply.json()["error"]
    assert list(error) == ["code", "http_code", "message", "type"]
    assert (error["code"], error["http_code"]) == (code, status)
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert reply.headers["content-type"] == "application/json"
    return error["message"]


# --- one device ------------------------------------------------------------------------------------------------------


def test_a_created_device_has_every_member_of_the_page_and_is_read_back(app: App) -> None:
    device = made(app, "ABCD1234")
    assert list(device)[:9] == [
        "id", "created_date", "updated_date", "device_serial", "owner_ref", "hardware_version", "last_seen",
        "last_seen_release", "cohort",
    ]  # fmt: skip
    assert device["owner_ref"] == "awesome_employee_1234"
    assert (device["last_seen"], device["last_seen_release"]) == (None, None)
    assert (device["cohort"]["name"], device["cohort"]["slug"]) == ("default", "default")
    assert device["project"]["slug"] == "default"
    assert app.request("GET", f"{P}/devices/ABCD1234").json() == {"data": device}


def test_a_device_needs_no_owner_and_no_more_than_its_serial_and_hardware(app: App) -> None:
    reply = app.request("POST", f"{P}/devices", {"device_serial": "A", "hardware_version": {"name": "proto"}})
    assert (reply.status, reply.json()["data"]["owner_ref"]) == (200, "")
    assert reply.json()["data"]["hardware_version"] == "proto"


def test_newer_clients_read_the_hardware_version_as_an_object(tmp_path: Path) -> None:
    with running(tmp_path / "newer", memfault_hardware_version="object") as app:
        shown = made(app, "A", hardware_version={"name": "rev1"})
        assert shown["hardware_version"] == {"name": "rev1"}
        listed_all = app.request("GET", f"{P}/devices?hardware_version=rev1").json()["data"]
        in_cohort = app.request("GET", f"{P}/cohorts/default/devices").json()["data"]
        changed = app.request("PATCH", f"{P}/devices/A", {"hardware_version": {"name": "rev1"}}).json()["data"]
        assert [shown] == listed_all == in_cohort == [changed]
        assert app.request("GET", f"{P}/devices/A").json()["data"] == shown
        app.request("POST", "/v1/devices", {"ident": "B"})
        assert app.request("GET", f"{P}/devices/B").json()["data"]["hardware_version"] == {"name": ""}


def test_a_serial_is_taken_once(app: App) -> None:
    made(app, "A")
    refused(app.request("POST", f"{P}/devices", {**DEVICE, "device_serial": "A"}), 409, 1004)


@pytest.mark.parametrize(
    "body",
    [
        {"hardware_version": "hwrev1"},
        {"device_serial": "A"},
        {"device_serial": "a b", "hardware_version": "hwrev1"},
        {"device_serial": "", "hardware_version": "hwrev1"},
        {"device_serial": "A" * 129, "hardware_version": "hwrev1"},
        {"device_serial": "A", "hardware_version": "é"},
        {"device_serial": "A", "hardware_version": ""},
        {"device_serial": 5, "hardware_version": "hwrev1"},
    ],
)
def test_what_the_vendor_would_not_take_is_refused_by_the_name_of_the_member(app: App, body: Any) -> None:
    message = refused(app.request("POST", f"{P}/devices", body), 400, 1000)
    assert isinstance(message, dict | str)
    assert listed(app) == []


SLUG = "must be 1 to 128 letters, digits, hyphens or underscores."


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "/devices", {**DEVICE, "owner_ref": "x" * 255}, {"owner_ref": "must have 1 to 254 characters."}),
        ("POST", "/devices", {**DEVICE, "nickname": "x" * 257}, {"nickname": "must have 1 to 256 characters."}),
        (
            "POST",
            "/devices",
            {**DEVICE, "description": "x" * 4097},
            {"description": "must have at most 4096 characters."},
        ),
        ("POST", "/devices", {**DEVICE, "cohort": "a b"}, {"cohort": SLUG}),
        (
            "PATCH",
            "/devices/A",
            {"nickname": "\u202e"},
            {"nickname": "must not contain control or formatting characters."},
        ),
        ("PATCH", "/devices/A", {"cohort": ""}, {"cohort": SLUG}),
        ("POST", "/cohorts", {"name": ""}, {"name": "must have 1 to 256 characters."}),
        ("POST", "/cohorts", {"name": "n", "slug": "a b"}, {"slug": SLUG}),
        ("POST", "/custom-metrics", {"string_key": "..", "data_type": "INT"}, {"string_key": "must not be . or .."}),
    ],
)
def test_a_refusal_of_a_body_leads_to_the_member(app: App, method: str, path: str, body: Any, said: Any) -> None:
    made(app, "A")
    wanted = {name: [f"{name} {rule}"] for name, rule in said.items()}
    assert refused(app.request(method, P + path, body), 400, 1000) == wanted


def test_a_refusal_of_a_list_leads_to_the_member_by_its_place(app: App) -> None:
    made(app, "A")
    body = [{"string_key": "a", "value": 1}, {"string_key": "", "value": 1}]
    message = refused(app.request("PATCH", f"{P}/devices/A/attributes", body), 400, 1000)
    assert message == {"1": {"string_key": ["string_key must have 1 to 256 characters."]}}
    assert app.request("GET", f"{P}/devices/A/attributes").json()["data"] == []


def test_a_change_touches_what_it_names_and_the_time_it_was_made(app: App) -> None:
    before = made(app, "A")
    app.request("POST", f"{P}/cohorts", {"name": "Beta Channel", "slug": "beta"})
    change = {"cohort": "beta", "nickname": "My-Device", "description": "In the lab", "owner_ref": "Somebody_Else"}
    reply = app.request("PATCH", f"{P}/devices/A", change)
    assert reply.status == 200
    after = reply.json()["data"]
    assert (after["cohort"]["slug"], after["cohort"]["name"]) == ("beta", "Beta Channel")
    assert (after["nickname"], after["description"], after["owner_ref"]) == ("My-Device", "In the lab", "Somebody_Else")
    assert (after["id"], after["created_date"], after["last_seen"]) == (before["id"], before["created_date"], None)
    assert after["updated_date"] > before["updated_date"]
    cleared = app.request("PATCH", f"{P}/devices/A", {"nickname": None, "cohort": None, "owner_ref": ""}).json()["data"]
    assert (cleared["nickname"], cleared["cohort"]["slug"], cleared["owner_ref"]) == ("", "beta", "")
    native = app.request("GET", "/v1/devices/A").json()
    assert (native["cohort"], native["owners"], native["hardware_version"]) == ("beta", [], "hwrev1")


def test_the_owners_that_other_apis_gave_stay_beside_the_first(app: App) -> None:
    app.request("PUT", "/v1/devices/A", {"owners": ["ann@example.com", "bob@example.com"]})
    assert app.request("PATCH", f"{P}/devices/A", {"owner_ref": "cid"}).json()["data"]["owner_ref"] == "cid"
    assert app.request("GET", "/v1/devices/A").json()["owners"] == ["cid", "bob@example.com"]


@pytest.mark.parametrize("nobody", ["", None])
def test_a_device_that_is_left_without_an_owner_does_not_show_the_next_one(app: App, nobody: str | None) -> None:
    app.request("PUT", "/v1/devices/A", {"owners": ["ann@example.com", "bob@example.com"]})
    assert app.request("PATCH", f"{P}/devices/A", {"owner_ref": nobody}).json()["data"]["owner_ref"] == ""
    assert app.request("GET", "/v1/devices/A").json()["owners"] == []


def test_an_owner_is_shown_as_the_client_named_it_and_found_by_that_name_only(app: App) -> None:
    for serial, owner in (("A", "Kx9Q"), ("B", "kx9q")):
        new = {"device_serial": serial, "hardware_version": "evt", "owner_ref": owner}
        assert app.request("POST", f"{P}/devices", new).json()["data"]["owner_ref"] == owner
        found = app.request("GET", f"{P}/devices?owner_ref={owner}").json()["data"]
        assert [one["device_serial"] for one in found] == [serial]
    assert app.request("GET", "/v1/owners/Kx9Q").json()["ref"] == "Kx9Q"


@pytest.mark.parametrize("hardware", [None, "Rev Ä"])
def test_a_device_that_another_api_made_is_written_back_as_it_is_read(app: App, hardware: str | None) -> None:
    device = {"ident": "a/b ü", "hardware_version": hardware, "name": "Ünï", "owners": ["x y"]}
    assert app.request("POST", "/v1/devices", device).status == 201
    before = app.request("GET", "/v1/devices/a%2Fb%20%C3%BC").json()
    path = f"{P}/devices/a%2Fb%20%C3%BC"
    read = app.request("GET", path).json()["data"]
    given = {name: read[name] for name in ("owner_ref", "nickname", "description")} | {"cohort": read["cohort"]["slug"]}
    for form in (read["hardware_version"], {"name": read["hardware_version"]}):
        written = app.request("PATCH", path, {**given, "hardware_version": form})
        assert (written.status, written.json().get("data")) == (200, read)
    assert app.request("GET", "/v1/devices/a%2Fb%20%C3%BC").json() == before
    for wrong in ("é", "" if hardware else " "):
        refused(app.request("PATCH", path, {"hardware_version": wrong}), 400, 1000)


def test_an_unknown_hardware_version_is_made_by_a_bridge_that_reads_the_error(app: App) -> None:
    made(app, "A")
    for given in ("rev-9", {"name": "rev-9"}):
        message = refused(app.request("PATCH", f"{P}/devices/A", {"hardware_version": given}), 404, 1003)
        assert message == "HardwareVersion with name `rev-9` not found"
    types = app.request("GET", f"{P}/software_types?page=1&per_page=5000").json()
    assert types["data"][0]["name"] == "main"
    new = {"name": "rev-9", "primary_software_type": types["data"][0]["name"]}
    version = app.request("POST", f"{P}/hardware_versions", new)
    assert (version.status, version.json()["data"]["primary_software_type"]["name"]) == (200, "main")
    changed = app.request("PATCH", f"{P}/devices/A", {"hardware_version": "rev-9"})
    assert (changed.status, changed.json()["data"]["hardware_version"]) == (200, "rev-9")
    counts = {one["name"]: one["count_devices"] for one in app.request("GET", f"{P}/hardware_versions").json()["data"]}
    assert counts == {"hwrev1": 0, "rev-9": 1}


def test_a_missing_device_is_named(app: App) -> None:
    for method, body in (("GET", None), ("PATCH", {"nickname": "x"}), ("DELETE", None)):
        message = refused(app.request(method, f"{P}/devices/none", body), 404, 1003)
        assert message == "Device with device_serial `none` not found"


def test_a_cohort_that_is_not_there_is_not_found(app: App) -> None:
    made(app, "A")
    for method, path, body in (
        ("PATCH", "/devices/A", {"cohort": "nowhere"}),
        ("POST", "/devices", {**DEVICE, "cohort": "nowhere"}),
        ("GET", "/cohorts/nowhere/devices", None),
        ("PATCH", "/cohorts/nowhere/devices", {"devices": ["A"]}),
    ):
        assert refused(app.request(method, P + path, body), 404, 1003) == "Cohort with slug `nowhere` not found"


def test_a_deleted_device_is_gone(app: App) -> None:
    made(app, "A")
    reply = app.request("DELETE", f"{P}/devices/A")
    assert (reply.status, reply.body) == (204, b"")
    assert app.request("GET", f"{P}/devices/A").status == 404


def test_what_was_last_seen_is_shown_to_the_microsecond_and_in_both_forms(app: App) -> None:
    made(app, "A")
    software = {"type": "main-fw", "version": "1.2.3", "build": "11d95ef20f7a048ce1da1a6891dd3e2f92c89d85"}
    app.request("PATCH", "/v1/devices/A", {"software": software})
    seen(app, "A", SEEN + 1)
    device = app.request("GET", f"{P}/devices/A").json()["data"]
    assert device["last_seen"] == "2019-01-19T05:01:13.000001+00:00"
    release, shown = device["last_seen_release"], device["last_seen_software_version"]
    assert release == {"id": shown["id"], "version": "1.2.3", "revision": software["build"]}
    assert (shown["version"], shown["archived"], shown["software_type"]["name"]) == ("1.2.3", False, "main-fw")
    one = app.request("GET", f"{P}/software_types/main-fw/software_versions/1.2.3")
    assert (one.status, one.json()["data"]["id"]) == (200, shown["id"])
    refused(app.request("GET", f"{P}/software_types/main-fw/software_versions/9"), 404, 1003)


# --- lists -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def fleet(app: App) -> App:
    app.request("POST", f"{P}/cohorts", {"name": "Beta", "slug": "beta"})
    for number in range(6):
        cohort = {"cohort": "beta"} if number == 5 else {}
        made(app, f"D{number}", owner_ref=f"owner{number % 3}", hardware_version=f"rev{number % 2}", **cohort)
        app.request("PATCH", f"/v1/devices/D{number}", {"software": {"version": f"1.0.{number % 2}"}})
    for number in (3, 1, 4):
        seen(app, f"D{number}", SEEN + number)
    return app


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "D0 D1 D2 D3 D4 D5"),
        ("release=1.0.0", "D0 D2 D4"),
        ("release=1.0.0&release=1.0.1", "D0 D1 D2 D3 D4 D5"),
        ("owner_ref=owner1&owner_ref=owner2", "D1 D2 D4 D5"),
        ("owner_ref=owner1&hardware_version=rev0", "D4"),
        ("owner_ref=Owner1", ""),
        ("hardware_version=rev1&release=1.0.1&owner_ref=owner0", "D3"),
        ("hardware_version=rev9", ""),
        ("cohort=beta", "D5"),
        ("cohort=default", "D0 D1 D2 D3 D4"),
        ("cohort=default&cohort=beta", "D0 D1 D2 D3 D4 D5"),
        ("device_serial=D1&device_serial=*5", "D1 D5"),
        ("sort=last_seen", "D1 D3 D4 D0 D2 D5"),
        ("sort=last_seen&sort=-id&sort=-last_seen", "D1 D3 D4 D5 D2 D0"),
        ("sort=-last_seen", "D4 D3 D1 D5 D2 D0"),
        ("sort=-last_seen&sort=device_serial", "D4 D3 D1 D0 D2 D5"),
        ("sort=-device_serial", "D5 D4 D3 D2 D1 D0"),
        ("sdkPlatform=linux&unknown=1", "D0 D1 D2 D3 D4 D5"),
    ],
)
def test_values_of_one_parameter_are_alternatives_and_parameters_narrow_each_other(
    fleet: App, query: str, found: str
) -> None:
    assert listed(fleet, query) == found.split()


def test_times_are_told_apart_by_a_microsecond_however_the_offset_is_written(fleet: App) -> None:
    def at(offset: int, form: str = "+00:00") -> str:
        return f"2019-01-19T05:01:13.{offset:06}{form}"

    assert listed(fleet, f"last_seen_since={quote(at(3))}") == ["D3", "D4"]
    assert listed(fleet, f"last_seen_since={quote(at(4))}") == ["D4"]
    assert listed(fleet, f"last_seen_until={quote(at(2))}") == ["D1"]
    assert listed(fleet, f"last_seen_since={quote(at(2))}&last_seen_until={quote(at(3))}") == ["D3"]
    assert listed(fleet, f"last_seen_since={at(4)}") == ["D4"], "a plus that was not encoded"
    assert listed(fleet, f"last_seen_since={at(4, 'Z')}") == ["D4"]
    assert listed(fleet, f"last_seen_since={at(4, '')}") == ["D4"]
    assert listed(fleet, f"last_seen_since={quote('2019-01-19T07:01:13.000004+02:00')}") == ["D4"]


def test_however_far_a_page_is_past_the_end_it_is_empty(fleet: App) -> None:
    of_device = ("attributes", "reboots")
    lists = ("devices", "cohorts", "hardware_versions", "custom-metrics", *(f"devices/D1/{one}" for one in of_device))
    for path in lists:
        for page in (2**31 + 1, MAX_ID):
            found = fleet.request("GET", f"{P}/{path}?page={page}").json()
            assert (found["data"], found.get("paging", {}).get("page", page)) == ([], page), path
        assert fleet.request("GET", f"{P}/{path}?page={MAX_ID + 1}").status == 400, path


def test_a_page_says_where_it_is(fleet: App) -> None:
    def paging(query: str) -> list[int]:
        return list(fleet.request("GET", f"{P}/devices?{query}").json()["paging"].values())

    assert list(fleet.request("GET", f"{P}/devices").json()["paging"]) == [
        "item_count", "total_count", "page", "page_count", "per_page",
    ]  # fmt: skip
    assert paging("") == [6, 6, 1, 1, 100]
    assert paging("page=2&per_page=4") == [2, 6, 2, 2, 4]
    assert paging("page=9&per_page=4") == [0, 6, 9, 2, 4]
    assert paging("per_page=100000") == [6, 6, 1, 1, limits.MAX_NUMBERED_PAGE]
    assert paging(f"per_page={MAX_ID}") == [6, 6, 1, 1, limits.MAX_NUMBERED_PAGE]
    assert paging("hardware_version=rev1&per_page=2") == [2, 3, 1, 2, 2]
    assert paging("hardware_version=none") == [0, 0, 1, 0, 100]


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "per_page=0", "sort=-deployed_date", "last_seen_since=yesterday"]
)
def test_a_query_that_means_nothing_is_refused(app: App, query: str) -> None:
    refused(app.request("GET", f"{P}/devices?{query}"), 400, 1000)


def test_a_client_that_reads_all_pages_sees_each_device_once(app: App) -> None:
    rows = b"\n".join(b'{"ident":"S%05d","tags":["t"]}' % number for number in range(10_000))
    app.request("POST", "/v1/devices:import", raw=rows, headers={"content-type": "application/x-ndjson"})
    for query in ("", "sort=-last_seen&", "sort=device_serial&", "cohort=default&"):
        found, page = [], 1
        while True:
            reply = app.request("GET", f"{P}/devices?{query}page={page}&per_page=5000").json()
            found += [device["device_serial"] for device in reply["data"]]
            assert reply["paging"]["per_page"] == 5000
            if page >= reply["paging"]["page_count"]:
                break
            page += 1
        assert (page, len(found), len(set(found))) == (2, 10_000, 10_000)


# --- cohorts and projects --------------------------------------------------------------------------------------------


def test_devices_are_moved_into_a_cohort_together_or_not_at_all(fleet: App) -> None:
    for body in ({"devices": ["D0", "D1"]}, {"device_serials": ["D2"]}, ["D3"]):
        assert fleet.request("PATCH", f"{P}/cohorts/beta/devices", body).status == 202
    refused(fleet.request("PATCH", f"{P}/cohorts/beta/devices", {"devices": ["D4", "none"]}), 404, 1003)
    found = fleet.request("GET", f"{P}/cohorts/beta/devices?per_page=2&sort=device_serial").json()
    assert [device["device_serial"] for device in found["data"]] == ["D0", "D1"]
    assert found["paging"]["total_count"] == 5
    counts = {one["slug"]: one["count_devices"] for one in fleet.request("GET", f"{P}/cohorts").json()["data"]}
    assert counts == {"default": 1, "beta": 5}


def test_a_device_that_is_listed_in_two_spellings_is_moved(app: App) -> None:
    app.request("POST", f"{P}/cohorts", {"name": "beta", "slug": "beta"})
    composed, decomposed = "\u00e9", "e\u0301"
    app.request("PUT", f"/v1/devices/{quote(composed)}", {})
    assert app.request("PATCH", f"{P}/cohorts/beta/devices", [composed, decomposed]).status == 202
    assert listed(app, "cohort=beta") == [composed]


def test_a_cohort_is_made_read_renamed_and_deleted(app: App) -> None:
    cohort = app.request("POST", f"{P}/cohorts", {"name": "Nightly"})
    assert (cohort.status, cohort.json()["data"]["count_devices"]) == (200, 0)
    slug = cohort.json()["data"]["slug"]
    assert app.request("GET", f"{P}/cohorts/{slug}").json() == cohort.json()
    refused(app.request("POST", f"{P}/cohorts", {"name": "Nightly", "slug": slug}), 409, 1004)
    renamed = app.request("PATCH", f"{P}/cohorts/{slug}", {"name": "Weekly"}).json()["data"]
    assert (renamed["name"], renamed["slug"]) == ("Weekly", slug)
    named = app.request("GET", f"{P}/cohorts?name=Weekly&sort=-created_date").json()["data"]
    assert [one["slug"] for one in named] == [slug]
    assert app.request("DELETE", f"{P}/cohorts/{slug}").status == 204
    refused(app.request("GET", f"{P}/cohorts/{slug}"), 404, 1003)
    refused(app.request("DELETE", f"{P}/cohorts/default"), 409, 1004)
    longest = "x" * 128
    assert app.request("POST", f"{P}/cohorts", {"name": "Long", "slug": longest}).json()["data"]["slug"] == longest
    refused(app.request("POST", f"{P}/cohorts", {"name": "Longer", "slug": longest + "x"}), 400, 1000)


def test_a_project_is_an_organization_of_its_own(app: App) -> None:
    projects = "/api/v0/organizations/default/projects"
    new = app.request("POST", projects, {"name": "Smart Sink", "slug": "smart-sink"})
    assert (new.status, new.json()["data"]["slug"]) == (200, "smart-sink")
    sink = f"{projects}/smart-sink"
    assert app.request("POST", f"{sink}/devices", DEVICE).json()["data"]["project"]["name"] == "Smart Sink"
    assert listed(app) == []
    counts = {one["slug"]: one["count_devices"] for one in app.request("GET", projects).json()["data"]}
    assert counts == {"default": 0, "smart-sink": 1}
    assert app.request("PATCH", sink, {"name": "Sink", "slug": "smart-sink"}).json()["data"]["name"] == "Sink"
    refused(app.request("PATCH", sink, {"name": "Drain", "slug": "drain"}), 400, 1000)
    assert app.request("GET", sink).json()["data"]["name"] == "Sink"
    inside = {"fleetroll-organization": "smart-sink"}
    key = app.request("POST", "/v1/keys", {"name": "k", "role": "viewer"}, headers=inside).json()["key"]
    assert app.request("GET", f"{sink}/devices", key=key).json()["paging"]["total_count"] == 1
    refused(app.request("GET", f"{P}/devices", key=key), 404, 1003)
    refused(app.request("DELETE", sink), 409, 1004)
    app.request("DELETE", f"{sink}/devices/ABCD1234")
    app.request("DELETE", "/v1/owners/awesome_employee_1234", headers=inside)
    assert app.request("DELETE", sink).status == 204
    refused(app.request("GET", sink), 404, 1003)
    refused(app.request("POST", projects, {"name": "again", "slug": "default"}), 409, 1004)


def test_every_project_of_the_list_is_the_one_that_its_path_leads_to(app: App) -> None:
    projects = "/api/v0/organizations/default/projects"
    for slug in ("default", "sink"):
        assert app.request("POST", "/v1/organizations", {"slug": slug}).status == 201
    found = app.request("GET", projects).json()["data"]
    assert [one["slug"] for one in found] == ["default", "sink"]
    assert [app.request("GET", f"{projects}/{one['slug']}").json()["data"] for one in found] == found


def test_the_project_key_is_shown_again_and_rotated(app: App) -> None:
    first = app.request("GET", f"{P}/api_key").json()["data"]["api_key"]
    assert len(first) == 32
    assert app.request("GET", P).json()["data"]["api_key"] == first
    second = app.request("POST", f"{P}/api_key").json()["data"]["api_key"]
    assert second != first
    assert app.request("GET", f"{P}/api_key").json()["data"]["api_key"] == second
    viewer = app.request("POST", "/v1/keys", {"name": "k", "role": "viewer"}).json()["key"]
    assert app.request("GET", P, key=viewer).json()["data"]["api_key"] is None


# --- credentials and failures ----------------------------------------------------------------------------------------


def test_a_key_is_taken_in_every_form_that_clients_use(app: App) -> None:
    def basic(text: str) -> dict[str, str]:
        return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    for headers in (
        {"authorization": f"Bearer {app.key}"},
        basic(f":{app.key}"),
        basic(f"ann@example.com:{app.key}"),
        basic(f"{app.key}:"),
    ):
        assert app.request("GET", f"{P}/devices", key=None, headers=headers).status == 200
        assert app.request("GET", "/auth/me", key=None, headers=headers).json()["organizations"][0]["slug"] == "default"
    refused(app.request("GET", f"{P}/devices", key=None), 401, 1001)
    project_key = app.request("GET", f"{P}/api_key").json()["data"]["api_key"]
    refused(app.request("GET", f"{P}/devices", key=None, headers={"memfault-project-key": project_key}), 401, 1001)
    refused(app.request("GET", f"{P}/devices", key=project_key), 401, 1001)


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("PUT", "/devices/A", {"body": {}}, 405),
        ("GET", "/nowhere", {}, 404),
        ("POST", "/devices", {"raw": b"{", "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/devices", {"raw": b"a=b", "headers": {"content-type": "text/plain"}}, 400),
        ("POST", "/devices", {"body": {"device_serial": "x" * limits.MAX_BODY}}, 400),
        ("GET", "/devices?" + "release=1&" * 100, {}, 400),
    ],
)
def test_failures_keep_to_the_statuses_that_the_vendor_documents(
    app: App, method: str, path: str, options: Any, status: int
) -> None:
    reply = app.request(method, P + path, **options)
    refused(reply, status, {400: 1000, 404: 1003, 405: 1005}[status])


def test_a_device_whose_cohort_or_project_is_renamed_is_another_one_to_read(app: App) -> None:
    app.request("POST", f"{P}/cohorts", {"name": "Beta", "slug": "renamed"})
    made(app, "tagged", cohort="renamed")
    known = app.request("GET", f"{P}/devices/tagged").headers["etag"]
    for renamed, path in ((f"{P}/cohorts/renamed", "cohort"), (P, "project")):
        assert app.request("GET", f"{P}/devices/tagged", headers={"if-none-match": known}).status == 304
        assert app.request("PATCH", renamed, {"name": f"Another {path}"}).status == 200
        reply = app.request("GET", f"{P}/devices/tagged", headers={"if-none-match": known})
        assert (reply.status, reply.json()["data"][path]["name"]) == (200, f"Another {path}")
        known = reply.headers["etag"]
    assert app.request("PATCH", f"{P}/devices/tagged", {"nickname": "N"}, headers={"if-match": known}).status == 200
