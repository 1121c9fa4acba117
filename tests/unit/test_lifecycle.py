"""The life of a device: what a decommissioned one forbids, and the status of an identity slot over time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetroll.core import lifecycle
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.lifecycle import Status

EXPIRY, PREVENTIVE, CRITICAL = 1_000, 300, 100


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.DECOMMISSIONED])
def test_a_device_in_service_allows_every_step(status: Status) -> None:
    lifecycle.require_in_service(status, "bind")


def test_a_decommissioned_device_allows_none_and_the_refusal_names_it() -> None:
    with pytest.raises(Fault, match="DECOMMISSIONED does not allow bind") as refused:
        lifecycle.require_in_service(Status.DECOMMISSIONED, "bind")
    assert (refused.value.kind, refused.value.code) == (Kind.CONFLICT, "status_forbids")


@pytest.mark.parametrize(
    ("now", "status"),
    [
        (0, Status.ACTIVE),
        (699, Status.ACTIVE),
        (700, Status.RENEWAL_WINDOW),
        (899, Status.RENEWAL_WINDOW),
        (900, Status.ABOUT_TO_EXPIRE),
        (999, Status.ABOUT_TO_EXPIRE),
        (1_000, Status.EXPIRED),
        (10_000, Status.EXPIRED),
    ],
)
def test_a_slot_ages_at_its_deltas(now: int, status: Status) -> None:
    assert lifecycle.slot_status(now, EXPIRY, PREVENTIVE, CRITICAL) is status


@given(st.lists(st.integers(0, 2_000), min_size=2).map(sorted), st.integers(0, 900), st.integers(0, 900))
def test_a_slot_only_gets_worse_with_time(moments: list[int], preventive: int, critical: int) -> None:
    order = [Status.ACTIVE, Status.RENEWAL_WINDOW, Status.ABOUT_TO_EXPIRE, Status.EXPIRED]
    ages = [order.index(lifecycle.slot_status(now, EXPIRY, preventive, critical)) for now in moments]
    assert ages == sorted(ages)


@pytest.mark.parametrize("slot", [status for status in Status if status is not Status.DECOMMISSIONED])
def test_a_device_follows_its_slot_until_it_is_decommissioned(slot: Status) -> None:
    assert lifecycle.device_status(Status.ACTIVE, slot) is slot
    assert lifecycle.device_status(Status.DECOMMISSIONED, slot) is Status.DECOMMISSIONED
