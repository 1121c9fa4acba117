"""A customer of very many devices gets a new address: in batches, an event for each device, resumed after failures."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetroll.core import limits
from fleetroll.core.model import NewEvent
from fleetroll.service import cascades
from tests.support.app import App, Response, running

CUSTOMER = "/api/ext-v1/customer"
OLD, NEW = "old@b.co", "new@b.co"
BATCH = limits.RENAME_BATCH
DEVICES = 2 * limits.BULK_BATCH + 500


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        rows: list[dict[str, Any]] = [{"ident": f"d{number}", "owners": [OLD]} for number in range(DEVICES)]
        rows += [{"ident": "both", "owners": ["first@b.co", OLD, NEW]}, {"ident": "other", "owners": ["first@b.co"]}]
        raw = "".join(json.dumps(row) + "\n" for row in rows).encode()
        headers = {"content-type": "application/x-ndjson"}
        assert app.request("POST", "/v1/devices:import", raw=raw, headers=headers).body.count(b"created") == DEVICES + 2
        app.request("PATCH", "/v1/devices/both", {"owners": ["first@b.co", OLD]})
        assert app.request("DELETE", f"/v1/owners/{NEW}").status == 204
        yield app


def number(app: App, ref: str = OLD) -> str:
    found: str = app.request("POST", f"{CUSTOMER}/queryCustomer", {"email": ref}).json()["id"]
    return found


def rename(app: App, customer: str, email: str = NEW, **members: str) -> Response:
    body = {"telemetronCustomerId": customer, "email": email, **members}
    return app.request("POST", f"{CUSTOMER}/createOrUpdateCustomer", body)


def named(app: App) -> Counter[str]:
    """How many devices name each owner; all whom they name exist."""
    devices = app.request("GET", "/v1/devices:export").lines()
    found = Counter(owner for device in devices for owner in device["owners"])
    assert found.keys() <= refs(app)
    return found


def refs(app: App) -> set[str]:
    return {owner["ref"] for owner in app.request("GET", "/v1/owners").json()["owners"]}


def changes(app: App, ident: str) -> list[Any]:
    events = app.request("GET", f"/v1/devices/{ident}/timeline").json()["events"]
    return [event["data"]["changed"] for event in events if event["type"] == "device.updated"]


def break_off(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Let the server fail at one device, after so many."""
    written, entry = itertools.count(), cascades.device_entry

    def failing(*given: Any) -> NewEvent:
        if next(written) == after:
            raise RuntimeError("broken off by the test")
        return entry(*given)

    monkeypatch.setattr(cascades, "device_entry", failing)


def test_every_device_follows_with_one_event(app: App) -> None:
    customer, before = number(app), app.request("GET", "/v1/organizations/self").json()["usage"]
    renamed = rename(app, customer, name="Jane")
    assert renamed.status == 200, renamed.body
    assert named(app) == {NEW: DEVICES + 1, "first@b.co": 2}
    assert refs(app) == {NEW, "first@b.co"}
    owner = app.request("GET", f"/v1/owners/{NEW}").json()
    assert (number(app, NEW), owner["name"]) == (customer, "Jane")
    for ident in ("d0", f"d{BATCH}", f"d{DEVICES - 1}"):
        assert changes(app, ident) == [["owners"]]
    assert app.request("GET", "/v1/devices/both").json()["owners"] == ["first@b.co", NEW]
    assert changes(app, "other") == []
    assert app.request("GET", "/v1/organizations/self").json()["usage"] == before
    assert len(app.request("GET", f"{CUSTOMER}/getCustomer/{customer}").json()["devices"]) == DEVICES + 1
    revision = owner["revision"]
    assert rename(app, customer).status == 200
    assert app.request("GET", f"/v1/owners/{NEW}").json()["revision"] == revision


def test_an_address_that_somebody_has_changes_nothing(app: App) -> None:
    customer, before = number(app), app.request("GET", "/v1/devices:export").body
    assert rename(app, customer, "first@b.co").status == 409
    assert app.request("GET", "/v1/devices:export").body == before
    assert refs(app) == {OLD, "first@b.co"}


