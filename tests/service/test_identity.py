"""Identity slots over a real store, with a clock that the test moves."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from fleetroll.core.faults import Fault
from fleetroll.core.identity import Occasion, Slot, Windows, slot_of
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import Device, NewDevice
from fleetroll.core.secrets import Issuer, Presented
from fleetroll.service import devices, identity, timeline
from fleetroll.service.operations import Call, Effect, Operation
from tests.support import app
from tests.support.app import ADMIN_KEY, App

DAY = 86_400 * 1_000_000
NOW = 1_700_000_000_000_000
WINDOWS = Windows(preventive=30 * DAY, critical=7 * DAY)


class Fleet:
    """The services of a running server at a moment of the test's choice."""

    def __init__(self, running: App) -> None:
        self.at = NOW
        self._running = running
        self._services = structs.replace(running.services, clock=lambda: self.at)
        self._who = running.runner.run(self._services.keyring.identify(Presented(Issuer.KEY, ADMIN_KEY), NOW))

    def perform(self, operation: Operation[Any, Any], value: Any) -> Any:
        def finish(result: Any) -> Any:
            return result

        return self._running.runner.run(self._services.perform(operation, self._who, value, "test", finish))

    def change(self, ident: str, work: Callable[[Call, Device], Awaitable[Device]]) -> Device:
        """Run one of the module's own functions in a transaction, as another service does."""

        async def run(call: Call, _: None) -> Device:
            return await work(call, await devices.find(call, ident))

        done: Device = self.perform(Operation("test.change", devices.edit.action, Effect.WRITE, run), None)
        return done

    def bind(self, ident: str, serial: str, days: int, occasion: Occasion | None = None) -> Device:
        ends = self.at + days * DAY
        return self.change(ident, lambda call, device: identity.bind(call, device, serial, ends, WINDOWS, occasion))

    def get(self, ident: str) -> Device:
        return self.perform(devices.get, devices.Named(ident))  # type: ignore[no-any-return]

    def slot(self, ident: str) -> Slot:
        slot = slot_of(self.get(ident))
        assert slot is not None
        return slot

    def sweep(self, sweeper: identity.Sweeper | None = None) -> int:
        return self._running.runner.run((sweeper or self.sweeper()).sweep())

    def sweeper(self) -> identity.Sweeper:
        return identity.Sweeper(self._services)

    def events(self, ident: str) -> list[tuple[str, dict[str, Any]]]:
        found = self.perform(timeline.of_device, timeline.History(ident, 1 << 62, 100)).records
        return [(event.type, msgspec.json.decode(event.data)) for event in reversed(found)]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with app.running(tmp_path / "data") as running:
        made = Fleet(running)
        made.perform(devices.create, NewDevice("a"))
        yield made


def test_a_bound_device_is_active_and_its_timeline_says_so_once(fleet: Fleet) -> None:
    assert fleet.bind("a", "0a", 100).status is Status.ACTIVE
    assert fleet.slot("a").active == "0a"
    assert fleet.events("a")[1:] == [
        ("device.identity_changed", {"changed": ["identity", "status"], "from": "NO_IDENTITY", "to": "ACTIVE"})
    ]


def test_a_read_shows_the_status_of_the_moment(fleet: Fleet) -> None:
    fleet.bind("a", "0a", 100)
    for days, status in ((71, Status.RENEWAL_WINDOW), (94, Status.ABOUT_TO_EXPIRE), (100, Status.EXPIRED)):
        fleet.at = NOW + days * DAY
        assert fleet.get("a").status is status
        assert fleet.slot("a").status is status
        assert [device.status for device in fleet.perform(devices.page, devices.Listing()).devices] == [status]
    assert len(fleet.events("a")) == 2


def test_a_renewed_device_is_active_again(fleet: Fleet) -> None:
    fleet.bind("a", "0a", 100)
    fleet.at = NOW + 200 * DAY
    assert fleet.bind("a", "0b", 100, Occasion.RENEWED).status is Status.ACTIVE
    assert fleet.slot("a").versions == {"0": "0a", "1": "0b"}


