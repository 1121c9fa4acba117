"""Walks over all devices that a filter finds: however long they take as a whole, nothing in them takes long."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs

from fleetroll.core import limits
from fleetroll.core.documents import EMPTY
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.model import Device, NewDevice
from fleetroll.core.query import And, Comparison, Filter, Not, Operator, Or, Page, Pattern, Search, Sort
from fleetroll.store import postgres
from fleetroll.store.port import Store
from fleetroll.store.statements import SQL
from tests.support.stores import ENGINES, NOW, changed, device, document, organization

pytestmark = pytest.mark.anyio

MANY = 250  # more than the first two strides
LARGE, HUGE = (document(json.dumps({"list": ["ab"] * length}, separators=(",", ":"))) for length in (12_000, 150_000))
TAGGED = Comparison("tags", Operator.HAS, "seventh")
EVEN = Comparison("kind", Operator.EQ, "even")
FILTERS: dict[str, Filter | None] = {
    "all": None,
    "tag": TAGGED,
    "kind": EVEN,
    "tag and kind": And((EVEN, TAGGED)),
    "name": Search("pump 1"),
    "not named": Not(Search("pump 1")),
    "metadata": Comparison("metadata", Operator.GE, 200, ("n",)),
    "ident or tag": Or((Comparison("ident", Operator.LIKE, Pattern(("d-10", ""))), TAGGED)),
    "nobody": Comparison("kind", Operator.EQ, "odd"),
}


def motley(number: int) -> NewDevice:
    kind = None if number % 2 else "even"
    tags = () if number % 7 else ("seventh",)
    metadata = document(f'{{"n":{number}}}')
    return device(f"d-{number}", name=f"pump {number}", kind=kind, tags=tags, metadata=metadata)


async def fill(store: Store, org: int, new: list[NewDevice]) -> list[Device]:
    return await store.write(lambda records: records.devices.insert_many(org, new, NOW), bulk=True)


async def walked(store: Store, org: int, wanted: Filter | None, most: int = 1_000) -> list[list[Device]]:
    return [found async for found in store.bulk.devices.walk(org, wanted, lambda _: most)]


@pytest.mark.parametrize("wanted", FILTERS.values(), ids=FILTERS)
async def test_a_walk_finds_each_device_of_its_tenant_once_by_id(
    wanted: Filter | None, store: Store, org: int, elsewhere: int
) -> None:
    for first in range(0, MANY, 50):
        for tenant in (org, elsewhere):
            await fill(store, tenant, [motley(number) for number in range(first, first + 50)])
    expected = await store.scan.devices.page(org, wanted, Sort(), Page(MANY))
    for most in (1, 7, 1_000):
        portions = await walked(store, org, wanted, most)
        assert [one for found in portions for one in found] == expected
        shown = [found for found in portions if found]
        assert all(len(found) <= most for found in shown[1:])


async def test_a_walk_is_fitted_to_the_devices_that_it_met(store: Store, org: int) -> None:
    await fill(store, org, [motley(number) for number in range(MANY)])
    met = []

    def fitting(found: list[Device]) -> int:
        met.append(found)
        return 3

    portions = [found async for found in store.bulk.devices.walk(org, None, fitting) if found]
    assert met == portions[: len(met)]
    assert {len(found) for found in portions[1:-1]} <= {1, 2, 3}


async def test_a_walk_goes_on_over_changes(store: Store, org: int) -> None:
    """What is changed is met once, what goes is not met any more, and what comes is met at the end."""
    devices = await fill(store, org, [motley(number) for number in range(MANY)])
    met: list[str] = []
    async for found in store.bulk.devices.walk(org, None, lambda _: 20):
        if not met:
            await store.write(lambda records: records.devices.replace(devices[100], changed(devices[100], name="new")))
            await store.write(lambda records: records.devices.delete(devices[200]))
            await fill(store, org, [device("new")])
        met += [one.ident for one in found]
    assert met == [f"d-{number}" for number in range(MANY) if number != 200] + ["new"]


# --- what takes long -------------------------------------------------------------------------------------------------

# To be done before one is told how far a stride goes, the more devices it passes.
TOIL = """AND (
    WITH RECURSIVE toil(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM toil WHERE n < :passed * 20000)
    SELECT count(*) FROM toil) > 0"""


def laborious(tests: int) -> Filter:
    """What nothing meets, and what each device has to be asked many times."""
    return And(tuple(Not(Comparison("metadata", Operator.ELEMENT, f"x{n}", ("list",))) for n in range(tests)))


@asynccontextmanager
async def limited(
    engine: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Store, Callable[[list[NewDevice]], Awaitable[object]]]]:
    """A store whose statements may take so long."""
    monkeypatch.setattr(limits, "SCAN_TIME", seconds)
    settings = {**postgres._BULK.settings, "statement_timeout": str(int(seconds * 1000))}
    monkeypatch.setattr(postgres, "_BULK", structs.replace(postgres._BULK, settings=settings))
    store = await ENGINES[engine](tmp_path / "registry")
    await store.write(lambda records: records.organizations.insert(organization(None, "default")))
    try:
        yield store, lambda new: fill(store, 1, new)
    finally:
        await store.close()


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_a_walk_ends_that_takes_many_times_as_long_as_a_statement_may(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with limited(engine, 0.5, tmp_path, monkeypatch) as (store, fill):
        await fill([device(f"d-{number}", metadata=LARGE) for number in range(80)])
        with pytest.raises(Fault) as refused:
            await store.bulk.devices.page(1, laborious(20), Sort(), Page(80))
        assert refused.value.kind is Kind.UNAVAILABLE
        portions = await walked(store, 1, laborious(20))
        assert [one.ident for found in portions for one in found] == [f"d-{number}" for number in range(80)]


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_a_walk_ends_at_a_device_that_alone_takes_too_long(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[str] = []
    async with limited(engine, 0.25, tmp_path, monkeypatch) as (store, fill):
        await fill([device(f"d-{number}", metadata=HUGE if number == 30 else EMPTY) for number in range(60)])

        async def walk() -> None:
            async for found in store.bulk.devices.walk(1, laborious(60), lambda _: 1_000):
                met.extend(one.ident for one in found)

        with pytest.raises(Fault) as refused:
            await walk()
    assert refused.value.code == "query_too_costly"
    assert met == [f"d-{number}" for number in range(30)]


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_a_walk_goes_on_where_passing_devices_takes_long(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does on a disk that has none of them in its cache, while an index finds at once what is asked for."""
    monkeypatch.setitem(SQL, "device_ahead", SQL["device_ahead"].replace("ORDER BY", f"{TOIL} ORDER BY"))
    async with limited(engine, 0.5, tmp_path, monkeypatch) as (store, fill):
        await fill([motley(number) for number in range(MANY)])
        portions = await walked(store, 1, Comparison("ident", Operator.EQ, "d-249"))
    assert [one.ident for found in portions for one in found] == ["d-249"]


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_walks_of_one_tenant_keep_no_other_waiting(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does what the greedy one lists itself wait for the end of its walks."""
    async with limited(engine, 5.0, tmp_path, monkeypatch) as (store, fill):
        await fill([device(f"d-{number}", metadata=LARGE) for number in range(150)])
        walks = [asyncio.ensure_future(walked(store, 1, laborious(8))) for _ in range(4)]
        await asyncio.sleep(0.2)
        for _ in range(3):
            started = time.monotonic()
            assert len(await store.bulk.devices.page(1, Comparison("ident", Operator.EQ, "d-7"), Sort(), Page(1))) == 1
            assert time.monotonic() - started < 5
        assert not any(walk.done() for walk in walks)
        for walk in walks:
            walk.cancel()
        await asyncio.gather(*walks, return_exceptions=True)
