"""What takes a whole history along, however long that is, keeps nobody waiting but those who write."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetroll.core.model import NewEvent
from fleetroll.core.secrets import Issuer, Presented
from fleetroll.service import devices, numbered_devices
from fleetroll.service.operations import Operation
from fleetroll.service.timeline import History, of_device
from tests.support.app import ADMIN_KEY, App, about_sqlite, running

pytestmark = about_sqlite
LONG = 100_000


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        assert app.request("POST", "/v1/organizations", {"slug": "below", "name": "Below"}).status == 201
        yield app


async def made(app: App, ident: str, entries: int) -> int:
    """Make a device with so many entries in its history. Returns its number."""
    services = app.services
    number: int = (await app.call("POST", "/v1/devices", {"ident": ident})).json()["id"]
    org = (await services.keyring.identify(Presented(Issuer.KEY, ADMIN_KEY), 0)).org.id
    entry = NewEvent(org, services.clock(), "log", "device", number, ident, "test", "test")
    await services.store.write(lambda records: records.timeline.append([entry] * entries), bulk=True)
    return number


async def place_of(app: App, operation: Operation[Any, Any], value: Any) -> threading.Thread:
    """The thread in which an operation's transaction runs."""
    services = app.services
    who = await services.keyring.identify(Presented(Issuer.KEY, ADMIN_KEY), services.clock())
    return await services.perform(operation, who, value, "test", lambda _: threading.current_thread())


@pytest.mark.parametrize(
    ("operation", "wanted"),
    [
        pytest.param(devices.delete, lambda _: devices.Named("a"), id="deleted"),
        pytest.param(numbered_devices.delete, numbered_devices.Numbered, id="deleted by number"),
        pytest.param(devices.transfer, lambda _: devices.Transfer("a", "below", None), id="moved"),
    ],
)
def test_a_device_of_a_long_history_is_no_work_for_the_event_loop(
    app: App, operation: Operation[Any, Any], wanted: Callable[[int], Any]
) -> None:
    async def story() -> bool:
        number = await made(app, "a", LONG)
        return await place_of(app, operation, wanted(number)) is threading.current_thread()

    assert not app.runner.run(story())


def test_requests_beside_a_long_deletion_are_done_once(app: App) -> None:
    async def story() -> None:
        await made(app, "long", LONG)
        names = [f"d{number}" for number in range(20)]
        before = [app.call("POST", "/v1/devices", {"ident": name}) for name in names]
        after = [app.call("PATCH", f"/v1/devices/{name}", {"name": "new"}) for name in names]
        replies = await asyncio.gather(*before, app.call("DELETE", "/v1/devices/long"), *after)
        assert [reply.status for reply in replies] == [201] * 20 + [204] + [200] * 20
        for name in names:
            assert (await app.call("GET", f"/v1/devices/{name}")).json()["revision"] == 2
        assert (await app.call("GET", "/v1/devices/long")).status == 404

    app.runner.run(story())


def test_a_moved_device_has_all_of_its_history(app: App) -> None:
    async def story() -> int:
        await made(app, "a", LONG)
        await place_of(app, devices.transfer, devices.Transfer("a", "below", None))
        services, seen, before = app.services, 0, 1 << 62
        who = await services.keyring.identify(Presented(Issuer.KEY, ADMIN_KEY), services.clock())
        there = who.acting_in(await _below(app, who.org.id))
        while page := (await services.perform(of_device, there, History("a", before, 9_000), "t", lambda p: p)).records:
            seen, before = seen + len(page), page[-1].id
        return seen

    assert app.runner.run(story()) == LONG + 2


async def _below(app: App, parent: int) -> Any:
    found = await app.services.store.read.organizations.child(parent, "below")
    assert found is not None
    return found
