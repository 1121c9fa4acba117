"""How organizations share the broker's disk, without a broker."""

import random

import pytest

from fleetroll.bus.disk_shares import Disk
from fleetroll.core import limits

WHOLE = 1 << 30
ORDINARY = 100 << 30
LITTLE = 1 << 20
LOOKS = 100


def disk_with(held: list[int], size: int = WHOLE) -> tuple[Disk, list[bool]]:
    """A disk, and which of the streams on it are busy."""
    disk = Disk(size - sum(held), sum(held), len(held))
    busy = [disk.is_much(one) for one in held]
    return Disk(disk.free, disk.held, disk.streams, sum(busy)), busy


def looked(held: list[int], bounds: list[int], size: int = WHOLE) -> list[int]:
    """The bounds after another look at the disk: those that are not about right are put right."""
    disk, busy = disk_with(held, size)
    return [
        bound if disk.is_right(bound, one, is_busy=is_busy) else disk.bound(one, is_busy=is_busy)
        for one, is_busy, bound in zip(held, busy, bounds, strict=True)
    ]


def begun(streams: int, size: int = WHOLE) -> list[int]:
    """The bounds of streams that hold nothing."""
    return [Disk(size, 0, streams).bound(0, is_busy=False)] * streams


def filled(streams: int, flooding: int, most: int = LITTLE) -> list[int]:
    """What each has at the end if so many of the streams take all that they may, no more than `most` between looks."""
    held, bounds = [0] * streams, begun(streams)
    while any(one < bound for one, bound in zip(held[:flooding], bounds, strict=False)):
        for number in range(flooding):
            held[number] = max(held[number], min(bounds[number], held[number] + most))
        bounds = looked(held, bounds)
    return held


@pytest.mark.parametrize("most", [LITTLE, WHOLE])
@pytest.mark.parametrize("flooding", [1, 4, 8, 11, 40, 200])
def test_however_many_flood_much_of_the_disk_stays_free(flooding: int, most: int) -> None:
    held = filled(200, flooding, most)
    allowance = 0 if most == WHOLE else flooding * LITTLE
    assert sum(held) <= (limits.BUS_INGEST_TOTAL + limits.BUS_INGEST_LAST) * WHOLE + allowance
    assert max(held) <= limits.BUS_INGEST_SHARE * WHOLE


@pytest.mark.parametrize("seed", range(20))
def test_whoever_takes_all_that_it_may_between_two_looks_much_of_the_disk_stays_free(seed: int) -> None:
    chance = random.Random(seed)
    streams = chance.choice([2, 5, 12, 50, 200])
    held, bounds = [0] * streams, begun(streams)
    for _ in range(LOOKS):
        for number in chance.sample(range(streams), chance.randint(0, streams)):
            held[number] = 0 if chance.random() < 0.1 else max(held[number], bounds[number])
        assert sum(held) <= (limits.BUS_INGEST_TOTAL + 2 * limits.BUS_INGEST_LAST) * WHOLE
        bounds = looked(held, bounds)


@pytest.mark.parametrize("flooding", [1, 4, 40, 2000])
def test_on_an_ordinary_disk_a_stream_may_take_its_whole_share_at_once(flooding: int) -> None:
    """No broker could write so much in that time that all together take what is left."""
    held, bounds = [0] * 2000, begun(2000, ORDINARY)
    assert bounds[0] == limits.BUS_INGEST_SHARE * ORDINARY
    for look in range(LOOKS):
        written = limits.BUS_LOOK_BYTES
        for number in range(look, look + flooding):
            taken = max(0, min(bounds[number % 2000] - held[number % 2000], written))
            held[number % 2000] += taken
            written -= taken
        bounds = looked(held, bounds, ORDINARY)
        assert sum(held) <= (limits.BUS_INGEST_TOTAL + limits.BUS_INGEST_LAST) * ORDINARY


@pytest.mark.parametrize("most", [LITTLE, WHOLE])
def test_one_alone_may_take_its_share_however_many_there_are(most: int) -> None:
    assert filled(2000, 1, most)[0] == limits.BUS_INGEST_SHARE * WHOLE


def test_who_comes_when_the_others_have_taken_all_may_take_some_too() -> None:
    disk, _ = disk_with(filled(200, 100))
    assert disk.bound(0, is_busy=False) >= int(limits.BUS_INGEST_LAST * WHOLE) // 200


@pytest.mark.parametrize("free", [0, 1, 1000])
def test_on_a_full_disk_there_still_is_a_bound(free: int) -> None:
    assert Disk(free, 0, 2000).bound(0, is_busy=False) > 0


def test_a_bound_is_raised_again_when_there_is_room() -> None:
    held = filled(20, 20)
    [*bounds] = looked(held, [1] * 20)
    assert looked([0] * 20, bounds) == begun(20)


@pytest.mark.parametrize("flooding", [1, 4])
def test_who_has_taken_all_that_it_might_may_take_more_when_the_disk_has_more_room(flooding: int) -> None:
    held = filled(20, flooding)[:flooding]
    bounds = looked(held, held, WHOLE * 7 // 4)
    assert all(bound > one for bound, one in zip(bounds, held, strict=True))
    assert looked(held, bounds, WHOLE * 7 // 4) == bounds


def test_a_stream_that_holds_more_than_it_may_is_told_once() -> None:
    held = [WHOLE // 4]
    bounds = looked(held, [WHOLE // 2])
    assert bounds[0] <= held[0]
    assert looked(held, bounds) == bounds


def test_bounds_that_are_about_right_are_left_alone() -> None:
    [wanted, *_] = begun(10)
    for bound in (wanted // 2, wanted, wanted * 2):
        assert looked([0] * 10, [bound] * 10) == [bound] * 10
