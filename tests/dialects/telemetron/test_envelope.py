"""Failures in Telemetron's form: all ten kinds, and those that a client can bring about, end to end."""

from pathlib import Path

import pytest

from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.dialects.telemetron.envelope import ENVELOPE
from tests.support.app import App, running

DEVICE = "/api/ext-v1/device"
SENSOR = {"identifier": "sensor-001", "type": "sensor"}


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_says_nothing_but_the_error_text(kind: Kind) -> None:
    fault = Fault(kind, "any_code", "What went wrong.", "field", details={"secret": 1})
    assert ENVELOPE.body(fault, ENVELOPE.status(fault), "request-1") == {"error": "What went wrong."}


def issue(app: App, **key: object) -> str:
    made = app.request("POST", "/v1/keys", {"name": "k", "role": "operator", **key})
    assert made.status == 201, made.body
    token: str = made.json()["key"]
    return token


def test_a_key_that_may_only_read_is_forbidden_to_write(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        reply = app.request("POST", DEVICE, SENSOR, key=issue(app, role="viewer"))
        assert (reply.status, list(reply.json())) == (403, ["error"])
        assert app.request("GET", "/v1/devices?count=true").json()["total"] == 0


def test_a_body_over_the_limit_is_too_large(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        padding = {"identifier": "x" * limits.MAX_BODY, "type": "sensor"}
        reply = app.request("POST", DEVICE, padding)
        assert (reply.status, list(reply.json())) == (413, ["error"])


def test_properties_over_the_limit_are_refused(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        reply = app.request("POST", DEVICE, SENSOR | {"properties": {"x": "y" * limits.MAX_DOCUMENT}})
        assert reply.status == 400
        assert reply.json() == {"error": f"properties is larger than {limits.MAX_DOCUMENT} bytes."}


def test_too_many_requests_are_told_when_to_come_back(tmp_path: Path) -> None:
    with running(tmp_path / "data", key_rate=1) as app:
        replies = [app.request("POST", DEVICE, SENSOR) for _ in range(8)]
        refused = [reply for reply in replies if reply.status == 429]
        assert refused
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
        assert all(list(reply.json()) == ["error"] for reply in refused)


def test_a_precondition_that_failed_is_a_conflict_and_changes_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        tag = app.request("POST", DEVICE, SENSOR).headers["etag"]
        changed = app.request("POST", DEVICE, SENSOR | {"type": "gateway"}, headers={"If-Match": tag})
        assert changed.status == 200
        stale = app.request("POST", DEVICE, SENSOR, headers={"If-Match": tag})
        assert (stale.status, list(stale.json())) == (409, ["error"])
        assert app.request("GET", "/v1/devices/sensor-001").json()["kind"] == "gateway"


def test_a_full_quota_is_forbidden_and_nothing_is_half_done(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        app.request("POST", "/v1/organizations", {"slug": "small", "quotas": {"devices": 1, "owners": 1}})
        inside = {"fleetroll-organization": "small"}
        made = app.request("POST", "/v1/keys", {"name": "k", "role": "operator"}, headers=inside)
        key = made.json()["key"]
        body = {
            "customerEmail": "a@example.com",
            "deviceIdentifiers": ["one", "two"],
            "autoCreateDevices": True,
            "deviceType": "sensor",
        }
        reply = app.request("POST", "/api/ext-v1/deviceAssignment/assignDevicesToOwner", body, key=key)
        assert (reply.status, list(reply.json())) == (403, ["error"])
        assert app.request("GET", "/v1/devices?count=true", key=key).json()["total"] == 0
        assert app.request("GET", "/v1/owners", key=key).json()["owners"] == []
        body["deviceIdentifiers"] = ["one"]
        assert app.request("POST", "/api/ext-v1/deviceAssignment/assignDevicesToOwner", body, key=key).status == 200
        new = {"email": "b@example.com"}
        reply = app.request("POST", "/api/ext-v1/customer/createOrUpdateCustomer", new, key=key)
        assert (reply.status, list(reply.json())) == (403, ["error"])
