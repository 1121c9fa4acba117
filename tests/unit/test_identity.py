"""Identity slots: binding, ageing and revoking, by time and against it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetroll.core import identity, limits
from fleetroll.core.identity import Occasion, Slot, Windows
from fleetroll.core.lifecycle import SLOT_STATUSES, Status

DAY = 86_400 * 1_000_000
NOW = 1_700_000_000_000_000
WINDOWS = Windows(preventive=30 * DAY, critical=7 * DAY)
ENDS = NOW + 100 * DAY


def bound() -> Slot:
    return identity.bind(None, "0a", ENDS, WINDOWS, NOW)


def described(slot: Slot) -> list[tuple[str, str]]:
    return [(note.type, note.description) for note in slot.events.values()]


def test_a_first_credential_is_version_0() -> None:
    slot = bound()
    assert (slot.status, slot.active_version, slot.type, slot.versions) == (Status.ACTIVE, 0, "x509", {"0": "0a"})
    assert slot.active == "0a"
    assert described(slot) == [("PROVISIONED", "")]


def test_each_later_credential_is_the_next_version_and_says_so() -> None:
    slot = identity.bind(bound(), "0b", ENDS + DAY, WINDOWS, NOW + 1)
    slot = identity.bind(slot, "0c", ENDS + 2 * DAY, WINDOWS, NOW + 2, Occasion.RENEWED)
    assert (slot.active_version, slot.active, slot.versions) == (2, "0c", {"0": "0a", "1": "0b", "2": "0c"})
    assert described(slot)[1:] == [
        ("RE-PROVISIONED", "New Active Version set to 1"),
        ("RENEWED", "New Active Version set to 2"),
    ]


@pytest.mark.parametrize(("active", "versions"), [(1, {"0": "0a", "5": "0b"}), (5, {"0": "0a"})])
def test_a_credential_gets_no_version_that_was_used_before(active: int, versions: dict[str, str]) -> None:
    by_hand = Slot(Status.ACTIVE, active, "x509", versions)
    assert by_hand.active is None
    slot = identity.bind(by_hand, "0c", ENDS, WINDOWS, NOW)
    assert (slot.active_version, slot.active, slot.versions) == (6, "0c", {**versions, "6": "0c"})


@pytest.mark.parametrize(
    ("days", "status"),
    [
        (0, Status.ACTIVE),
        (69, Status.ACTIVE),
        (70, Status.RENEWAL_WINDOW),
        (92, Status.RENEWAL_WINDOW),
        (93, Status.ABOUT_TO_EXPIRE),
        (99, Status.ABOUT_TO_EXPIRE),
        (100, Status.EXPIRED),
        (10_000, Status.EXPIRED),
    ],
)
def test_a_slot_ages_by_the_clock(days: int, status: Status) -> None:
    slot = identity.aged(bound(), NOW + days * DAY)
    assert slot.status is status
    assert len(slot.events) == (1 if status is Status.ACTIVE else 2)
    assert identity.aged(slot, NOW + days * DAY) is slot


def test_it_is_known_when_the_status_changes_next() -> None:
    slot, at, steps = bound(), NOW, []
    while (due := identity.due(slot, at)) is not None:
        at = due
        slot = identity.aged(slot, at)
        steps.append(((at - NOW) // DAY, slot.status))
    assert steps == [(70, Status.RENEWAL_WINDOW), (93, Status.ABOUT_TO_EXPIRE), (100, Status.EXPIRED)]


def test_a_revoked_slot_stays_revoked_until_it_is_bound_anew() -> None:
    slot = identity.revoke(bound(), NOW + 1)
    assert described(slot)[-1] == ("STATUS-UPDATED", "Identity Slot Status updated from 'ACTIVE' to 'REVOKED'")
    assert identity.due(slot, NOW + 1) is None
    assert identity.aged(slot, ENDS + 1) is slot
    assert identity.bind(slot, "0b", ENDS, WINDOWS, NOW + 2).status is Status.ACTIVE
    assert identity.restore(slot, NOW + 3).status is Status.ACTIVE


def test_a_clock_that_was_wrong_does_no_harm() -> None:
    ahead = identity.aged(bound(), ENDS + DAY)
    assert ahead.status is Status.EXPIRED
    assert identity.aged(ahead, NOW + DAY).status is Status.ACTIVE
    assert identity.aged(bound(), NOW - 10 * 365 * DAY).status is Status.ACTIVE


def test_a_status_written_by_hand_is_the_least_that_a_slot_shows() -> None:
    slot = Slot(Status.ABOUT_TO_EXPIRE, 0, "X509", {}, floor=Status.ABOUT_TO_EXPIRE)
    assert identity.aged(slot, NOW) is slot
    assert identity.due(slot, NOW) is None


def test_a_slot_is_the_same_after_it_was_stored() -> None:
    slot = identity.revoke(identity.bind(bound(), "0b", ENDS, WINDOWS, NOW + 1), NOW + 2)
    assert identity.read(identity.write(slot)) == slot


def test_a_slot_does_not_grow_for_ever() -> None:
    slot = bound()
    for number in range(limits.MAX_SLOT_EVENTS + limits.MAX_SLOT_VERSIONS):
        slot = identity.bind(slot, f"{number:04x}", ENDS, WINDOWS, NOW)
    assert (len(slot.events), len(slot.versions)) == (limits.MAX_SLOT_EVENTS, limits.MAX_SLOT_VERSIONS)
    assert slot.active_version == limits.MAX_SLOT_EVENTS + limits.MAX_SLOT_VERSIONS
    assert slot.active == f"{number:04x}"
    assert len(bytes(identity.write(slot))) < limits.MAX_DOCUMENT


@given(st.integers(-200, 200), st.integers(0, 150), st.integers(0, 150), st.sampled_from(SLOT_STATUSES))
def test_a_slot_that_is_not_due_has_the_right_status(days: int, preventive: int, critical: int, floor: Status) -> None:
    slot = identity.bind(None, "0a", ENDS, Windows(preventive * DAY, critical * DAY), NOW)
    at = NOW + days * DAY
    slot = identity.aged(Slot(slot.status, 0, "x", {}, slot.expiration_date, floor=floor, windows=slot.windows), at)
    due = identity.due(slot, at)
    until = at + 500 * DAY if due is None else due - 1
    assert identity.aged(slot, until) is slot
    assert due is None or identity.aged(slot, due) is not slot


def test_a_slot_is_written_by_hand_as_a_whole() -> None:
    written = Slot(Status.ACTIVE, 2, "X509", {"2": "any text"})
    assert identity.rewrite(None, written, NOW) == written
    revoked = identity.rewrite(bound(), Slot(Status.REVOKED, 0, "x509", {"0": "0a"}), NOW)
    assert (revoked.status, revoked.floor, revoked.windows) == (Status.REVOKED, Status.REVOKED, WINDOWS)
    assert described(revoked) == [("STATUS-UPDATED", "Identity Slot Status updated from 'ACTIVE' to 'REVOKED'")]


def test_the_slot_of_a_retired_device_is_revoked_unless_it_had_ended() -> None:
    assert identity.retire(bound(), NOW).status is Status.REVOKED
    assert identity.retire(bound(), ENDS).status is Status.EXPIRED
    assert described(identity.retire(bound(), NOW)) == [("PROVISIONED", "")]
