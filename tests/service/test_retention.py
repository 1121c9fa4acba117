"""Events and readings that are kept for so long and no longer, with a clock that the test moves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Raw, structs

from fleetroll.core import limits
from fleetroll.core.model import NewEvent, Reading, Span
from fleetroll.core.times import DAY, HOUR
from fleetroll.service.retention import FOR_EVER, Purger, Retention
from fleetroll.store.port import Records
from tests.support import app
from tests.support.app import App

NOW = 1_700_000_000_000_000
ORG = 1
EVER = Span(0, 1 << 62)


class Registry:
    """A running server's store at a moment of the test's choice."""

    def __init__(self, running: App) -> None:
        self.at = NOW
        self._running = running
        self._services = structs.replace(running.services, clock=lambda: self.at)
        self._made = len(self.events())

    def purger(self, retention: Retention) -> Purger:
        return Purger(self._services, retention)

    def purge(self, purger: Purger, hours: int = 0) -> None:
        """Let the purger do its work once, so many hours later."""
        self.at += hours * HOUR
        self._running.runner.run(purger.purge())

    def tell(self, *times: int, type: str = "device.updated") -> None:
        told = [NewEvent(ORG, at, type, "device", 1, "a", "test", "", Raw(b"{}")) for at in times]
        self._write(lambda records: records.timeline.append(told))

    def report(self, *times: int) -> None:
        async def work(records: Records) -> None:
            await records.telemetry.open(ORG, {(1, "", "m")})
            await records.telemetry.append(ORG, [Reading(1, "m", at, 1) for at in times])

        self._write(work)

    def events(self) -> list[int]:
        """When the events happened that the test has told."""
        found = self._running.runner.run(self._services.store.read.timeline.since(ORG, 0, 1 << 30))
        return [event.at for event in found if event.actor == "test"]

    def readings(self) -> list[int]:
        read = self._services.store.scan.telemetry.range(ORG, (1, "", "m"), EVER, 1 << 30)
        return [reading.at for reading in self._running.runner.run(read)]

    def _write(self, work: object) -> None:
        self._running.runner.run(self._services.store.write(work))  # type: ignore[arg-type]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with app.running(tmp_path / "data") as running:
        yield Registry(running)


def test_what_is_older_than_it_is_kept_goes_and_nothing_else(registry: Registry) -> None:
    times = [NOW - age * DAY for age in (40, 31, 29, 8, 6, 1)]
    registry.tell(*times)
    registry.report(*times)
    purger = registry.purger(Retention(events=30 * DAY, readings=7 * DAY))
    registry.purge(purger)
    assert (registry.events(), registry.readings()) == (times, times), "the clock may be wrong as the server starts"
    registry.purge(purger, hours=1)
    assert (registry.events(), registry.readings()) == (times[2:], times[4:])
    for _ in range(26):
        registry.purge(purger, hours=1)
    assert (registry.events(), registry.readings()) == (times[3:], times[5:])


def test_events_and_readings_have_times_of_their_own_and_by_default_stay_for_ever(registry: Registry) -> None:
    times = [NOW - 9_000 * DAY, NOW - DAY, NOW]
    registry.tell(*times)
    registry.report(*times)
    for retention in (FOR_EVER, Retention(events=2 * DAY), Retention(readings=2 * DAY)):
        purger = registry.purger(retention)
        registry.purge(purger)
        registry.purge(purger)
        assert len(registry.events()) == (3 if retention.events is None and retention.readings is None else 2)
        assert len(registry.readings()) == (3 if retention.readings is None else 2)


def test_a_clock_that_is_put_right_within_the_hour_has_removed_nothing(registry: Registry) -> None:
    times = [NOW - 2 * DAY, NOW - DAY]
    registry.tell(*times, NOW)
    registry.report(*times, NOW)
    purger = registry.purger(Retention(events=30 * DAY, readings=30 * DAY))
    for hours in (0, 1, 100_000, 1 - 100_000, 1, -100_000, 100_001):
        registry.purge(purger, hours=hours)
    assert (registry.events(), registry.readings()) == ([*times, NOW], [*times, NOW])


def test_everything_old_goes_however_much_there_is_and_however_often_it_is_looked_at(registry: Registry) -> None:
    old = [NOW - 10 * DAY + number for number in range(limits.BULK_BATCH * 2 + 10)]
    young = [NOW - number for number in range(20)]
    registry.tell(*old, *young, *old[:5], NOW)
    registry.tell(*old[:7], type="device.identity_changed")
    purger = registry.purger(Retention(events=DAY))
    for _ in range(3):
        registry.purge(purger)
    left = registry.events()
    assert left[:20] == young
    assert len(left) <= 20 + 5 + 1 + 7, "what lies behind young ones may wait until those are old as well"
    registry.tell(NOW + 5 * DAY)
    registry.purge(purger, hours=48)
    registry.purge(purger)
    assert registry.events() == [*old[:7], NOW + 5 * DAY]


def test_the_newest_event_goes_once_another_is_newer(registry: Registry) -> None:
    registry.tell(NOW - 2 * DAY)
    purger = registry.purger(Retention(events=DAY))
    for _ in range(3):
        registry.purge(purger, hours=1)
    assert registry.events() == [NOW - 2 * DAY]
    registry.tell(NOW)
    for _ in range(24):
        registry.purge(purger, hours=1)
    assert registry.events() == [NOW]


def test_events_of_a_clock_that_was_ahead_do_not_keep_later_ones(registry: Registry) -> None:
    ahead = [NOW + 9_000 * DAY] * (limits.BULK_BATCH + 1)
    registry.tell(*ahead, *[NOW - 2 * DAY] * 3, NOW)
    purger = registry.purger(Retention(events=DAY))
    registry.purge(purger)
    registry.purge(purger)
    assert registry.events() == [*ahead, NOW]
