"""What devices report: written by them, by whoever may write devices, or by a broker in batches; and read back.

A reading's metric and type are those of the device's schema, where it has one, and of its template's datastreams. The
same metric at the same time is the same reading, so that whoever is not sure that it arrived may send it again.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence, Sized
from typing import Any

from msgspec import Struct

from fleetroll.core import datastreams, limits, readings
from fleetroll.core import templates as rules
from fleetroll.core.faults import Fault, Kind, invalid
from fleetroll.core.model import (
    PRODUCTION,
    Bucket,
    DatastreamKind,
    Device,
    Instant,
    Reading,
    Reporter,
    SeriesKey,
    Span,
)
from fleetroll.core.policy import Action
from fleetroll.core.query import Part
from fleetroll.core.times import SECOND
from fleetroll.service import devices, presence, reach, templates
from fleetroll.service.live_readings import LiveReading
from fleetroll.service.operations import Call, Effect, Services, operation
from fleetroll.service.portions import part
from fleetroll.store.port import Records, Store

_INLINE = 100  # more of them would hold up the event loop for longer than a request may


class Point(Struct, frozen=True, gc=False):
    """One value of one metric; `at` None is now."""

    metric: str
    value: Any
    at: Instant | None = None


class Batch(Struct, frozen=True):
    """What is written to one device: all of it, or nothing."""

    ident: str
    points: Sequence[Point]


class Stored(Struct, frozen=True):
    """Readings of one device that were stored, and the device as it was then."""

    device: Device
    readings: Sequence[Reading]


class Arrival(Struct, frozen=True, gc=False):
    """A reading as a broker passes it on."""

    org: int
    device: int
    metric: str
    value: Any
    at: Instant
    mode: str = PRODUCTION


class Wanted(Struct, frozen=True):
    """Readings of one metric. `after` is the time of the last one that was seen."""

    ident: str
    metric: str
    span: Span
    limit: int
    descending: bool = False
    after: Instant | None = None


class Summary(Struct, frozen=True):
    """Aggregates of one metric by multiples of `interval` microseconds.

    By default they are of the last `limits.DEFAULT_RANGE` intervals until now.
    """

    ident: str
    metric: str
    since: Instant | None
    until: Instant | None
    interval: int
    aggregates: tuple[str, ...]


class Buckets(Struct, frozen=True):
    aggregates: tuple[str, ...]
    buckets: list[Bucket]


@operation(Action.DEVICES_WRITE, Effect.BATCHES)
async def write(call: Call, wanted: Batch) -> int:
    """Store readings of one device, whoever took them; this alone does not mean that the device is there."""
    check_size(wanted.points)

    async def work(records: Records) -> Stored:
        inner = call.within(records)
        device = await devices.find(inner, wanted.ident)
        template = await templates.of(inner, device)
        return await append(records, device, rules.kinds(template) if template else {}, wanted.points, inner.at)

    await transact(call.services, work, len(wanted.points))
    return len(wanted.points)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def read(
    call: Call, wanted: devices.Named | Wanted | Summary
) -> list[Reading] | Part[Reading, Instant] | Buckets:
    """The last value of each metric; or the readings of one, or their aggregates."""

    async def read_from(device: Device) -> list[Reading] | Part[Reading, Instant] | Buckets:
        if isinstance(wanted, Wanted):
            return await _history(call.records, device, wanted)
        if isinstance(wanted, Summary):
            return await _summary(call.records, device, wanted, call.at)
        return await call.records.telemetry.last(device.org, device.id)

    return await reach.of_named(call, wanted.ident, read_from)


async def _history(records: Records, device: Device, wanted: Wanted) -> Part[Reading, Instant]:
    """Readings of one metric of a device that follow `wanted.after`, in the order wanted."""
    series, room = (device.id, PRODUCTION, wanted.metric), limits.MAX_PAGE_BYTES
    return await page_of(records, device.org, series, _beyond(wanted), wanted.limit, room, descending=wanted.descending)


async def page_of(
    records: Records, org: int, series: SeriesKey, span: Span, limit: int, room: int, *, descending: bool = False
) -> Part[Reading, Instant]:
    """The first readings of a span: at most `limit`, and fewer where their values have more than `room` bytes."""

    async def page(after: Instant, most: int) -> list[Reading]:
        rest = Span(span.since, after) if descending else Span(after + 1, span.until)
        return await records.telemetry.range(org, series, rest, most, descending=descending)

    start = span.until if descending else span.since - 1
    return await part(
        page,
        lambda last: last.at,
        start,
        limit,
        weight=lambda one: readings.weight(one.value),
        room=room,
        most=limits.READINGS_AT_A_TIME,
    )


async def _summary(records: Records, device: Device, wanted: Summary, now: Instant) -> Buckets:
    """Aggregates of one metric. Raises Fault invalid for more intervals than one answer holds."""
    until = now + 1 if wanted.until is None else wanted.until
    since = max(0, until - limits.DEFAULT_RANGE * wanted.interval) if wanted.since is None else wanted.since
    readings.require_few(since, until, wanted.interval)
    spread = not readings.SPREADS.isdisjoint(wanted.aggregates)
    found = await records.telemetry.buckets(
        device.org, (device.id, PRODUCTION, wanted.metric), Span(since, until), wanted.interval, spread=spread
    )
    return Buckets(wanted.aggregates, found)


def _beyond(wanted: Wanted) -> Span:
    span, after = wanted.span, wanted.after
    if after is None:
        return span
    return (
        Span(span.since, min(span.until, after)) if wanted.descending else Span(max(span.since, after + 1), span.until)
    )


async def transact(services: Services, work: Callable[[Records], Awaitable[Stored]], size: int) -> None:
    """One transaction for `size` readings, off the event loop if they are many. Followers are told after its commit."""
    stored = await services.store.write(work, bulk=size > _INLINE)
    device, taken = stored.device, stored.readings
    services.applications.tell(device, taken)
    if services.live.wants(device.org):
        await services.live.publish(
            [LiveReading(device.org, device.id, device.ident, one.metric, one.at, one.value) for one in taken]
        )


def check_size(given: Sized) -> None:
    """Raises Fault invalid `too_many_readings`."""
    if len(given) > limits.MAX_READINGS:
        raise invalid("too_many_readings", f"A request may have at most {limits.MAX_READINGS} readings.", "readings")


async def append(
    records: Records, device: Device, kinds: Mapping[str, DatastreamKind], points: Sequence[Point], now: Instant
) -> Stored:
    """Store readings of one device, all or none, after checking them against the `kinds` of their datastreams as well.

    Raises Fault invalid, or forbidden `too_many_series`.
    """
    accepted = _Accepted(readings.metric_types(device.schema), kinds)
    taken: list[Reading] = []
    try:
        taken.extend(_reading(device.id, accepted, point, now) for point in points)
    except Fault as fault:
        fault.details = {**fault.details, "reading": len(taken)}
        raise
    if await _store(records, device.org, taken):
        raise _too_many_series()
    return Stored(device, taken)


class _Accepted(Struct, frozen=True, gc=False):
    """What a device may report: the types of its metrics, and of what kind the datastreams among them are."""

    types: Mapping[str, str]
    kinds: Mapping[str, DatastreamKind]


def _check(accepted: _Accepted, metric: str, value: Any) -> None:
    readings.check(accepted.types, metric, value)
    kind = accepted.kinds.get(metric)
    if kind is not None:
        datastreams.check(kind, value)


def _reading(device: int, accepted: _Accepted, point: Point, now: Instant) -> Reading:
    _check(accepted, point.metric, point.value)
    return Reading(device, point.metric, now if point.at is None else _checked_time(point.at, now), point.value)


def _checked_time(at: Instant, now: Instant) -> Instant:
    """The time of a reading. Raises Fault invalid where it would hide for long what is reported after it."""
    if not 0 <= at <= now + limits.MAX_READING_AHEAD * SECOND:
        raise invalid("invalid_time", "A reading's time must be in 1970 or later, and at most a day ahead.", "at")
    return at


async def ingest(records: Records, arrivals: Sequence[Arrival], now: Instant) -> list[Fault | None]:
    """Store what devices sent; returns for each reading, in order, why it was refused, or None.

    What one device did wrong affects no other. A device that is connected is marked as seen; one that is not does not
    become so by what it sent before, and the broker tells when it connects. To be called in batches, in a `bulk`
    transaction.
    """
    outcome: list[Fault | None] = [None] * len(arrivals)
    by_org: defaultdict[int, list[int]] = defaultdict(list)
    for index, arrival in enumerate(arrivals):
        by_org[arrival.org].append(index)
    for org, indexes in by_org.items():
        faults = await _ingest(records, org, [arrivals[index] for index in indexes], now)
        for index, fault in zip(indexes, faults, strict=True):
            outcome[index] = fault
    return outcome


async def _ingest(records: Records, org: int, arrivals: Sequence[Arrival], now: Instant) -> list[Fault | None]:
    reporters = await records.presence.reporters(org, {arrival.device for arrival in arrivals})
    accepted = await _allowed(records, org, reporters)
    faults = [_arrival_fault(accepted.get(arrival.device), arrival, now) for arrival in arrivals]
    sound = [arrival for arrival, fault in zip(arrivals, faults, strict=True) if fault is None]
    taken = [Reading(one.device, one.metric, one.at, one.value, one.mode) for one in sound]
    if refused := await _store(records, org, taken):
        for index, arrival in enumerate(arrivals):
            if faults[index] is None and (arrival.device, arrival.mode, arrival.metric) in refused:
                faults[index] = _too_many_series()
    await presence.heard(records, org, [one for one in reporters.values() if one.connected], now)
    return faults


async def _allowed(records: Records, org: int, reporters: Mapping[int, Reporter]) -> dict[int, _Accepted]:
    """What each device may report. Devices of a batch are mostly alike, so each template is read once."""
    numbers = {one.template for one in reporters.values() if one.template is not None}
    kinds = {number: rules.kinds(found) for number, found in (await templates.of_many(records, org, numbers)).items()}
    return {
        one.id: _Accepted(readings.metric_types(one.schema), kinds.get(one.template or 0, {}))
        for one in reporters.values()
    }


def _arrival_fault(accepted: _Accepted | None, arrival: Arrival, now: Instant) -> Fault | None:
    if accepted is None:
        return Fault(Kind.NOT_FOUND, "device_not_found", "The device was not found.")
    try:
        _check(accepted, arrival.metric, arrival.value)
        _checked_time(arrival.at, now)
    except Fault as fault:
        return fault
    return None


async def _store(records: Records, org: int, taken: Sequence[Reading]) -> Collection[SeriesKey]:
    """Store readings, and create missing series; returns those that would be too many for their device."""
    new = await records.telemetry.append(org, taken)
    if not new:
        return ()
    missing = {reading.series for reading in new}
    refused: set[SeriesKey] = set()
    for device in {device for device, _, _ in missing}:
        wanted = sorted(series for series in missing if series[0] == device)
        room = max(0, limits.MAX_SERIES_PER_DEVICE - await records.telemetry.count(org, device))
        refused.update(wanted[room:])
    if missing - refused:
        await records.telemetry.open(org, missing - refused)
        await records.telemetry.append(org, new)
    return refused


def _too_many_series() -> Fault:
    message = f"A device has at most {limits.MAX_SERIES_PER_DEVICE} metrics."
    return Fault(Kind.FORBIDDEN, "too_many_series", message, "metric")


async def sweep(store: Store) -> None:
    """Remove readings that were forgotten, a little at a time. To be called every few seconds."""
    while await store.write(lambda records: records.telemetry.sweep(limits.FORGOTTEN_BATCH), bulk=True):
        pass