def test_only_the_active_credential_of_a_slot_can_take_it_down(fleet: Fleet) -> None:
    fleet.bind("a", "0a", 100)
    fleet.bind("a", "0b", 100)
    assert fleet.change("a", lambda call, device: identity.revoke(call, device, "0a")).status is Status.ACTIVE
    assert fleet.change("a", lambda call, device: identity.revoke(call, device, "0b")).status is Status.REVOKED
    assert fleet.change("a", lambda call, device: identity.restore(call, device, "0b")).status is Status.ACTIVE


def test_a_slot_can_be_written_by_hand(fleet: Fleet) -> None:
    written = identity.Written("a", Slot(Status.ACTIVE, 2, "X509", {}))
    device = fleet.perform(identity.replace, written)
    assert (device.status, fleet.slot("a")) == (Status.ACTIVE, written.slot)


def test_a_decommissioned_device_keeps_a_revoked_slot_and_takes_no_other(fleet: Fleet) -> None:
    fleet.bind("a", "0a", 100)
    assert fleet.perform(devices.decommission, devices.Named("a")).status is Status.DECOMMISSIONED
    assert fleet.slot("a").status is Status.REVOKED
    for change in (
        lambda: fleet.bind("a", "0b", 100),
        lambda: fleet.perform(identity.replace, identity.Written("a", Slot(Status.ACTIVE, 0, "x509", {}))),
    ):
        with pytest.raises(Fault) as refused:
            change()
        assert refused.value.code == "status_forbids"
    fleet.at = NOW + 500 * DAY
    assert fleet.get("a").status is Status.DECOMMISSIONED


def test_the_sweeper_writes_each_change_once(fleet: Fleet) -> None:
    for number in range(120):
        fleet.perform(devices.create, NewDevice(f"d{number}"))
        fleet.bind(f"d{number}", "0a", 100)
    sweeper = fleet.sweeper()
    assert fleet.sweep(sweeper) == 0
    for days, status in ((71, "RENEWAL_WINDOW"), (94, "ABOUT_TO_EXPIRE"), (101, "EXPIRED")):
        fleet.at = NOW + days * DAY
        assert (fleet.sweep(sweeper), fleet.sweep(sweeper)) == (120, 0)
        assert fleet.perform(devices.counts, None).by_status == {"NO_IDENTITY": 1, status: 120}
    moves = [(data["from"], data["to"]) for _, data in fleet.events("d7")[2:]]
    assert moves == [
        ("ACTIVE", "RENEWAL_WINDOW"),
        ("RENEWAL_WINDOW", "ABOUT_TO_EXPIRE"),
        ("ABOUT_TO_EXPIRE", "EXPIRED"),
    ]
    assert [note.type for note in fleet.slot("d7").events.values()] == ["PROVISIONED"] + 3 * ["STATUS-UPDATED"]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_goes_back_takes_its_ageing_back(fleet: Fleet, restarted: bool) -> None:
    fleet.bind("a", "0a", 100)
    sweeper = fleet.sweeper()
    fleet.at = NOW + 1000 * DAY
    assert fleet.sweep(sweeper) == 1
    assert fleet.get("a").status is Status.EXPIRED
    fleet.at = NOW + DAY
    assert fleet.sweep(None if restarted else sweeper) == 1
    assert fleet.get("a").status is Status.ACTIVE
    fleet.at = NOW + 71 * DAY
    assert fleet.sweep() == 1
    assert fleet.get("a").status is Status.RENEWAL_WINDOW


def test_the_sweeper_leaves_alone_who_has_no_slot_that_ages(fleet: Fleet) -> None:
    fleet.perform(devices.create, NewDevice("retired"))
    fleet.bind("retired", "0a", 100)
    fleet.perform(devices.decommission, devices.Named("retired"))
    fleet.perform(identity.replace, identity.Written("a", Slot(Status.ACTIVE, 2, "X509", {})))
    fleet.at = NOW + 1000 * DAY
    assert fleet.sweep() == 0
