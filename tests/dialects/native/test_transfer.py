"""Giving a device away: to other owners, to another organization, or both, in one step or not at all."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.app import App, Response, running


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        for slug in ("east", "west"):
            app.request("POST", "/v1/organizations", {"slug": slug, "quotas": {"devices": 1}})
        app.request("PUT", "/v1/devices/d", {"tags": ["x"], "owners": ["ann"], "metadata": {"a": 1}})
        yield app


def within(path: str) -> dict[str, str]:
    return {"Fleetroll-Organization": path}


def transfer(app: App, body: dict[str, Any], **headers: str) -> Response:
    return app.request("POST", "/v1/devices/d:transfer", body, headers=headers)


def places(app: App) -> dict[str, int]:
    return {
        org: app.request("GET", "/v1/stats", headers=within(org)).json()["total"] for org in ("self", "east", "west")
    }


def test_a_device_moves_with_all_that_belongs_to_it(app: App) -> None:
    before = app.request("GET", "/v1/devices/d").json()
    moved = transfer(app, {"organization": "east"})
    assert moved.json() == before | {"revision": 2, "updated_at": moved.json()["updated_at"]}
    assert places(app) == {"self": 0, "east": 1, "west": 0}
    there = app.request("GET", "/v1/devices?filter=tags:x+AND+owners:ann", headers=within("east")).json()
    assert there["devices"] == [moved.json()]
    assert app.request("GET", "/v1/owners/ann", headers=within("east")).status == 200
    history = app.request("GET", "/v1/devices/d/timeline", headers=within("east")).json()["events"]
    assert [event["type"] for event in history] == ["device.transferred", "device.created"]
    assert app.request("GET", "/v1/organizations/east").json()["usage"]["devices"] == 1
    assert app.request("GET", "/v1/organizations/self").json()["usage"]["devices"] == 0


def test_each_move_is_told_once_wherever_a_device_has_been_before(app: App) -> None:
    for here, there in (("self", "east"), ("east", "west"), ("west", "self"), ("self", "east")):
        assert transfer(app, {"organization": there}, **within(here)).status == 200
    told = app.request("GET", "/v1/devices/d/timeline", headers=within("east")).json()["events"]
    assert [(event["type"], event["data"].get("from")) for event in told] == [
        ("device.transferred", "default"),
        ("device.transferred", "west"),
        ("device.transferred", "east"),
        ("device.transferred", "default"),
        ("device.created", None),
    ]


def test_owners_change_with_or_without_a_move(app: App) -> None:
    assert transfer(app, {"owners": ["bob"]}).json()["owners"] == ["bob"]
    both = transfer(app, {"owners": ["cleo"], "organization": "west"}).json()
    assert both["owners"] == ["cleo"]
    assert places(app)["west"] == 1
    assert app.request("GET", "/v1/owners/bob", headers=within("west")).status == 404


def test_new_owners_are_of_the_organization_that_the_device_goes_to(app: App) -> None:
    """The old organization's own come as it knows them; it learns of no others, for which it may have no quota."""
    app.request("PATCH", "/v1/organizations/east", {"quotas": {"owners": 2}})
    app.request("PUT", "/v1/devices/e", {"owners": ["ann", "cleo"]}, headers=within("east"))
    app.request("PATCH", "/v1/owners/ann", {"phone": "1"}, headers=within("east"))
    moved = app.request(
        "POST", "/v1/devices/e:transfer", {"owners": ["ann", "dora"], "organization": "west"}, headers=within("east")
    )
    assert (moved.status, moved.json().get("owners")) == (200, ["ann", "dora"])
    assert app.request("GET", "/v1/owners/dora", headers=within("east")).status == 404
    phones = [
        app.request("GET", f"/v1/owners/{ref}", headers=within("west")).json()["phone"] for ref in ("ann", "dora")
    ]
    assert phones == ["1", None]
    assert app.request("GET", "/v1/owners/cleo", headers=within("west")).status == 404


def refused_by_quota(app: App) -> None:
    app.request("PUT", "/v1/devices/other", {}, headers=within("east"))


