"""Certificates over the DMS manager and the CA: found, bound, revoked, taken off hold, with the slot that follows."""

import base64
from pathlib import Path
from typing import Any

import pytest

from fleetroll.core.faults import Fault
from fleetroll.dialects.enrollment.mapping.durations import canonical, duration
from tests.support.app import App, running
from tests.support.enrolling import certificate, enrolled, make_line

SETTINGS = {
    "enrollment_settings": {"est_rfc7030_settings": {"auth_mode": "NO_AUTH"}, "enable_replaceable_enrollment": True}
}


@pytest.fixture
def app(app: App) -> App:
    make_line(app, SETTINGS)
    return app


def rule(app: App, serial: str, status: str, reason: str = "") -> int:
    body = {"status": status, "revocation_reason": reason}
    return app.request("PUT", f"/api/ca/v1/certificates/{serial}/status", body).status


def state(app: App) -> tuple[str, str]:
    device = app.request("GET", "/v1/devices/pump-1").json()
    return device["status"], app.request("GET", "/v1/devices/pump-1/identity").json()["status"]


def test_a_certificate_is_shown_as_the_vendor_shows_it(app: App) -> None:
    serial = enrolled(app, "line", "pump-1")
    shown = certificate(app, serial)
    assert (shown["serial_number"], shown["status"], shown["is_ca"]) == (serial, "ACTIVE", False)
    assert base64.b64decode(shown["certificate"]).startswith(b"-----BEGIN CERTIFICATE-----\n")
    assert shown["subject"]["common_name"] == "pump-1"
    assert shown["issuer"]["common_name"] == "default"
    assert shown["key_metadata"] == {"type": "ECDSA", "bits": 256, "strength": "HIGH"}
    assert shown["metadata"] == {
        "lamassu.io/ca/expiration-deltas": [
            {"delta": "8w4d", "name": "Preventive", "triggered": False},
            {"delta": "2w", "name": "Critical", "triggered": False},
        ],
        "lamassu.io/ra/attached-to": {"authorized_by": {"ra_id": "line"}, "device_id": "pump-1"},
    }
    assert (shown["revocation_timestamp"], shown["revocation_reason"]) == ("0001-01-01T00:00:00Z", "Unspecified")
    authority = app.request("GET", "/api/ca/v1/cas/default").json()
    assert shown["issuer_metadata"] == {"serial_number": authority["serial_number"], "id": "default", "level": 0}
    assert shown["authority_key_id"] == authority["certificate"]["subject_key_id"]


def test_only_the_certificate_in_a_slot_is_attached_to_its_device(app: App) -> None:
    windows = {"preventive_delta": "2y", "critical_delta": "1w"}
    settings = {**SETTINGS, "reenrollment_settings": windows}
    app.request("PUT", "/api/dmsmanager/v1/dms/line", {"id": "line", "settings": settings})
    first, second = enrolled(app, "line", "pump-1"), enrolled(app, "line", "pump-1")
    assert certificate(app, first)["metadata"] == {}
    deltas = certificate(app, second)["metadata"]["lamassu.io/ca/expiration-deltas"]
    assert [(one["delta"], one["triggered"]) for one in deltas] == [("2y", True), ("1w", False)]


@pytest.mark.parametrize("form", ["serial_number[equal]{}", "serial_number[eq]:{}", "serial_number[EQ]={}"])
def test_a_certificate_is_found_by_its_serial_number(app: App, form: str) -> None:
    serial = enrolled(app, "line", "pump-1")
    enrolled(app, "line", "pump-2")
    for spelled in (serial, serial.upper()):
        found = app.request("GET", f"/api/ca/v1/certificates?filter={form.format(spelled)}&page_size=1").json()
        assert ([one["serial_number"] for one in found["list"]], found["next"]) == ([serial], "")


