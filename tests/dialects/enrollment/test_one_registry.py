"""What one of Lamassu's managers does, the others see: devices, their slots, and certificates are the same records."""

import pytest

from tests.support.app import App
from tests.support.enrolling import certificate, enrolled, make_line

DEVICE = "/api/devmanager/v1/devices/pump-1"
PROFILE = {"icon": "CgChip", "icon_color": "#111-#eee", "tags": ["iot"], "metadata": {"line": 1}}
SETTINGS = {
    "enrollment_settings": {
        "est_rfc7030_settings": {"auth_mode": "NO_AUTH"},
        "device_provisioning_profile": PROFILE,
        "enable_replaceable_enrollment": True,
    }
}


@pytest.fixture
def app(app: App) -> App:
    make_line(app, SETTINGS)
    return app


def test_the_device_manager_shows_who_has_enrolled(app: App) -> None:
    serial = enrolled(app, "line", "pump-1")
    device = app.request("GET", DEVICE).json()
    assert {name: device[name] for name in PROFILE} == PROFILE
    assert (device["dms_owner"], device["status"]) == ("line", "ACTIVE")
    assert device["identity"]["versions"] == {"0": serial}
    listed = app.request("GET", "/api/devmanager/v1/devices/dms/line").json()["list"]
    assert [one["id"] for one in listed] == ["pump-1"]


def test_a_slot_that_is_revoked_by_hand_takes_its_certificate_with_it(app: App) -> None:
    serial = enrolled(app, "line", "pump-1")
    slot = app.request("GET", DEVICE).json()["identity"]
    assert app.request("PUT", f"{DEVICE}/idslot", {**slot, "status": "REVOKED"}).json()["status"] == "REVOKED"
    assert certificate(app, serial)["status"] == "REVOKED"


def test_a_slot_that_is_revoked_by_hand_takes_the_certificate_that_it_names_then_too(app: App) -> None:
    keeping = {"reenrollment_settings": {"revoke_on_reenrollment": False}}
    assert app.request("PUT", "/api/dmsmanager/v1/dms/line", {"settings": SETTINGS | keeping}).status == 200
    first = enrolled(app, "line", "pump-1")
    app.request("PUT", f"{DEVICE}/idslot", {"status": "ACTIVE"})
    second = enrolled(app, "line", "pump-1")
    assert certificate(app, first)["status"] == "ACTIVE"
    slot = {"status": "REVOKED", "active_version": 0, "versions": {"0": first, "1": second}}
    assert app.request("PUT", f"{DEVICE}/idslot", slot).json()["status"] == "REVOKED"
    assert [certificate(app, serial)["status"] for serial in (first, second)] == ["REVOKED", "REVOKED"]


def test_a_slot_that_names_no_credential_is_revoked_too(app: App) -> None:
    app.request("POST", "/v1/devices", {"ident": "pump-1"})
    for method, path, body in (("GET", "identity", None), ("POST", "identity:revoke", {})):
        assert app.request(method, f"/v1/devices/pump-1/{path}", body).json()["code"] == "identity_not_found"
    app.request("PUT", f"{DEVICE}/idslot", {"status": "ACTIVE", "active_version": 2, "type": "X509"})
    for _ in range(2):
        assert app.request("POST", "/v1/devices/pump-1/identity:revoke", {}).json()["status"] == "REVOKED"
    told = app.request("GET", DEVICE).json()
    assert (told["status"], told["identity"]["status"], len(told["events"])) == ("REVOKED", "REVOKED", 3)


def test_decommissioning_ends_the_certificate(app: App) -> None:
    serial = enrolled(app, "line", "pump-1")
    assert app.request("DELETE", f"{DEVICE}/decommission").status == 204
    assert certificate(app, serial)["revocation_reason"] == "CessationOfOperation"


