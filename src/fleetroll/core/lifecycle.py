"""The life of a device and of its identity slot.

A slot ages by its expiry and two deltas; that it was revoked outweighs its age (`identity`). A device follows its slot
except before it has one and after it is decommissioned, which nothing leaves.
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


def require_in_service(status: Status, step: str) -> None:
    """Raises Fault conflict `status_forbids` for a decommissioned device, with the step that it does not allow."""
    if status is Status.DECOMMISSIONED:
        raise conflict("status_forbids", f"A device in status {status.value} does not allow {step}.")


def slot_status(now: int, expires_at: int, preventive: int, critical: int) -> Status:
    """What age makes of an identity slot. All times in microseconds; the deltas count back from `expires_at`."""
    if now >= expires_at:
        return Status.EXPIRED
    if now >= expires_at - critical:
        return Status.ABOUT_TO_EXPIRE
    if now >= expires_at - preventive:
        return Status.RENEWAL_WINDOW
    return Status.ACTIVE


def device_status(current: Status, slot: Status) -> Status:
    """A device follows its slot, except after decommissioning."""
    return current if current is Status.DECOMMISSIONED else slot
