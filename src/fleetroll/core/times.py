"""Instants, which are integer microseconds since 1970 UTC: to and from `datetime`, texts in ISO 8601, and HTTP's dates.

Two grammars read texts. What a client sends as a time is RFC 3339 (`parse_rfc3339`), which `parse_iso` extends by what
vendors' clients write besides. What a document holds was written by anybody, and sorts as a time (`sort_key`) by a
grammar that SQL can judge as well: `store/postgres_syntax.py` has it again.
"""

import functools
import re
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from email.utils import formatdate

from fleetroll.core.faults import invalid

MILLISECOND = 1_000
SECOND = 1_000 * MILLISECOND
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HOURS = "[01][0-9]|2[0-3]"
_RFC_3339 = re.compile(
    rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})"
    rf"(?:[Tt]((?:{_HOURS}):[0-5][0-9]:[0-5][0-9])(?:\.([0-9]{{1,6}}))?(?:[Zz]|([+-])({_HOURS}):([0-5][0-9])))?"
)
_SORTABLE = re.compile(
    rf"(?!0000)([0-9]{{4}})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    rf"(?:[T ]({_HOURS}):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]+))?(?:Z|([+-])(0[0-9]|1[0-4]):([0-5][0-9]))?)?"
)
# What `parse_iso` mends.
_WITHOUT_SECONDS = re.compile(r"\A([0-9-]{10}[Tt ][0-9]{2}:[0-9]{2})(?![0-9:])")
_SPACE_BEFORE_CLOCK = re.compile(r"\A([0-9-]{10}) (?=[0-9]{2}:[0-9]{2}:)")
_BEYOND_MICROSECONDS = re.compile(r"(\.[0-9]{6})[0-9]{1,3}(?![0-9])")
_SPACE_BEFORE_OFFSET = re.compile(r" (\d\d:\d\d)\Z")


def to_datetime(at: int) -> datetime:
    """An instant as a datetime in UTC. Raises OverflowError outside of `FIRST` to `LAST`."""
    return _EPOCH + timedelta(microseconds=at)


def from_datetime(time: datetime) -> int:
    """The inverse of `to_datetime`, counted in integers: a float cannot hold all instants."""
    return (time - _EPOCH) // _MICROSECOND


FIRST = from_datetime(datetime.min.replace(tzinfo=UTC))
LAST = from_datetime(datetime.max.replace(tzinfo=UTC))
"""The earliest and latest instant that `datetime` can hold. A time at an offset from UTC may lie beyond."""


def unused_datetime(at: int, taken: Collection[datetime]) -> datetime:
    """The datetime of an instant, or of the first one after it that is not taken."""
    while (time := to_datetime(at)) in taken:
        at += 1
    return time


def seconds_of_day_left(at: int) -> int:
    """Whole seconds, after which it is another day, UTC."""
    return (DAY - at % DAY) // SECOND + 1


def parse_rfc3339(text: str) -> int | None:
    """Microseconds UTC since 1970 of an RFC 3339 time or of a date's midnight UTC; None for anything else."""
    match = _RFC_3339.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, sign, hours, minutes = match.groups()
    try:
        local = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}.{fraction or '0':0<6}+00:00")
    except ValueError:
        return None
    # Added in integers, since the offset may lead out of the years that datetime can hold.
    ahead = (int(hours) * 60 + int(minutes)) * MINUTE if sign else 0
    return from_datetime(local) + (ahead if sign == "-" else -ahead)


def sort_key(text: str) -> float | None:
    """The sort key, in microseconds, of a text that is a date or a time; None for any other text.

    Without an offset it is UTC, and a day that its month does not have counts on into the next: every store sorts
    alike.
    """
    match = _SORTABLE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = match.groups()
    days = date(int(year), int(month), 1).toordinal() - _EPOCH.toordinal() + int(day) - 1
    ahead = (int(hours) * 60 + int(minutes)) * MINUTE if sign else 0
    clock = int(hour or 0) * HOUR + int(minute or 0) * MINUTE + int(second or 0) * SECOND
    clock += int((fraction or "").ljust(6, "0")[:6])
    return float(days * DAY + clock + (ahead if sign == "-" else -ahead))


@functools.lru_cache(maxsize=4096)
def iso(at: int) -> str:
    """`2019-01-19T05:01:13.000000+00:00`. Remembered: devices that were created together share theirs."""
    minute, rest = divmod(at, MINUTE)
    digits = f"{rest:08}"
    return f"{_to_the_minute(minute)}{digits[:2]}.{digits[2:]}+00:00"


@functools.lru_cache(maxsize=4096)
def _to_the_minute(minute: int) -> str:
    return to_datetime(minute * MINUTE).isoformat()[:17]


def http_date(at: int) -> str:
    """`Sat, 19 Jan 2019 05:01:13 GMT`"""
    return formatdate(at // SECOND, usegmt=True)


def parse_iso(text: str) -> int | None:
    """As `parse_rfc3339`, for a time that may lack seconds, or an offset (it is UTC then), and may have a space for T.

    A plus that a client did not encode has become a space on its way through a query string: it is a plus again here.
    Digits beyond microseconds are dropped, and a time without seconds is that of the full minute.
    """
    text = _WITHOUT_SECONDS.sub(r"\1:00", text)
    text = _SPACE_BEFORE_CLOCK.sub(r"\1T", text)
    text = _BEYOND_MICROSECONDS.sub(r"\1", text)
    instant = parse_rfc3339(_SPACE_BEFORE_OFFSET.sub(r"+\1", text))
    return parse_rfc3339(f"{text}Z") if instant is None else instant


def require_iso(text: str, field: str) -> int:
    """As `parse_iso`. Raises Fault invalid `invalid_time`."""
    instant = parse_iso(text)
    if instant is None:
        raise invalid(
            "invalid_time", f"{field} must be an ISO 8601 time, such as 2019-01-19T05:01:13.000000+00:00.", field
        )
    return instant
