"""Statements that do not end: what an organization asks for keeps no other from having its turn."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs

from fleetroll.core.faults import Fault
from fleetroll.core.model import Organization
from fleetroll.store import postgres, sqlite
from fleetroll.store.connection import Row, Values
from fleetroll.store.port import Store
from fleetroll.store.postgres_connections import Pool
from fleetroll.store.sqlite_connections import Scanners
from fleetroll.store.turns import Tenants, Turns
from tests.support.postgres import new_database
from tests.support.stores import organization
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.anyio

Run = Callable[[str, Values], Awaitable[list[Row]]]
GREEDY, OTHER = 1, 2
OF_GREEDY = range(11, 15)
ENDLESS = {
    "sqlite": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n WHERE :org <> 2",
    "postgres": "SELECT CAST(pg_sleep(3600) AS text) WHERE CAST(:org AS bigint) <> 2",
}
QUICK = {"sqlite": "SELECT :org", "postgres": "SELECT CAST(:org AS bigint)"}


async def tenant_of(org: int | None) -> int | None:
    return GREEDY if org in OF_GREEDY else org


@asynccontextmanager
async def opened(engine: str, tmp_path: Path) -> AsyncIterator[Run]:
    if engine == "postgres":
        pool = Pool(await new_database(), structs.replace(postgres._SCAN, settings={}), tenant_of)
        try:
            yield pool.fetch
        finally:
            await pool.close()
        return
    file = tmp_path / "fleetroll.db"
    await sqlite.open_store(file, create=True).close()
    scanners = Scanners(file, tenant_of)
    try:
        yield lambda statement, values: scanners.run(statement, values, None)
    finally:
        await scanners.close()


async def is_answered(run: Run, engine: str, greedy: list[asyncio.Future[list[Row]]]) -> None:
    """Another is, although what this one asks for does not end."""
    await asyncio.sleep(0.2)
    try:
        async with asyncio.timeout(PATIENCE):
            assert await run(QUICK[engine], {"org": OTHER}) == [(OTHER,)]
        assert not any(one.done() for one in greedy[:2])
    finally:
        for one in greedy:
            one.cancel()
        await asyncio.gather(*greedy, return_exceptions=True)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_an_organization_that_asks_for_much_keeps_no_other_waiting(engine: str, tmp_path: Path) -> None:
    async with opened(engine, tmp_path) as run:
        greedy = [asyncio.ensure_future(run(ENDLESS[engine], {"org": GREEDY})) for _ in range(8)]
        await is_answered(run, engine, greedy)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_all_organizations_of_a_tenant_take_turns_as_one(engine: str, tmp_path: Path) -> None:
    async with opened(engine, tmp_path) as run:
        greedy = [asyncio.ensure_future(run(ENDLESS[engine], {"org": org})) for org in (GREEDY, *OF_GREEDY)]
        await is_answered(run, engine, greedy)


async def test_a_tenant_is_what_is_directly_below_the_root(store: Store, root: Organization) -> None:
    made = [root]
    for depth in range(3):
        new = organization(made[-1], f"depth-{depth}")
        added = await store.write(lambda records, new=new: records.organizations.insert(new))
        assert added is not None
        made.append(added)
    tenants = Tenants(store.read.organizations)
    for _ in range(2):
        found = [await tenants.of(org.id) for org in made]
        assert found == [root.id, made[1].id, made[1].id, made[1].id]
    assert await tenants.of(None) is None
    assert await tenants.of(made[-1].id + 1) == made[-1].id + 1


async def test_nobody_has_the_place_of_one_who_has_left_while_its_thread_goes_on(tmp_path: Path) -> None:
    async with opened("sqlite", tmp_path) as run:
        for _ in range(8):
            leaving = asyncio.ensure_future(run(ENDLESS["sqlite"], {"org": GREEDY}))
            await asyncio.sleep(0.01)
            leaving.cancel()
        async with asyncio.timeout(PATIENCE):
            assert await run(QUICK["sqlite"], {"org": OTHER}) == [(OTHER,)]


async def test_a_statement_that_begins_after_its_time_is_ended_too(tmp_path: Path) -> None:
    """As after a pause of the whole machine, when the loop goes on before the thread does."""
    file = tmp_path / "fleetroll.db"
    await sqlite.open_store(file, create=True).close()
    scanners, may_begin = Scanners(file), threading.Event()
    for _ in range(3):
        scanners._threads.submit(may_begin.wait)
    late = asyncio.ensure_future(scanners.run(ENDLESS["sqlite"], {"org": GREEDY}, 0.01))
    await asyncio.sleep(0.1)
    may_begin.set()
    await asyncio.wait({late}, timeout=PATIENCE)
    is_ended = late.done()
    await scanners.close()
    assert is_ended
    assert isinstance(late.exception(), Fault)


async def test_who_waits_has_its_turn() -> None:
    turns, order = Turns(2), []

    async def work(org: int) -> None:
        await turns.take(org)
        order.append(org)
        await asyncio.sleep(0)
        turns.give(org)

    works = [asyncio.ensure_future(work(org)) for org in (1, 1, 1, 1, 2, 2, 3)]
    await asyncio.sleep(0)
    works[1].cancel()
    await asyncio.gather(*works, return_exceptions=True)
    assert sorted(order) == [1, 1, 1, 2, 2, 3]
    assert order.index(3) < 4, "behind at most two of each of the others"
    assert all([turns._may_run(1), turns._free == 2, not turns._waiting])


@pytest.mark.parametrize(("slots", "most"), [(1, 1), (2, 1), (3, 2)])
async def test_a_tenant_leaves_one_place_to_others_if_there_is_more_than_one(slots: int, most: int) -> None:
    turns = Turns(slots)
    greedy = [asyncio.ensure_future(turns.take(1)) for _ in range(slots + 1)]
    other = asyncio.ensure_future(turns.take(2))
    await asyncio.sleep(0)
    assert (sum(one.done() for one in greedy), other.done()) == (most, slots > 1)
    for one in (*greedy, other):
        one.cancel()


async def test_a_turn_that_came_to_one_who_has_just_left_goes_to_the_next() -> None:
    turns = Turns(1)
    await turns.take(1)
    leaving, next_one = (asyncio.ensure_future(turns.take(tenant)) for tenant in (1, 2))
    await asyncio.sleep(0)
    turns.give(1)
    leaving.cancel()
    async with asyncio.timeout(PATIENCE):
        await next_one
    assert leaving.cancelled()
