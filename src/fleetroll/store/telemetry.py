"""Readings in their series. What is forgotten is out of reach at once, however much it is; `sweep` deletes it later."""

from collections.abc import Collection, Sequence
from math import sqrt
from typing import Any

from msgspec import structs

from fleetroll.core import limits, readings
from fleetroll.core.model import PRODUCTION, Bucket, Instant, Reading, SeriesKey, Span
from fleetroll.core.query import OffsetPage, Slice
from fleetroll.store import lists, rows
from fleetroll.store.connection import Connection, Query, Values, count_by
from fleetroll.store.statements import SQL

_SCALE = 2.0**64  # vast numbers are divided by it without loss, so that no sum of as many as there can be overflows


class Telemetry:
    """Implements `port.Telemetry`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def count(self, org: int, device: int) -> int:
        return await count_by(self._connection, Query(SQL["series_count"], {"org": org, "device": device}))

    async def open(self, org: int, series: Collection[SeriesKey]) -> None:
        values = [{"org": org, "device": device, "mode": mode, "metric": metric} for device, mode, metric in series]
        await self._connection.many(SQL["series_open"], values)

    async def append(self, org: int, readings: Sequence[Reading]) -> list[Reading]:
        # An `INSERT … SELECT` would find the series by itself, but SQLite opens a savepoint for each of them, and their
        # cost grows with the log.
        series = await self._series(org, {one.series for one in readings})
        placed = [(series[key], one) for one in readings if (key := one.series) in series]
        # In the order of the tree, so that neighbours are written while their page is at hand.
        placed.sort(key=lambda pair: (pair[0], pair[1].at))
        await self._connection.many(SQL["reading_put"], [rows.reading_values(*pair) for pair in placed])
        if len(placed) == len(readings):
            return []
        return [one for one in readings if one.series not in series]

    async def last(self, org: int, device: int) -> list[Reading]:
        values = {"org": org, "device": device, "mode": PRODUCTION}
        found = await self._connection.all(SQL["reading_last"], values)
        return [Reading(device, row[0], row[1], rows.reading_value(row[2], row[3])) for row in found]

    async def range(
        self, org: int, series: SeriesKey, span: Span, limit: int, *, descending: bool = False
    ) -> list[Reading]:
        values = {**_span_values(org, series, span), "limit": limit}
        if descending:
            return await self._readings("reading_slice", series, {**values, "offset": 0})
        return await self._readings("reading_range", series, values)

    async def slice(self, org: int, series: SeriesKey, span: Span, page: OffsetPage) -> Slice[Reading]:
        values = _span_values(org, series, span)
        count = await count_by(self._connection, Query(SQL["reading_count"], values))
        listed = {**values, "limit": page.limit, "offset": page.offset}
        return Slice(await self._readings("reading_slice", series, listed), count)

    async def buckets(
        self, org: int, series: SeriesKey, span: Span, interval: int, *, spread: bool = False
    ) -> list[Bucket]:
        values = {**_span_values(org, series, span), "interval": interval, "vast": limits.VAST_NUMBER}
        summed = await self._connection.all(SQL["reading_buckets"], {**values, "scale": _SCALE})
        found = [_bucket(row[0] * interval, *row[1:]) for row in summed]
        if not spread:
            return found
        spanned = await self._connection.all(SQL["reading_spreads"], {**values, "tiny": 1 / limits.VAST_NUMBER})
        spreads = {row[0] * interval: row[1:] for row in spanned}
        return [_with_spread(bucket, *spreads[bucket.at]) if bucket.at in spreads else bucket for bucket in found]

    async def move(self, org: int, device: int, to: int) -> None:
        await self._connection.all(SQL["series_move"], {"org": org, "device": device, "to": to})

    async def forget(self, org: int, device: int) -> None:
        for statement in ("series_give_up", "series_delete"):
            await self._connection.all(SQL[statement], {"org": org, "device": device})

    async def sweep(self, most: int) -> bool:
        page = await self._connection.all(SQL["gone_page"], {"limit": most})
        last: dict[int, int | None] = dict(page)  # the latest time of each series in the page, which is in their order
        reached = [{"series": series, "at": at} for series, at in last.items() if at is not None]
        await self._connection.many(SQL["reading_purge"], reached)
        if len(page) == most:
            last.popitem()  # its readings may go on
        await self._connection.many(SQL["gone_series"], [{"series": series} for series in last])
        return bool(page)

    async def purge(self, before: Instant, after: int, most: int) -> int | None:
        [(reached,)] = await self._connection.all(SQL["series_reach"], {"after": after, "limit": most})
        if reached is None:
            return None
        values = {"before": before, "after": after, "reached": reached, "limit": most}
        page = await self._connection.all(SQL["reading_old"], values)
        last: dict[int, int] = dict(page)  # as in `sweep`
        await self._connection.many(SQL["reading_purge"], [{"series": series, "at": at} for series, at in last.items()])
        return max(last) - 1 if len(page) == most else int(reached)

    async def _readings(self, statement: str, series: SeriesKey, values: Values) -> list[Reading]:
        device, mode, metric = series
        found = await self._connection.all(SQL[statement], values)
        return [Reading(device, metric, row[0], rows.reading_value(row[1], row[2]), mode) for row in found]

    async def _series(self, org: int, wanted: Collection[SeriesKey]) -> dict[SeriesKey, int]:
        found: dict[SeriesKey, int] = {}
        for some in lists.portions(wanted):
            query = lists.known_series(org, some)
            found.update(
                {(row[0], row[1], row[2]): row[3] for row in await self._connection.all(query.text, query.values)}
            )
        return found


def _span_values(org: int, series: SeriesKey, span: Span) -> dict[str, Any]:
    device, mode, metric = series
    return {"org": org, "device": device, "mode": mode, "metric": metric, "since": span.since, "until": span.until}


def _bucket(
    at: int,
    points: int,
    least: float,
    most: float,
    total: float | None,
    vast: float | None,
    first: float,
    last: float,
) -> Bucket:
    # PostgreSQL fails where a sum overflows, so only here it may.
    whole = readings.finite((total or 0.0) + (vast or 0.0) * _SCALE)
    return Bucket(at, points, least, most, whole, first, last)


def _with_spread(bucket: Bucket, low: float, high: float, variance: float | None) -> Bucket:
    """`low` and `high` are the two numbers in the middle, or the same one twice."""
    stddev = None if variance is None else sqrt(variance)
    return structs.replace(bucket, median=readings.middle(low, high), stddev=stddev)
