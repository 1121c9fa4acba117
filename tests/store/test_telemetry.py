"""Readings: kept exactly, one for each time, in order, within their device and tenant."""

from math import copysign
from typing import Any

import pytest

from fleetroll.core.model import Bucket, Reading, Span
from fleetroll.core.query import OffsetPage
from fleetroll.store.port import Records, Store
from tests.support.stores import NOW, device

pytestmark = pytest.mark.anyio

EVER = Span(0, 1 << 62)


async def report(store: Store, org: int, number: int, metric: str, *values: Any, step: int = 1) -> list[Reading]:
    """Store values of one metric, `step` microseconds apart from `NOW` on."""
    made = [Reading(number, metric, NOW + place * step, value) for place, value in enumerate(values)]

    async def work(records: Records) -> None:
        await records.telemetry.open(org, {(number, "", metric)})
        await records.telemetry.append(org, made)

    await store.write(work)
    return made


async def read(store: Store, org: int, number: int, metric: str, span: Span = EVER, **options: Any) -> list[Reading]:
    limit = options.pop("limit", 100)
    return await store.scan.telemetry.range(org, (number, "", metric), span, limit, **options)


async def report_beside(store: Store, org: int, *times: int) -> None:
    """Store readings of another device, of another metric and in another mode than metric `m` of device 1."""
    beside = [(1, "test", "m"), (1, "", "other"), (2, "", "m")]

    async def work(records: Records) -> None:
        await records.telemetry.open(org, set(beside))
        for number, mode, metric in beside:
            await records.telemetry.append(org, [Reading(number, metric, at, 9, mode) for at in times])

    await store.write(work)


