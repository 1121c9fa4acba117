"""The values of datastreams: what a text from a device means, and how a value is written for one. Pure."""

import re
from collections.abc import Callable, Sequence
from math import ceil, floor, isfinite
from typing import Any

from fleetroll.core import documents, limits, readings
from fleetroll.core.faults import Fault, invalid
from fleetroll.core.model import Datastream, DatastreamKind

_NUMBER = re.compile(r"[+-]?([0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})([eE][+-]?[0-9]{1,3})?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_DECIMALS = 5
_NUMERIC = frozenset({DatastreamKind.INTEGER, DatastreamKind.DOUBLE, DatastreamKind.ENUM})
_TRUTHS = {"true": True, "false": False}


def value(kind: DatastreamKind | None, metric_type: str | None, given: Sequence[Any]) -> Any:
    """The value that a device means by what it gives for one datastream: texts, numbers, or a list of two of them.

    Without a kind the type of the metric decides, and without that the text itself. Raises Fault invalid `wrong_type`.
    """
    if kind is DatastreamKind.LOCATION or (kind is None and len(given) > 1):
        return [_kept(_number(part)) for part in _pair(given)]
    if len(given) != 1:
        raise _mismatch()
    (one,) = given
    if kind in _NUMERIC:
        return _number(one) if kind is DatastreamKind.DOUBLE else _whole(one)
    if kind is DatastreamKind.STRING or metric_type == "string":
        return one if isinstance(one, str) else _text(one)
    return _untyped(metric_type, one)


def bounded(kind: DatastreamKind | None, found: Any, least: float | None, most: float | None) -> Any:
    """The value; a number outside its datastream's bounds becomes the nearest bound, or whole number within."""
    if kind not in _NUMERIC or not _can_be_kept(found):
        return found  # what cannot be stored is left to be refused, not clamped to a bound that can be
    if least is not None and found < least:
        return least if kind is DatastreamKind.DOUBLE else ceil(least)
    if most is not None and found > most:
        return most if kind is DatastreamKind.DOUBLE else floor(most)
    return found


def _can_be_kept(found: Any) -> bool:
    return isfinite(found) if isinstance(found, float) else bool(limits.MIN_INTEGER <= found <= limits.MAX_INTEGER)


def has_room(kind: DatastreamKind | None, least: float | None, most: float | None) -> bool:
    """Whether a datastream that takes whole numbers alone has one within its bounds."""
    if kind not in _NUMERIC or kind is DatastreamKind.DOUBLE:
        return True
    lowest = limits.MIN_INTEGER if least is None else max(ceil(least), limits.MIN_INTEGER)
    highest = limits.MAX_INTEGER if most is None else min(floor(most), limits.MAX_INTEGER)
    return lowest <= highest


def default(part: Datastream, metric_type: str) -> str | float | None:
    """The default of a datastream in its stored form. Raises Fault invalid for what no device could report there."""
    if part.default is None:
        return None
    if part.kind is DatastreamKind.STRING:
        found: Any = plain(part.kind, part.default)
    else:
        found = value(part.kind, metric_type, [part.default])
    readings.check({"default": metric_type}, "default", found)
    if bounded(part.kind, found, part.min, part.max) != found:
        raise _mismatch()
    return found if isinstance(found, str) else float(found)


def check(kind: DatastreamKind, found: Any) -> None:
    """Raises Fault invalid `wrong_type` for a value that, unconverted, does not fit a datastream of this kind."""
    if not _FITS[kind](found):
        raise _mismatch()


def _is_number(found: Any) -> bool:
    return type(found) in {int, float}


def _is_whole(found: Any) -> bool:
    return type(found) is int or (type(found) is float and found.is_integer())


def _is_location(found: Any) -> bool:
    return isinstance(found, list) and len(found) == 2 and all(map(_is_number, found))


_FITS: dict[DatastreamKind, Callable[[Any], bool]] = {
    DatastreamKind.INTEGER: _is_whole,
    DatastreamKind.DOUBLE: _is_number,
    DatastreamKind.ENUM: _is_whole,
    DatastreamKind.STRING: lambda found: isinstance(found, str),
    DatastreamKind.LOCATION: _is_location,
}
assert _FITS.keys() == set(DatastreamKind)


def _pair(given: Sequence[Any]) -> Sequence[Any]:
    parts = given[0] if len(given) == 1 and isinstance(given[0], list) else given
    if len(parts) != 2:
        raise _mismatch()
    return parts


def _number(given: Any) -> Any:
    if _is_number(given):
        return given
    if not isinstance(given, str) or not _NUMBER.fullmatch(given):
        raise _mismatch()
    return int(given) if _WHOLE.fullmatch(given) else float(given)


def _kept(found: Any) -> Any:
    """One number of a pair, which `bounded` leaves alone. Raises Fault invalid `wrong_type` if it cannot be stored."""
    if not documents.can_hold(found):
        raise _mismatch()
    return found


def _whole(given: Any) -> int:
    found = _number(given)
    if isinstance(found, float) and not found.is_integer():
        raise _mismatch()
    return int(found)


def _text(given: Any) -> str:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise _mismatch()
    return repr(given)


def _untyped(metric_type: str | None, given: Any) -> Any:
    if not isinstance(given, str):
        return given
    if metric_type == "boolean":
        return _TRUTHS.get(given, given)
    if metric_type == "number" or (metric_type is None and _NUMBER.fullmatch(given)):
        return _number(given)
    return given


def plain(kind: DatastreamKind | None, found: Any) -> str:
    """A value as bare text, or as JSON if it is no number or text. A fraction has five decimals, or all it needs."""
    if isinstance(found, str):
        return found
    if isinstance(found, bool | list | dict):
        return documents.encode(shown(kind, found), "value").decode()
    if kind is not DatastreamKind.DOUBLE:
        return repr(shown(kind, found))
    whole, point, fraction = repr(float(found)).partition(".")
    return f"{whole}.{fraction:0<{_DECIMALS}}" if point and "e" not in fraction else f"{whole}{point}{fraction}"


def shown(kind: DatastreamKind | None, found: Any) -> Any:
    """A value as JSON: the numbers of DOUBLE and LOCATION are floats, whole numbers of all others are integers.

    A value of another type, from a time when its datastream or the device's template was another, is left as it is.
    """
    if kind is DatastreamKind.LOCATION and _is_location(found):
        return [float(part) for part in found]
    if kind is DatastreamKind.DOUBLE:
        return float(found) if type(found) is int else found
    return int(found) if isinstance(found, float) and found.is_integer() else found


def _mismatch() -> Fault:
    return invalid("wrong_type", "The value does not match the type of the datastream.", "value")