def refused_by_name(app: App) -> None:
    app.request("PATCH", "/v1/organizations/east", {"quotas": {"devices": 5}})
    app.request("PUT", "/v1/devices/d", {}, headers=within("east"))


def refused_by_field(app: App) -> None:
    field = {"name": "site", "type": "string", "required": True}
    app.request("POST", "/v1/metadata-fields", field, headers=within("east"))


@pytest.mark.parametrize(
    ("prepare", "status", "code"),
    [
        (refused_by_quota, 403, "quota_exceeded"),
        (refused_by_name, 409, "ident_taken"),
        (refused_by_field, 400, "metadata_required"),
    ],
)
def test_a_target_that_refuses_leaves_everything_where_it_was(app: App, prepare: Any, status: int, code: str) -> None:
    prepare(app)
    before = (app.request("GET", "/v1/devices/d").json(), places(app))
    refused = transfer(app, {"organization": "east", "owners": ["bob"]})
    assert (refused.status, refused.json()["code"]) == (status, code)
    assert (app.request("GET", "/v1/devices/d").json(), places(app)) == before
    assert app.request("GET", "/v1/owners/bob", headers=within("east")).status == 404
    assert app.request("GET", "/v1/owners/bob").status == 404


def test_a_device_goes_only_below_the_callers_own_organization(app: App) -> None:
    east = app.request("POST", "/v1/keys", {"name": "k", "role": "admin"}, headers=within("east")).json()["key"]
    app.request("PUT", "/v1/devices/d", {}, key=east)
    for path in ("default", "west", "nowhere", "east"):
        refused = app.request("POST", "/v1/devices/d:transfer", {"organization": path}, key=east)
        assert (refused.status, refused.json()["code"]) == (404, "organization_not_found"), path


def test_a_device_comes_back_up_by_whoever_is_above(app: App) -> None:
    transfer(app, {"organization": "east"})
    back = transfer(app, {"organization": "self"}, **within("east"))
    assert back.status == 200
    assert places(app) == {"self": 1, "east": 0, "west": 0}


@pytest.mark.parametrize("body", [{}, {"owner": "bob"}, {"owners": "bob"}, {"organization": None}])
def test_a_transfer_to_nowhere_is_refused(app: App, body: dict[str, Any]) -> None:
    assert transfer(app, body).status == 400


def test_a_transfer_is_guarded_by_the_entity_tag(app: App) -> None:
    assert transfer(app, {"organization": "east"}, **{"If-Match": '"0.0"'}).status == 412
    assert places(app)["self"] == 1


def test_a_device_is_there_with_all_that_it_has_or_not_at_all_while_it_is_transferred(app: App) -> None:
    """Its readings and its timeline go with it, so whoever has found it where it was must not look for them there."""
    reading = {"readings": [{"metric": "t", "at": "2026-01-01T00:00:00Z", "value": 7}]}
    assert app.request("POST", "/v1/devices/d/telemetry", reading).status == 200
    telemetry = "/v1/devices/d/telemetry"
    last, past, timeline = asked = (telemetry, f"{telemetry}?metric=t", "/v1/devices/d/timeline?limit=1000")
    found: dict[str, set[bytes]] = {path: set() for path in asked}
    moving = True

    async def move() -> None:
        nonlocal moving
        for here, there in (("self", "east"), ("east", "self")) * 20:
            body = {"organization": there}
            moved = await app.call("POST", "/v1/devices/d:transfer", body, headers=within(here))
            assert moved.status == 200
        moving = False

    async def ask(path: str) -> None:
        while moving:
            await asyncio.sleep(0)
            read = await app.call("GET", path)
            if read.status == 200:
                found[path].add(read.body)
            else:
                assert read.status == 404

    async def race() -> None:
        await asyncio.gather(move(), *map(ask, asked))

    app.runner.run(race())
    for path in (last, past):
        assert [[one["value"] for one in json.loads(body)["readings"]] for body in found[path]] == [[7]]
    assert {json.loads(body)["events"][-1]["type"] for body in found[timeline]} == {"device.created"}
