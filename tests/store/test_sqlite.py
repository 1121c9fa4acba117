"""What only SQLite can do wrong: its log, its limits, its way of taking back more than it was asked to."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from hashlib import sha256
from pathlib import Path

import apsw
import pytest

from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.model import Device, NewDevice
from fleetroll.core.query import And, Comparison, Filter, JsonPath, Operator, Or, Page, Pattern, Search, Sort
from fleetroll.store import sqlite, sqlite_log, sqlite_search, sqlite_writer
from fleetroll.store.port import Records
from tests.support.app import about_sqlite, running
from tests.support.stores import NOW, device, document, organization, owner
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio

MIB = 1 << 20
LARGE = document(f'{{"text":"{"x" * 60_000}"}}')


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fleetroll.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[sqlite.SqliteStore]:
    opened = sqlite.open_store(file, create=True)
    root = await opened.write(lambda records: records.organizations.insert(organization(None, "default")))
    assert root is not None
    assert root.id == 1
    yield opened
    await opened.close()


async def insert(store: sqlite.SqliteStore, ident: str) -> Device | None:
    return await store.write(lambda records: records.devices.insert(1, device(ident), NOW))


async def idents(store: sqlite.SqliteStore) -> list[str]:
    return [one.ident for one in await store.scan.devices.page(1, None, Sort(), Page(1000))]


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def sidecar(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


async def test_every_commit_is_forced_to_disk(file: Path) -> None:
    """The two settings that the promise of `write` rests on, as they are on the connections that write.

    One writes transactions, the other moves what is in the log to the file.
    """
    with hooked() as connections:
        store = sqlite.open_store(file, create=True)
        writing = [one for one in connections if not one.readonly("main")]
        assert [(one.pragma("journal_mode"), one.pragma("synchronous")) for one in writing] == [("wal", 2)] * 2
        await store.close()


async def test_the_log_does_not_grow_while_readers_keep_reading(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_log, "_CHECKPOINT_PAGES", 4_000)
    store = sqlite.open_store(file, create=True)
    await store.write(lambda records: records.organizations.insert(organization(None, "default")))
    longest = 0
    for batch in range(60):
        new = [device(f"d{batch}-{number}", metadata=LARGE) for number in range(25)]
        await asyncio.gather(
            store.write(lambda records, new=new: records.devices.insert_many(1, new, NOW)),
            *(store.read.devices.get(1, f"d{batch}-0") for _ in range(3)),
            store.scan.devices.count(1, None),
        )
        assert await store.read.devices.get(1, f"d{batch}-0") is not None
        longest = max(longest, size(sidecar(file, "-wal")))
    await store.close()
    assert size(file) > 60 * MIB
    assert longest < 44 * MIB


async def test_the_log_begins_again_once_a_long_look_at_it_has_ended(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_log, "_CHECKPOINT_PAGES", 2_000)
    monkeypatch.setattr(sqlite_log, "_READER_PAGES", 500)
    store = sqlite.open_store(file, create=True)
    await store.write(lambda records: records.organizations.insert(organization(None, "default")))
    log = sidecar(file, "-wal")
    with closing(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)) as looking:
        looking.execute("BEGIN")
        looking.execute("SELECT count(*) FROM device").fetchall()
        await fill(store, "while")
        assert size(file) < MIB
        assert size(log) > 25 * MIB
    await fill(store, "after")
    await fill(store, "again")
    assert size(file) > 60 * MIB
    assert size(log) < 20 * MIB  # the disk has the rest back
    await store.close()
    assert size(file) > 80 * MIB


async def test_a_long_log_that_a_killed_server_has_left_is_checkpointed_while_others_write(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sqlite.open_store(file, create=True)
    await store.write(lambda records: records.organizations.insert(organization(None, "default")))
    await fill(store, "before")
    left = file.with_name("left.db")
    for suffix in ("", "-wal"):
        shutil.copy(sidecar(file, suffix), sidecar(left, suffix))
    await store.close()
    monkeypatch.setattr(sqlite_log, "_CHECKPOINT_PAGES", 1_000)
    with closing(apsw.Connection(str(left))) as connection:
        log = sqlite_log.WriteAheadLog(connection, pytest.fail)
        connection.execute("UPDATE organization SET name = 'Renamed'")
        assert not log.is_due()
        await until(lambda: size(left) > 25 * MIB)
        connection.execute("UPDATE organization SET name = 'Anew'")
        await until(log.is_due)
        await log.end()
        connection.execute("UPDATE organization SET name = 'Again'")
        assert not log.is_due()
        await log.close()


async def fill(store: sqlite.SqliteStore, name: str) -> None:
    """Some 29 MiB of devices."""
    for batch in range(20):
        new = [device(f"{name}-{batch}-{number}", metadata=LARGE) for number in range(25)]
        await store.write(lambda records, new=new: records.devices.insert_many(1, new, NOW))


async def test_a_closed_store_is_one_file_however_it_was_read(file: Path) -> None:
    store = sqlite.open_store(file, create=True)
    await store.write(lambda records: records.organizations.insert(organization(None, "default")))
    await insert(store, "a")
    for records in (store.read, store.scan, store.bulk):
        assert await records.devices.get(1, "a") is not None
    await store.close()
    assert [one.name for one in file.parent.iterdir()] == [file.name]
    store = sqlite.open_store(file, create=False)
    assert await idents(store) == ["a"]
    await store.close()


async def test_closing_waits_for_the_writes_under_way(file: Path) -> None:
    store = sqlite.open_store(file, create=True)
    tasks = [asyncio.ensure_future(insert(store, f"d{number:02}")) for number in range(30)]
    tasks.append(asyncio.ensure_future(store.write(lambda records: records.usage.add(1, "n", 1, 1), bulk=True)))
    await asyncio.sleep(0)
    await store.close()
    assert all(await asyncio.wait_for(asyncio.gather(*tasks), 20))
    store = sqlite.open_store(file, create=False)
    assert await idents(store) == [f"d{number:02}" for number in range(30)]
    assert await store.read.usage.of(1) == {"n": 1}
    await store.close()


# --- failures --------------------------------------------------------------------------------------------------------


async def test_a_statement_that_breaks_a_rule_fails_alone(store: sqlite.SqliteStore) -> None:
    """The service never writes a tag twice. If it did, that request would fail, and not the server."""
    twice = device("twice", tags=("t", "t"))
    outcomes = await asyncio.gather(
        insert(store, "before"),
        store.write(lambda records: records.devices.insert(1, twice, NOW)),
        insert(store, "after"),
        return_exceptions=True,
    )
    assert [isinstance(outcome, Device) for outcome in outcomes] == [True, False, True]
    assert not store.failure.is_set()
    assert await idents(store) == ["before", "after"]


@pytest.mark.parametrize("carefully", [False, True])
async def test_what_a_failing_disk_took_back_is_not_acknowledged(
    carefully: bool, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite may answer a failed statement by rolling back the whole transaction, and all that shared it."""
    for name in ("_LONGEST_WAIT", "_SHORTEST_TURN", "_LONGEST_TURN"):  # all share one, on however slow a machine
        monkeypatch.setattr(sqlite_writer, name, PATIENCE)
    first = sqlite.open_store(file, create=True)
    await first.write(lambda records: records.organizations.insert(organization(None, "default")))
    await first.close()
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute(
            "CREATE TRIGGER fail BEFORE INSERT ON owner WHEN new.ref = 'fail' BEGIN SELECT RAISE(ROLLBACK, 'gone'); END"
        )
    store = sqlite.open_store(file, create=False)

    async def fail() -> object:
        return await store.write(lambda records: records.owners.insert(owner(1, "fail")))

    async def refuse(ident: str, *, written: bool) -> None:
        async def work(records: Records) -> None:
            if written:  # which makes all that share the transaction run again, each to be undone by itself
                await records.devices.insert(1, device("refused"), NOW)
            if await records.devices.get(1, ident):
                raise LookupError

        await store.write(work)

    kept = set()
    for turn in range(10):
        before = f"before-{turn}"
        crowd = [insert(store, before), refuse(before, written=carefully), fail(), insert(store, f"after-{turn}")]
        *undone, last = await asyncio.gather(*crowd, return_exceptions=True)
        assert [type(outcome) for outcome in undone] == [apsw.ConstraintError] * 3
        assert isinstance(last, Device)
        kept.add(last.ident)
        assert await store.scan.devices.count(1, Search("e")) == len(kept)
    assert set(await idents(store)) == kept == {f"after-{turn}" for turn in range(10)}
    assert await store.scan.devices.count(1, Search("before")) == 0
    await store.close()
    assert sqlite.inspect(file) == []


