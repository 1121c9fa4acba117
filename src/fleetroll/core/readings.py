"""What a device may report: metrics, their types, and the values that count as one reading. Pure."""

import functools
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

import msgspec

from fleetroll.core import documents, limits
from fleetroll.core.documents import Document
from fleetroll.core.faults import brief, invalid
from fleetroll.core.model import Bucket, Instant
from fleetroll.core.schema import METRIC_TYPES, is_metric
from fleetroll.core.times import DAY, HOUR, MILLISECOND, MINUTE, SECOND

_FITS: dict[str, Callable[[Any], bool]] = {
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "json": lambda value: isinstance(value, dict | list),
}
assert _FITS.keys() == set(METRIC_TYPES)

AGGREGATES: Mapping[str, Callable[[Bucket], float | None]] = {
    "mean": lambda bucket: bucket.mean,
    "min": lambda bucket: bucket.min,
    "max": lambda bucket: bucket.max,
    "count": lambda bucket: bucket.count,
    "sum": lambda bucket: bucket.sum,
    "first": lambda bucket: bucket.first,
    "last": lambda bucket: bucket.last,
    "median": lambda bucket: bucket.median,
    "stddev": lambda bucket: bucket.stddev,
}
"""The aggregates that can be asked of an interval. The standard deviation is that of a sample."""

SPREADS = frozenset({"median", "stddev"})


def metric_types(schema: Document) -> Mapping[str, str]:
    """The type of each metric that a schema names."""
    text = bytes(schema)
    return _types(text) if len(text) <= _SHORT_SCHEMA else _types_of_long(text)


def _read_types(schema: bytes) -> Mapping[str, str]:
    return {name: metric["type"] for name, metric in documents.load(msgspec.Raw(schema)).items()}


# Remembered: devices of one model share theirs, and it is asked for at every reading. Of the long ones only a few are:
# thousands of the longest would take a gigabyte.
_SHORT_SCHEMA = 2 << 10
_types = functools.lru_cache(4096)(_read_types)
_types_of_long = functools.lru_cache(64)(_read_types)


_INTERVAL = re.compile(r"([1-9][0-9]{0,9})(ms|s|m|h|d|w)")
_UNITS = {"ms": MILLISECOND, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}


def parse_interval(text: str) -> int:
    """Microseconds of a text such as `15m`. Raises Fault invalid."""
    match = _INTERVAL.fullmatch(text)
    interval = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < interval <= limits.MAX_DURATION:
        message = "interval must be a number followed by ms, s, m, h, d or w, such as 15m, and at most a hundred years."
        raise invalid("invalid_parameter", message, "interval")
    return interval


def require_few(since: Instant, until: Instant, interval: int) -> None:
    """Raises Fault invalid for more intervals than one answer holds."""
    if (until - since) // interval > limits.MAX_BUCKETS:
        message = f"The range has more than {limits.MAX_BUCKETS} intervals; use a longer interval or a shorter range."
        raise invalid("too_many_buckets", message, "interval")


def weight(value: Any) -> int:
    """About how many bytes a value has as it is shown."""
    if isinstance(value, str):
        return len(value)
    return len(msgspec.json.encode(value)) if isinstance(value, dict | list) else 0


def check(types: Mapping[str, str], metric: str, value: Any) -> None:
    """Raises Fault invalid for what cannot be a reading of this metric. Without a schema, any metric will do."""
    kind: str | None = types.get(metric) if types else _kind(metric, value)
    if kind is None:
        raise invalid("unknown_metric", f"The device's schema has no metric {brief(metric)}.", "metric")
    if not _FITS[kind](value):
        raise invalid("wrong_type", f"A value of {brief(metric)} must be a {kind}.", "value")
    if kind == "number":
        _check_number(metric, value)
    elif kind != "boolean":
        _check_size(metric, kind, value)


def _kind(metric: str, value: Any) -> str:
    if not is_metric(metric):
        message = f"{brief(metric)} is not a metric name: use 1 to 128 letters, digits, hyphens and underscores."
        raise invalid("invalid_metric", message, "metric")
    for kind, fits in _FITS.items():
        if fits(value):
            return kind
    raise invalid("wrong_type", f"A value of {brief(metric)} must be one of {', '.join(METRIC_TYPES)}.", "value")


def _check_number(metric: str, value: Any) -> None:
    is_storable = isfinite(value) if isinstance(value, float) else limits.MIN_INTEGER <= value <= limits.MAX_INTEGER
    if not is_storable:
        raise invalid("invalid_number", f"A value of {brief(metric)} is a number out of range.", "value")


def _check_size(metric: str, kind: str, value: Any) -> None:
    documents.of({"value": value}, metric)  # as any other document: its depth, its characters, its numbers
    most = limits.MAX_READING_TEXT if kind == "string" else limits.MAX_READING_DOCUMENT
    size = len(value.encode()) if kind == "string" else len(documents.encode(value, metric))
    if size > most:
        raise invalid("reading_too_large", f"A value of {brief(metric)} must have at most {most} bytes.", "value")


def bucket(at: int, values: Sequence[float]) -> Bucket:
    """The aggregates of these values, of which there is at least one, in the order of their times."""
    median = middle(statistics.median_low(values), statistics.median_high(values))
    whole, deviation = finite(sum(values)), _deviation(values)
    return Bucket(at, len(values), min(values), max(values), whole, values[0], values[-1], median, deviation)


def middle(low: float, high: float) -> float:
    """The median, from the two values in the middle (or one, given twice), without a sum that could overflow."""
    return low if low == high else low / 2 + high / 2


def finite(total: float) -> float | None:
    """A sum; None where it overflowed."""
    return total if isfinite(total) else None


def _deviation(values: Sequence[float]) -> float | None:
    """The standard deviation of a sample; None for a single value, and where one is vast."""
    if len(values) == 1 or max(map(abs, values)) >= limits.VAST_NUMBER:
        return None
    return statistics.stdev(values)