def test_all_conditions_of_a_list_of_certificates_hold_together(app: App) -> None:
    serials = [enrolled(app, "line", "pump-1") for _ in range(3)]
    for move in ("other", "default", "other"):
        app.request("PATCH", "/v1/dms/line", {"settings": {"authority": move, "replaceable": True}})
        serials.append(enrolled(app, "line", "pump-1"))
    foreign = enrolled(app, "line", "pump-2")
    others = {
        "authority=other": [serials[3], serials[5], foreign],
        "authority=default": [*serials[:3], serials[4]],
        "device=pump-1&authority=other": [serials[3], serials[5]],
        "device=pump-1&authority=default": [*serials[:3], serials[4]],
        f"device=pump-1&serial={foreign}": [],
        f"authority=default&serial={foreign}": [],
        f"authority=other&device=pump-2&serial={foreign.upper()}": [foreign],
    }
    for query, expected in others.items():
        page = app.request("GET", f"/v1/certificates?{query}&limit=2").json()
        found = page["certificates"]
        while cursor := page["next_cursor"]:
            page = app.request("GET", f"/v1/certificates?{query}&limit=2&cursor={cursor}").json()
            found += page["certificates"]
        assert [one["serial"] for one in found] == expected, query
    wanted = f"certificates?filter=serial_number[eq]{foreign}"
    for authority, expected in (("default", []), ("other", [foreign])):
        listed = app.request("GET", f"/api/ca/v1/cas/{authority}/{wanted}").json()["list"]
        assert [one["serial_number"] for one in listed] == expected
    assert app.request("GET", f"/api/ca/v1/cas/nobody/{wanted}").status == 404


def test_pages_follow_each_other_by_their_bookmarks(app: App) -> None:
    serials = [enrolled(app, "line", f"pump-{number}") for number in range(5)]
    seen, bookmark = [], ""
    while True:
        page = app.request("GET", f"/api/ca/v1/cas/default/certificates?page_size=2&bookmark={bookmark}").json()
        seen += [one["serial_number"] for one in page["list"]]
        bookmark = page["next"]
        if not bookmark:
            break
    assert seen == serials


LISTS = ("/api/dmsmanager/v1/dms", "/api/ca/v1/cas", "/api/ca/v1/certificates")


@pytest.mark.parametrize("list_", LISTS)
def test_a_page_has_the_size_that_lists_of_devices_have_and_its_bookmark_keeps_it(app: App, list_: str) -> None:
    for number in range(30):
        enrolled(app, "line", f"pump-{number}")
        app.request("POST", "/v1/dms", {"name": f"dms-{number}", "settings": {"authority": f"ca-{number}"}})
    sizes = {"": 25, "page_size=x": 25, "page_size=0": 15, "page_size=-5": 15, "page_size=3": 3, "page_size=0000007": 7}
    sizes |= {"page_size=3&page_size=7": 7, "page_size=3&page_size=x": 25}
    for query, size in sizes.items():
        page = app.request("GET", f"{list_}?{query}").json()
        assert len(page["list"]) == size, query
    page = app.request("GET", f"{list_}?page_size=2").json()
    assert len(app.request("GET", f"{list_}?bookmark={page['next']}").json()["list"]) == 2
    refused = app.request("GET", f"{list_}?bookmark={page['next'][:-2]}")
    assert (refused.status, "This bookmark is invalid" in refused.json()["err"]) == (400, True)


@pytest.mark.parametrize("list_", LISTS)
def test_a_page_size_that_is_no_number_is_ignored(app: App, list_: str) -> None:
    enrolled(app, "line", "pump-1")
    for given in ("--5", "-", "5-", "1e3", "%C2%B2", "-9" + "9" * 400):
        reply = app.request("GET", f"{list_}?page_size={given}")
        assert (reply.status, len(reply.json()["list"])) == (200, 1), given


def test_a_slot_follows_its_certificate(app: App) -> None:
    serial = enrolled(app, "line", "pump-1")
    assert rule(app, serial, "REVOKED", "CertificateHold") == 200
    assert state(app) == ("REVOKED", "REVOKED")
    assert rule(app, serial, "ACTIVE") == 200
    assert state(app) == ("ACTIVE", "ACTIVE")
    assert rule(app, serial, "REVOKED", "keycompromise") == 200
    assert certificate(app, serial)["revocation_reason"] == "KeyCompromise"
    assert rule(app, serial, "ACTIVE") == 409, "what was compromised stays revoked"
    assert state(app) == ("REVOKED", "REVOKED")


def test_an_authority_stays_while_a_certificate_of_it_is_good(app: App) -> None:
    serial = enrolled(app, "line", "pump-1")
    assert app.request("DELETE", "/v1/dms/line").status == 204
    refused = app.request("DELETE", "/v1/authorities/default")
    assert (refused.status, refused.json()["code"]) == (409, "authority_in_use")
    assert rule(app, serial, "REVOKED", "Superseded") == 200
    assert app.request("DELETE", "/v1/authorities/default").status == 204


