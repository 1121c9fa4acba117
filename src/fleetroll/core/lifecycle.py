"""The life of a device and of its identity slot, as tables.

A slot's status is a pure function of its expiry, two deltas and revocation, most severe first; a device follows its
slot except before it has one and after it is decommissioned, which nothing leaves.
"""

import enum

from fleetroll.core.faults import Fault, conflict


class Status(enum.Enum):
    """Device status; the names are public in every dialect."""

    NO_IDENTITY = "NO_IDENTITY"
    ACTIVE = "ACTIVE"
    RENEWAL_WINDOW = "RENEWAL_WINDOW"
    ABOUT_TO_EXPIRE = "ABOUT_TO_EXPIRE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"
    DECOMMISSIONED = "DECOMMISSIONED"


class Step(enum.Enum):
    """What can happen to a device's identity."""

    BIND = "bind"
    AGE_TO_RENEWAL = "age_to_renewal"
    AGE_TO_CRITICAL = "age_to_critical"
    EXPIRE = "expire"
    REVOKE = "revoke"
    DECOMMISSION = "decommission"


_LIVE = (Status.ACTIVE, Status.RENEWAL_WINDOW, Status.ABOUT_TO_EXPIRE, Status.EXPIRED)
_TARGETS: dict[Step, tuple[Status, tuple[Status, ...]]] = {
    Step.BIND: (Status.ACTIVE, (Status.NO_IDENTITY, *_LIVE, Status.REVOKED)),
    Step.AGE_TO_RENEWAL: (Status.RENEWAL_WINDOW, (Status.ACTIVE,)),
    Step.AGE_TO_CRITICAL: (Status.ABOUT_TO_EXPIRE, _LIVE[:2]),
    Step.EXPIRE: (Status.EXPIRED, _LIVE[:3]),
    Step.REVOKE: (Status.REVOKED, _LIVE),
    Step.DECOMMISSION: (Status.DECOMMISSIONED, tuple(s for s in Status if s is not Status.DECOMMISSIONED)),
}

TRANSITIONS: dict[tuple[Status, Step], Status] = {
    (origin, step): target for step, (target, origins) in _TARGETS.items() for origin in origins
}
"""Every allowed move; a pair that is absent is refused."""

if missing := set(Step) - set(_TARGETS):
    raise AssertionError(f"lifecycle steps without a row: {missing}")


def advance(status: Status, step: Step) -> Status:
    """The status after `step`. Raises Fault conflict `status_forbids` where the table has no such move."""
    try:
        return TRANSITIONS[status, step]
    except KeyError:
        raise _forbidden(status, step) from None


def _forbidden(status: Status, step: Step) -> Fault:
    return conflict(
        "status_forbids", f"A device in status {status.value} does not allow {step.value.replace('_', ' ')}."
    )


def slot_status(now: int, expires_at: int, preventive: int, critical: int, *, revoked: bool) -> Status:
    """Status of an identity slot. All times in microseconds; the deltas count back from `expires_at`."""
    if revoked:
        return Status.REVOKED
    if now >= expires_at:
        return Status.EXPIRED
    if now >= expires_at - critical:
        return Status.ABOUT_TO_EXPIRE
    if now >= expires_at - preventive:
        return Status.RENEWAL_WINDOW
    return Status.ACTIVE


def device_status(current: Status, slot: Status | None) -> Status:
    """A device follows its slot, except without one and after decommissioning."""
    if current is Status.DECOMMISSIONED or slot is None:
        return current
    return slot
