"""What only an engine with several processes must keep: two stores over one database stand for two of them."""

import asyncio
import contextlib
import gc
import random
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import apsw
import asyncpg
import pytest
from msgspec import structs

from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.model import Credential, Event, Link, Organization
from fleetroll.core.query import Comparison, Filter, Not, Operator, Page, Search, Sort
from fleetroll.core.times import SECOND
from fleetroll.service import leases, presence
from fleetroll.store import migrations, postgres, postgres_connections, postgres_schema, select, sqlite
from fleetroll.store.port import Lease, Records, Store
from fleetroll.store.postgres_syntax import SYNTAX, numbered
from fleetroll.store.refusals import Refused, Unreachable
from tests.support import pooler
from tests.support.postgres import Server, empty_database, held_up, new_database, own_server, server_url
from tests.support.proxy import Wire, wired
from tests.support.stores import ENGINES, NOW, authority, changed, device, document, event, key, organization, plant
from tests.support.waiting import PATIENCE

_END_WAITING = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pg_blocking_pids(pid) <> '{}'"
)
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("engine", ["postgres"])]


@pytest.fixture
async def other(store: Store, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await ENGINES["postgres"](tmp_path / "registry")
    yield opened
    await opened.close()


@pytest.fixture
async def session(store: Store, tmp_path: Path) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect((tmp_path / "registry").read_text())
    yield connection
    await connection.close()


@pytest.fixture
async def observer(store: Store, tmp_path: Path) -> AsyncIterator[asyncpg.Connection]:
    """A session to ask while `session` waits."""
    connection = await asyncpg.connect((tmp_path / "registry").read_text())
    yield connection
    await connection.close()


async def made(store: Store, parent: Organization, *slugs: str) -> list[int]:
    async def work(records: Records) -> list[int]:
        found = [await records.organizations.insert(organization(parent, slug)) for slug in slugs]
        return [one.id for one in found if one]

    return await store.write(work)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


# --- transactions of several processes -------------------------------------------------------------------------------


async def test_whoever_reads_before_it_writes_finds_what_others_wrote(store: Store, other: Store, org: int) -> None:
    """Upserts and increments without any guard, from two processes: none fails and none is lost."""

    async def increment(where: Store) -> None:
        async def work(records: Records) -> None:
            was = await records.devices.get(org, "counter")
            if was is None:
                assert await records.devices.insert(org, device("counter", kind="1"), NOW)
            else:
                assert await records.devices.replace(was, changed(was, kind=str(int(was.kind or 0) + 1)))
            assert await records.usage.add(org, "devices", 1, 1000)

        await where.write(work)

    await asyncio.gather(*(increment(random.choice((store, other))) for _ in range(100)))
    found = await store.read.devices.get(org, "counter")
    assert found is not None
    assert (found.kind, found.revision) == ("100", 100)
    assert await other.read.usage.of(org) == {"devices": 100}


@pytest.mark.parametrize("sign", ["speaks", "connects", "leaves"])
async def test_a_device_that_is_heard_of_during_a_sweep_is_not_one_of_the_quiet(
    store: Store, other: Store, root: Organization, sign: str
) -> None:
    """One process has looked who is quiet when another one, which writes for the organization, hears of one of them."""
    org, elsewhere = await made(store, root, "here", "there")
    one, gone = [
        await store.write(lambda records, ident=ident: plant(records, org, device(ident), connected=True))
        for ident in ("one", "gone")
    ]
    late = NOW + int(limits.QUIET_TIME * SECOND) + 1
    is_writing = asyncio.Event()

    async def hear(records: Records) -> None:
        was = await records.devices.by_id(org, one.id)
        assert was is not None
        is_writing.set()
        await asyncio.sleep(0.3)
        if sign == "speaks":
            await presence.spoke(records, was, late, "here")
        elif sign == "connects":
            await presence.opened(records, Link(org, one.id, "link"), late)
        else:
            assert await records.devices.move(was, structs.replace(was, org=elsewhere, revision=was.revision + 1))

    writing = asyncio.create_task(other.write(hear))
    await is_writing.wait()
    await presence.sweep(store, late)
    await writing
    now = await store.read.devices.by_id(elsewhere if sign == "leaves" else org, one.id)
    assert now is not None
    assert now.connected
    for place, expected in ((org, [gone.id]), (elsewhere, [])):
        events = await store.read.timeline.since(place, 0, 100)
        assert [event.subject_id for event in events if event.type == presence.DISCONNECTED] == expected


async def test_a_quota_holds_over_several_processes(store: Store, other: Store, org: int) -> None:
    answers = await asyncio.gather(
        *(
            where.write(lambda records: records.usage.add(org, "devices", 1, 30))
            for where in (store, other)
            for _ in range(40)
        )
    )
    assert sum(answers) == 30


async def test_transactions_that_cross_each_other_all_come_to_an_end(
    store: Store, other: Store, root: Organization
) -> None:
    """Each writes for two organizations, in either order: nobody waits in a circle, and each is done once."""
    orgs = await made(store, root, *"abcd")

    async def cross(where: Store, first: int, second: int) -> None:
        async def work(records: Records) -> None:
            for org in (first, second):
                assert await records.usage.add(org, "devices", 1, 1000)
                await records.timeline.append([event(org, 1)])

        await where.write(work, bulk=random.random() < 0.1)

    pairs = [random.sample(orgs, 2) for _ in range(120)]
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(cross(random.choice((store, other)), *pair) for pair in pairs))
    for org in orgs:
        expected = sum(org in pair for pair in pairs)
        assert await store.read.usage.of(org) == {"devices": expected}
        assert len(await store.read.timeline.since(org, 0, 1000)) == expected


