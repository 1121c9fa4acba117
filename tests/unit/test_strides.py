"""How far a walk goes at a time, where what a stride takes is known."""

import pytest

from fleetroll.store.strides import Stride

MANY = 1_000_000
LIMIT = 5.0
PORTION = 1_000

# What any stride takes, and what each device adds to it.
COSTS = {
    "nothing": (0.0, 0.0),
    "an index": (0.0, 1e-7),
    "small documents": (0.0, 1e-5),
    "large documents": (0.0, 1e-3),
    "a second for each": (0.0, 1.0),
    "a text to be looked up": (0.5, 1e-7),
    "a text to be looked up, and small documents": (0.5, 1e-5),
    "a frequent text to be looked up": (3.0, 1e-6),
}


def walked(fixed: float, each: float) -> list[tuple[int, float]]:
    """The devices and the seconds of each stride of a walk."""
    stride, left, strides = Stride(), MANY if each < 0.1 else 1_000, []
    while left > 0:
        devices = stride.next(PORTION)
        seconds = fixed + each * devices
        strides.append((devices, seconds))
        if seconds < LIMIT:
            stride.took(seconds, 0)
            left -= devices
        else:
            assert stride.shorten()
    return strides


@pytest.mark.parametrize(("fixed", "each"), COSTS.values(), ids=COSTS)
def test_a_walk_ends_in_strides_that_take_a_moment(fixed: float, each: float) -> None:
    strides = walked(fixed, each)
    assert sum(devices for devices, _ in strides[-10:]) > 0
    assert max(seconds for _, seconds in strides) <= max(fixed + 3, 10 * each)
    needed = each * sum(devices for devices, _ in strides)
    assert sum(seconds for _, seconds in strides) <= 2.2 * needed + 30 * fixed + 0.1


def test_a_stride_that_was_too_long_is_followed_by_shorter_ones_down_to_one_device() -> None:
    stride = Stride()
    for _ in range(4):
        stride.took(0.001, 0)
        longest = stride.next(PORTION)
    assert longest == 100_000
    lengths = []
    while stride.shorten():
        lengths.append(stride.next(PORTION))
    assert lengths == [10_000, 1_000, 100, 10, 1]


def test_a_stride_gets_shorter_where_devices_get_larger() -> None:
    stride = Stride()
    for _ in range(10):
        devices = stride.next(PORTION)
        stride.took(devices * 1e-5, 0)
    assert 10_000 < stride.next(PORTION) <= 50_000
    for _ in range(3):
        stride.took(stride.next(PORTION) * 1e-4, 0)
    assert stride.next(PORTION) <= 5_000


@pytest.mark.parametrize("share", [1.0, 0.1, 0.001])
def test_a_stride_has_some_two_portions_of_what_is_found(share: float) -> None:
    stride = Stride()
    for _ in range(10):
        devices = stride.next(PORTION)
        stride.took(devices * 1e-6, int(devices * share))
    assert stride.next(PORTION) == min(2 * PORTION / share, 100_000)
