"""Enrolments at the same time, and enrolments that fail half-way: one certificate or none, and never half a slot."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.secrets import Issuer, Presented
from fleetroll.data_directory import DATABASE
from fleetroll.service import enrollment
from fleetroll.service.enrollment import EnrollmentReply, EnrollmentRequest, Peer
from tests.support import der
from tests.support.app import App, running
from tests.support.enrolling import SECURE, enrol, enrolled
from tests.support.state import State

OPEN = {"admission": {"proof": "NO_AUTH"}}
CLAIMED = der.device("pump-1")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        assert app.request("POST", "/v1/dms", {"name": "line", "settings": OPEN}).status == 201
        yield app


async def ask(app: App) -> EnrollmentReply:
    services = app.services
    principal = await services.keyring.identify(Presented(Issuer.ENROLLEE, "line"), services.clock())

    def finish(result: EnrollmentReply) -> EnrollmentReply:
        return result

    wanted = EnrollmentRequest("line", CLAIMED, SECURE)
    return await services.perform(enrollment.enroll, principal, wanted, "test", finish)


def test_of_many_who_claim_a_name_at_once_one_has_it(app: App) -> None:
    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(ask(app) for _ in range(40)), return_exceptions=True)

    results = app.runner.run(all_at_once())
    refused = [result for result in results if isinstance(result, Fault)]
    assert len(refused) == 39
    assert {fault.code for fault in refused} == {"enrolled_already"}
    certificates = app.request("GET", "/v1/certificates").json()["certificates"]
    identity = app.request("GET", "/v1/devices/pump-1/identity").json()
    assert [one["serial"] for one in certificates] == [identity["versions"]["0"]]


@pytest.mark.parametrize("operation", [enrollment.enroll, enrollment.generate, enrollment.renew])
def test_nobody_enrols_over_a_connection_that_others_can_change(app: App, operation: Any) -> None:
    certificate = enrol(app, "line", CLAIMED).certificate
    with pytest.raises(Fault) as refusal:
        enrol(app, "line", CLAIMED, operation, Peer(secure=False, certificate=certificate))
    assert (refusal.value.kind, refusal.value.code) == (Kind.FORBIDDEN, "tls_required")


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"admission": {"proof": "CLIENT_CERTIFICATE"}}, "client_certificate"),
        ({"registration": "PRE_REGISTRATION"}, "not_registered"),
        ({}, "too_many_keys"),
    ],
)
def test_the_server_makes_no_key_for_whom_it_refuses(
    app: App, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], code: str
) -> None:
    keygen = {"type": "RSA", "bits": 2_048}
    assert app.request("PATCH", "/v1/dms/line", {"settings": {"keygen": keygen, **settings}}).status == 200
    monkeypatch.setattr(limits, "MAX_KEYS_DUE", 0)
    with pytest.raises(Fault) as refusal:
        enrol(app, "line", CLAIMED, enrollment.generate)
    assert refusal.value.code == code


def test_of_many_that_replace_each_other_the_last_one_is_good(app: App) -> None:
    app.request("PATCH", "/v1/dms/line", {"settings": {**OPEN, "replaceable": True}})

    async def all_at_once() -> list[EnrollmentReply]:
        return await asyncio.gather(*(ask(app) for _ in range(20)))

    assert len(app.runner.run(all_at_once())) == 20
    certificates = app.request("GET", "/v1/certificates").json()["certificates"]
    identity = app.request("GET", "/v1/devices/pump-1/identity").json()
    good = [one["serial"] for one in certificates if one["state"] == "ACTIVE"]
    assert good == [identity["certificate"]["serial"]]
    assert (identity["active_version"], len(certificates)) == (19, 20)


@pytest.mark.parametrize(
    "spoil",
    [
        {"quotas": {"devices": 0}},
        {"quotas": {"devices": 1}},
    ],
    ids=["the first device", "one more"],
)
def test_an_enrolment_that_fails_half_way_leaves_nothing(app: App, tmp_path: Path, spoil: dict[str, Any]) -> None:
    """The quota is counted after the device is stored, and before its certificate is."""
    app.request("POST", "/v1/organizations", {"slug": "small", **spoil})
    acting = {"fleetroll-organization": "small"}
    app.request("POST", "/v1/dms", {"name": "line", "settings": OPEN}, headers=acting)
    for number in range(spoil["quotas"]["devices"]):
        enrolled(app, "small~line", f"pump-{number}")
    state = State(tmp_path / "data" / DATABASE)
    before = state.all()
    with pytest.raises(Fault) as refusal:
        enrol(app, "small~line", der.device("one-too-many"))
    assert refusal.value.code == "quota_exceeded"
    assert state.all() == before
    state.close()


def test_a_device_keeps_the_name_that_its_certificate_has(app: App) -> None:
    """Renamed, it could renew under neither name, and pass for the next device called pump-1."""
    serial = enrolled(app, "line", "pump-1")
    app.request("POST", f"/v1/certificates/{serial}:revoke", {"reason": "certificate_hold"})
    renamed = app.request("PATCH", "/v1/devices/pump-1", {"ident": "pump-2", "name": "Pump"})
    assert (renamed.status, renamed.json()["code"]) == (409, "ident_certified")
    assert app.request("GET", "/v1/devices/pump-1").json()["name"] is None
    assert app.request("GET", "/v1/devices/pump-2").status == 404
    app.request("POST", "/v1/devices/pump-1/identity:revoke", {})
    assert app.request("PATCH", "/v1/devices/pump-1", {"ident": "pump-2"}).status == 200
    app.request("PUT", "/api/devmanager/v1/devices/pump-2/idslot", {"status": "ACTIVE", "versions": {"0": "by hand"}})
    assert app.request("PATCH", "/v1/devices/pump-2", {"ident": "pump-3"}).status == 200


def test_a_key_of_rsa_is_made_while_others_are_served(app: App) -> None:
    """Making one takes a large part of a second."""
    body = {"name": "slow", "key": {"type": "RSA", "bits": 4096}}

    async def rounds() -> int:
        """How often the event loop went round meanwhile."""
        made, found = asyncio.ensure_future(app.call("POST", "/v1/authorities", body)), 0
        while not made.done():
            await asyncio.sleep(0.001)
            found += 1
        assert made.result().status == 201
        return found

    assert app.runner.run(rounds()) > 20


def test_no_key_is_made_for_a_device_that_may_not_enrol(app: App) -> None:
    """One of RSA takes a large part of a second."""
    keygen = {"type": "RSA", "bits": 4096}
    app.request("PATCH", "/v1/dms/line", {"settings": {**OPEN, "keygen": keygen}})
    enrolled(app, "line", "pump-1")
    started = time.process_time()
    for _ in range(20):
        with pytest.raises(Fault) as refusal:
            enrol(app, "line", CLAIMED, operation=enrollment.generate)
        assert refusal.value.code == "enrolled_already"
    assert time.process_time() - started < 2


def test_whoever_wants_a_key_beyond_the_end_of_the_line_is_told_when_to_come_again(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that take no time are made all the same."""
    monkeypatch.setattr(limits, "MAX_KEYS_DUE", 0)
    app.request("PATCH", "/v1/dms/line", {"settings": {**OPEN, "keygen": {"type": "RSA", "bits": 2048}}})
    with pytest.raises(Fault) as refusal:
        enrol(app, "line", CLAIMED, operation=enrollment.generate)
    assert (refusal.value.kind, refusal.value.code) == (Kind.UNAVAILABLE, "too_many_keys")
    refused = app.request("POST", "/v1/authorities", {"name": "slow", "key": {"type": "RSA", "bits": 2048}})
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert app.request("POST", "/v1/authorities", {"name": "quick"}).status == 201
    app.request("PATCH", "/v1/dms/line", {"settings": {"keygen": {"type": "EC", "bits": 256}}})
    assert enrol(app, "line", CLAIMED, operation=enrollment.generate).key


def test_a_field_that_the_profile_breaks_makes_no_device(app: App) -> None:
    app.request("POST", "/v1/metadata-fields", {"name": "line", "type": "integer", "required": True})
    with pytest.raises(Fault):
        enrol(app, "line", CLAIMED)
    assert app.request("GET", "/v1/devices/pump-1").status == 404
    assert app.request("GET", "/v1/certificates").json()["certificates"] == []