async def test_a_transaction_about_very_many_organizations_leaves_room_for_the_locks_of_others(
    store: Store, session: asyncpg.Connection, org: int
) -> None:
    """As when all below an organization are disabled with it: the server would refuse any lock to anybody else."""
    held: list[int] = []

    async def work(records: Records) -> None:
        for one in range(org, org + 1100):
            await records.usage.of(one)
        held.append(
            await session.fetchval(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )

    await store.write(work)
    assert held == [1024]


async def test_a_failure_among_crossing_transactions_is_its_own(store: Store, other: Store, root: Organization) -> None:
    orgs = await made(store, root, "a", "b")

    async def write(where: Store, number: int) -> None:
        async def work(records: Records) -> None:
            for org in random.sample(orgs, 2):
                assert await records.devices.insert(org, device(f"d{number}", tags=("t",)), NOW)
                await records.timeline.append([event(org, number)])
            if number % 4 == 0:
                raise LookupError

        await where.write(work)

    writes = [write(random.choice((store, other)), number) for number in range(80)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome] == [LookupError] * 20
    kept = {number for number in range(80) if number % 4}
    for org in orgs:
        devices = await store.scan.devices.page(org, None, Sort(), Page(100))
        assert {one.ident for one in devices} == {f"d{number}" for number in kept}
        assert {one.subject_id for one in await other.read.timeline.since(org, 0, 100)} == kept
        assert (await store.scan.devices.counts(org)).by_tag == {"t": len(kept)}


async def test_who_shares_a_transaction_with_one_that_failed_has_its_organization_to_itself(
    store: Store, other: Store, root: Organization
) -> None:
    """What is undone to a savepoint gives back the locks that were taken since."""
    elsewhere, org = await made(store, root, "elsewhere", "here")
    await store.write(lambda records: plant(records, org, device("counter", kind="0")))
    is_reading = asyncio.Event()

    async def fail(records: Records) -> None:
        await records.devices.insert(org, device("failed"), NOW)
        raise LookupError

    async def increment(records: Records) -> bool:
        was = await records.devices.get(org, "counter")
        assert was is not None
        is_reading.set()
        await asyncio.sleep(0.3)
        return await records.devices.replace(was, changed(was, kind=str(int(was.kind or 0) + 1)))

    begun = asyncio.gather(
        store.write(lambda records: records.devices.insert(elsewhere, device("before"), NOW)),
        store.write(fail),
        store.write(increment),
        return_exceptions=True,
    )
    await is_reading.wait()
    assert await other.write(increment)
    assert (await begun)[2] is True
    found = await store.read.devices.get(org, "counter")
    assert found is not None
    assert (found.kind, found.revision) == ("2", 3)


async def test_whoever_notes_all_below_an_organization_misses_none_that_is_being_written(
    store: Store, other: Store, root: Organization
) -> None:
    (child,) = await made(store, root, "child")
    is_written, is_let_go = asyncio.Event(), asyncio.Event()

    async def connect(records: Records) -> None:
        await records.credentials.insert(Credential(0, child, 1, "A", "U", "0", NOW))
        is_written.set()
        await is_let_go.wait()

    connecting = asyncio.ensure_future(other.write(connect))
    await is_written.wait()
    noting = asyncio.ensure_future(store.write(lambda records: records.credentials.note_below(root.id)))
    await asyncio.sleep(0.1)
    assert not noting.done()
    is_let_go.set()
    await asyncio.gather(connecting, noting)
    noted = await store.read.credentials.changes(0, 10)
    assert [(change.org, change.account) for change in noted] == [(child, "A")] * 2


async def test_whoever_notes_all_below_an_organization_misses_none_that_is_made_meanwhile(
    store: Store, root: Organization, tmp_path: Path
) -> None:
    """After what is below was read, and before its locks are taken: what was read is known here late."""
    (child,) = await made(store, root, "child")
    is_read, is_written, is_let_go = asyncio.Event(), asyncio.Event(), asyncio.Event()
    server = urlsplit((tmp_path / "registry").read_text())
    async with wired(lambda: server.port or 5432) as wire:
        other = await postgres.open_store(behind(wire, server), migrate=False)

        async def note(records: Records) -> None:
            await records.organizations.names_below(root.id)  # so that the statement is prepared
            if not is_read.is_set():
                is_read.set()
                wire.hears.clear()
            await records.credentials.note_below(root.id)

        async def connect(records: Records) -> None:
            await records.credentials.insert(Credential(0, grandchild, 1, "A", "U", "0", NOW))
            is_written.set()
            await is_let_go.wait()

        noting = asyncio.ensure_future(other.write(note))
        await is_read.wait()
        await asyncio.sleep(0.1)
        (grandchild,) = await made(store, structs.replace(root, id=child, lineage=(root.id, child)), "grandchild")
        connecting = asyncio.ensure_future(store.write(connect))
        await is_written.wait()
        wire.hears.set()
        await asyncio.wait([noting], timeout=0.2)
        is_let_go.set()
        await asyncio.gather(connecting, noting)
        await other.close()
    noted = await store.read.credentials.changes(0, 10)
    assert [(change.org, change.account) for change in noted] == [(grandchild, "A")] * 2


async def used(store: Store, org: int) -> list[int]:
    """Two keys, by number."""

    async def work(records: Records) -> list[int]:
        return [(await records.keys.insert(key(org), prefix, "")).id for prefix in "ab"]

    return await store.write(work)


async def test_what_no_organization_keeps_apart_is_written_in_one_order(
    store: Store, session: asyncpg.Connection, org: int
) -> None:
    """The uses of keys, which each process has in the order that it heard of them."""
    first, second = await used(store, org)
    async with session.transaction():
        await session.execute("UPDATE api_key SET name = 'held' WHERE id = $1", first)
        noting = asyncio.ensure_future(store.write(lambda records: records.keys.touch({second: NOW, first: NOW})))
        await held_up(session)
        await session.execute("SELECT id FROM api_key WHERE id = $1 FOR UPDATE NOWAIT", second)
    await noting


async def test_a_transaction_in_a_deadlock_at_its_end_is_run_again(
    store: Store, session: asyncpg.Connection, observer: asyncpg.Connection, org: int
) -> None:
    first, second = await used(store, org)
    await session.execute("SET deadlock_timeout = '1h'")  # so that the server ends the other transaction of the two
    is_holding, is_wanted = asyncio.Event(), asyncio.Event()
    runs = []

    async def note(records: Records) -> None:
        runs.append(1)
        await records.keys.touch({first: NOW})
        assert await records.keys.get(org, first)  # sends what was held back
        is_holding.set()
        await is_wanted.wait()
        await records.keys.touch({second: NOW})

    noting = asyncio.ensure_future(store.write(note))
    await is_holding.wait()
    async with session.transaction():
        await session.execute("UPDATE api_key SET name = 'held' WHERE id = $1", second)
        wanting = asyncio.ensure_future(session.execute("UPDATE api_key SET name = 'held' WHERE id = $1", first))
        await held_up(observer)
        is_wanted.set()
        await wanting
    await noting
    found = [await store.read.keys.get(org, number) for number in (first, second)]
    assert [(one.name, one.last_used_at) for one in found if one] == [("held", NOW)] * 2
    assert len(runs) > 1


# Keeps a transaction that has added an event waiting in its COMMIT.
HOLD_COMMITS = """
    CREATE FUNCTION wait_for_leave() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER wait_for_leave AFTER INSERT ON timeline
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_for_leave();
    SELECT pg_advisory_lock(7);
"""


async def test_a_commit_whose_answer_is_lost_is_not_tried_again(engine: str) -> None:
    url = await new_database()
    session, parts, runs = await asyncpg.connect(url), urlsplit(url), []
    await session.execute(HOLD_COMMITS)

    async def append(records: Records) -> None:
        runs.append(1)
        await records.timeline.append([event(1, 1)])

    async def is_stored() -> bool:
        return bool(await session.fetchval("SELECT true FROM timeline"))

    async with wired(lambda: parts.port or 5432) as wire:
        near = parts._replace(netloc=f"{parts.username}@127.0.0.1:{wire.port}").geturl()
        store = await postgres.open_store(near, migrate=False)
        appending = asyncio.ensure_future(store.write(append))
        await held_up(session)
        wire.hears.clear()
        await session.execute("SELECT pg_advisory_unlock(7)")
        await until(is_stored)
        wire.cut()
        wire.hears.set()
        with pytest.raises(Fault) as refused:
            await appending
        assert (refused.value.code, refused.value.retry_after) == ("database_unavailable", 2)
        assert len(await store.read.timeline.since(1, 0, 10)) == len(runs) == 1
        await store.close()
    await session.close()


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_load_that_fails_at_the_end_of_its_work_fails_nobody_else(store: Store, org: int, bulk: bool) -> None:
    async def load(number: int) -> None:
        name = "\0" if number % 5 == 4 else f"e{number}"  # U+0000 is refused by the server alone
        events = [structs.replace(event(org, number), name=name) for _ in range(20)]
        await store.write(lambda records: records.timeline.append(events), bulk=bulk)

    outcomes = await asyncio.gather(*map(load, range(20)), return_exceptions=True)
    assert [isinstance(outcome, Fault) for outcome in outcomes] == [number % 5 == 4 for number in range(20)]
    kept = {one.name for one in await store.read.timeline.since(org, 0, 1000)}
    assert kept == {f"e{number}" for number in range(20) if number % 5 != 4}


# --- the outbox ------------------------------------------------------------------------------------------------------


async def follow(ask: Callable[[int], Awaitable[list[Event]]], done: asyncio.Event) -> list[int]:
    """The numbers of all events, each asked for after the one before, until it is `done` and there are no more."""
    seen: list[int] = []
    while True:
        finished = done.is_set()
        found = await ask(seen[-1] if seen else 0)
        seen += [one.id for one in found]
        if finished and not found:
            return seen


async def test_a_late_commit_is_never_skipped(store: Store, other: Store, root: Organization) -> None:
    """One reader follows everything, one each organization, while both processes write for random lengths of time."""
    orgs = await made(store, root, *"abc")

    async def write(where: Store) -> None:
        for _ in range(25):
            org = random.choice(orgs)

            async def work(records: Records, org: int = org) -> None:
                await records.timeline.append([event(org, 7)])
                for _ in range(random.randrange(6)):
                    await records.timeline.since(org, 0, 1)  # sends what was held back, and takes its time
                await records.timeline.append([event(org, 8)])

            await where.write(work)

    done = asyncio.Event()
    asked = [partial(other.scan.timeline.since, org, limit=1000) for org in orgs]
    followers = [asyncio.ensure_future(follow(ask, done)) for ask in asked]
    publisher = asyncio.ensure_future(follow(partial(other.read.timeline.published, limit=1000), done))
    await asyncio.gather(*(write(where) for where in (store, other, store, other)))
    done.set()
    each = await asyncio.gather(*followers)
    present = [one.id for one in await store.read.timeline.published(0, 10_000)]
    assert len(present) == 4 * 25 * 2
    assert await publisher == present
    assert sorted(number for seen in each for number in seen) == present


async def test_what_is_not_committed_holds_up_the_publisher_and_nobody_else(
    store: Store, session: asyncpg.Connection, root: Organization
) -> None:
    early, late = await made(store, root, "early", "late")
    transaction = session.transaction()
    await transaction.start()
    await session.execute("SELECT pg_advisory_xact_lock($1, $2)", 0x466C7472, late)
    await session.execute(
        "INSERT INTO timeline (org, at, type, subject, subject_id, name, actor, request, data) "
        "VALUES ($1, 1, 't', 's', 1, 'n', 'a', 'r', '{}')",
        late,
    )
    await store.write(lambda records: records.timeline.append([event(early, 1)]))
    assert len(await store.read.timeline.since(early, 0, 10)) == 1
    assert await store.read.timeline.published(0, 10) == []
    await transaction.commit()
    assert [one.org for one in await store.read.timeline.published(0, 10)] == [late, early]


async def test_whoever_follows_authorities_by_number_misses_none(
    store: Store, other: Store, root: Organization
) -> None:
    slow, quick = await made(store, root, "slow", "quick")
    is_made = asyncio.Event()

    async def dawdle(records: Records) -> None:
        assert await records.authorities.insert(authority(slow, "slow"))
        is_made.set()
        await asyncio.sleep(0.3)

    making = asyncio.create_task(store.write(dawdle))
    await is_made.wait()
    await other.write(lambda records: records.authorities.insert(authority(quick, "quick")))
    found = await other.read.authorities.everywhere(0, 10)
    await making
    found += await other.read.authorities.everywhere(found[-1].id, 10)
    assert len(found) == 2


# --- news ------------------------------------------------------------------------------------------------------------


async def heard(told: "asyncio.Queue[str | None]", topic: str | None) -> None:
    async with asyncio.timeout(PATIENCE):
        while await told.get() != topic:
            pass


async def test_news_reach_every_process_with_the_commit(store: Store, other: Store, org: int) -> None:
    told: asyncio.Queue[str | None] = asyncio.Queue()
    other.on_news(told.put_nowait)
    with pytest.raises(LookupError):
        await store.write(_fail, news="never")
    await store.write(lambda records: records.usage.add(org, "devices", 1, 9), news="topic")
    async with asyncio.timeout(PATIENCE):
        assert await told.get() == "topic"
    assert told.empty()


async def _fail(_records: Records) -> None:
    raise LookupError


async def test_a_commit_of_one_process_wakes_the_others(store: Store, other: Store, org: int) -> None:
    woken = asyncio.Event()
    other.on_commit(woken.set)
    await store.write(lambda records: records.usage.add(org, "devices", 1, 9))
    async with asyncio.timeout(PATIENCE):
        await woken.wait()


async def test_whoever_may_have_missed_news_is_told_so(store: Store, session: asyncpg.Connection, org: int) -> None:
    told: asyncio.Queue[str | None] = asyncio.Queue()
    store.on_news(told.put_nowait)
    assert await session.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'fleetroll news' "
        "AND datname = current_database()"
    )
    await heard(told, None)
    await heard(told, None)  # it listens again
    await store.write(lambda records: records.usage.add(org, "devices", 1, 9), news="again")
    await heard(told, "again")


