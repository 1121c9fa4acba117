"""Durations as the vendor writes them: whole units, the largest first, and a year of 364 days."""

import re

from fleetroll.core import limits
from fleetroll.core.faults import invalid
from fleetroll.core.times import DAY, HOUR, MILLISECOND, MINUTE, SECOND

_UNITS = {
    "y": 364 * DAY,
    "w": 7 * DAY,
    "d": DAY,
    "h": HOUR,
    "m": MINUTE,
    "s": SECOND,
    "ms": MILLISECOND,
    "us": 1,
}
_SPELLED = _UNITS | {"\u00b5s": 1, "ns": 0}
_STEP = re.compile(r"(\d{1,18})(ns|us|\u00b5s|ms|s|m|h|d|w|y)", re.ASCII)
_DURATION = re.compile(rf"(?:{_STEP.pattern})+", re.ASCII)


def duration(text: str, field: str) -> int:
    """Microseconds. Raises Fault invalid `invalid_duration`."""
    if len(text) > limits.MAX_VERSION or not _DURATION.fullmatch(text):
        raise invalid("invalid_duration", f"{field} must be a duration, as in 14w2d, 36h or 90m.", field)
    steps = _STEP.findall(text)
    microseconds = sum(int(count) * _SPELLED[unit] for count, unit in steps)
    microseconds += sum(int(count) for count, unit in steps if unit == "ns") // 1_000
    if microseconds > limits.MAX_DURATION:
        raise invalid("invalid_duration", f"{field} is longer than a hundred years.", field)
    return microseconds


def canonical(microseconds: int) -> str:
    """The duration as the vendor writes it: `100d` is `14w2d`."""
    text = ""
    for unit, size in _UNITS.items():
        count, microseconds = divmod(microseconds, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
