"""What was reported in a span of time: readings, events, log lines and commands, or aggregates of them.

A position in so long an answer is one number, for a client to send back: which series, and how far into it.
"""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

from msgspec import Struct, structs

from fleetroll.core import documents, limits, readings
from fleetroll.core.faults import invalid
from fleetroll.core.messages import DEFAULT_ENVIRONMENT, mode_of
from fleetroll.core.model import Bucket, Device, Event, Instant, SeriesKey, Span
from fleetroll.core.policy import Action
from fleetroll.core.times import MILLISECOND
from fleetroll.service import telemetry, timeline
from fleetroll.service.devices import find_by_id
from fleetroll.service.operations import Call, Effect, operation

_SERIES = 9 * 10**12  # positions of one series: milliseconds of 285 years; all of a thousand series are below 2^53
_MOST_AGGREGATED = 10 * limits.MAX_RANGE


class Wanted(Struct, frozen=True):
    """Readings of `names`, or what was said under one of them (empty: any), of these devices, by their public ids.

    `type` is the timeline's type, None for readings. With `aggregate`, aggregates by intervals of `interval`
    microseconds, or (None) over the whole span. `position` is where the previous answer ended; with `last`, only the
    newest.
    """

    devices: tuple[str, ...]
    type: str | None
    names: tuple[str, ...]
    span: Span
    limit: int
    position: int = 0
    env: str | None = None
    aggregate: str | None = None
    interval: int | None = None
    last: bool = False


class Point(Struct, frozen=True, gc=False):
    """One value. `name` is that of the metric, event, log level or command."""

    device: Device
    name: str
    at: Instant
    value: Any


class History(Struct, frozen=True):
    """`next` is the position after the last point, None at the end."""

    points: list[Point]
    next: int | None


@operation(Action.DEVICES_READ, Effect.SCAN)
async def find(call: Call, wanted: Wanted) -> History:
    """Raises Fault not_found for a device that the caller's organization does not have."""
    devices = await _devices(call, wanted)
    type = wanted.type
    found = await (_readings(call, devices[0], wanted) if type is None else _reported(call, devices, wanted, type))
    await _devices(call, wanted)  # where one is transferred meanwhile, so is what it has said
    return found


async def _devices(call: Call, wanted: Wanted) -> list[Device]:
    return [await find_by_id(call, public_id) for public_id in wanted.devices]


# --- readings --------------------------------------------------------------------------------------------------------


class _Page(NamedTuple):
    """Points for the rest of a page, and when the next one begins: None at the end of the series."""

    points: list[Point]
    next: Instant | None


