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


def parse(kind: DatastreamKind | None, metric_type: str | None, parts: Sequence[Any]) -> Any:
    """The value that a device means by what it gives for one datastream: texts, numbers, or a list of two of them.

    Without a kind the type of the metric decides, and without that the text itself. Raises Fault invalid `wrong_type`.
    """
    if kind is DatastreamKind.LOCATION or (kind is None and len(parts) > 1):
        return [_storable(_number(part)) for part in _pair(parts)]
    if len(parts) != 1:
        raise _mismatch()
    (part,) = parts
    if kind in _NUMERIC:
        return _number(part) if kind is DatastreamKind.DOUBLE else _whole(part)
    if kind is DatastreamKind.STRING or metric_type == "string":
        return part if isinstance(part, str) else _text(part)
    return _untyped(metric_type, part)


def clamped(kind: DatastreamKind | None, value: Any, least: float | None, most: float | None) -> Any:
    """The value; a number outside its datastream's bounds becomes the nearest bound, or whole number within."""
    if kind not in _NUMERIC or not _is_storable(value):
        return value  # what cannot be stored is left to be refused, not clamped to a bound that can be
    if least is not None and value < least:
        return least if kind is DatastreamKind.DOUBLE else ceil(least)
    if most is not None and value > most:
        return most if kind is DatastreamKind.DOUBLE else floor(most)
    return value


def _is_storable(value: Any) -> bool:
    return isfinite(value) if isinstance(value, float) else bool(limits.MIN_INTEGER <= value <= limits.MAX_INTEGER)


def has_values(kind: DatastreamKind | None, least: float | None, most: float | None) -> bool:
    """Whether a datastream that takes whole numbers alone has one within its bounds."""
    if kind not in _NUMERIC or kind is DatastreamKind.DOUBLE:
        return True
    lowest = limits.MIN_INTEGER if least is None else max(ceil(least), limits.MIN_INTEGER)
    highest = limits.MAX_INTEGER if most is None else min(floor(most), limits.MAX_INTEGER)
    return lowest <= highest


def default(stream: Datastream, metric_type: str) -> str | float | None:
    """The default of a datastream in its stored form. Raises Fault invalid for what no device could report there."""
    if stream.default is None:
        return None
    if stream.kind is DatastreamKind.STRING:
        value: Any = as_text(stream.kind, stream.default)
    else:
        value = parse(stream.kind, metric_type, [stream.default])
    readings.check({"default": metric_type}, "default", value)
    if clamped(stream.kind, value, stream.min, stream.max) != value:
        raise _mismatch()
    return value if isinstance(value, str) else float(value)


def check(kind: DatastreamKind, value: Any) -> None:
    """Raises Fault invalid `wrong_type` for a value that, unconverted, does not fit a datastream of this kind."""
    if not _FITS[kind](value):
        raise _mismatch()


def _is_number(value: Any) -> bool:
    return type(value) in {int, float}


def _is_whole(value: Any) -> bool:
    return type(value) is int or (type(value) is float and value.is_integer())


def _is_location(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


_FITS: dict[DatastreamKind, Callable[[Any], bool]] = {
    DatastreamKind.INTEGER: _is_whole,
    DatastreamKind.DOUBLE: _is_number,
    DatastreamKind.ENUM: _is_whole,
    DatastreamKind.STRING: lambda value: isinstance(value, str),
    DatastreamKind.LOCATION: _is_location,
}
assert _FITS.keys() == set(DatastreamKind)


def _pair(parts: Sequence[Any]) -> Sequence[Any]:
    parts = parts[0] if len(parts) == 1 and isinstance(parts[0], list) else parts
    if len(parts) != 2:
        raise _mismatch()
    return parts


def _number(value: Any) -> Any:
    if _is_number(value):
        return value
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise _mismatch()
    return int(value) if _WHOLE.fullmatch(value) else float(value)


def _storable(value: Any) -> Any:
    """One number of a pair, which `clamped` leaves alone. Raises Fault invalid `wrong_type` if it cannot be stored."""
    if not documents.can_hold(value):
        raise _mismatch()
    return value


def _whole(value: Any) -> int:
    number = _number(value)
    if isinstance(number, float) and not number.is_integer():
        raise _mismatch()
    return int(number)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mismatch()
    return repr(value)


def _untyped(metric_type: str | None, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if metric_type == "boolean":
        return _TRUTHS.get(value, value)
    if metric_type == "number" or (metric_type is None and _NUMBER.fullmatch(value)):
        return _number(value)
    return value


def as_text(kind: DatastreamKind | None, value: Any) -> str:
    """A value as bare text, or as JSON if it is no number or text. A fraction has five decimals, or all it needs."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | list | dict):
        return documents.encode(as_json(kind, value), "value").decode()
    if kind is not DatastreamKind.DOUBLE:
        return repr(as_json(kind, value))
    whole, point, fraction = repr(float(value)).partition(".")
    return f"{whole}.{fraction:0<{_DECIMALS}}" if point and "e" not in fraction else f"{whole}{point}{fraction}"


def as_json(kind: DatastreamKind | None, value: Any) -> Any:
    """A value as JSON: the numbers of DOUBLE and LOCATION are floats, whole numbers of all others are integers.

    A value of another type, from a time when its datastream or the device's template was another, is left as it is.
    """
    if kind is DatastreamKind.LOCATION and _is_location(value):
        return [float(part) for part in value]
    if kind is DatastreamKind.DOUBLE:
        return float(value) if type(value) is int else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _mismatch() -> Fault:
    return invalid("wrong_type", "The value does not match the type of the datastream.", "value")
