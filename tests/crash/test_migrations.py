"""Registries of older releases: migrated, even if cut short on the way, they equal a new one and keep what they have.

The fixtures were made by the servers of those releases (`tests/fixtures/make.py`), with what each answered.
"""

import asyncio
import contextlib
import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw
import asyncpg
import pytest

from fleetroll.core.model import StreamPosition
from fleetroll.store import migrations, postgres, postgres_schema, sqlite
from fleetroll.store.port import Store
from fleetroll.store.refusals import Refused, Unreachable
from tests.fixtures.make import HERE, QUESTIONS
from tests.support import power
from tests.support.app import App, about_sqlite, running
from tests.support.effort import often
from tests.support.postgres import empty_database, new_database, rows
from tests.support.process import fleetroll
from tests.support.server_keys import ANOTHER_KEY
from tests.support.tracing import traced, tracing

DATABASE = "fleetroll.db"
NEWEST = len(migrations.load("sqlite"))
OLDER = {engine: sorted(file.parent.name for file in HERE.glob(f"*/{engine}.gz")) for engine in ("sqlite", "postgres")}
CUTS = often(6)  # of each engine
# What changes by itself: a cursor is signed with the time, and a key notes when it was used.
PASSING = {"next_cursor", "last_used_at"}
_CALL = re.compile(r"\d+ +[a-z]\w+(?=\()")


def laid_out(release: str, engine: str, into: Path) -> Path:
    """The data directory of an older release, without its database."""
    into.mkdir(mode=0o700)
    shutil.copy(HERE / release / f"{engine}.key", into / "server.key")
    return into


def sqlite_directory(release: str, into: Path) -> Path:
    (laid_out(release, "sqlite", into) / DATABASE).write_bytes(
        gzip.decompress((HERE / release / "sqlite.gz").read_bytes())
    )
    return into


async def postgres_database(release: str) -> str:
    url = await empty_database()
    connection = await asyncpg.connect(url)
    await connection.execute(gzip.decompress((HERE / release / "postgres.gz").read_bytes()).decode())
    await connection.close()
    return url


# --- what they keep --------------------------------------------------------------------------------------------------


def assert_kept(app: App, release: str, engine: str) -> None:
    """Every member of every answer is what it was; there may be more of them now."""
    for target, recorded in json.loads((HERE / release / f"{engine}.json").read_text()).items():
        answer = app.request("GET", target)
        assert answer.status == 200, target
        now = answer.json() | {"etag": answer.headers.get("etag")}
        assert list(differences(recorded, now, target)) == []


def differences(was: Any, now: Any, place: str) -> Iterator[str]:
    if isinstance(was, dict) and isinstance(now, dict):
        for name in was.keys() - PASSING:
            yield from differences(was[name], now.get(name, "nothing"), f"{place} {name}")
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for number, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from differences(one, other, f"{place} {number}")
    elif was != now:
        yield f"{place}: {was!r} is {now!r}"


def assert_goes_on(app: App) -> None:
    assert app.request("POST", "/v1/devices", {"ident": "new", "tags": ["t"]}).status == 201
    assert app.request("PATCH", "/v1/devices/d2", {"metadata": {"rack": 2}}).status == 200
    assert app.request("DELETE", "/v1/devices/d3").status == 204
    found = app.request("GET", "/v1/devices?filter=tags%3At&count=true&limit=50").json()
    assert found["total"] == len(found["devices"]) == 11


@about_sqlite
@pytest.mark.parametrize("release", OLDER["sqlite"])
def test_a_sqlite_registry_of_an_older_release_answers_as_it_did(tmp_path: Path, release: str) -> None:
    data = sqlite_directory(release, tmp_path / "data")
    with running(data) as app:
        assert_kept(app, release, "sqlite")
        assert_goes_on(app)
    assert sqlite.inspect(data / DATABASE) == []
    with running(tmp_path / "fresh"):
        pass
    assert shape(data / DATABASE) == shape(tmp_path / "fresh" / DATABASE)


