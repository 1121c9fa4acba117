"""The life of a device: every status against every step, and the status of an identity slot over time."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetroll.core import lifecycle
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.lifecycle import Status, Step

# One row per step, one column per status, as initials: what the status becomes, or a dot where the step is refused.
COLUMNS = (
    Status.NO_IDENTITY,
    Status.ACTIVE,
    Status.RENEWAL_WINDOW,
    Status.ABOUT_TO_EXPIRE,
    Status.EXPIRED,
    Status.REVOKED,
    Status.DECOMMISSIONED,
)
TABLE = {
    Step.BIND: "A A A A A A .",
    Step.AGE_TO_RENEWAL: ". W . . . . .",
    Step.AGE_TO_CRITICAL: ". C C . . . .",
    Step.EXPIRE: ". E E E . . .",
    Step.REVOKE: ". R R R R . .",
    Step.DECOMMISSION: "D D D D D D .",
}
MEANING = {
    "A": Status.ACTIVE,
    "W": Status.RENEWAL_WINDOW,
    "C": Status.ABOUT_TO_EXPIRE,
    "E": Status.EXPIRED,
    "R": Status.REVOKED,
    "D": Status.DECOMMISSIONED,
}
CELLS = [
    (status, step, MEANING.get(cell))
    for step, row in TABLE.items()
    for status, cell in zip(COLUMNS, row.split(), strict=True)
]
EXPIRY, PREVENTIVE, CRITICAL = 1_000, 300, 100


def test_the_table_covers_every_status_and_step() -> None:
    assert {(status, step) for status, step, _ in CELLS} == set(itertools.product(Status, Step))


@pytest.mark.parametrize(("status", "step", "after"), [cell for cell in CELLS if cell[2]])
def test_an_allowed_step_leads_where_the_table_says(status: Status, step: Step, after: Status) -> None:
    assert lifecycle.advance(status, step) is after


@pytest.mark.parametrize(("status", "step"), [cell[:2] for cell in CELLS if not cell[2]])
def test_any_other_step_is_a_conflict(status: Status, step: Step) -> None:
    with pytest.raises(Fault) as refused:
        lifecycle.advance(status, step)
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
    assert lifecycle.slot_status(now, EXPIRY, PREVENTIVE, CRITICAL, revoked=False) is status


@given(st.integers(0, 2_000))
def test_revocation_outweighs_age(now: int) -> None:
    assert lifecycle.slot_status(now, EXPIRY, PREVENTIVE, CRITICAL, revoked=True) is Status.REVOKED


@given(st.lists(st.integers(0, 2_000), min_size=2).map(sorted), st.integers(0, 900), st.integers(0, 900))
def test_a_slot_only_gets_worse_with_time(moments: list[int], preventive: int, critical: int) -> None:
    order = [Status.ACTIVE, Status.RENEWAL_WINDOW, Status.ABOUT_TO_EXPIRE, Status.EXPIRED]
    ages = [order.index(lifecycle.slot_status(now, EXPIRY, preventive, critical, revoked=False)) for now in moments]
    assert ages == sorted(ages)


@pytest.mark.parametrize("slot", [status for status in Status if status is not Status.DECOMMISSIONED])
def test_a_device_follows_its_slot_until_it_is_decommissioned(slot: Status) -> None:
    assert lifecycle.device_status(Status.ACTIVE, slot) is slot
    assert lifecycle.device_status(Status.DECOMMISSIONED, slot) is Status.DECOMMISSIONED


def test_a_device_without_a_slot_keeps_its_status() -> None:
    assert lifecycle.device_status(Status.NO_IDENTITY, None) is Status.NO_IDENTITY


def test_nothing_leads_back_to_the_status_before_an_identity() -> None:
    assert Status.NO_IDENTITY not in lifecycle.TRANSITIONS.values()