# --- statements that somebody ends -----------------------------------------------------------------------------------


@pytest.mark.parametrize("work", ["a write", "a look-up", "a walk"])
async def test_what_is_not_a_filters_fault_may_be_tried_again(
    store: Store, session: asyncpg.Connection, work: str
) -> None:
    """As where a database is slow and its operator has set a `statement_timeout`."""
    async with session.transaction():
        await session.execute("LOCK TABLE lease")
        asking = asyncio.ensure_future(
            store.write(lambda records: records.leases.beat("test", "holder", 0))
            if work == "a write"
            else (store.read if work == "a look-up" else store.bulk).leases.get("test")
        )

        async def is_ended() -> bool:
            """End the one that waits in this database (others share the server). Returns whether there was one."""
            return bool(
                await session.fetchval(
                    "SELECT count(pg_cancel_backend(pid)) FROM pg_locks WHERE NOT granted "
                    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )

        await until(is_ended)
        with pytest.raises(Fault) as refused:
            await asking
    assert (refused.value.code, refused.value.retry_after) == ("database_unavailable", 2)
    assert await store.write(lambda records: records.leases.beat("test", "holder", 0))


# --- a server that has no room ---------------------------------------------------------------------------------------


async def test_a_full_disk_refuses_only_those_who_need_room_for_as_long_as_it_is_full(
    store: Store, session: asyncpg.Connection, org: int
) -> None:
    await session.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    )
    await session.execute("CREATE TRIGGER full_disk BEFORE INSERT ON device EXECUTE FUNCTION full_disk()")

    def make(ident: str, bulk: bool = False) -> Awaitable[object]:
        return store.write(lambda records: records.devices.insert_many(org, [device(ident)] * 3, NOW), bulk=bulk)

    count = [store.write(lambda records: records.usage.add(org, "devices", 1, 9)) for _ in range(3)]
    *refused, counted, _, _ = await asyncio.gather(make("a"), make("b", bulk=True), *count, return_exceptions=True)
    assert {getattr(one, "code", None) for one in refused} == {"storage_full"}
    assert counted is True
    assert await store.read.usage.of(org) == {"devices": 3}
    await session.execute("DROP TRIGGER full_disk ON device")
    await store.write(lambda records: records.devices.insert(org, device("c"), NOW))