@about_sqlite
def test_tags_from_before_their_folded_form_was_kept_are_found_without_case(tmp_path: Path) -> None:
    data = sqlite_directory("schema-01", tmp_path / "data")
    with closing(apsw.Connection(str(data / DATABASE))) as connection:
        connection.execute("UPDATE device_tag SET tag = 'Über' WHERE tag = 't'")
        connection.execute("UPDATE device SET tags = replace(tags, '\"t\"', '\"Über\"')")
    with running(data) as app:
        for text in ("Über", "ÜBER", "über"):
            asked = quote(f"tags[contains_ignorecase]{text}")
            found = app.request("GET", f"/api/devmanager/v1/devices?filter={asked}&page_size=50").json()["list"]
            assert [device["tags"] for device in found] == [["Über"]] * 11


@pytest.mark.parametrize("release", OLDER["postgres"])
def test_a_postgres_registry_of_an_older_release_answers_as_it_did(tmp_path: Path, release: str) -> None:
    data = laid_out(release, "postgres", tmp_path / "data")
    url = asyncio.run(postgres_database(release))
    with running(data, database=url, migrate=True) as app:
        assert_kept(app, release, "postgres")
        assert_goes_on(app)
    assert asyncio.run(described(url)) == asyncio.run(described(asyncio.run(new_database())))


def test_a_migration_does_not_wait_for_ever_for_who_uses_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a session that was left open. Steps that are taken stay so."""
    monkeypatch.setattr(postgres_schema, "_MIGRATION_PATIENCE", "200ms")
    url = asyncio.run(postgres_database("schema-13"))

    async def story() -> int:
        session = await asyncpg.connect(url)
        async with session.transaction():
            await session.execute("SELECT FROM progress LIMIT 1")
            with pytest.raises(Unreachable, match="uses a table that step 31 changes"):
                await postgres.open_store(url, migrate=True)
            stopped = await session.fetchval("SELECT version FROM fleetroll")
        await session.close()
        await (await postgres.open_store(url, migrate=True)).close()
        return int(stopped)

    assert asyncio.run(story()) == 30
    assert asyncio.run(described(url)) == asyncio.run(described(asyncio.run(new_database())))


def test_the_search_index_does_not_wait_for_ever_for_who_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is one already, it waits for nobody. The extension may be in any schema."""
    monkeypatch.setattr(postgres_schema, "_MIGRATION_PATIENCE", "200ms")
    url = asyncio.run(new_database())

    async def story() -> None:
        session = await asyncpg.connect(url)
        if not await session.fetchval("SELECT true FROM pg_extension WHERE extname = 'pg_trgm'"):
            pytest.skip("the server has no pg_trgm")
        async with session.transaction():
            await session.execute("LOCK TABLE device IN ROW EXCLUSIVE MODE")
            await (await postgres.open_store(url, migrate=True)).close()
        await session.execute("DROP INDEX device_search")
        async with session.transaction():
            await session.execute("LOCK TABLE device IN ROW EXCLUSIVE MODE")
            with pytest.raises(Unreachable, match="Another session writes to the devices"):
                await postgres.open_store(url, migrate=True)
        await session.execute('CREATE SCHEMA "Their extensions"; ALTER EXTENSION pg_trgm SET SCHEMA "Their extensions"')
        await (await postgres.open_store(url, migrate=True)).close()
        assert await session.fetchval("SELECT true FROM pg_indexes WHERE indexname = 'device_search'")
        await session.close()

    asyncio.run(story())


@about_sqlite
@pytest.mark.parametrize("release", OLDER["sqlite"])
def test_a_sqlite_registry_of_an_older_release_knows_its_server_key_from_its_first_start(
    tmp_path: Path, release: str
) -> None:
    old, data = sqlite_directory(release, tmp_path / "old"), tmp_path / "data"
    from_there = ["--from", str(old / DATABASE), "--server-key-file", str(old / "server.key")]
    assert fleetroll("restore", *from_there, "--data", str(data)).returncode == 0
    assert "not known to the database yet" in fleetroll("doctor", "--data", str(data)).stdout
    with running(data):
        pass
    assert "made with this server key" in fleetroll("doctor", "--data", str(data)).stdout
    with pytest.raises(Refused, match="made with another server key"), running(data, server_key=ANOTHER_KEY):
        pass


