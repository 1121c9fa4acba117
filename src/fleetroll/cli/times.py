"""Times as people write them on a command line: an instant, or how long from now."""

import re
from datetime import UTC, datetime, timedelta

DAY = 86_400
"""In seconds."""

_SPAN = re.compile(r"([0-9]{1,5})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def span(text: str) -> timedelta | None:
    """`90d`, `12h`, `30m`; None for what is not one."""
    found = _SPAN.fullmatch(text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


def instant(text: str) -> str | None:
    """RFC 3339 text of an instant with its offset from UTC; None for what is not one."""
    try:
        moment = datetime.fromisoformat(text)
        return written(moment) if moment.tzinfo else None
    except (ValueError, OverflowError):  # OverflowError: in UTC, its year is not 1 to 9999
        return None


def written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
