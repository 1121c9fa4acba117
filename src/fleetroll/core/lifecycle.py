"""The life of a device and of its identity slot, as tables.

A slot ages by its expiry and two windows before it; revocation outweighs age (`identity`). A device follows its slot
until it is decommissioned, which is final.
"""

import enum

from fleetroll.core.faults import conflict


class Status(enum.Enum):
    """Device status; the names are public in every dialect."""

    NO_IDENTITY = "NO_IDENTITY"
    ACTIVE = "ACTIVE"
    RENEWAL_WINDOW = "RENEWAL_WINDOW"
    ABOUT_TO_EXPIRE = "ABOUT_TO_EXPIRE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"
    DECOMMISSIONED = "DECOMMISSIONED"


SLOT_STATUSES = (Status.ACTIVE, Status.RENEWAL_WINDOW, Status.ABOUT_TO_EXPIRE, Status.EXPIRED, Status.REVOKED)
"""What the status of a slot can be, the least severe first."""

_ANY = frozenset({*SLOT_STATUSES, Status.DECOMMISSIONED})
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.NO_IDENTITY: _ANY,
    # A new credential, a slot filled by hand and a clock set right lead from any of these to any other.
    **dict.fromkeys(SLOT_STATUSES, _ANY),
    Status.DECOMMISSIONED: frozenset(),
}
"""What each status of a device may become. Nothing leads back to NO_IDENTITY."""

if missing := set(Status) - set(TRANSITIONS):
    raise AssertionError(f"statuses without a row: {missing}")


def advance(current: Status, to: Status) -> Status:
    """The status that a device takes. Raises Fault conflict `status_forbids` where the table has no such move."""
    if to not in TRANSITIONS[current]:
        if to is current:
            raise conflict("status_forbids", f"The device is {to.value} already.")
        raise conflict("status_forbids", f"A device in status {current.value} cannot become {to.value}.")
    return to


def slot_status(now: int, expires_at: int, preventive: int, critical: int) -> Status:
    """What age makes of an identity slot. All times in microseconds; the two windows count back from `expires_at`."""
    if now >= expires_at:
        return Status.EXPIRED
    if now >= expires_at - critical:
        return Status.ABOUT_TO_EXPIRE
    if now >= expires_at - preventive:
        return Status.RENEWAL_WINDOW
    return Status.ACTIVE


def device_status(current: Status, slot: Status) -> Status:
    """A device follows its slot as far as the table lets it."""
    return slot if slot in TRANSITIONS[current] else current