async def test_who_finds_no_more_room_for_a_session_takes_turns_with_those_there_are(
    engine: str, session: asyncpg.Connection
) -> None:
    """As where others use the same server up to its `max_connections`."""
    url, role = urlsplit(await empty_database()), f"few_{uuid.uuid4().hex}"
    database = url.path[1:]
    await session.execute(f"CREATE ROLE {role} LOGIN")  # superusers are subject to no limit
    await session.execute(f"ALTER DATABASE {database} OWNER TO {role}")
    own = url._replace(netloc=f"{role}@{url.hostname}:{url.port}").geturl()
    store = await postgres.open_store(own, migrate=False)
    assert await store.read.leases.get("test") is None
    await session.execute(f"ALTER DATABASE {database} CONNECTION LIMIT 0")
    assert await asyncio.gather(*(store.read.leases.get("test") for _ in range(20))) == [None] * 20
    with pytest.raises(Fault) as refused:
        await store.write(lambda records: records.leases.beat("test", "holder", 0))
    assert (refused.value.code, refused.value.retry_after) == ("database_unavailable", 2)
    await session.execute(f"ALTER DATABASE {database} CONNECTION LIMIT -1")
    assert await store.write(lambda records: records.leases.beat("test", "holder", 0))
    await store.close()


# --- statements that take long ---------------------------------------------------------------------------------------


