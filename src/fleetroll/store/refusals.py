"""What any engine says where a store cannot be opened, and where one that is open cannot do what it was asked."""

from fleetroll.core.faults import Fault, Kind


class Refused(Exception):
    """The store will not open; the message is one sentence for the operator."""


class Unreachable(Refused):
    """The store will not open now. Nothing is wrong with what is in it, so trying again may help."""


class InvalidLocation(Refused):
    """What was given does not name a place where a store can be."""


class Unwritable(Refused):
    """The disk takes no writes, so the store cannot be opened now. What is in it may well be sound."""


TOO_COSTLY = "query_too_costly"


def too_costly() -> Fault:
    message = "This query takes too long; narrow it with an indexed field such as ident, status, kind or a tag."
    return Fault(Kind.UNAVAILABLE, TOO_COSTLY, message, "filter")


def storage_full() -> Fault:
    return Fault(Kind.UNAVAILABLE, "storage_full", "The server's disk is full; nothing was stored.", retry_after=30)