def remembering(trace: str, version: int, data: Path) -> None:
    """Make a registry of that schema whose only trace of its server key is a row of `trace` as of today's server.

    The columns that an older schema has in these tables have not changed since.
    """
    with running(data) as app:
        assert app.request("POST", "/v1/authorities", {"name": "a"}).status == 201
    made = (data / DATABASE).rename(data.with_name("made.db"))
    older(data / DATABASE, version)
    with closing(apsw.Connection(str(data / DATABASE))) as connection:
        connection.execute("ATTACH ? AS made", (str(made),))
        for table in ("timeline", trace):
            columns = ", ".join(name for _, name, *_ in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM made.{table}")  # noqa: S608


@about_sqlite
@pytest.mark.parametrize(("trace", "version"), [("server_key", NEWEST - 1), ("authority", 4), ("authority", 25)])
def test_an_older_sqlite_registry_of_another_server_key_is_refused_untouched(
    tmp_path: Path, trace: str, version: int
) -> None:
    data = tmp_path / "data"
    remembering(trace, version, data)
    before = {file.name: file.read_bytes() for file in data.iterdir()}
    refused = fleetroll("serve", "--data", str(data), FLEETROLL_SERVER_KEY=ANOTHER_KEY)
    assert (refused.returncode, "made with another server key" in refused.stderr) == (65, True)
    assert {file.name: file.read_bytes() for file in data.iterdir()} == before
    with running(data):
        assert (data / f"{DATABASE}.schema-{version}").exists()


@pytest.mark.parametrize("release", OLDER["postgres"])
def test_an_older_postgres_registry_of_another_server_key_is_refused_untouched(tmp_path: Path, release: str) -> None:
    data = laid_out(release, "postgres", tmp_path / "data")
    url = asyncio.run(postgres_database(release))
    before = asyncio.run(described(url)), asyncio.run(rows(url))
    another = {"database": url, "migrate": True, "server_key": ANOTHER_KEY}
    with pytest.raises(Refused, match="made with another server key"), running(data, **another):
        pass
    assert (asyncio.run(described(url)), asyncio.run(rows(url))) == before
    with running(data, database=url, migrate=True) as app:
        assert app.request("GET", "/v1/me").status == 200


def test_every_question_was_answered_by_some_release() -> None:
    """A fixture that says nothing would let everything pass."""
    answered = {target for file in HERE.glob("*/*.json") for target in json.loads(file.read_text())}
    assert answered == set(QUESTIONS)
    assert OLDER["sqlite"][0] == "schema-01"
    assert len(OLDER["postgres"]) >= 2


# --- cut short -------------------------------------------------------------------------------------------------------


def shape(file: Path) -> tuple[set[Any], set[Any]]:
    """The tables, indexes and columns of a SQLite registry."""
    columns = 'SELECT m.name, p.name, p.type, p."notnull" FROM sqlite_schema AS m, pragma_table_info(m.name) AS p'
    with closing(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        return set(connection.execute("SELECT type, name FROM sqlite_schema")), set(connection.execute(columns))


def content(file: Path) -> dict[str, set[Any]]:
    with closing(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        tables = [name for kind, name in shape(file)[0] if kind == "table" and "search" not in name]
        return {name: set(connection.execute(f"SELECT * FROM {name}")) for name in tables}  # noqa: S608  # of ours


async def described(url: str) -> set[tuple[Any, ...]]:
    """The columns and indexes of a PostgreSQL registry."""
    connection = await asyncpg.connect(url)
    columns = await connection.fetch(
        "SELECT table_name, column_name, data_type, is_nullable, coalesce(column_default, ''), collation_name "
        "FROM information_schema.columns WHERE table_schema = 'public'"
    )
    indexes = await connection.fetch("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'")
    await connection.close()
    return {tuple(row) for row in (*columns, *indexes)}


def cut_short(arguments: list[str], calls: str, log: Path, again: Callable[[], list[str]]) -> Iterator[None]:
    """Migrate once, noting its system calls, then once more for each of a few of them, killed at that call."""
    command = [sys.executable, "-m", "fleetroll", "migrate"]
    subprocess.run([*tracing(calls, log), *command, *arguments], check=True, capture_output=True, timeout=120)
    made = [match[0] for line in log.read_text().splitlines() if (match := _CALL.match(line))]
    for place in sorted(random.Random(os.environ["FLEETROLL_SEED"]).sample(range(len(made)), CUTS)):
        call = made[place].split()[1]  # they are counted for each thread and each call
        nth = made[: place + 1].count(made[place])
        killed = subprocess.run(
            [*tracing(call, log, f"signal=SIGKILL:when={nth}"), *command, *again()],
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert killed.returncode != 0
        yield


@about_sqlite
@traced
def test_a_sqlite_migration_killed_at_any_call_is_begun_again_and_ends_the_same(tmp_path: Path) -> None:
    whole, data = sqlite_directory("schema-01", tmp_path / "whole"), tmp_path / "data"

    def again() -> list[str]:
        shutil.rmtree(data, ignore_errors=True)
        sqlite_directory("schema-01", data)
        return ["--data", str(data)]

    async def finished() -> None:
        await sqlite.open_store(data / DATABASE, create=False).close()

    calls = "pwrite64,fdatasync,ftruncate,unlink,rename"
    for _ in cut_short(["--data", str(whole)], calls, tmp_path / "calls", again):
        asyncio.run(finished())
        assert sqlite.inspect(data / DATABASE) == []
        assert shape(data / DATABASE) == shape(whole / DATABASE)
        assert content(data / DATABASE) == content(whole / DATABASE)
        kept = data / f"{DATABASE}.schema-1"
        assert content(kept) == content(whole / kept.name)


@about_sqlite
@traced
def test_after_a_power_cut_what_is_kept_of_an_older_schema_is_whole_and_there_before_the_newer_one(
    tmp_path: Path,
) -> None:
    data, log = sqlite_directory("schema-01", tmp_path / "data"), tmp_path / "steps"
    was, kept = content(data / DATABASE), f"{DATABASE}.schema-1"
    before: list[power.Step] = [power.Make(str(data))]
    for file in data.iterdir():
        before += [power.Make(str(file)), power.Write(str(file), 0, file.read_bytes())]
    before += [power.Sync(str(path), len(before)) for path in (*data.iterdir(), data, tmp_path)]
    command = [sys.executable, "-m", "fleetroll", "migrate", "--data", str(data)]
    subprocess.run([*power.recording(log), *command], check=True, capture_output=True, timeout=120)
    chance, found = random.Random(os.environ["FLEETROLL_SEED"]), Counter[str]()
    disk = power.Disk(data)
    for number, step in enumerate([*before, *power.steps(log, after=len(before))]):
        if number >= len(before) and number % 3 == 0:
            image = tmp_path / str(number)
            disk.after_cut(chance, image)
            if (image / kept).exists():
                found["kept"] += 1
                assert content(image / kept) == was
            with closing(apsw.Connection(str(image / DATABASE))) as connection:
                if connection.pragma("user_version") > 1:
                    found["newer"] += 1
                    assert (image / kept).exists()
            shutil.rmtree(image)
        disk.take(step)
    assert found["kept"] > found["newer"] > 0


@traced
def test_a_postgres_migration_killed_at_any_statement_is_begun_again_and_ends_the_same(tmp_path: Path) -> None:
    whole, urls = asyncio.run(postgres_database("schema-08")), []

    def again() -> list[str]:
        urls.append(asyncio.run(postgres_database("schema-08")))
        return ["--database", urls[-1], "--data", str(tmp_path / "data")]

    async def finished(url: str) -> None:
        await (await postgres.open_store(url, migrate=True)).close()

    arguments = ["--database", whole, "--data", str(tmp_path / "data")]
    for _ in cut_short(arguments, "sendto", tmp_path / "calls", again):
        asyncio.run(finished(urls[-1]))
        assert asyncio.run(described(urls[-1])) == asyncio.run(described(whole))
        assert sorted(asyncio.run(rows(urls[-1]))) == sorted(asyncio.run(rows(whole)))


# --- every step -------------------------------------------------------------------------------------------------------


def older(file: Path, version: int) -> None:
    """A SQLite registry as the release with that schema left it."""
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute(f"PRAGMA application_id = {sqlite.APPLICATION_ID}")
        sqlite.define_functions(connection)
        for step in migrations.load("sqlite")[:version]:
            connection.execute(step.text)
        connection.pragma("user_version", version)
        connection.execute(
            "INSERT INTO organization "
            "(parent, slug, name, lineage, disabled, quotas, created_at, updated_at, revision) "
            "VALUES (0, 'default', 'Kept', '[]', 0, '{}', 1, 1, 1)"
        )


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_an_older_sqlite_schema_becomes_the_newest_and_is_kept_as_it_was(tmp_path: Path, version: int) -> None:
    fresh, file = tmp_path / "fresh.db", tmp_path / "fleetroll.db"
    older(file, version)
    with asyncio.Runner() as runner:
        for place, create in ((fresh, True), (file, False)):
            runner.run(reopened(place, create=create))
    assert shape(file) == shape(fresh)
    with (
        closing(apsw.Connection(str(file))) as grown,
        closing(apsw.Connection(str(tmp_path / f"fleetroll.db.schema-{version}"))) as kept,
    ):
        assert grown.pragma("user_version") == NEWEST
        assert kept.pragma("user_version") == version
        assert kept.execute("SELECT name FROM organization").get == "Kept"


def test_what_is_kept_of_an_older_schema_is_what_was_there_last(tmp_path: Path) -> None:
    """Whoever has gone back to the older release, and then upgrades again, keeps what it wrote in between."""
    file = tmp_path / DATABASE
    kept = tmp_path / f"{DATABASE}.schema-{NEWEST - 1}"
    older(file, NEWEST - 1)
    asyncio.run(reopened(file, create=False))
    shutil.copy(kept, file)
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute("UPDATE organization SET name = 'Later'")
    asyncio.run(reopened(file, create=False))
    with closing(apsw.Connection(str(kept))) as connection:
        assert connection.execute("SELECT name FROM organization").get == "Later"


def test_a_copy_that_was_kept_by_an_attempt_that_failed_is_not_made_again(tmp_path: Path) -> None:
    file = tmp_path / DATABASE
    kept = tmp_path / f"{DATABASE}.schema-{NEWEST - 1}"
    older(file, NEWEST - 1)
    with closing(apsw.Connection(str(file))) as connection:
        connection.pragma("journal_mode", "WAL")  # as every release has left it
    before = tmp_path / "before"
    shutil.copy2(file, before)
    asyncio.run(reopened(file, create=False))
    made = kept.stat()
    shutil.copy2(before, file)
    asyncio.run(reopened(file, create=False))
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)


async def reopened(file: Path, *, create: bool) -> None:
    await sqlite.open_store(file, create=create).close()


def test_migrate_shows_and_applies(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    older(data / DATABASE, 1)
    shown = fleetroll("migrate", "--data", str(data), "--dry-run")
    assert (shown.returncode, "schema 1" in shown.stdout, "device_views" in shown.stdout) == (0, True, True)
    planned = fleetroll("migrate", "--data", str(data), "--dry-run", "--json")
    steps = [{"number": step.number, "name": step.name} for step in migrations.load("sqlite")[1:]]
    assert json.loads(planned.stdout) == {"schema": 1, "steps": steps}
    assert "device_views" in fleetroll("migrate", "--data", str(data)).stdout
    done = fleetroll("migrate", "--data", str(data), "--json")
    assert json.loads(done.stdout) == {"schema": NEWEST, "steps": []}
    assert "up to date" in fleetroll("migrate", "--data", str(data)).stdout


async def at_version(url: str, version: int) -> None:
    """An empty PostgreSQL database as the release with that schema left it."""
    connection = await asyncpg.connect(url)
    await connection.execute('CREATE TABLE fleetroll (version bigint NOT NULL, server_key text COLLATE "C")')
    await connection.execute("INSERT INTO fleetroll (version) VALUES ($1)", version)
    for step in migrations.load("postgres")[:version]:
        await connection.execute(step.text)
    await connection.close()


@pytest.mark.parametrize("version", [0, 8, NEWEST - 1])
def test_postgres_migrations_end_in_the_schema_of_a_new_database_wherever_they_are_cut(version: int) -> None:
    """Each attempt to migrate is cut off by another connection at some moment, until one has ended before that."""

    async def cut_short() -> str:
        url, fresh = await empty_database(), await new_database()
        if version:
            await at_version(url, version)
        cutter = await asyncpg.connect(url)
        for attempt in range(50):
            migrating = asyncio.ensure_future(postgres.open_store(url, migrate=True))
            await asyncio.sleep(random.random() * 0.02 * (attempt + 1))
            await cutter.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name LIKE 'fleetroll %'"
            )
            with contextlib.suppress(Exception):  # whatever it is that was cut: it is tried again
                await (await migrating).close()
                break
        await cutter.close()
        store = await postgres.open_store(url, migrate=True)
        await store.close()
        assert await described(url) == await described(fresh)
        return url

    assert asyncio.run(count_versions(asyncio.run(cut_short()))) == [NEWEST]


async def count_versions(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch("SELECT version FROM fleetroll")]
    finally:
        await connection.close()


READ = {"ingest 1": StreamPosition(5, 7), "commands 1": StreamPosition(6, 0), "ingest 1 at": StreamPosition()}
NOTED = "INSERT INTO progress (org, name, place) VALUES (0, 'ingest 1', 5), (0, 'ingest 1 at', 7), (0, 'commands 1', 6)"


async def noted_in_sqlite(file: Path, version: int, statements: str) -> Store:
    older(file, version)
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute(statements)
    return sqlite.open_store(file, create=False)


async def noted_in_postgres(_: Path, version: int, statements: str) -> Store:
    url = await empty_database()
    await at_version(url, version)
    connection = await asyncpg.connect(url)
    await connection.execute(statements)
    await connection.close()
    return await postgres.open_store(url, migrate=True)


Noted = Callable[[Path, int, str], Coroutine[Any, Any, Store]]
on_both = pytest.mark.parametrize("noted", [noted_in_sqlite, noted_in_postgres])


@on_both
def test_how_far_a_stream_was_read_is_kept_by_place_and_by_time(tmp_path: Path, noted: Noted) -> None:
    async def read() -> dict[str, StreamPosition]:
        store = await noted(tmp_path / DATABASE, 30, NOTED)
        try:
            return await store.read.progress.of(READ)
        finally:
            await store.close()

    assert asyncio.run(read()) == READ


LINKED = """
    INSERT INTO device (id, org, ident, ident_key, search, metadata, tags, owners, metric_schema, config, status,
        connected, last_seen, created_at, updated_at, revision, extras)
    VALUES (1, 1, 'a', 'a', 'a', '{}', '[]', '[]', '{}', '{}', 'NO_IDENTITY', true, 7, 5, 5, 1, '{}');
    INSERT INTO broker_connection (org, device, name) VALUES (1, 1, 'open'), (1, 2, 'of a device that has gone')
"""


@on_both
def test_connections_from_before_are_known_since_their_device_was_last_heard(tmp_path: Path, noted: Noted) -> None:
    async def closed() -> list[int | None]:
        store = await noted(tmp_path / DATABASE, 31, LINKED)
        try:
            links = await store.scan.presence.links(None, 10)
            return [await store.write(lambda records, one=one: records.presence.closed(one)) for one in links]
        finally:
            await store.close()

    assert asyncio.run(closed()) == [7, 0]