async def test_nobody_waits_for_a_session_for_ever(
    store: Store, session: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while an operator's command locks a table: whoever finds all sessions waiting is answered all the same."""
    monkeypatch.setattr(postgres_connections, "_TURN_SECONDS", 0.2)
    async with session.transaction():
        await session.execute("LOCK TABLE lease")
        asking = [asyncio.ensure_future(store.read.leases.get("test")) for _ in range(12)]

        async def are_answered() -> bool:
            return sum(one.done() for one in asking) >= 4

        await until(are_answered)
        refused = [one.exception() for one in asking if one.done()]
        assert {getattr(one, "code", None) for one in refused} == {"database_unavailable"}
    await asyncio.wait(asking)
    assert await store.read.leases.get("test") is None


@pytest.mark.parametrize("means", ["scan", "bulk"])
async def test_a_list_does_not_wait_for_ever_for_an_answer_that_is_lost(
    store: Store, means: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a firewall that has forgotten the connection, while others through it are heard."""
    for name in ("_READ", "_SCAN", "_BULK"):
        purpose = getattr(postgres, name)
        monkeypatch.setattr(postgres, name, structs.replace(purpose, seconds=purpose.seconds and purpose.seconds / 8))
    server = urlsplit((tmp_path / "registry").read_text())
    async with wired(lambda: server.port or 5432) as wire:
        opened = await postgres.open_store(behind(wire, server), migrate=False)
        devices = getattr(opened, means).devices
        assert await devices.page(1, None, Sort(), Page(1)) == []
        wire.forget()
        with pytest.raises(Fault) as refused:
            async with asyncio.timeout(PATIENCE / 3):
                await devices.page(1, None, Sort(), Page(1))
        assert (refused.value.code, refused.value.retry_after) == ("database_unavailable", 2)
        await opened.close()


def behind(wire: Wire, server: SplitResult) -> str:
    """The URL of a server's database, for who reaches it by this wire."""
    return server._replace(netloc=f"{server.username}@127.0.0.1:{wire.port}").geturl()


async def test_a_walk_waits_for_its_turn_however_long_that_takes(
    session: asyncpg.Connection, observer: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unlike a list: whoever exports much at a time gets none of it only in part."""
    monkeypatch.setattr(postgres, "_BULK", structs.replace(postgres._BULK, most=1, settings={}))
    store = await ENGINES["postgres"](tmp_path / "registry")
    await store.write(lambda records: records.devices.insert(1, device("only"), NOW))

    async def walk() -> list[str]:
        return [one.ident async for found in store.bulk.devices.walk(1, None, len) for one in found]

    assert await walk() == ["only"]  # what it needs is connected from then on
    monkeypatch.setattr(postgres_connections, "_TURN_SECONDS", 0.2)
    async with session.transaction():
        await session.execute("LOCK TABLE device")
        walks = [asyncio.ensure_future(walk()) for _ in range(3)]
        await held_up(observer)
        with pytest.raises(Fault) as refused:
            await store.bulk.devices.page(1, None, Sort(), Page(1))
        assert refused.value.code == "database_unavailable"
        await asyncio.sleep(0.4)
    assert await asyncio.gather(*walks) == [["only"]] * 3
    await store.close()


async def test_a_lease_that_cannot_be_given_back_in_time_is_no_news(
    store: Store, session: asyncpg.Connection, observer: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever held it may have been told to hurry by then. It lapses by itself."""
    has_begun = asyncio.Event()

    async def work() -> None:
        has_begun.set()
        await asyncio.Event().wait()

    holding = asyncio.ensure_future(leases.hold(store, "test", "holder", work))
    await has_begun.wait()
    async with session.transaction():
        await session.execute("LOCK TABLE lease")
        holding.cancel()
        await held_up(observer)
        holding.cancel()
        await asyncio.wait([holding])
        await observer.execute(_END_WAITING)
        with contextlib.suppress(Fault):  # it may have joined the same transaction
            await store.write(lambda records: records.usage.add(1, "devices", 1, 9))
    gc.collect()
    assert not [line for line in caplog.records if line.name == "asyncio"]


async def test_a_look_up_in_a_deadlock_with_an_operators_command_may_be_tried_again(
    store: Store, session: asyncpg.Connection, observer: asyncpg.Connection, org: int
) -> None:
    untagged = Not(Comparison("tags", Operator.HAS, "t"))
    async with session.transaction():
        await session.execute("SET LOCAL deadlock_timeout = '1h'")  # so that the server ends the look-up of the two
        await session.execute("LOCK TABLE device_tag")
        looking = asyncio.ensure_future(store.read.devices.page(org, untagged, Sort(), Page(1)))
        await held_up(observer)
        await session.execute("LOCK TABLE device")
    with pytest.raises(Fault) as refused:
        await looking
    assert (refused.value.code, refused.value.retry_after) == ("database_unavailable", 2)


@pytest.mark.parametrize("code", ["40001", "40P01", "53200", "53400", "57014", "58030"])
async def test_what_the_server_cannot_do_now_is_no_fault_of_ours(engine: str, code: str) -> None:
    """It says so itself: by these codes, of transactions that conflict, memory, limits and its disk."""
    url = await new_database()
    store, session = await postgres.open_store(url, migrate=False), await asyncpg.connect(url)
    await store.write(lambda records: records.devices.insert(1, device("only"), NOW))
    raising = f"LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"
    await session.execute(f"CREATE FUNCTION is_read() RETURNS boolean {raising}")
    await session.execute("ALTER TABLE device RENAME TO every_device")
    await session.execute("CREATE VIEW device AS SELECT * FROM every_device WHERE is_read()")
    unavailable = ("database_unavailable", 2)
    for asking, expected in (
        (store.read.devices.get(1, "only"), unavailable),
        (store.write(lambda records: records.devices.get(1, "only")), unavailable),
        # A list that needs more room than the server's operator allows would need it again.
        (store.bulk.devices.by_id(1, 1), ("query_too_costly", None) if code == "53400" else unavailable),
    ):
        with pytest.raises(Fault) as refused:
            await asking
        assert (refused.value.code, refused.value.retry_after) == expected
    await session.close()
    await store.close()


async def test_a_list_of_what_an_operator_has_locked_is_not_called_too_costly(
    store: Store, session: asyncpg.Connection, org: int
) -> None:
    async with session.transaction():
        await session.execute("LOCK TABLE device")
        with pytest.raises(Fault) as refused:
            await store.scan.devices.page(org, None, Sort(), Page(1, None))
    assert (refused.value.code, refused.value.retry_after) == ("database_unavailable", 2)


@pytest.mark.parametrize(("cost", "code"), [(1, "database_unavailable"), (10_000_000, "query_too_costly")])
async def test_a_list_is_called_too_costly_only_if_it_is_so_by_itself(
    engine: str, monkeypatch: pytest.MonkeyPatch, cost: int, code: str
) -> None:
    """Else it is the database that is slow now, as where others use its processors or its disk."""
    bounded = structs.replace(postgres._SCAN, settings={**postgres._SCAN.settings, "statement_timeout": "100"})
    monkeypatch.setattr(postgres, "_SCAN", bounded)
    url = await new_database()
    store, session = await postgres.open_store(url, migrate=False), await asyncpg.connect(url)
    new = [device(f"d{number}") for number in range(30)]
    await store.write(lambda records: records.devices.insert_many(1, new, NOW), bulk=True)
    slowly = "LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN true; END $$"
    await session.execute(f"CREATE FUNCTION is_read() RETURNS boolean COST {cost} {slowly}")
    await session.execute("ALTER TABLE device RENAME TO every_device")
    await session.execute("CREATE VIEW device AS SELECT * FROM every_device WHERE is_read()")
    with pytest.raises(Fault) as refused:
        await store.scan.devices.page(1, None, Sort(), Page(30))
    assert (refused.value.code, refused.value.retry_after is None) == (code, cost > 1)
    await session.close()
    await store.close()


async def test_what_waits_behind_a_write_that_is_given_up_waits_no_longer(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_WRITE", structs.replace(postgres._WRITE, seconds=0.2))
    url = await new_database()
    store, session = await postgres.open_store(url, migrate=False), await asyncpg.connect(url)
    began = asyncio.get_running_loop().time()
    async with session.transaction():
        await session.execute("LOCK TABLE lease")
        asking = [store.write(lambda records: records.leases.beat("test", "holder", 0), bulk=True) for _ in range(20)]
        refused = await asyncio.gather(*asking, return_exceptions=True)
        assert {getattr(one, "retry_after", None) for one in refused} == {2}
        assert asyncio.get_running_loop().time() - began < 2
    assert await store.write(lambda records: records.leases.beat("test", "holder", 0))
    await session.close()
    await store.close()


# --- the schema and the server ---------------------------------------------------------------------------------------


async def test_every_text_is_compared_byte_by_byte(session: asyncpg.Connection) -> None:
    columns = await session.fetch(
        "SELECT table_name, column_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type = 'text'"
    )
    assert len(columns) > 30
    assert [tuple(row) for row in columns if row["collation_name"] != "C"] == []


_KINDS = {"bigint": "INTEGER", "boolean": "INTEGER", "text": "TEXT", "double precision": "REAL"}
# What one engine has of its own, to search and to count by.
_OWN = ("fleetroll", "device_search", "device_seen_tally", "sqlite_")


async def test_both_engines_have_the_same_tables_and_columns(session: asyncpg.Connection) -> None:
    rows = await session.fetch(
        "SELECT table_name, column_name, data_type, is_nullable = 'NO' AS bound FROM information_schema.columns "
        "WHERE table_schema = 'public'"
    )
    ours = {(table, name): (_KINDS[kind], bound) for table, name, kind, bound in rows if not table.startswith(_OWN)}
    lite = apsw.Connection(":memory:")
    sqlite.create_schema(lite)
    theirs = {}
    for (table,) in lite.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        if not table.startswith(_OWN):
            # A number that is a row's id is never null, and needs not say so.
            for _, name, kind, bound, _, key in lite.execute(f"PRAGMA table_info({table})").fetchall():
                theirs[table, name] = (kind, bool(bound or key))
    lite.close()
    assert ours == theirs


async def test_a_database_that_may_only_be_read_is_refused(engine: str) -> None:
    for url in (await empty_database(), await new_database()):
        session = await asyncpg.connect(url)
        await session.execute(f"ALTER DATABASE {urlsplit(url).path[1:]} SET default_transaction_read_only = on")
        await session.close()
        for opening in (postgres.open_store(url, migrate=True), postgres.describe(url)):
            with pytest.raises(Unreachable, match="may only be read"):
                await opening


async def test_a_migration_that_is_cut_off_says_why(engine: str) -> None:
    url = await empty_database()
    session, observer = await asyncpg.connect(url), await asyncpg.connect(url)
    async with session.transaction():
        await session.execute("SELECT pg_advisory_xact_lock($1, 0)", postgres_connections.LOCK_SPACE)
        opening = asyncio.ensure_future(postgres.open_store(url, migrate=False))
        await held_up(observer)
        await observer.execute(_END_WAITING)
        with pytest.raises(Unreachable, match="terminating connection due to administrator command"):
            await opening
    await session.close()
    await observer.close()


async def test_a_migration_takes_what_it_takes_whatever_bound_others_have(engine: str) -> None:
    url = await empty_database()
    session, observer = await asyncpg.connect(url), await asyncpg.connect(url)
    await session.execute(f"ALTER DATABASE {urlsplit(url).path[1:]} SET statement_timeout = '200ms'")
    async with session.transaction():
        await session.execute("SELECT pg_advisory_xact_lock($1, 0)", postgres_connections.LOCK_SPACE)

        async def migrate() -> None:
            async with postgres_schema.administered(url) as administrator:
                await postgres_schema.migrate(administrator)

        migrating = asyncio.ensure_future(migrate())
        await held_up(observer)
        await asyncio.sleep(0.5)
    await migrating
    await session.close()
    await observer.close()


@pytest.mark.parametrize("is_new", ["silent", "heard", "hung up on"])
async def test_a_migration_does_not_wait_for_ever_for_a_server_that_has_gone_silent(
    engine: str, is_new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever connects anew may hear nothing either, or that the session has ended, whose answer is lost.

    Or a balancer hangs up, as it cannot reach the server.
    """
    monkeypatch.setattr(postgres_schema, "_CHECK_SECONDS", 0.1)
    url = await empty_database()
    holder, observer = await asyncpg.connect(url), await asyncpg.connect(url)
    server = urlsplit(url)._replace(query="sslmode=disable")
    ports = [server.port or 5432]
    balancer = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with balancer, wired(lambda: ports[-1]) as wire, holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock($1, 0)", postgres_connections.LOCK_SPACE)
        opening = asyncio.ensure_future(postgres.open_store(behind(wire, server), migrate=False))
        await held_up(observer)
        monkeypatch.setattr(postgres_connections, "_CONNECT_SECONDS", 0.2)
        await asyncio.sleep(1)
        assert not opening.done()  # it waits as long as it must
        match is_new:
            case "silent":
                wire.hears.clear()
            case "heard":
                wire.forget()
                await observer.execute(_END_WAITING)
            case "hung up on":
                wire.forget()
                ports.append(balancer.sockets[0].getsockname()[1])
        await asyncio.wait([opening], timeout=PATIENCE)
        with pytest.raises(Unreachable, match=r"does not answer any more; see that it .*, and try again\."):
            opening.result()
    await holder.close()
    await observer.close()


async def test_a_backup_that_is_cut_off_may_be_tried_again(
    store: Store, session: asyncpg.Connection, observer: asyncpg.Connection, tmp_path: Path
) -> None:
    async with session.transaction():
        await session.execute("LOCK TABLE device")
        saving = asyncio.ensure_future(store.backup(tmp_path / "backup.db"))
        await held_up(observer)
        await observer.execute(_END_WAITING)
        with pytest.raises(Fault) as refused:
            await saving
    assert (refused.value.code, refused.value.retry_after) == ("database_unavailable", 2)


async def test_a_role_that_may_not_use_everything_is_refused(store: Store, session: asyncpg.Connection) -> None:
    """It need own nothing, but rows that it is not shown would be missing from every answer."""
    role, database = f"some_{uuid.uuid4().hex}", await session.fetchval("SELECT current_database()")
    server = urlsplit(server_url())
    own = server._replace(netloc=f"{role}@{server.hostname}:{server.port}", path=f"/{database}").geturl()
    await session.execute(f"CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    with pytest.raises(Refused, match="may not read and write all of account_change, account_change_id_seq, api_key: "):
        await postgres.open_store(own, migrate=False)
    await session.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    for opening in (postgres.open_store(own, migrate=False), postgres.describe(own)):
        with pytest.raises(Refused, match=r"all of account_change_id_seq, .*: grant it"):
            await opening
    await session.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}")
    opened = await postgres.open_store(own, migrate=False)
    assert await opened.write(lambda records: records.devices.insert(1, device("a"), NOW))
    await session.execute("ALTER TABLE device ENABLE ROW LEVEL SECURITY")
    with pytest.raises(Fault) as refused:
        await opened.read.devices.get(1, "a")
    assert (refused.value.code, refused.value.retry_after) == ("database_unavailable", 2)
    await opened.close()
    with pytest.raises(Refused, match="all of device: grant it"):
        await postgres.open_store(own, migrate=False)
    await session.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_statement_outlives_a_table_that_its_operator_has_changed(
    store: Store, session: asyncpg.Connection, org: int
) -> None:
    made = await store.write(lambda records: records.devices.insert(org, device("a"), NOW))
    assert await store.read.devices.get(org, "a") == made
    await session.execute('ALTER TABLE device ALTER COLUMN ident TYPE varchar COLLATE "C"')
    with pytest.raises(Fault) as refused:
        await store.read.devices.get(org, "a")
    assert (refused.value.code, refused.value.retry_after) == ("database_unavailable", 2)
    assert await store.read.devices.get(org, "a") == made


async def test_a_database_of_somebody_else_is_refused(session: asyncpg.Connection) -> None:
    url = await new_database()
    stranger = await asyncpg.connect(url)
    await stranger.execute("DROP TABLE fleetroll")
    await stranger.close()
    with pytest.raises(Refused, match="not Fleetroll's"):
        await postgres.open_store(url, migrate=True)


async def test_a_newer_schema_is_refused_and_an_older_one_needs_permission(session: asyncpg.Connection) -> None:
    url = await new_database()
    newest = len(migrations.load("postgres"))
    found = await asyncpg.connect(url)
    await found.execute("UPDATE fleetroll SET version = $1", newest + 1)
    with pytest.raises(Refused, match=f"schema {newest + 1}; this release knows {newest}"):
        await postgres.open_store(url, migrate=True)
    await found.execute("UPDATE fleetroll SET version = $1", newest - 1)
    with pytest.raises(Refused, match="--migrate"):
        await postgres.open_store(url, migrate=False)
    assert await found.fetchval("SELECT version FROM fleetroll") == newest - 1
    await found.close()


async def test_a_schema_stays_as_it_is_while_a_server_uses_it(session: asyncpg.Connection, tmp_path: Path) -> None:
    """The server would go on, and leave out whatever a newer schema has to be told."""
    older = len(migrations.load("postgres")) - 1
    await session.execute("UPDATE fleetroll SET version = $1", older)
    with pytest.raises(Refused, match="A server still uses the database"):
        await postgres.open_store((tmp_path / "registry").read_text(), migrate=True)
    assert await session.fetchval("SELECT version FROM fleetroll") == older


async def test_a_server_that_is_too_old_is_refused(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = await empty_database()
    connection = await asyncpg.connect(url)
    found = connection.get_server_version().major
    await connection.close()
    monkeypatch.setattr(postgres_schema, "_OLDEST", found + 1)  # no server is at hand that really is
    with pytest.raises(Refused, match=f"is PostgreSQL {found}; this release needs {found + 1} or newer"):
        await postgres.open_store(url, migrate=True)


async def test_several_processes_may_start_at_once_on_a_new_database(engine: str) -> None:
    url = await empty_database()

    async def open_and_close(number: int) -> None:
        await asyncio.sleep(number / 50)
        opened = await postgres.open_store(url, migrate=False)
        assert await opened.read.timeline.last() == 0
        await opened.close()

    await asyncio.gather(*map(open_and_close, range(12)))


# --- servers that may only be read -----------------------------------------------------------------------------------


async def beat(store: Store) -> int:
    """A write that can be told from those before it. Returns what a look-up finds then."""
    found = await store.read.leases.get("test")
    assert await store.write(lambda records: records.leases.beat("test", "holder", found.beat if found else 0))
    found = await store.read.leases.get("test")
    assert found is not None
    return found.beat


async def tell(server: Server, *statements: str) -> None:
    connection = await asyncpg.connect(server.url)
    for statement in ("SET default_transaction_read_only = off", *statements):
        await connection.execute(statement)
    await connection.close()


async def hearing(store: Store, expected: bool) -> None:
    async def holds() -> bool:
        return store.receives_news is expected

    await until(holds)


READ_ONLY = ("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
WRITABLE = ("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


def test_of_two_servers_the_one_that_may_be_written_is_found_again(engine: str) -> None:
    """They share nothing here, so it can be seen which of them is asked."""

    async def walk(one: Server, two: Server) -> None:
        hosts = f"127.0.0.1:{one.port},127.0.0.1:{two.port}"
        url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
        await (await postgres.open_store(two.url, migrate=True)).close()
        store = await postgres.open_store(url, migrate=True)
        assert [await beat(store), await beat(store)] == [1, 2]
        await tell(one, *READ_ONLY)

        async def is_elsewhere() -> bool:
            return await store.read.leases.get("test") is None

        await until(is_elsewhere)
        await hearing(store, True)
        assert await beat(store) == 1

        await tell(two, *READ_ONLY)
        await hearing(store, False)
        with pytest.raises(Fault) as refused:
            await beat(store)
        assert (refused.value.kind, refused.value.retry_after) == (Kind.UNAVAILABLE, 2)
        assert await store.read.leases.get("test") == Lease("holder", 1)
        with pytest.raises(Unreachable, match="may only be read"):
            await postgres.open_store(two.url, migrate=False)
        await tell(two, *WRITABLE)
        await hearing(store, True)
        assert await beat(store) == 2
        await store.close()

    with own_server() as one, own_server() as two, asyncio.Runner() as runner:
        runner.run(walk(one, two))


def test_a_primary_that_has_become_a_standby_is_not_even_read(engine: str) -> None:
    """What it shows may be older than what was acknowledged."""

    async def walk(server: Server) -> None:
        store = await postgres.open_store(server.url, migrate=True)
        assert await beat(store) == 1
        server.kill()
        (server.data / "standby.signal").touch()
        server.start()
        await hearing(store, False)
        with pytest.raises(Fault, match="cannot be reached now"):
            await store.read.leases.get("test")
        await tell(server, "SELECT pg_promote()")
        await hearing(store, True)
        assert await beat(store) == 2
        await store.close()

    with own_server(wal_level="replica") as server, asyncio.Runner() as runner:
        runner.run(walk(server))


# --- servers that are refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_server_that_may_lose_what_it_acknowledged_is_refused(engine: str, setting: str) -> None:
    with own_server(**{setting: "off"}) as server, asyncio.Runner() as runner:
        with pytest.raises(Refused, match=f"{setting} off"):
            runner.run(postgres.open_store(server.url, migrate=True))
        store = runner.run(postgres.open_store(server.url, migrate=True, unsafe=True))
        runner.run(store.close())


@pooler.installed
async def test_a_pooler_that_keeps_sessions_keeps_their_bounds(engine: str, tmp_path: Path) -> None:
    bounded = postgres_connections.Purpose("test", 1, {"statement_timeout": "70"}, None)
    with pooler.pooled(await new_database(), "session", tmp_path) as url:
        store = await postgres.open_store(url, migrate=False)
        assert await beat(store) == 1
        await store.close()
        session = await postgres_connections.connect(url, bounded)
        with pytest.raises(asyncpg.QueryCanceledError):
            await session.fetch("SELECT pg_sleep(5)", {})
        await postgres_connections.close(session)


@pooler.installed
async def test_a_pooler_that_keeps_no_sessions_is_refused(engine: str, tmp_path: Path) -> None:
    """Processes would not hear of each other: what one revokes, the others would let in."""
    with pooler.pooled(await new_database(), "transaction", tmp_path) as url:
        for opening in (postgres.open_store(url, migrate=False), postgres.describe(url)):
            with pytest.raises(Refused, match="set its pool mode to session"):
                await opening


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_cannot_hold_every_text_is_refused(engine: str, encoding: str) -> None:
    url = await empty_database(encoding)
    with pytest.raises(Refused, match=f"stores text as {encoding}"):
        await postgres.open_store(url, migrate=True, unsafe=True)


async def test_a_database_may_be_set_up_for_programs_of_another_kind(engine: str) -> None:
    """As for old ones, in whose texts a backslash escapes, or for those that show times to people."""
    url = await new_database()
    session, database = await asyncpg.connect(url), urlsplit(url).path[1:]
    for setting in ("standard_conforming_strings = off", "timezone = 'Asia/Kolkata'", "datestyle = 'SQL, DMY'"):
        await session.execute(f"ALTER DATABASE {database} SET {setting}")
    await session.close()
    store = await postgres.open_store(url, migrate=False)
    ends = {"100%": "2026-03-09T12:00:00", "1000": "2026-03-09T13:00:00+02:00", "10": "2026-03-09"}
    new = [device(ident, metadata=document(f'{{"end": "{end}"}}')) for ident, end in ends.items()]
    await store.write(lambda records: records.devices.insert_many(1, new, NOW), bulk=True)
    found = await store.scan.devices.page(1, Search("0%"), Sort(), Page(9))
    assert [one.ident for one in found] == ["100%"]
    found = await store.scan.devices.page(1, None, Sort("metadata", path=("end",)), Page(9))
    assert [one.ident for one in found] == ["10", "1000", "100%"]
    await store.close()


async def test_a_filter_that_finds_few_has_an_index(store: Store, session: asyncpg.Connection, org: int) -> None:
    new = [
        device(
            f"SN{number:06}",
            kind=f"k{number % 500}",
            tags=(f"t{number % 500}",),
            metadata=document(f'{{"k":{number}}}'),
        )
        for number in range(3000)
    ]
    await store.write(lambda records: records.devices.insert_many(org, new, NOW), bulk=True)
    await session.execute("VACUUM ANALYZE")
    questions: dict[str, Filter] = {
        "device_metadata": Comparison("metadata", Operator.EQ, 7, ("k",)),
        "device_kind": Comparison("kind", Operator.EQ, "k7"),
        "device_tag_pkey": Comparison("tags", Operator.HAS, "t7"),
        "device_search": Search("sn002999"),
    }
    if not await session.fetchval("SELECT to_regclass('device_search') IS NOT NULL"):
        del questions["device_search"]  # this server has no pg_trgm; Debian's has
    for index, wanted in questions.items():
        query = select.count(SYNTAX, org, wanted)
        text, names = numbered(query.text)
        plan = await session.fetch(f"EXPLAIN {text}", *[query.values[name] for name in names])
        assert any(index in row[0] for row in plan), plan


async def test_a_deep_page_of_a_tag_reads_neither_side_from_its_beginning(session: asyncpg.Connection) -> None:
    (query,) = select.pages(SYNTAX, 1, Comparison("tags", Operator.HAS, "t"), Sort(), Page(50, (None, 5_000)))
    assert re.findall(r"([ld])\.(?:device|id) > :v\d", query.text) == ["l", "d"]


async def test_devices_of_one_time_come_by_number_however_they_are_looked_for(
    store: Store, org: int, session: asyncpg.Connection
) -> None:
    for number in range(5):
        await store.write(partial(plant, org=org, new=device(f"at once {number}"), activated_at=7))
    await session.execute("ANALYZE device")  # so few are not looked for by an index
    found = await store.scan.devices.activated(org, 7, 3)
    assert [one.ident for one in found] == ["at once 4", "at once 3", "at once 2"]


async def test_text_that_cannot_be_stored_finds_nothing(store: Store, root: Organization) -> None:
    assert await store.read.organizations.child(root.id, "a\0b") is None
    assert await store.read.devices.get(root.id, "a\0b") is None
    with pytest.raises(Fault) as refusal:
        await store.write(lambda records: records.devices.insert(root.id, device("a\0b"), NOW))
    assert refusal.value.code == "invalid_text"


async def test_devices_of_a_bulk_load_are_found_by_everything_that_they_have(store: Store, org: int) -> None:
    new = [device(f"d{number}", name=f"Name {number}", tags=("t",), kind="k") for number in range(300)]
    loaded = await store.write(lambda records: records.devices.insert_many(org, new, NOW), bulk=True)
    later = await store.write(lambda records: plant(records, org, device("later")))
    assert later.id > max(one.id for one in loaded)
    assert (await store.scan.devices.counts(org)).by_tag == {"t": 300}
    for one in (Comparison("tags", Operator.HAS, "t"), Comparison("kind", Operator.EQ, "k"), Search("name ")):
        assert await store.scan.devices.page(org, one, Sort(), Page(500)) == loaded
    assert await store.read.devices.get(org, "d299") == loaded[299]