@pytest.mark.parametrize("after", [0, BATCH + 10, DEVICES - 10])
def test_what_was_broken_off_is_completed_by_asking_again(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    customer = number(app)
    with monkeypatch.context() as patched:
        break_off(patched, after)
        assert rename(app, customer).status == 500
    done = after // BATCH * BATCH
    left = {OLD: DEVICES + 1 - done, "first@b.co": 2}
    assert named(app) == (left | {NEW: done} if done else left)
    assert rename(app, customer).status == 200
    assert named(app) == {NEW: DEVICES + 1, "first@b.co": 2}
    assert refs(app) == {NEW, "first@b.co"}
    assert changes(app, "d0") == changes(app, f"d{DEVICES - 1}") == [["owners"]]
    assert number(app, NEW) == customer


def test_neither_of_the_two_references_of_one_customer_can_be_lost(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = number(app)
    with monkeypatch.context() as patched:
        break_off(patched, BATCH)
        assert rename(app, customer).status == 500
    twin = number(app, NEW)
    assert twin != customer
    for refused in (
        rename(app, customer, "third@b.co"),
        rename(app, twin, "third@b.co"),
        rename(app, twin, OLD),
        rename(app, twin, NEW, name="Other"),
        app.request("PATCH", f"/v1/owners/{NEW}", {"name": "Other"}),
        app.request("DELETE", f"/v1/owners/{NEW}"),
        app.request("DELETE", f"/v1/owners/{OLD}"),
    ):
        assert refused.status == 409, refused.body
    app.request("POST", "/v1/organizations", {"slug": "child"})
    assert app.request("POST", "/v1/devices/d0:transfer", {"organization": "child"}).status == 200
    child = {"Fleetroll-Organization": "child"}
    assert app.request("DELETE", "/v1/devices/d0", headers=child).status == 204
    assert app.request("DELETE", f"/v1/owners/{NEW}", headers=child).status == 204
    assert app.request("PATCH", f"/v1/owners/{OLD}", {"name": "Jane"}).status == 200
    assert rename(app, customer).status == 200
    assert named(app) == {NEW: DEVICES, "first@b.co": 2}
    assert app.request("GET", f"/v1/owners/{NEW}").json()["name"] == "Jane"
    assert rename(app, customer, OLD).status == 200
    assert named(app) == {OLD: DEVICES, "first@b.co": 2}


def test_devices_change_meanwhile_and_the_same_may_be_asked_twice(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RENAME_BATCH", 50)
    customer = number(app)
    target = f"{CUSTOMER}/createOrUpdateCustomer"
    body = {"telemetronCustomerId": customer, "email": NEW}

    async def scene() -> tuple[list[Response], int]:
        asked = [asyncio.ensure_future(app.call("POST", target, body)) for _ in range(2)]
        changed = 0
        while not any(one.done() for one in asked):
            name = {"name": f"n{changed}"}
            # From both ends: devices that were renamed, and devices that are still to be.
            for ident in (f"d{changed}", f"d{DEVICES - 1 - changed}"):
                reply = await app.call("PATCH", f"/v1/devices/{ident}", name)
                assert (reply.status, reply.json()["name"]) == (200, name["name"])
            # A device may be given to the owner by the old reference for as long as that is there.
            if changed == 1:
                assert (await app.call("PATCH", "/v1/devices/other", {"owners": [OLD]})).status == 200
                assert not any(one.done() for one in asked)
            changed += 1
        return await asyncio.gather(*asked), changed

    replies, changed = app.runner.run(scene())
    assert [reply.status for reply in replies] == [200, 200]
    assert changed > 5
    assert named(app) == {NEW: DEVICES + 2, "first@b.co": 1}
    assert refs(app) == {NEW, "first@b.co"}
    for ident, name in (("d1", "n1"), (f"d{DEVICES - 1}", "n0")):
        assert app.request("GET", f"/v1/devices/{ident}").json()["name"] == name
        assert sorted(changes(app, ident)) == [["name"], ["owners"]]
