"""The life of a device: every status against every other, and the status of an identity slot over time."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetroll.core.faults import Fault, Kind
from fleetroll.core.lifecycle import SLOT_STATUSES, Status, advance, device_status, slot_status

# One row for each status; a cross where it may become the status of the column, in the same order.
TABLE = {
    Status.NO_IDENTITY: ". x x x x x x",
    Status.ACTIVE: ". x x x x x x",
    Status.RENEWAL_WINDOW: ". x x x x x x",
    Status.ABOUT_TO_EXPIRE: ". x x x x x x",
    Status.EXPIRED: ". x x x x x x",
    Status.REVOKED: ". x x x x x x",
    Status.DECOMMISSIONED: ". . . . . . .",
}
CELLS = [
    (status, to, cell == "x") for status, row in TABLE.items() for to, cell in zip(TABLE, row.split(), strict=True)
]
EXPIRY, PREVENTIVE, CRITICAL = 1_000, 300, 100


def test_the_table_covers_every_pair() -> None:
    assert {(status, to) for status, to, _ in CELLS} == set(itertools.product(Status, Status))


@pytest.mark.parametrize(("status", "to"), [cell[:2] for cell in CELLS if cell[2]])
def test_a_status_leads_where_the_table_says(status: Status, to: Status) -> None:
    assert advance(status, to) is to


@pytest.mark.parametrize(("status", "to"), [cell[:2] for cell in CELLS if not cell[2]])
def test_it_leads_nowhere_else(status: Status, to: Status) -> None:
    with pytest.raises(Fault) as refused:
        advance(status, to)
    assert (refused.value.kind, refused.value.code) == (Kind.CONFLICT, "status_forbids")
    there = f"The device is {to.value} already."
    assert refused.value.message == (
        there if to is status else f"A device in status {status.value} cannot become {to.value}."
    )


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
    assert slot_status(now, EXPIRY, PREVENTIVE, CRITICAL) is status


@given(st.lists(st.integers(0, 2_000), min_size=2).map(sorted), st.integers(0, 900), st.integers(0, 900))
def test_a_slot_only_gets_worse_with_time(moments: list[int], preventive: int, critical: int) -> None:
    order = [Status.ACTIVE, Status.RENEWAL_WINDOW, Status.ABOUT_TO_EXPIRE, Status.EXPIRED]
    ages = [order.index(slot_status(now, EXPIRY, preventive, critical)) for now in moments]
    assert ages == sorted(ages)


@pytest.mark.parametrize("slot", SLOT_STATUSES)
def test_a_device_follows_its_slot_until_it_is_decommissioned(slot: Status) -> None:
    assert device_status(Status.NO_IDENTITY, slot) is slot
    assert device_status(Status.ACTIVE, slot) is slot
    assert device_status(Status.DECOMMISSIONED, slot) is Status.DECOMMISSIONED
