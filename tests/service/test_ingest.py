"""What a broker passes on: stored in batches, each reading judged by itself; and whether devices are there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetroll.core import limits
from fleetroll.core.model import Link
from fleetroll.service import presence, telemetry
from fleetroll.service.telemetry import Arrival
from fleetroll.store.port import Records
from tests.support.app import App, running

SECOND = 1_000_000


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        yield app


def device(app: App, ident: str, **members: Any) -> int:
    made = app.request("POST", "/v1/devices", {"ident": ident, **members})
    assert made.status == 201, made.body
    return int(made.json()["id"])


def ingest(app: App, *arrivals: Arrival, now: int | None = None) -> list[str | None]:
    """Pass readings on. Returns the code of each refusal."""
    at = app.services.clock() if now is None else now

    async def work(records: Records) -> list[str | None]:
        faults = await telemetry.ingest(records, arrivals, at)
        return [fault.code if fault else None for fault in faults]

    return app.runner.run(app.services.store.write(work, bulk=True))


def hear(app: App, *numbers: int, at: int) -> None:
    """Let devices speak for themselves."""

    async def work(records: Records) -> None:
        found = await records.presence.reporters(1, numbers)
        await presence.heard(records, 1, found.values(), at)

    app.runner.run(app.services.store.write(work, bulk=True))


def shown(app: App, ident: str) -> dict[str, Any]:
    return dict(app.request("GET", f"/v1/devices/{ident}").json())


def types(app: App, ident: str) -> list[str]:
    events = app.request("GET", f"/v1/devices/{ident}/timeline").json()["events"]
    return [event["type"] for event in reversed(events)]


def test_readings_of_many_devices_are_judged_one_by_one(app: App) -> None:
    now = app.services.clock()
    one, other = device(app, "one", schema={"temp": "number"}), device(app, "other")
    outcome = ingest(
        app,
        Arrival(1, one, "temp", 20.5, now),
        Arrival(1, one, "temp", "hot", now),
        Arrival(1, one, "humidity", 3, now),
        Arrival(1, other, "anything", {"a": [1]}, now),
        Arrival(1, other, "no name", 1, now),
        Arrival(1, other, "nan", float("nan"), now),
        Arrival(1, other, "later", 1, now + limits.MAX_READING_AHEAD * SECOND + SECOND),
        Arrival(1, 999, "temp", 1, now),
        Arrival(2, one, "temp", 1, now),
        Arrival(1, other, "long", "x" * (limits.MAX_READING_TEXT + 1), now),
        Arrival(1, other, "long", "x" * limits.MAX_READING_TEXT, now),
    )
    assert outcome == [
        None, "wrong_type", "unknown_metric", None, "invalid_metric", "invalid_number", "invalid_time",
        "device_not_found", "device_not_found", "reading_too_large", None,
    ]  # fmt: skip
    last = app.runner.run(app.services.store.read.telemetry.last(1, one))
    assert [(reading.metric, reading.value) for reading in last] == [("temp", 20.5)]
    metrics = [reading.metric for reading in app.runner.run(app.services.store.read.telemetry.last(1, other))]
    assert metrics == ["anything", "long"]


def test_a_device_has_so_many_metrics_and_keeps_those_it_has(app: App) -> None:
    number, now = device(app, "one"), app.services.clock()
    many = [Arrival(1, number, f"m{place:04}", 1, now) for place in range(limits.MAX_SERIES_PER_DEVICE + 1)]
    assert ingest(app, *many) == [None] * limits.MAX_SERIES_PER_DEVICE + ["too_many_series"]
    assert ingest(app, many[-1], many[0]) == ["too_many_series", None]


def test_who_speaks_is_there_until_it_is_quiet(app: App) -> None:
    number, now = device(app, "one", metadata={"a": 1}), app.services.clock()
    hear(app, number, at=now)
    hear(app, number, at=now + SECOND)
    ingest(app, Arrival(1, number, "m", 3, now + 2), now=now + 9 * SECOND)
    assert shown(app, "one")["connected"]
    assert shown(app, "one")["activated_at"] is not None
    assert shown(app, "one")["revision"] == 1
    assert types(app, "one") == ["device.created", "device.connected"]
    app.runner.run(presence.sweep(app.services.store, now + int((limits.QUIET_TIME + 5) * SECOND)))
    assert shown(app, "one")["connected"], "what it reported is a sign of life"
    for wait in (10, 20, 30):
        app.runner.run(presence.sweep(app.services.store, now + int((limits.QUIET_TIME + wait) * SECOND)))
    assert not shown(app, "one")["connected"]
    assert types(app, "one") == ["device.created", "device.connected", "device.disconnected"]
    ingest(app, Arrival(1, number, "m", 4, now), now=now + 400 * SECOND)
    assert not shown(app, "one")["connected"], "what was sent before it left may arrive after"
    hear(app, number, at=now + 500 * SECOND)
    assert types(app, "one")[3:] == ["device.connected"]


def test_a_connection_keeps_a_quiet_device_there(app: App) -> None:
    number, now = device(app, "one"), app.services.clock()
    first, second = Link(1, number, "s:1"), Link(1, number, "s:2")

    def note(verb: Any, link: Link, at: int) -> None:
        app.runner.run(app.services.store.write(lambda records: verb(records, link, at)))

    note(presence.opened, first, now)
    note(presence.opened, second, now + SECOND)
    note(presence.opened, Link(1, 999, "s:3"), now)
    app.runner.run(presence.sweep(app.services.store, now + 1000 * SECOND))
    note(presence.closed, first, now + 1001 * SECOND)
    assert shown(app, "one")["connected"]
    note(presence.closed, second, now + 1002 * SECOND)
    note(presence.closed, second, now + 1003 * SECOND)
    assert not shown(app, "one")["connected"]
    assert types(app, "one") == ["device.created", "device.connected", "device.disconnected"]


def test_who_also_speaks_for_itself_is_there_when_its_connection_has_ended(app: App) -> None:
    number = device(app, "one")
    token = app.request("GET", "/v1/devices/one/credentials").json()["device_token"]

    def note(verb: Any, at: int) -> None:
        link = Link(1, number, "s:1")
        app.runner.run(app.services.store.write(lambda records: verb(records, link, at)))

    began = app.services.clock()
    note(presence.opened, began)
    note(presence.closed, began)
    assert not shown(app, "one")["connected"], "it had nothing but its connection"
    note(presence.opened, began + 1)
    assert app.request("GET", f"/external/api/update?token={token}&v1=1", key=None).status == 200
    spoke, quiet = app.services.clock(), int(limits.QUIET_TIME * SECOND)
    note(presence.closed, spoke + SECOND)
    assert shown(app, "one")["connected"]
    assert types(app, "one")[1:] == ["device.connected", "device.disconnected", "device.connected"]
    app.runner.run(presence.sweep(app.services.store, spoke + quiet - SECOND))
    assert shown(app, "one")["connected"]
    app.runner.run(presence.sweep(app.services.store, spoke + quiet + SECOND))
    assert not shown(app, "one")["connected"]
    note(presence.opened, spoke + 2 * quiet)
    note(presence.closed, spoke + 2 * quiet + SECOND)
    assert not shown(app, "one")["connected"], "that it spoke is long ago"
    expected = ["device.created", *["device.connected", "device.disconnected"] * 3]
    assert types(app, "one") == expected


def test_who_spoke_by_a_clock_that_was_ahead_is_gone_until_it_speaks_again(app: App) -> None:
    number, now = device(app, "one"), app.services.clock()
    token = app.request("GET", "/v1/devices/one/credentials").json()["device_token"]
    ahead = now + 365 * 86_400 * SECOND
    hear(app, number, at=ahead)
    app.runner.run(presence.sweep(app.services.store, ahead + SECOND))
    assert shown(app, "one")["connected"]
    app.runner.run(presence.sweep(app.services.store, now))
    assert not shown(app, "one")["connected"]
    assert app.request("GET", f"/external/api/update?token={token}&v1=1", key=None).status == 200
    assert shown(app, "one")["connected"]
    assert shown(app, "one")["last_seen"] < shown(app, "one")["activated_at"]
    app.runner.run(presence.sweep(app.services.store, app.services.clock() + SECOND))
    assert shown(app, "one")["connected"]
    expected = ["device.connected", "device.disconnected", "device.connected"]
    assert types(app, "one")[1:] == expected


def test_more_devices_than_one_sweep_takes_go_quiet(app: App) -> None:
    rows = b"\n".join(b'{"ident":"d%d"}' % number for number in range(limits.QUIET_BATCH + 5))
    loaded = app.request("POST", "/v1/devices:import", raw=rows, headers={"content-type": "application/x-ndjson"})
    assert loaded.status == 200
    now = app.services.clock()
    numbers = range(1, limits.QUIET_BATCH + 6)
    hear(app, *numbers, at=now)
    assert app.request("GET", "/v1/stats").json()["by_connected"]["true"] == len(numbers)
    app.runner.run(presence.sweep(app.services.store, now + 3600 * SECOND))
    assert app.request("GET", "/v1/stats").json()["by_connected"]["true"] == 0


def test_readings_are_held_to_the_datastreams_of_the_template(app: App) -> None:
    streams = [{"pin": "v1", "type": "integer"}, {"pin": "v2", "alias": "place", "type": "location"}]
    template = app.request("POST", "/v1/templates", {"name": "Tracker", "datastreams": streams}).json()["id"]
    child = app.request("POST", "/v1/organizations", {"slug": "child"}).json()["id"]
    acting = {"fleetroll-organization": "child"}
    below = app.request("POST", "/v1/devices", {"ident": "below", "template": template}, headers=acting).json()["id"]
    own, free, now = device(app, "own", template=template), device(app, "free"), app.services.clock()
    for org, number in ((1, own), (child, below)):
        outcome = ingest(
            app,
            Arrival(org, number, "v1", 1, now),
            Arrival(org, number, "v1", 1.5, now + 1),
            Arrival(org, number, "place", [13.4, 52], now),
            Arrival(org, number, "place", ["x", "y"], now + 1),
            Arrival(1, free, "place", ["x", "y"], now),
        )
        assert outcome == [None, "wrong_type", None, "wrong_type", None]
        last = app.runner.run(app.services.store.read.telemetry.last(org, number))
        assert {one.metric: one.value for one in last} == {"v1": 1, "place": [13.4, 52]}


def test_a_deleted_device_leaves_no_readings(app: App) -> None:
    number, now = device(app, "one"), app.services.clock()
    ingest(app, Arrival(1, number, "m", 1, now))
    assert app.request("DELETE", "/v1/devices/one").status == 204
    assert app.runner.run(app.services.store.read.telemetry.last(1, number)) == []
    app.runner.run(telemetry.sweep(app.services.store))
    assert app.runner.run(app.services.store.read.telemetry.count(1, number)) == 0


def test_a_transferred_device_takes_its_readings_along(app: App) -> None:
    number, now = device(app, "one"), app.services.clock()
    ingest(app, Arrival(1, number, "m", 1, now))
    child = app.request("POST", "/v1/organizations", {"slug": "child"}).json()["id"]
    assert app.request("POST", "/v1/devices/one:transfer", {"organization": "child"}).status == 200
    assert app.runner.run(app.services.store.read.telemetry.last(1, number)) == []
    (moved,) = app.runner.run(app.services.store.read.telemetry.last(child, number))
    assert moved.value == 1
