"""Instants, microseconds since 1970, as moments of a calendar, as vendors' ISO 8601 texts and as HTTP's dates."""

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
_TIME = re.compile(
    rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})"
    rf"(?:[Tt]((?:{_HOURS}):[0-5][0-9]:[0-5][0-9])(?:\.([0-9]{{1,6}}))?(?:[Zz]|([+-])({_HOURS}):([0-5][0-9])))?"
)
_WRITTEN = re.compile(
    rf"(?!0000)([0-9]{{4}})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    rf"(?:[T ]({_HOURS}):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]+))?(?:Z|([+-])(0[0-9]|1[0-4]):([0-5][0-9]))?)?"
)
_LOST_PLUS = re.compile(r" (\d\d:\d\d)\Z")
_SPACED = re.compile(r"\A([0-9-]{10}) (?=[0-9]{2}:[0-9]{2}:)")
_TO_THE_MINUTE = re.compile(r"\A([0-9-]{10}[Tt ][0-9]{2}:[0-9]{2})(?![0-9:])")
_FINER = re.compile(r"(\.[0-9]{6})[0-9]{1,3}(?![0-9])")


def moment(at: int) -> datetime:
    """An instant in UTC. Raises OverflowError outside of `FIRST` to `LAST`."""
    return _EPOCH + timedelta(microseconds=at)


def microseconds(moment: datetime) -> int:
    """The inverse of `moment`, counted in integers: a float cannot hold all instants."""
    return (moment - _EPOCH) // _MICROSECOND


FIRST = microseconds(datetime.min.replace(tzinfo=UTC))
LAST = microseconds(datetime.max.replace(tzinfo=UTC))
"""The earliest and latest instant that `datetime` can hold. A time at an offset from UTC may lie beyond."""


def unused(at: int, taken: Collection[datetime]) -> datetime:
    """The moment of an instant, or the first one after it that is not taken."""
    while (found := moment(at)) in taken:
        at += 1
    return found


def seconds_of_day_left(at: int) -> int:
    """Whole seconds, after which it is another day, UTC."""
    return (DAY - at % DAY) // SECOND + 1


def instant(text: str) -> int | None:
    """Microseconds UTC since 1970 of an RFC 3339 time or of a date's midnight UTC; None for anything else."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    date, clock, fraction, sign, hours, minutes = found.groups()
    try:
        local = datetime.fromisoformat(f"{date}T{clock or '00:00:00'}.{fraction or '0':0<6}+00:00")
    except ValueError:
        return None
    # Added in integers, since the offset may lead out of the years that datetime can hold.
    ahead = (int(hours) * 60 + int(minutes)) * 60_000_000 if sign else 0
    return microseconds(local) + (ahead if sign == "-" else -ahead)


def sort_key(text: str) -> float | None:
    """The sort key, in microseconds, of a text that is a date or a time; None for any other text.

    Without an offset it is UTC, and a day that its month does not have counts on into the next: every store sorts
    alike.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups()
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
    return moment(minute * MINUTE).isoformat()[:17]


def http_date(at: int) -> str:
    """`Sat, 19 Jan 2019 05:01:13 GMT`"""
    return formatdate(at // SECOND, usegmt=True)


def read_iso(text: str) -> int | None:
    """Microseconds of a time, which is UTC without an offset; None for anything else.

    A plus that a client did not encode has become a space on its way through a query string: it is a plus again here.
    Digits beyond microseconds are dropped, and a time without seconds is that of the full minute.
    """
    text = _TO_THE_MINUTE.sub(r"\1:00", text)
    text = _FINER.sub(r"\1", _SPACED.sub(r"\1T", text))
    found = instant(_LOST_PLUS.sub(r"+\1", text))
    return instant(text + "Z") if found is None else found


def parse_iso(text: str, field: str) -> int:
    """As `read_iso`. Raises Fault invalid."""
    found = read_iso(text)
    if found is None:
        raise invalid(
            "invalid_time", f"{field} must be an ISO 8601 time, such as 2019-01-19T05:01:13.000000+00:00.", field
        )
    return found
