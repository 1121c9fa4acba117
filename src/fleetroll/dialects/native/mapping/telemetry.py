"""Readings of a device: written, read back, and summed up by stretches of time."""

from typing import Any

from fleetroll.core import ids, limits, model, names, readings, times
from fleetroll.core.faults import brief, invalid
from fleetroll.core.query import Part
from fleetroll.dialects.native.mapping.paging import mark, resume
from fleetroll.dialects.native.mapping.times import at, instant
from fleetroll.dialects.native.shapes import telemetry as shapes
from fleetroll.service import devices, telemetry
from fleetroll.wire.request import Request

_DEPENDS_ON = ("metric", "from", "to", "order")  # a list of readings, and so its cursors


def new_readings(request: Request) -> telemetry.Batch:
    points = [
        telemetry.Point(reading.metric, reading.value, instant(reading.at, "at")) for reading in request.body.readings
    ]
    return telemetry.Batch(request.path["ident"], points)


def written(count: int, request: Request) -> shapes.Written:
    return shapes.Written(count)


def read_telemetry(request: Request) -> devices.Named | telemetry.Wanted | telemetry.Summary:
    query, ident = request.query, request.path["ident"]
    metric = query.get("metric")
    if metric is None:
        if query.pairs:
            raise invalid("metric_required", "The other parameters need a metric; give metric as well.", "metric")
        return devices.Named(ident)
    if query.get("interval") is not None:
        return _summary(request, metric)
    if query.get("aggregate") is not None:
        raise invalid("interval_required", "aggregate needs an interval; give interval as well.", "interval")
    since, until = _time(request, "from"), _time(request, "to")
    text = query.get("limit")
    limit = limits.DEFAULT_RANGE if text is None else names.positive(text, "limit", limits.MAX_RANGE)
    after = resume(request, *_DEPENDS_ON)
    span = model.Span(since or 0, ids.MAX_ID if until is None else until)
    return telemetry.Wanted(ident, metric, span, limit, _descending(request), after)


def _summary(request: Request, metric: str) -> telemetry.Summary:
    interval = readings.parse_interval(request.query.get("interval") or "")
    since, until = _time(request, "from"), _time(request, "to")
    named = request.query.get("aggregate")
    aggregates = tuple(dict.fromkeys(named.split(","))) if named else ("mean", "min", "max", "count", "last")
    for name in aggregates:
        if name not in readings.AGGREGATES:
            known = ", ".join(readings.AGGREGATES)
            message = f"Unknown aggregate {brief(name)}; known aggregates are {known}."
            raise invalid("invalid_parameter", message, "aggregate")
    return telemetry.Summary(request.path["ident"], metric, since, until, interval, aggregates)


def _time(request: Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    instant = times.parse_rfc3339(text)
    if instant is None or instant < 0:
        raise invalid("invalid_time", f"{name} must be a time in 1970 or later, such as 2026-01-31T12:00:00Z.", name)
    return instant


def _descending(request: Request) -> bool:
    order = request.query.get("order")
    if order not in {None, "asc", "desc"}:
        raise invalid("invalid_parameter", "order must be asc or desc.", "order")
    return order == "desc"


def shown_telemetry(
    result: list[model.Reading] | Part[model.Reading, model.Instant] | telemetry.Buckets, request: Request
) -> shapes.Telemetry:
    if isinstance(result, telemetry.Buckets):
        return shapes.Telemetry(buckets=[_bucket(bucket, result.aggregates) for bucket in result.buckets])
    if isinstance(result, list):
        return shapes.Telemetry(list(map(_reading, result)))
    cursor = mark(result.next, request, *_DEPENDS_ON)
    return shapes.Telemetry(list(map(_reading, result.records)), next_cursor=cursor)


def _reading(record: model.Reading) -> shapes.Reading:
    return shapes.Reading(record.metric, times.to_datetime(record.at), record.value)


def _bucket(record: model.Bucket, aggregates: tuple[str, ...]) -> dict[str, Any]:
    return {"at": at(record.at), **{name: readings.AGGREGATES[name](record) for name in aggregates}}
