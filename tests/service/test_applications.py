"""Readings that wait to be shown on the broker: in bounded memory, and some of each organization in turn."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgpack
import msgspec
import pytest
from msgspec import structs

from fleetroll.bus.broker import Off
from fleetroll.bus.permissions import Authority
from fleetroll.bus.port import Shown
from fleetroll.core import limits
from fleetroll.core.ids import broker_org
from fleetroll.core.model import Device, Reading
from fleetroll.service.applications import Applications
from tests.support.app import App, running

ROOT, KID = 1, 2
UNKNOWN = range(100, 100 + limits.ALL_SHOWN_READINGS // limits.SHOWN_READINGS)


class Listening(Off):
    """A broker that takes whatever it is shown."""

    def __init__(self) -> None:
        super().__init__(Authority(b"k" * 32), lambda: 0)
        self.shown: list[Shown] = []

    @property
    def is_up(self) -> bool:
        return True

    async def show(self, readings: Sequence[Shown]) -> None:
        self.shown += readings
        await asyncio.sleep(0)

    @property
    def values(self) -> list[tuple[str, int]]:
        return [(one.org, msgpack.unpackb(one.body)["value"]) for one in self.shown]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Two organizations with applications."""
    with running(tmp_path / "data") as app:
        assert app.request("POST", "/v1/organizations", {"slug": "kid"}).status == 201
        for path in ("self", "kid"):
            body = {"name": "app", "role": "viewer", "kind": "nats"}
            assert app.request("POST", "/v1/keys", body, headers={"fleetroll-organization": path}).status == 201
        assert app.request("POST", "/v1/devices", {"ident": "d"}).status == 201
        yield app


def device(app: App, org: int = ROOT) -> Device:
    found: Device | None = app.run(app.services.store.read.devices.by_id(ROOT, 1))
    assert found is not None
    return structs.replace(found, org=org)


def readings(*values: int) -> list[Reading]:
    return [Reading(1, "n", value, value) for value in values]


def show(app: App, applications: Applications, bus: Listening, count: int) -> None:
    """Show all that waits, until so much has been shown."""

    async def work() -> None:
        showing = asyncio.ensure_future(applications.run())
        async with asyncio.timeout(30):
            while applications._waiting or len(bus.shown) < count:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)
        showing.cancel()

    app.run(work())


def test_the_newest_of_an_organization_wait(app: App) -> None:
    bus = Listening()
    applications = Applications(app.services.store, bus, app.services.clock)
    for first in (0, limits.SHOWN_READINGS):
        applications.tell(device(app), readings(*range(first, first + limits.SHOWN_READINGS)))
    applications.tell(device(app), readings(-1))
    show(app, applications, bus, limits.SHOWN_READINGS)
    newest = [*range(limits.SHOWN_READINGS + 1, 2 * limits.SHOWN_READINGS), -1]
    assert bus.values == [(broker_org(ROOT), value) for value in newest]


def test_a_flood_of_one_organization_holds_up_no_other(app: App) -> None:
    bus = Listening()
    applications = Applications(app.services.store, bus, app.services.clock)
    applications.tell(device(app), readings(*range(3 * limits.LIVE_BATCH)))
    applications.tell(device(app, KID), readings(-1, -2))
    show(app, applications, bus, 3 * limits.LIVE_BATCH + 2)
    ours, theirs = ([value for org, value in bus.values if org == broker_org(one)] for one in (ROOT, KID))
    assert ours == list(range(3 * limits.LIVE_BATCH))
    assert theirs == [-1, -2]
    assert bus.values[limits.LIVE_BATCH][0] == broker_org(KID)


class Away(Listening):
    """A broker that has gone away: it drops what it is shown, and waits for nothing."""

    async def show(self, readings: Sequence[Shown]) -> None:
        self.shown += readings


def test_others_have_their_turn_while_what_waits_is_dropped(app: App) -> None:
    bus = Away()
    applications = Applications(app.services.store, bus, app.services.clock)
    applications.tell(device(app), readings(*range(3 * limits.LIVE_BATCH)))
    portions: set[int] = set()

    async def watch() -> None:
        showing = asyncio.ensure_future(applications.run())
        async with asyncio.timeout(30):
            while len(bus.shown) < 3 * limits.LIVE_BATCH:
                await asyncio.sleep(0)
                portions.add(len(bus.shown) // limits.LIVE_BATCH)
        showing.cancel()

    app.run(watch())
    assert {1, 2} <= portions


def test_what_waits_of_all_organizations_is_bounded(app: App) -> None:
    bus = Listening()
    applications = Applications(app.services.store, bus, app.services.clock)
    for org in UNKNOWN:
        applications.tell(device(app, org), readings(*range(limits.SHOWN_READINGS)))
    applications.tell(device(app), readings(1))
    show(app, applications, bus, 0)
    assert bus.values == []
    applications.tell(device(app), readings(2))
    show(app, applications, bus, 1)
    assert bus.values == [(broker_org(ROOT), 2)]


def test_what_waits_holds_no_documents(app: App) -> None:
    """These may be of 64 KiB each, in thousands of requests."""
    applications = Applications(app.services.store, Listening(), app.services.clock)
    metadata = msgspec.Raw(b'{"large":true}')
    held = sys.getrefcount(metadata)
    applications.tell(structs.replace(device(app), metadata=metadata), readings(1))
    assert applications._waiting
    assert sys.getrefcount(metadata) == held


class Failing(Listening):
    """A broker that fails, once."""

    has_failed = False

    async def show(self, readings: Sequence[Shown]) -> None:
        if not self.has_failed:
            self.has_failed = True
            raise RuntimeError("what is this?")
        await super().show(readings)


def test_what_waits_is_shown_after_a_failure_though_so_much_waits_that_nothing_is_added(app: App) -> None:
    bus = Failing()
    applications = Applications(app.services.store, bus, app.services.clock)
    applications.tell(device(app), readings(1))
    for org in UNKNOWN:
        applications.tell(device(app, org), readings(*range(limits.SHOWN_READINGS)))
    with pytest.raises(RuntimeError):
        app.run(applications.run())
    show(app, applications, bus, 0)
    applications.tell(device(app), readings(2))
    show(app, applications, bus, 1)
    assert bus.values == [(broker_org(ROOT), 2)]
