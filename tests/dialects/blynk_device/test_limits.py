"""What the vendor allows a device: values within their datastream's bounds, and so many requests and events."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from fleetroll.core import limits
from fleetroll.dialects.blynk_device.routes import DIALECT
from fleetroll.wire.dialect import Allowance
from fleetroll.wire.log import AccessLog
from fleetroll.wire.metrics import Metrics
from fleetroll.wire.rate_limits import Rate
from fleetroll.wire.serve import Kernel
from fleetroll.wire.settings import Settings
from tests.dialects.blynk_device.test_device import Device
from tests.support.app import App, Response, asgi, running

BOUNDED = {
    "name": "Bounded",
    "datastreams": [
        {"pin": "v1", "type": "double", "alias": "level", "min": -1.5, "max": 10.5},
        {"pin": "v2", "type": "integer", "alias": "steps", "min": -1.5, "max": 10.5},
        {"pin": "v3", "type": "string", "alias": "note", "min": 1, "max": 2},
        {"pin": "v4", "type": "integer", "alias": "free"},
    ],
    "events": [
        {"code": "hot", "name": "Hot", "type": "WARNING"},
        {"code": "cold", "name": "Cold", "type": "NOTE"},
        {"code": "rare", "name": "Rare", "type": "NOTE", "daily_limit": 2},
    ],
}


@pytest.fixture
def device(app: App) -> Device:
    made = app.request("POST", "/v1/templates", BOUNDED)
    assert made.status == 201, made.body
    template = made.json()["id"]
    return Device(app, "tank", template=template)


@pytest.mark.parametrize(
    ("pin", "given", "kept"),
    [
        ("v1", "10.5", 10.5),
        ("v1", "10.6", 10.5),
        ("v1", "11", 10.5),
        ("v1", "-1e300", -1.5),
        ("v1", "0", 0),
        ("v2", "11", 10),
        ("v2", "10", 10),
        ("v2", "-2", -1),
        ("v3", "5", "5"),
        ("v4", "5000000000", 5_000_000_000),
    ],
)
def test_a_value_out_of_bounds_is_kept_as_the_bound(device: Device, pin: str, given: str, kept: Any) -> None:
    assert device.ask("update", **{pin: given}).status == 200
    assert [one["value"] for one in device.shown("/telemetry")["readings"]] == [kept]
    assert device.ask("getAll").json() == {pin: kept}


@pytest.mark.parametrize("pin", ["v1", "v2", "v4"])
@pytest.mark.parametrize("given", ["1e400", "-1e400", "99999999999999999999"])
def test_what_is_no_number_that_can_be_kept_is_not_made_a_bound(device: Device, pin: str, given: str) -> None:
    refused = device.ask("update", **{pin: given})
    assert refused.json() == {"error": {"message": "Value doesn't match the Datastream data type."}}
    assert device.ask("getAll").json() == {}


def test_bounds_hold_for_every_point_of_a_batch(device: Device) -> None:
    points = [[1_609_459_200_000, 99], [1_609_459_260_000, -99], [1_609_459_320_000, 3]]
    assert device.ask("batch/update", points, pin="v1").body == b"OK"
    found = device.shown("/telemetry?metric=level")["readings"]
    assert [one["value"] for one in found] == [10.5, -1.5, 3]


def test_a_device_logs_so_many_events_a_day_whatever_they_are(device: Device) -> None:
    for _, code in zip(range(limits.EVENTS_PER_DAY), itertools.cycle(("hot", "cold")), strict=False):
        assert device.ask("logEvent", code=code).status == 200
    refused = device.ask("logEvent", code="cold")
    assert refused.status == 429
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert [device.ask("logEvent", code="rare").status for _ in range(3)] == [200, 200, 429], (
        "it has a limit of its own"
    )


def test_a_device_asks_so_often_a_second_and_others_are_not_held_up(tmp_path: Path) -> None:
    with running(tmp_path / "data", key_rate=1_000_000, organization_rate=1_000_000) as app:
        one, other = Device(app, "one"), Device(app, "other")

        async def hammer() -> list[Response]:
            path = f"/external/api/isHardwareConnected?token={one.token}"
            replies = [await app.call("GET", path, key=None) for _ in range(50)]
            while replies[-1].status == 200 and len(replies) < 5_000:  # a little comes back while they run
                replies.append(await app.call("GET", path, key=None))
            return replies

        *passed, last = app.runner.run(hammer())
        assert {reply.status for reply in passed} == {200}
        assert (last.status, last.headers["retry-after"]) == (429, "1")
        assert list(last.json()) == ["error"]
        assert other.ask("isHardwareConnected").status == 200


def test_a_device_writes_so_often_a_day_by_whichever_route(tmp_path: Path) -> None:
    fewer = [
        structs.replace(route, allowances=(Allowance(3, 86_400),) if route.allowances else ())
        for route in DIALECT.routes
    ]
    dialect = structs.replace(DIALECT, routes=tuple(fewer))
    with running(tmp_path / "data") as app:
        token = Device(app, "one").token

        async def calls() -> list[Response]:
            log = AccessLog(None, asyncio.get_running_loop())
            limited = Settings(key_rate=Rate(1_000, 1_000))
            kernel = Kernel(app.services, (dialect,), dialect, limited, Metrics(), log)
            asked = ("update", "getAll", "batch/update", "getAll", "update", "update", "batch/update", "getAll")
            return [await asgi(kernel, "GET", f"/external/api/{path}?token={token}&v1=5", {}, b"") for path in asked]

        replies = app.runner.run(calls())
        assert [reply.status for reply in replies] == [200, 200, 200, 200, 200, 429, 429, 200]
        assert 28_000 < int(replies[5].headers["retry-after"]) <= 28_800, "one is whole again after a third of a day"