def test_icons_of_a_dms_outlive_new_settings_of_our_own_api(app: App) -> None:
    settings = app.request("GET", "/v1/dms/line").json()["settings"]
    settings |= {"lifetime": 86_400, "profile": {"tags": ["new"], "metadata": {"line": None}}}
    assert app.request("PATCH", "/v1/dms/line", {"settings": settings}).status == 200
    shown = app.request("GET", "/api/dmsmanager/v1/dms/line").json()["settings"]["enrollment_settings"]
    given = {"icon": "CgChip", "icon_color": "#111-#eee", "tags": ["new"], "metadata": {}}
    assert shown["device_provisioning_profile"] == given
    enrolled(app, "line", "pump-1")
    device = app.request("GET", DEVICE).json()
    assert {name: device[name] for name in given} == given


def test_what_our_own_api_shows_in_whole_seconds_outlives_a_change_of_something_else(app: App) -> None:
    given = {"preventive_delta": "1h1s500ms", "critical_delta": "1s250ms", "reenrollment_delta": "2s1ms"}
    body = {"id": "line", "settings": {"reenrollment_settings": given}}
    app.request("PUT", "/api/dmsmanager/v1/dms/line", body)
    assert app.request("PATCH", "/v1/dms/line", {"settings": {"lifetime": 86_400}}).status == 200
    shown = app.request("GET", "/api/dmsmanager/v1/dms/line").json()["settings"]
    assert shown["reenrollment_settings"] == shown["reenrollment_settings"] | given
    assert shown["issuance_profile"]["validity"]["duration"] == "1d"


def test_settings_are_known_by_their_names_in_any_case(app: App) -> None:
    profile = {"Icon": "CgX", "METADATA": {"Line": 1}}
    enrollment = {"Registration_Mode": "PRE_REGISTRATION", "device_provisioning_profile": profile}
    body = {"ID": "loose", "Settings": {"Enrollment_Settings": enrollment, "Webhook": {"Url": "x"}}}
    shown = app.request("POST", "/api/dmsmanager/v1/dms", body).json()["settings"]
    assert (shown["enrollment_settings"]["registration_mode"], shown["Webhook"]) == ("PRE_REGISTRATION", {"Url": "x"})
    profile = shown["enrollment_settings"]["device_provisioning_profile"]
    assert (profile["icon"], profile["metadata"]) == ("CgX", {"Line": 1})
    assert "Enrollment_Settings" not in shown


def test_how_clients_were_to_prove_themselves_when_they_renew_is_kept_as_it_was_sent(app: App) -> None:
    given = {"auth_mode": "CLIENT_CERTIFICATE", "client_certificate_settings": {"allow_expired": True}}
    body = {"settings": SETTINGS | {"reenrollment_settings": {"est_rfc7030_settings": given}}}
    shown = app.request("PUT", "/api/dmsmanager/v1/dms/line", body).json()["settings"]["reenrollment_settings"]
    assert (shown["est_rfc7030_settings"], shown["critical_delta"]) == (given, "2w")


def test_a_dms_that_is_named_like_a_route_is_there(app: App) -> None:
    path = "/api/dmsmanager/v1/dms/bind-identity"
    assert app.request("POST", "/api/dmsmanager/v1/dms", {"id": "bind-identity"}).status == 201
    assert app.request("GET", path).json()["id"] == "bind-identity"
    assert app.request("PUT", path, {"name": "Other"}).json()["name"] == "Other"
    assert app.request("DELETE", path).status == 204
    assert app.request("GET", path).status == 404


def test_a_short_life_without_windows_begins_active(app: App) -> None:
    body = {"settings": SETTINGS | {"issuance_profile": {"validity": {"duration": "4w2d"}}}}
    renewal = app.request("PUT", "/api/dmsmanager/v1/dms/line", body).json()["settings"]["reenrollment_settings"]
    assert (renewal["preventive_delta"], renewal["critical_delta"]) == ("5d", "1d6h")
    enrolled(app, "line", "pump-1")
    assert app.request("GET", DEVICE).json()["status"] == "ACTIVE"