async def test_a_transaction_may_wait_for_nothing(store: sqlite.SqliteStore) -> None:
    async def work(records: Records) -> None:
        await records.devices.insert(1, device("a"), NOW)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="may await nothing but its records"):
        await store.write(work)
    assert await idents(store) == []


# --- what is read ----------------------------------------------------------------------------------------------------


@contextmanager
def hooked() -> Iterator[list[apsw.Connection]]:
    """The connections that are opened within the block, the first of which writes."""
    connections: list[apsw.Connection] = []
    apsw.connection_hooks.append(connections.append)
    try:
        yield connections
    finally:
        apsw.connection_hooks.remove(connections.append)


def counted(connections: list[apsw.Connection]) -> list[int]:
    """The steps of each statement that runs from now on."""
    steps: list[int] = []
    for connection in connections:
        connection.trace_v2(
            apsw.SQLITE_TRACE_PROFILE, lambda told: steps.append(told["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])
        )
    return steps


@asynccontextmanager
async def crowded(file: Path, many: list[NewDevice]) -> AsyncIterator[tuple[sqlite.SqliteStore, list[apsw.Connection]]]:
    """A store that these devices were loaded into, and its connections."""
    with hooked() as connections:
        store = sqlite.open_store(file, create=True)
    await store.write(lambda records: records.organizations.insert(organization(None, "default")))
    await store.write(lambda records: records.devices.insert_many(1, many, NOW), bulk=True)
    try:
        yield store, connections
    finally:
        await store.close()


TAGGED = Comparison("tags", Operator.HAS, "frequent")
RARE = Comparison("kind", Operator.EQ, "rare")


@pytest.mark.parametrize("wanted", [And((TAGGED, RARE)), And((RARE, TAGGED))], ids=["in the middle", "at first"])
@pytest.mark.parametrize(
    "sort", [Sort(), Sort("updated_at"), Sort("name", descending=True)], ids=lambda sort: sort.field
)
async def test_a_page_of_what_is_rare_is_read_by_that(wanted: Filter, sort: Sort, file: Path) -> None:
    """However frequent everything else is that was asked for, and wherever it stands."""
    rare = device("rare", tags=("frequent",), kind="rare")
    many = [*(device(f"d-{number}", tags=("frequent",)) for number in range(2_000)), rare]
    async with crowded(file, many) as (store, connections):
        steps = counted(connections)
        found = [await store.scan.devices.page(1, wanted, sort, Page(50))]
        assert max(steps) > 2_000  # the first time, what is frequent is counted
        steps.clear()
        found.append(await store.scan.devices.page(1, wanted, sort, Page(50)))
        assert max(steps) < 400
        assert [[one.ident for one in page] for page in found] == [["rare"], ["rare"]]


@pytest.mark.parametrize("descending", [False, True])
async def test_a_page_by_place_of_what_is_tallied_passes_no_others(descending: bool, file: Path) -> None:
    """However many devices have one of the words, where few have both."""
    words = [*[("evt", None), ("mp", "beta")] * 1_000, *[("evt", "beta"), ("dvt", "canary")] * 5]
    many = [device(f"d-{n}", hardware_version=one, cohort=other) for n, (one, other) in enumerate(words)]
    async with crowded(file, many) as (store, connections):
        either = [
            Or(tuple(Comparison(field, Operator.EQ, word) for word in among))
            for field, among in (("hardware_version", ("evt", "dvt")), ("cohort", ("beta", "canary")))
        ]
        steps = counted(connections)
        found = await store.scan.devices.slice(1, And(tuple(either)), Sort(descending=descending), 4, 3, 2_010)
        idents = [f"d-{number}" for number in range(2_000, 2_010)]
        idents.sort(reverse=descending)
        assert ([one.ident for one in found[0]], found[1]) == (idents[4:7], 10)
        assert sum(steps) < 1_000


async def test_a_text_that_was_counted_is_not_counted_again(file: Path) -> None:
    """Only what has changed since is looked at, even if many changed it together."""
    many = [device(f"d-{number}", name="pump") for number in range(2_000)]
    async with crowded(file, many) as (store, connections):
        wanted = {text: Search(text) for text in ("pump", "UMP", "p", "d-1999", "-")}
        found = {text: await store.scan.devices.count(1, search) for text, search in wanted.items()}
        assert found == {"pump": 2_000, "UMP": 2_000, "p": 2_000, "d-1999": 1, "-": 2_000}
        await asyncio.gather(*(insert(store, f"new-{number}") for number in range(20)))
        steps = counted(connections)
        found = {text: await store.scan.devices.count(1, search) for text, search in wanted.items()}
        assert found == {"pump": 2_000, "UMP": 2_000, "p": 2_000, "d-1999": 1, "-": 2_020}
        assert max(steps) < 100


async def test_the_substring_index_does_not_grow_with_every_change(
    store: sqlite.SqliteStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no longer valid is taken out of it while others go on writing."""
    monkeypatch.setattr(sqlite_search, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(sqlite_search, "_SMALL_PAGES", 16)
    monkeypatch.setattr(sqlite_search, "_PORTION_PAGES", 4)

    def named(turn: int) -> list[NewDevice]:
        return [device(f"d-{n}", name=f"turn-{turn} {sha256(b'%d %d' % (n, turn)).hexdigest()}") for n in range(400)]

    async def replace(turn: int) -> None:
        async def work(records: Records) -> None:
            for one in await records.devices.page(1, None, Sort(), Page(1000)):
                await records.devices.delete(one)
            await records.devices.insert_many(1, named(turn), NOW)

        await store.write(work, bulk=True)

    for turn in range(20):
        await replace(turn)
    grown = pages_of_index(file)
    await asyncio.gather(store.analyze(), replace(20))
    assert pages_of_index(file) < grown / 2
    texts = {text: await store.scan.devices.count(1, Search(text)) for text in ("turn-20", "turn-1", "d-399", "d-")}
    assert texts == {"turn-20": 400, "turn-1": 0, "d-399": 1, "d-": 400}


async def test_a_substring_index_that_is_mostly_valid_is_left_alone(
    store: sqlite.SqliteStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of its pages hold what all devices have in common, and begin no trigram of their own."""
    monkeypatch.setattr(sqlite_search, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(sqlite_search, "_SMALL_PAGES", 16)
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute("INSERT INTO device_search (device_search, rank) VALUES ('pgsz', 64)")
    alike = [device(f"d-{n}", name="what all of them have in common") for n in range(1000)]
    others = [device(f"e-{n}", name=sha256(b"%d" % n).hexdigest()) for n in range(50)]
    for new in (alike, others[:25], others[25:]):
        await store.write(lambda records, new=new: records.devices.insert_many(1, new, NOW), bulk=True)
    before = pages_of_index(file)
    await store.analyze()
    assert pages_of_index(file) == before


def pages_of_index(file: Path) -> int:
    with closing(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        return int(connection.execute("SELECT count(*) FROM device_search_data").fetchall()[0][0])


# --- a full disk -----------------------------------------------------------------------------------------------------


def allow(writer: apsw.Connection, more_pages: int) -> None:
    """Let the file grow by so much and no further."""
    assert writer.pragma("max_page_count", writer.pragma("page_count") + more_pages)


# Of each, one step of SQLite's takes as long as thousands of others.
LABORIOUS = {
    "our own code": (
        f'{{"list":[{",".join(["0"] * 4_000)}]}}',
        JsonPath("metadata", " && ".join(f"(!(exists($.**{{0 to last}} ? (@ == {n}))))" for n in range(1, 19))),
    ),
    "a long pattern": (
        f'{{"text":"{"ab" * 30_000}"}}',
        Comparison("metadata", Operator.LIKE, Pattern(("", "ab" * 900 + "x", "")), ("text",)),
    ),
    "a long pattern of elements": (
        f'{{"list":["{"ab" * 30_000}"]}}',
        Comparison("metadata", Operator.ELEMENT, Pattern(("", "ab" * 900 + "x", "")), ("list",)),
    ),
}


@pytest.mark.parametrize(("text", "wanted"), LABORIOUS.values(), ids=LABORIOUS)
async def test_a_scan_that_calculates_for_too_long_is_refused_in_time(
    text: str, wanted: Filter, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And meanwhile the event loop is free."""
    monkeypatch.setattr(limits, "SCAN_TIME", 0.5)
    async with crowded(file, [device(f"d{number}", metadata=document(text)) for number in range(400)]) as (store, _):
        started, own = time.process_time(), time.thread_time()
        with pytest.raises(Fault) as refused:
            await store.scan.devices.count(1, wanted)
        assert refused.value.code == "query_too_costly"
        assert time.process_time() - started < 5
        assert time.thread_time() - own < 0.1


async def test_a_store_is_closed_in_the_middle_of_a_scan(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is awaited to its end, at which it would have found something."""
    monkeypatch.setattr(limits, "SCAN_TIME", 3600.0)
    text, wanted = LABORIOUS["a long pattern"]
    async with crowded(file, [device(f"d{number}", metadata=document(text)) for number in range(60)]) as (store, _):
        scans = [asyncio.ensure_future(store.scan.devices.count(1, wanted)) for _ in range(4)]
        await asyncio.sleep(0.2)
    assert all(isinstance(one, Fault) for one in await asyncio.gather(*scans, return_exceptions=True))


async def test_a_full_disk_refuses_writes_and_nothing_else(file: Path) -> None:
    with hooked() as connections:
        store = sqlite.open_store(file, create=True)
    await store.write(lambda records: records.organizations.insert(organization(None, "default")))
    small = await insert(store, "small")
    allow(connections[0], 8)
    large = [device(f"large-{number}", metadata=LARGE) for number in range(8)]
    outcomes = await asyncio.gather(
        *(store.write(lambda records, new=new: records.devices.insert(1, new, NOW)) for new in large),
        return_exceptions=True,
    )
    faults = [outcome for outcome in outcomes if isinstance(outcome, Fault)]
    kept = [outcome.ident for outcome in outcomes if isinstance(outcome, Device)]
    assert len(faults) >= 7
    assert {(fault.kind, fault.code) for fault in faults} == {(Kind.UNAVAILABLE, "storage_full")}
    assert await idents(store) == ["small", *kept]
    assert small is not None
    assert await store.write(lambda records: records.devices.delete(small))
    allow(connections[0], 100_000)
    assert await insert(store, "again") is not None
    assert not store.failure.is_set()
    await store.close()
    assert sqlite.inspect(file) == []


@about_sqlite
def test_a_full_disk_is_answered_by_507_while_reads_go_on(tmp_path: Path) -> None:
    with running(tmp_path / "data"):
        pass  # the registry is there, so the first connection of the next start is that of its writer
    with hooked() as connections, running(tmp_path / "data") as app:
        assert app.request("POST", "/v1/devices", {"ident": "a"}).status == 201
        allow(connections[0], 4)
        body = {"ident": "large", "metadata": {"text": "x" * 60_000}}
        answers = [app.request("POST", "/v1/devices", body) for _ in range(3)]
        assert [answer.status for answer in answers] == [507] * 3
        assert answers[0].json()["code"] == "storage_full"
        assert int(answers[0].headers["retry-after"]) > 0
        assert app.request("GET", "/v1/devices/a").status == 200
        assert app.request("GET", "/v1/devices/large").status == 404
        assert app.request("GET", "/v1/devices").status == 200
        allow(connections[0], 100_000)
        assert app.request("POST", "/v1/devices", body).status == 201