VALUES = [
    0, 1, -1, 1.5, -0.1, 1e300, 5e-324, 1 << 53, (1 << 53) + 1, -(1 << 53) - 1, (1 << 64) - 1, -(1 << 63),
    True, False, "", "text", "1", "null", "Ω\U0001f600", 'quo"te', [], [10.5, -20.25], {}, {"a": [1, {"b": None}]},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_a_value_comes_back_as_it_was(store: Store, org: int, value: Any) -> None:
    await report(store, org, 1, "m", value)
    (found,) = await read(store, org, 1, "m")
    assert (found.value, type(found.value)) == (value, type(value))


async def test_a_whole_number_comes_back_as_an_integer(store: Store, org: int) -> None:
    await report(store, org, 1, "m", 24.0, -3.0, float(1 << 53), 2.0**60)
    values = [one.value for one in await read(store, org, 1, "m")]
    assert values == [24, -3, 1 << 53, 2.0**60]
    assert [type(value) for value in values] == [int, int, int, float]


async def test_a_second_value_of_the_same_time_replaces_the_first(store: Store, org: int) -> None:
    await report(store, org, 1, "m", "first", 2)
    await report(store, org, 1, "m", 1)
    assert [one.value for one in await read(store, org, 1, "m")] == [1, 2]
    await report(store, org, 1, "m", "again", True)
    assert [one.value for one in await read(store, org, 1, "m")] == ["again", True]


async def test_a_span_has_its_beginning_and_not_its_end(store: Store, org: int) -> None:
    made = await report(store, org, 1, "m", *range(10))
    await report_beside(store, org, *range(NOW, NOW + 10))
    assert await read(store, org, 1, "m", Span(NOW + 2, NOW + 5)) == made[2:5]
    assert await read(store, org, 1, "m", Span(NOW + 2, NOW + 5), limit=2) == made[2:4]
    assert await read(store, org, 1, "m", Span(NOW + 2, NOW + 9), limit=3, descending=True) == made[8:5:-1]
    assert await read(store, org, 1, "m", Span(NOW + 10, NOW + 99)) == []
    assert await read(store, org, 1, "none") == []


async def test_a_slice_is_of_the_newest_and_says_how_many_there_are(store: Store, org: int, elsewhere: int) -> None:
    made = await report(store, org, 1, "m", *range(10))
    await report_beside(store, org, *range(NOW, NOW + 10))
    series = (1, "", "m")
    find = store.scan.telemetry.slice
    assert await find(org, series, EVER, OffsetPage(3)) == (made[:6:-1], 10)
    assert await find(org, series, EVER, OffsetPage(3, 8)) == (made[1::-1], 10)
    assert await find(org, series, Span(NOW + 2, NOW + 5), OffsetPage(2, 1)) == (made[3:1:-1], 3)
    assert await find(org, series, EVER, OffsetPage(3, 99)) == ([], 10)
    assert await find(elsewhere, series, EVER, OffsetPage(3)) == ([], 0)
    assert await find(org, (1, "", "none"), EVER, OffsetPage(3)) == ([], 0)


async def test_readings_written_in_any_order_are_read_in_order(store: Store, org: int) -> None:
    times = [5, 1, 9, 3]

    async def work(records: Records) -> None:
        await records.telemetry.open(org, {(1, "", "a"), (1, "", "b"), (2, "", "a")})
        for number, metric in ((2, "a"), (1, "b"), (1, "a")):
            await records.telemetry.append(org, [Reading(number, metric, NOW + at, at) for at in times])

    await store.write(work)
    for number, metric in ((2, "a"), (1, "b"), (1, "a")):
        assert [one.value for one in await read(store, org, number, metric)] == sorted(times)


async def test_the_last_of_each_metric_is_the_latest_and_not_the_last_written(store: Store, org: int) -> None:
    await report(store, org, 1, "b", 1, 2, 3)
    await report(store, org, 1, "a", "x")
    await report(store, org, 1, "B", True)
    await report(store, org, 2, "c", 9)
    await report(store, org, 1, "b", 4)
    await store.write(lambda records: records.telemetry.open(org, {(1, "", "empty")}))
    found = await store.read.telemetry.last(org, 1)
    assert [(one.metric, one.at - NOW, one.value) for one in found] == [("B", 0, True), ("a", 0, "x"), ("b", 2, 3)]


async def test_only_open_series_take_readings(store: Store, org: int) -> None:
    made = [Reading(number, "m", NOW, 1) for number in range(1, 1200)]
    await store.write(lambda records: records.telemetry.open(org, {(1, "", "m"), (2, "", "other"), (1199, "", "m")}))
    others = await store.write(lambda records: records.telemetry.append(org, made))
    assert others == made[1:-1]
    assert await store.write(lambda records: records.telemetry.append(org, [])) == []
    assert await read(store, org, 1, "m") == made[:1]
    assert await read(store, org, 2, "m") == []
    assert [await store.read.telemetry.count(org, number) for number in (1, 2, 3)] == [1, 1, 0]


async def test_series_are_counted(store: Store, org: int, elsewhere: int) -> None:
    for place, number, metric in ((org, 1, "a"), (org, 1, "b"), (org, 2, "a"), (elsewhere, 3, "a")):
        await store.write(
            lambda records, at=(place, number, metric): records.telemetry.open(at[0], {(at[1], "", at[2])})
        )
        await store.write(
            lambda records, at=(place, number, metric): records.telemetry.open(at[0], {(at[1], "", at[2])})
        )
    telemetry = store.read.telemetry
    assert [await telemetry.count(place, number) for place, number in ((org, 1), (org, 3), (elsewhere, 3))] == [2, 0, 1]


async def test_what_is_reported_in_another_mode_is_kept_apart(store: Store, org: int, elsewhere: int) -> None:
    made = [Reading(1, "m", NOW, value, mode) for value, mode in ((1, ""), (2, "test"), (3, "trial"))]

    async def work(records: Records) -> list[Reading]:
        await records.telemetry.open(org, {one.series for one in made[:2]})
        return await records.telemetry.append(org, made)

    assert await store.write(work) == made[2:]
    for one, count in zip(made, (1, 1, 0), strict=True):
        assert await store.scan.telemetry.range(org, one.series, EVER, 100) == [one][:count]
        buckets = await store.scan.telemetry.buckets(org, one.series, EVER, 10, spread=True)
        assert [bucket.sum for bucket in buckets] == [one.value][:count]
    assert await store.read.telemetry.last(org, 1) == made[:1]
    assert await store.read.telemetry.count(org, 1) == 2
    await store.write(lambda records: records.telemetry.move(org, 1, elsewhere))
    assert await store.scan.telemetry.range(elsewhere, made[1].series, EVER, 100) == made[1:2]
    await store.write(lambda records: records.telemetry.forget(elsewhere, 1))
    assert await store.scan.telemetry.range(elsewhere, made[1].series, EVER, 100) == []


# --- buckets ---------------------------------------------------------------------------------------------------------


async def test_numbers_are_summed_up_by_stretches_of_time(store: Store, org: int) -> None:
    base = NOW - NOW % 10
    points = [
        (0, 40), (1, 4), (3, 1.5), (9, -2), (10, 8), (25, True), (26, False), (27, "text"), (28, [1]), (33, 6), (35, 1),
    ]  # fmt: skip

    async def work(records: Records) -> None:
        await records.telemetry.open(org, {(1, "", "m")})
        await records.telemetry.append(org, [Reading(1, "m", base + at, value) for at, value in points])

    await store.write(work)
    await report_beside(store, org, base + 2)
    span = Span(base + 1, base + 35)
    found = await store.scan.telemetry.buckets(org, (1, "", "m"), span, 10)
    assert found == [
        Bucket(base, 3, -2, 4, 3.5, 4, -2),
        Bucket(base + 10, 1, 8, 8, 8, 8, 8),
        Bucket(base + 20, 2, 0, 1, 1, 1, 0),
        Bucket(base + 30, 1, 6, 6, 6, 6, 6),
    ]
    assert found[0].mean == 3.5 / 3
    spread = await store.scan.telemetry.buckets(org, (1, "", "m"), span, 10, spread=True)
    assert [one.median for one in spread] == [1.5, 8, 0.5, 6]
    assert await store.scan.telemetry.buckets(org, (1, "", "m"), Span(base + 36, base + 99), 10) == []


@pytest.mark.parametrize(
    ("values", "median", "stddev"),
    [((7,), 7, None), ((1, 3), 2, 2**0.5), ((9, 1, 5), 5, 4), ((4, 1, 3, 2), 2.5, (5 / 3) ** 0.5), ((2, 2, 2), 2, 0)],
)
async def test_the_spread_of_numbers(
    store: Store, org: int, values: tuple[int, ...], median: float, stddev: float | None
) -> None:
    await report(store, org, 1, "m", *values)
    (found,) = await store.scan.telemetry.buckets(org, (1, "", "m"), EVER, 1 << 50, spread=True)
    assert found.median == median
    assert found.stddev == (None if stddev is None else pytest.approx(stddev))


@pytest.mark.parametrize(
    ("values", "total", "median", "stddev"),
    [
        ((1.7e308,), 1.7e308, 1.7e308, None),
        ((1.7e308, 1.6e308), None, 1.65e308, None),
        ((-1.7e308, -1.6e308), None, -1.65e308, None),
        ((-1.7e308, 1.7e308, 5), 5, 5, None),
        ((1e200, 1, 1e200, 1), 2e200, 5e199, None),
        ((1e120, 3e120), 4e120, 2e120, 2**0.5 * 1e120),
        ((5e-324,), 5e-324, 5e-324, None),
        ((5e-324, 0), 5e-324, 0, 0),
        ((1e-200, 3e-200), 4e-200, 2e-200, 0),
        ((1e-308, 1, 1e-308), 1, 1e-308, 3**-0.5),
        ((0, 0), 0, 0, 0),
    ],
)
async def test_numbers_of_any_size_are_summed_up(
    store: Store, org: int, values: tuple[float, ...], total: float | None, median: float, stddev: float | None
) -> None:
    await report(store, org, 1, "m", *values)
    (found,) = await store.scan.telemetry.buckets(org, (1, "", "m"), EVER, 1 << 50, spread=True)
    assert (found.count, found.min, found.max) == (len(values), min(values), max(values))
    assert found.sum == (None if total is None else pytest.approx(total, rel=1e-12, abs=0))
    assert found.mean == (None if total is None else pytest.approx(total / len(values), rel=1e-12, abs=0))
    assert found.median == pytest.approx(median, rel=1e-12, abs=0)
    assert found.stddev == (None if stddev is None else pytest.approx(stddev, rel=1e-12, abs=1e-140))


async def test_zero_has_no_sign(store: Store, org: int) -> None:
    await report(store, org, 1, "m", -0.0)
    (found,) = await store.scan.telemetry.buckets(org, (1, "", "m"), EVER, 1 << 50, spread=True)
    told = (found.min, found.max, found.sum, found.first, found.last, found.median)
    assert [copysign(1, number) for number in told if number is not None] == [1.0] * len(told)


# --- belonging -------------------------------------------------------------------------------------------------------


async def test_readings_move_with_their_device(store: Store, org: int, elsewhere: int) -> None:
    made = await report(store, org, 1, "m", 1, 2)
    stays = await report(store, org, 2, "m", 3)
    await store.write(lambda records: records.telemetry.move(org, 1, elsewhere))
    assert await read(store, org, 1, "m") == []
    assert await read(store, elsewhere, 1, "m") == made
    assert await store.read.telemetry.last(elsewhere, 1) == made[-1:]
    assert await read(store, org, 2, "m") == stays


async def test_what_is_written_before_a_move_moves_too(store: Store, org: int, elsewhere: int) -> None:
    reading = Reading(1, "m", NOW, 1)

    async def work(records: Records) -> None:
        await records.telemetry.open(org, {(1, "", "m")})
        await records.telemetry.append(org, [reading])
        await records.telemetry.move(org, 1, elsewhere)

    await store.write(work)
    assert await read(store, elsewhere, 1, "m") == [reading]


async def test_another_tenant_reads_writes_moves_and_forgets_nothing(store: Store, org: int, elsewhere: int) -> None:
    made = await report(store, org, 1, "m", 1)

    async def intrude(records: Records) -> None:
        theirs = Reading(1, "m", NOW, 666)
        assert await records.telemetry.append(elsewhere, [theirs]) == [theirs]
        await records.telemetry.move(elsewhere, 1, elsewhere + 1)
        await records.telemetry.forget(elsewhere, 1)

    await store.write(intrude)
    assert await read(store, elsewhere, 1, "m") == []
    assert await store.read.telemetry.last(elsewhere, 1) == []
    assert await store.scan.telemetry.buckets(elsewhere, (1, "", "m"), EVER, 10) == []
    assert await read(store, org, 1, "m") == made


async def test_what_is_forgotten_is_gone_at_once_and_swept_up_little_by_little(store: Store, org: int) -> None:
    await report(store, org, 1, "a", *range(7))
    await report(store, org, 1, "b", *range(2))
    await store.write(lambda records: records.telemetry.open(org, {(1, "", "empty")}))
    stays = await report(store, org, 2, "a", *range(5))
    await store.write(lambda records: records.telemetry.forget(org, 1))
    assert await store.read.telemetry.last(org, 1) == []
    assert await store.read.telemetry.count(org, 1) == 0
    again = await report(store, org, 1, "a", 42)
    rounds = 0
    while await store.write(lambda records: records.telemetry.sweep(3)):
        rounds += 1
    assert 3 <= rounds <= 6
    assert await read(store, org, 1, "a") == again
    assert await read(store, org, 2, "a") == stays


async def purge(store: Store, before: int, most: int) -> int:
    """Remove old readings, and say in how many steps."""
    steps = 0
    after: int | None = 0
    while after is not None:
        place = after
        after = await store.write(lambda records, place=place: records.telemetry.purge(before, place, most))  # type: ignore[misc]
        steps += 1
    return steps


@pytest.mark.parametrize("most", [1, 2, 3, 100])
async def test_old_readings_are_removed_but_for_the_newest_of_each_series(
    store: Store, org: int, elsewhere: int, most: int
) -> None:
    made = await report(store, org, 1, "a", *range(7))
    old = await report(store, org, 1, "b", *range(3))
    theirs = await report(store, elsewhere, 2, "a", *range(5))
    await store.write(lambda records: records.telemetry.open(org, {(1, "", "empty")}))
    before = made[4].at
    assert max(one.at for one in old) < before
    await purge(store, before, most)
    assert await read(store, org, 1, "a") == made[4:]
    assert await read(store, org, 1, "b") == old[-1:]
    assert await read(store, elsewhere, 2, "a") == theirs[4:]
    assert await read(store, org, 1, "empty") == []
    assert await store.read.telemetry.last(org, 1) == [made[-1], old[-1]]


async def test_a_purge_ends_where_there_is_nothing_to_remove(store: Store) -> None:
    assert await purge(store, NOW, 10) == 1


# --- the day's use ---------------------------------------------------------------------------------------------------


async def test_a_device_may_do_something_only_so_often_a_day(store: Store, org: int, elsewhere: int) -> None:
    async def add(place: int, number: int, noun: str, day: int, most: int = 2) -> bool:
        return await store.write(lambda records: records.usage.add_today(place, number, noun, day, most))

    assert [await add(org, 1, "events", 5) for _ in range(3)] == [True, True, False]
    assert await add(org, 1, "exports", 5)
    assert await add(org, 2, "events", 5)
    assert await add(elsewhere, 1, "events", 5)
    assert not await add(org, 1, "events", 5)
    assert [await add(org, 1, "events", 6) for _ in range(3)] == [True, True, False]
    assert not await add(org, 3, "events", 5, most=0)
    assert await add(org, 4, "events", 6, most=1)
    await store.write(lambda records: records.usage.move(org, 2, elsewhere))
    assert [await add(elsewhere, 2, "events", 5) for _ in range(2)] == [True, False]
    await store.write(lambda records: records.usage.forget(org, 1))
    assert await add(org, 1, "events", 6)
    assert not await add(org, 4, "events", 6, most=1)


async def test_a_deleted_device_leaves_no_day_behind_it(store: Store, org: int) -> None:
    made = await store.write(lambda records: records.devices.insert(org, device("a"), NOW))
    assert made is not None
    assert await store.write(lambda records: records.usage.add_today(org, made.id, "events", 1, 1))
    await store.write(lambda records: records.usage.forget(org, made.id))
    assert await store.write(lambda records: records.usage.add_today(org, made.id, "events", 1, 1))
