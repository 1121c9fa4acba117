"""How organizations share the broker's disk, without a broker."""

import pytest

from fleetroll.bus.disk_shares import Disk
from fleetroll.core import limits

WHOLE = 1 << 30
LITTLE = 1 << 20


def looked(held: list[int], bounds: list[int], size: int = WHOLE) -> list[int]:
    """The bounds after another look at the disk: those that are not about right are put right."""
    disk = Disk(size - sum(held), sum(held), len(held))
    return [bound if disk.is_right(bound, one) else disk.bound(one) for one, bound in zip(held, bounds, strict=True)]


def filled(streams: int, flooding: int) -> list[int]:
    """What each has at the end if so many of the streams take all that they may, little between two looks."""
    held = [0] * streams
    bounds = [Disk(WHOLE, 0, streams).bound(0)] * streams
    while any(one < bound for one, bound in zip(held[:flooding], bounds, strict=False)):
        for number in range(flooding):
            held[number] = max(held[number], min(bounds[number], held[number] + LITTLE))
        bounds = looked(held, bounds)
    return held


@pytest.mark.parametrize("flooding", [1, 4, 8, 40, 200])
def test_however_many_flood_much_of_the_disk_stays_free(flooding: int) -> None:
    held = filled(200, flooding)
    assert sum(held) <= (limits.BUS_INGEST_TOTAL + limits.BUS_INGEST_LAST) * WHOLE + flooding * LITTLE
    assert max(held) <= limits.BUS_INGEST_SHARE * WHOLE


def test_one_alone_may_take_its_share_however_many_there_are() -> None:
    assert filled(2000, 1)[0] == limits.BUS_INGEST_SHARE * WHOLE


def test_who_comes_when_the_others_have_taken_all_may_take_some_too() -> None:
    held = filled(200, 100)
    assert Disk(WHOLE - sum(held), sum(held), 200).bound(0) >= int(limits.BUS_INGEST_LAST * WHOLE) // 200


@pytest.mark.parametrize("free", [0, 1, 1000])
def test_on_a_full_disk_there_still_is_a_bound(free: int) -> None:
    assert Disk(free, 0, 2000).bound(0) > 0


def test_a_bound_is_raised_again_when_there_is_room() -> None:
    held = filled(20, 20)
    [*bounds] = looked(held, [1] * 20)
    assert looked([0] * 20, bounds) == [Disk(WHOLE, 0, 20).bound(0)] * 20


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
    wanted = Disk(WHOLE, 0, 10).bound(0)
    for bound in (wanted // 2, wanted, wanted * 2):
        assert looked([0] * 10, [bound] * 10) == [bound] * 10