ENDS: dict[str, tuple[str, str, Any]] = {
    "revoked": (
        "PUT",
        "/api/ca/v1/certificates/{}/status",
        {"status": "REVOKED", "revocation_reason": "KeyCompromise"},
    ),
    "revoked natively": ("POST", "/v1/certificates/{}:revoke", {"reason": "key_compromise"}),
    "taken back": ("POST", "/v1/devices/pump-1/identity:revoke", {"reason": "key_compromise"}),
    "revoked in its slot": ("PUT", "/api/devmanager/v1/devices/pump-1/idslot", {"status": "REVOKED"}),
    "decommissioned": ("POST", "/v1/devices/pump-1:decommission", None),
    "deleted": ("DELETE", "/v1/devices/pump-1", None),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_what_was_on_hold_does_not_come_back_once_it_is_revoked(app: App, end: tuple[str, str, Any]) -> None:
    serial = enrolled(app, "line", "pump-1")
    assert rule(app, serial, "REVOKED", "CertificateHold") == 200
    held = certificate(app, serial)["revocation_timestamp"]
    method, path, body = end
    assert app.request(method, path.format(serial), body).status < 300
    shown = certificate(app, serial)
    assert shown["revocation_reason"] != "CertificateHold"
    assert shown["revocation_timestamp"] == held, "it was not good in between"
    assert rule(app, serial, "ACTIVE") == 409
    assert certificate(app, serial)["status"] == "REVOKED"


def test_what_was_on_hold_when_it_was_replaced_does_not_come_back(app: App) -> None:
    serial = enrolled(app, "line", "pump-1")
    rule(app, serial, "REVOKED", "CertificateHold")
    enrolled(app, "line", "pump-1")
    assert certificate(app, serial)["revocation_reason"] == "Superseded"
    assert rule(app, serial, "ACTIVE") == 409


def test_a_slot_that_is_filled_by_hand_with_a_revoked_certificate_is_revoked(app: App) -> None:
    serial, other = enrolled(app, "line", "pump-1"), enrolled(app, "line", "pump-2")
    rule(app, serial, "REVOKED", "CertificateHold")
    rule(app, other, "REVOKED")
    for named, status in ((serial, "REVOKED"), (other, "ACTIVE"), ("0a", "ACTIVE")):
        slot = {"status": "ACTIVE", "active_version": 0, "versions": {"0": named}}
        filled = app.request("PUT", "/api/devmanager/v1/devices/pump-1/idslot", slot)
        assert (filled.status, filled.json()["status"]) == (200, status)
        assert state(app) == (status, status)
    app.request("PUT", "/api/devmanager/v1/devices/pump-1/idslot", slot | {"versions": {"0": serial}})
    rule(app, serial, "ACTIVE")
    assert state(app) == ("ACTIVE", "ACTIVE"), "it is off hold"


def test_a_slot_that_names_its_certificate_in_capitals_as_openssl_prints_it_follows_it(app: App) -> None:
    serial = enrolled(app, "line", "pump-1")
    slot = {"status": "ACTIVE", "active_version": 0, "versions": {"0": serial.upper()}}
    filled = app.request("PUT", "/api/devmanager/v1/devices/pump-1/idslot", slot).json()
    assert filled["identity"]["versions"] == slot["versions"], "as it was written"
    assert certificate(app, serial)["metadata"], "it is attached to its device"
    rule(app, serial, "REVOKED", "CertificateHold")
    assert state(app) == ("REVOKED", "REVOKED")
    app.request("PUT", "/api/devmanager/v1/devices/pump-1/idslot", slot)
    assert state(app) == ("REVOKED", "REVOKED")
    rule(app, serial, "ACTIVE")
    assert state(app) == ("ACTIVE", "ACTIVE")


def test_a_certificate_that_is_no_longer_the_active_one_takes_nothing_with_it(app: App) -> None:
    first, second = enrolled(app, "line", "pump-1"), enrolled(app, "line", "pump-1")
    assert certificate(app, first)["revocation_reason"] == "Superseded"
    assert state(app) == ("ACTIVE", "ACTIVE")
    assert rule(app, second, "ACTIVE") == 200
    assert state(app) == ("ACTIVE", "ACTIVE")


def bind(app: App, ident: str, serial: str, mode: str = "") -> Any:
    body = {"device_id": ident, "certificate_serial_number": serial, "bind_mode": mode}
    return app.request("POST", "/api/dmsmanager/v1/dms/bind-identity", body)


def test_a_certificate_is_bound_with_the_words_that_interfaces_read(app: App) -> None:
    serial = enrolled(app, "line", "pump-1")
    reply = bind(app, "pump-1", serial, "RENEWED")
    assert reply.status == 200
    bound = reply.json()
    assert (bound["certificate"]["serial_number"], bound["dms"]["id"]) == (serial, "line")
    notes = list(bound["device"]["identity"]["events"].values())
    assert notes[-1] == {"type": "RENEWED", "description": "New Active Version set to 1"}
    assert bound["device"]["identity"]["versions"] == {"0": serial, "1": serial}
    device = app.request("GET", "/api/devmanager/v1/devices/pump-1").json()
    assert bound["device"] | {"events": device["events"]} == device


def test_what_was_bound_is_spelled_as_the_profile_spells_devices(tmp_path: Path) -> None:
    windows = {"preventive_delta": "2d", "critical_delta": "1h"}
    short = {"issuance_profile": {"validity": {"duration": "1d"}}, "reenrollment_settings": windows}
    with running(tmp_path / "data", lamassu_profile="upstream") as app:
        make_line(app, SETTINGS | short)
        serial = enrolled(app, "line", "pump-1")
        assert rule(app, serial, "REVOKED", "CertificateHold") == rule(app, serial, "ACTIVE") == 200
        shown = bind(app, "pump-1", serial).json()["device"]
        assert shown["status"] == shown["identity"]["status"] == "RENEWAL_PENDING"
        device = app.request("GET", "/api/devmanager/v1/devices/pump-1").json()
        assert shown | {"events": device["events"]} == device


def test_a_certificate_whose_dms_has_gone_ages_as_befits_its_life(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        make_line(app, SETTINGS | {"issuance_profile": {"validity": {"duration": "1d"}}})
        serial = enrolled(app, "line", "pump-1")
        assert app.request("DELETE", "/v1/dms/line").status == 204
        assert bind(app, "pump-1", serial).status == 200
        assert state(app) == ("ACTIVE", "ACTIVE")


def test_what_may_not_be_bound_is_refused_and_nothing_is_half_done(app: App) -> None:
    serial, other = enrolled(app, "line", "pump-1"), enrolled(app, "line", "pump-2")
    before = app.request("GET", "/v1/devices/pump-1/identity").body
    assert bind(app, "pump-1", other).status == 400, "another device's"
    assert bind(app, "pump-1", "ff" * 16).status == 404
    assert bind(app, "pump-1", serial, "STOLEN").status == 400
    assert app.request("GET", "/v1/devices/pump-1/identity").body == before
    rule(app, serial, "REVOKED")
    assert bind(app, "pump-1", serial).status == 409, "revoked"
    fresh = enrolled(app, "line", "pump-1")
    app.request("POST", "/v1/devices/pump-1:decommission")
    assert bind(app, "pump-1", fresh).status == 409, "decommissioned"
    assert state(app)[0] == "DECOMMISSIONED"


def test_an_identity_ends_with_its_device(app: App) -> None:
    gone, moved = enrolled(app, "line", "pump-1"), enrolled(app, "line", "pump-2")
    app.request("DELETE", "/v1/devices/pump-1")
    assert certificate(app, gone)["revocation_reason"] == "CessationOfOperation"
    app.request("POST", "/v1/organizations", {"slug": "east"})
    assert app.request("POST", "/v1/devices/pump-2:transfer", {"organization": "east"}).status == 200
    assert certificate(app, moved)["revocation_reason"] == "AffiliationChanged"


def test_a_device_that_enrolled_has_what_the_profile_gives(app: App) -> None:
    profile = {"icon": "CgChip", "icon_color": "#111-#eee", "tags": ["iot"], "metadata": {"line": 1}}
    settings = {"enrollment_settings": {**SETTINGS["enrollment_settings"], "device_provisioning_profile": profile}}
    body = {"id": "line", "name": "Line", "settings": settings}
    assert app.request("PUT", "/api/dmsmanager/v1/dms/line", body).status == 200
    enrolled(app, "line", "pump-1")
    device = app.request("GET", "/v1/devices/pump-1").json()
    assert (device["tags"], device["metadata"]) == (["iot"], {"line": 1})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("100d", "14w2d"),
        ("36h", "1d12h"),
        ("90m", "1h30m"),
        ("1y", "1y"),
        ("364d", "1y"),
        ("0s", "0s"),
        ("1500ms", "1s500ms"),
        ("5us3ns", "5us"),
    ],
)
def test_durations_are_read_and_written_in_whole_units(text: str, shown: str) -> None:
    assert canonical(duration(text, "delta")) == shown


@pytest.mark.parametrize(
    "text", ["", "P30D", "30", "d", "1.5h", "-1d", "1d ", "1 d", "\uff12h", "101y", "9" * 40 + "s", "1d" * 100]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Fault):
        duration(text, "delta")
