"""Times of our own API: RFC 3339 on the wire, microseconds since 1970 within."""

import functools
from datetime import UTC, datetime

from fleetroll.core.faults import invalid
from fleetroll.core.times import LAST, from_datetime, to_datetime


def when(instant: int | None) -> datetime | None:
    return None if instant is None else to_datetime(instant)


@functools.lru_cache(maxsize=4096)
def at(instant: int) -> datetime:
    """The time of an instant. Remembered: devices that came together share theirs."""
    return to_datetime(instant)


def instant(moment: datetime | None, field: str) -> int | None:
    """Microseconds of a time that a client sent. Raises Fault invalid for one without an offset."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise invalid("invalid_time", f"{field} needs an offset from UTC, such as Z.", field)
    microseconds = from_datetime(moment)
    if microseconds > LAST:  # with an offset, the year 9999 may end later than in UTC
        raise invalid("invalid_time", f"{field} must not be after the year 9999.", field)
    return microseconds


def utc(moment: datetime) -> int:
    """Microseconds of a time, which is UTC without an offset."""
    return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