async def _readings(call: Call, device: Device, wanted: Wanted) -> History:
    if wanted.last:
        newest = [await _newest(call, device, name, wanted) for name in wanted.names]
        return History(list(itertools.chain.from_iterable(newest)), None)
    read_page = _raw_page if wanted.aggregate is None and wanted.interval is None else _aggregated_page
    found: list[Point] = []
    room = limits.HISTORY_BYTES
    series, passed = divmod(wanted.position, _SERIES)
    since, until = wanted.span.since, wanted.span.until
    for index, name in enumerate(wanted.names[series:], series):
        if room < 0:
            return History(found, index * _SERIES)
        begin = max(since, (since // MILLISECOND + passed) * MILLISECOND) if index == series else since
        rest = structs.replace(wanted, span=Span(begin, until))
        page = await read_page(call, device, name, rest, len(found))
        found += page.points
        room -= sum(readings.weight(point.value) for point in page.points)
        if page.next is not None:
            return History(found, index * _SERIES + page.next // MILLISECOND - since // MILLISECOND)
    return History(found, None)


async def _raw_page(call: Call, device: Device, name: str, wanted: Wanted, taken: int) -> _Page:
    """Readings as they are, for a page of which so many points are `taken`.

    A position is a whole number of milliseconds. The readings of one millisecond stay together, even beyond the limit.
    """
    series, span, room = _series(device, name, wanted), wanted.span, wanted.limit - taken
    page = await telemetry.page_of(call.records, call.org, series, span, room + 1, limits.HISTORY_BYTES)
    found, end = page.records, None
    if page.next is not None or len(found) > room:
        end = found[min(room, len(found) - 1)].at // MILLISECOND * MILLISECOND
        found = [one for one in found if one.at < end]
        if not found and not taken:
            together = Span(max(end, span.since), min(end + MILLISECOND, span.until))
            found = await call.records.telemetry.range(call.org, series, together, MILLISECOND)
            end += MILLISECOND
    return _Page([Point(device, name, one.at, one.value) for one in found], end)


async def _newest(call: Call, device: Device, name: str, wanted: Wanted) -> list[Point]:
    series = _series(device, name, wanted)
    page = await call.records.telemetry.range(call.org, series, wanted.span, 1, descending=True)
    return [Point(device, name, one.at, one.value) for one in page]


async def _aggregated_page(call: Call, device: Device, name: str, wanted: Wanted, taken: int) -> _Page:
    """As `_raw_page`, but aggregates: of at most `limits.MAX_BUCKETS` intervals from the first reading on."""
    span, aggregate, room = wanted.span, wanted.aggregate or "mean", wanted.limit - taken
    interval = _interval(wanted)
    series, stored = _series(device, name, wanted), call.records.telemetry
    first = await stored.range(call.org, series, span, 1)
    if not first:
        return _Page([], None)
    begin = first[0].at // interval * interval
    part = Span(max(begin, span.since), min(begin + limits.MAX_BUCKETS * interval, span.until))
    spread = aggregate in readings.SPREADS
    buckets = await stored.buckets(call.org, series, part, interval, spread=spread)
    number = readings.AGGREGATES[aggregate]
    found = [Point(device, name, max(one.at, span.since), number(one)) for one in buckets]
    if len(found) > room:
        return _Page(found[:room], found[room].at)
    return _Page(found, part.until if part.until < span.until else None)


def _series(device: Device, name: str, wanted: Wanted) -> SeriesKey:
    return device.id, mode_of(wanted.env or DEFAULT_ENVIRONMENT), name


def _interval(wanted: Wanted) -> int:
    """The length of the intervals that are aggregated; without one, a single interval covers all of the time."""
    return wanted.interval or max(wanted.span.until, 1)


# --- what was said ---------------------------------------------------------------------------------------------------


async def _reported(call: Call, devices: Sequence[Device], wanted: Wanted, type: str) -> History:
    if wanted.aggregate is not None or wanted.interval is not None:
        return History(_aggregated(await _all_reported(call, devices, wanted, type), wanted), None)
    found: list[Point] = []
    looked_at, room = 0, limits.HISTORY_BYTES
    async for first, device, page in _pages(call, devices, wanted, type):
        for position, event in enumerate(page, first):
            # What is rare is not waited for: the client asks on.
            if len(found) >= wanted.limit or room < 0 or looked_at >= limits.MAX_RANGE:
                return History(found, position)
            looked_at += 1
            if (point := _point(device, event, wanted)) is not None:
                found.append(point)
                room -= timeline.weight(event)
    return History(found, None)


async def _all_reported(call: Call, devices: Sequence[Device], wanted: Wanted, type: str) -> list[Point]:
    found: list[Point] = []
    async for _, device, page in _pages(call, devices, wanted, type):
        found += [_counted(point) for event in page if (point := _point(device, event, wanted)) is not None]
        if len(found) > _MOST_AGGREGATED:
            raise invalid("too_much", "There is too much to count; use a shorter time range.", "start")
    return found


async def _pages(
    call: Call, devices: Sequence[Device], wanted: Wanted, type: str
) -> AsyncIterator[tuple[int, Device, list[Event]]]:
    """The events of the devices, some at a time, with the position of the first of them."""
    series, passed = divmod(wanted.position, _SERIES)
    for index, device in enumerate(devices[series:], series):
        position = offset = passed if index == series else 0
        span = wanted.span
        while page := await call.records.timeline.reported(call.org, device.id, type, span, limits.EVENT_BATCH, offset):
            yield index * _SERIES + position, device, page
            position += len(page)
            offset += len(page)
            # An offset is counted anew for each page, so that of a long history would be counted over and over.
            last = page[-1].reported_at
            if last is not None and page[0].reported_at != last:
                span, offset = Span(last, span.until), sum(one.reported_at == last for one in page)


def _point(device: Device, event: Event, wanted: Wanted) -> Point | None:
    data = documents.load(event.data)
    name, env = data.get("name"), data.get("env")
    if not isinstance(name, str) or (wanted.names and name not in wanted.names) or event.reported_at is None:
        return None
    if wanted.env is not None and env is not None and env != wanted.env:
        return None
    return Point(device, name, event.reported_at, data.get("value"))


def _counted(point: Point) -> Point:
    """The point without what can only be counted."""
    return point if isinstance(point.value, int | float) else structs.replace(point, value=None)


def _aggregated(points: Sequence[Point], wanted: Wanted) -> list[Point]:
    """Aggregates of what was said; what is not a number can only be counted."""
    aggregate, span = wanted.aggregate or "count", wanted.span
    interval = _interval(wanted)
    readings.require_few(span.since, span.until, interval)
    groups: dict[tuple[int, str, int], list[Point]] = {}
    for point in points:
        groups.setdefault((point.device.id, point.name, point.at // interval * interval), []).append(point)
    number = readings.AGGREGATES[aggregate]
    found = []
    for (_, name, at), group in groups.items():
        numbers = [one.value for one in group if isinstance(one.value, int | float)]
        value = len(group) if aggregate == "count" else _aggregate(number, at, numbers)
        if value is not None:
            found.append(Point(group[0].device, name, max(at, span.since), value))
    return found


def _aggregate(number: Callable[[Bucket], float | None], at: Instant, values: Sequence[float]) -> float | None:
    """None of nothing."""
    return number(readings.bucket(at, values)) if values else None
