"""From SQLite to PostgreSQL, and from one schema to the next: cut short and tried again, the end is the same."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import pytest

from fleetroll.store import migrations, postgres, sqlite
from fleetroll.store.migrations import Refused
from fleetroll.store.port import Records
from tests.support.app import App, about_sqlite, running
from tests.support.postgres import empty_database, new_database
from tests.support.stores import NOW, device, document, event, organization

NEWEST = len(migrations.load("sqlite"))


def fleetroll(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "fleetroll", *arguments]
    given = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=given)


def copied(data: Path, url: str) -> "subprocess.CompletedProcess[str]":
    return fleetroll("copy", "--from", f"sqlite:{data}", "--to", url)


# --- copying ---------------------------------------------------------------------------------------------------------


def furnish(app: App) -> None:
    """Something of every noun that the native API has, with what is awkward in each."""
    made = app.request("POST", "/v1/keys", {"name": "viewer \u03a9", "role": "viewer"})
    assert made.status == 201
    app.key = made.json()["key"]
    bodies = {
        "/v1/organizations": {"slug": "child", "name": "Child"},
        "/v1/owners": {"ref": "ann@example.com", "name": "Ann"},
        "/v1/groups": {"name": "pumps", "filter": 'kind = "pump"'},
        "/v1/metadata-fields": {"name": "rack", "type": "integer"},
    }
    for target, body in bodies.items():
        assert app.request("POST", target, body).status == 201, target
    full = {
        "ident": "caf\u00e9 \U0001f600",
        "name": 'n"1 \\ %',
        "kind": "pump",
        "tags": ["a", "b c"],
        "owners": ["ann@example.com"],
        "metadata": {"b": 1, "a": {"big": 2**64 - 1, "f": 1.5, "n": None}, "rack": 7},
        "software": {"version": "1.2"},
    }
    assert app.request("POST", "/v1/devices", full, headers={"Idempotency-Key": "once"}).status == 201
    rows = b"".join(json.dumps({"ident": f"d{number}", "tags": ["t"]}).encode() + b"\n" for number in range(700))
    kind = {"content-type": "application/x-ndjson"}
    assert app.request("POST", "/v1/devices:import", raw=rows, headers=kind).status == 200
    assert app.request("DELETE", "/v1/devices/d699").status == 204
    assert app.request("PATCH", "/v1/devices/d1", {"name": "x"}).status == 200


QUESTIONS = (
    "/v1/devices?limit=1000&sort=ident",
    "/v1/devices?filter=metadata.a.f%20%3D%201.5",
    "/v1/devices?q=D69&count=true",
    "/v1/devices/d1/timeline?limit=1000",
    "/v1/organizations",
    "/v1/owners",
    "/v1/groups",
    "/v1/metadata-fields",
    "/v1/stats",
)


def answers(app: App) -> dict[str, Any]:
    found = {}
    for target in QUESTIONS:
        answer = app.request("GET", target)
        assert answer.status == 200, (target, answer.body)
        found[target] = {name: value for name, value in answer.json().items() if name != "next_cursor"}
    found["etags"] = [app.request("GET", f"/v1/devices/d{number}").headers["etag"] for number in range(5)]
    found["me"] = app.request("GET", "/v1/me", key=app.key).json()
    again = app.request("POST", "/v1/owners", {"ref": "never"}, key=app.key)
    assert again.status == 403
    return found


@about_sqlite
def test_a_copied_registry_gives_the_same_answers_and_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as app:
        furnish(app)
        key, before = app.key, answers(app)
        repeated = app.request("GET", "/v1/devices/caf%C3%A9%20%F0%9F%98%80").json()
    url = asyncio.run(empty_database())
    done = copied(data, url)
    assert (done.returncode, done.stderr.count("device: 700 rows")) == (0, 1), done.stderr
    with running(data, database=url) as app:
        app.key = key
        assert answers(app) == before
        assert app.request("GET", "/v1/devices/caf%C3%A9%20%F0%9F%98%80").json() == repeated
        replay = app.request("POST", "/v1/devices", {"ident": "x"}, headers={"Idempotency-Key": "once"})
        assert replay.status in {409, 422}  # the key is known, and was for another request
        added = app.request("POST", "/v1/devices", {"ident": "added"}).json()
        assert int(added["id"]) > 701  # the number of the deleted device is not given again
    again = copied(data, url)
    assert (again.returncode, "not empty" in again.stderr) == (1, True)


def test_a_copy_that_is_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with asyncio.Runner() as runner:
        runner.run(populate(data / "fleetroll.db", 12_000))
    url = asyncio.run(empty_database())
    steady = random.Random(os.environ["FLEETROLL_SEED"])
    killed = 0
    while True:
        command = [sys.executable, "-m", "fleetroll", "copy", "--from", f"sqlite:{data}", "--to", url]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            code = process.wait(0.5 + steady.random() * 2 + killed / 2)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
            if "fleetroll_copy" in asyncio.run(tables(url)):
                with pytest.raises(Refused, match="not finished"):
                    asyncio.run(postgres.open_store(url, migrate=True))
    if code:
        # It was killed between the last row and its end, or it is done.
        assert "not empty" in copied(data, url).stderr
    assert asyncio.run(count(url, "device")) == 12_000
    assert "fleetroll_copy" not in asyncio.run(tables(url))


async def populate(file: Path, devices: int) -> None:
    store = sqlite.open_store(file, create=True)

    async def work(records: Records) -> None:
        org = await records.organizations.insert(organization(None, "default"))
        assert org is not None
        new = [device(f"d{n}", tags=("t",), metadata=document(f'{{"n":{n}}}')) for n in range(devices)]
        for start in range(0, devices, 1000):
            made = await records.devices.insert_many(org.id, new[start : start + 1000], NOW)
            await records.timeline.append([event(org.id, one.id) for one in made])

    await store.write(work, bulk=True)
    await store.close()


async def count(url: str, table: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608  # a name of ours
    finally:
        await connection.close()


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0] for row in found}
    finally:
        await connection.close()


def test_a_copy_that_differs_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    asyncio.run(populate(data / "fleetroll.db", 10))
    url = asyncio.run(empty_database())

    async def meddle() -> None:
        """As if a row had been changed on its way, in a copy that was cut short."""
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE fleetroll_copy (name text PRIMARY KEY, place text, rows bigint)")
        await connection.execute("INSERT INTO fleetroll_copy VALUES ('device', '[4]', 4)")
        await connection.close()

    asyncio.run(meddle())
    refused = copied(data, url)
    assert refused.returncode == 1
    assert "Table device is not the same on both sides (10 and 6 rows)" in refused.stderr


def test_a_registry_that_is_served_is_not_copied(tmp_path: Path) -> None:
    with running(tmp_path / "data"):
        refused = copied(tmp_path / "data", "postgresql://nobody@127.0.0.1:1/none")
    assert (refused.returncode, "stop it first" in refused.stderr) == (1, True)


# --- migrations ------------------------------------------------------------------------------------------------------


@contextmanager
def older(file: Path, version: int) -> Iterator[None]:
    """A SQLite registry as the release with that schema left it."""
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute(f"PRAGMA application_id = {sqlite.APPLICATION_ID}")
        for step in migrations.load("sqlite")[:version]:
            connection.execute(step.text)
        connection.pragma("user_version", version)
        connection.execute(
            "INSERT INTO organization "
            "(parent, slug, name, lineage, disabled, quotas, created_at, updated_at, revision) "
            "VALUES (0, 'default', 'Kept', '[]', 0, '{}', 1, 1, 1)"
        )
    yield


def shape(connection: apsw.Connection) -> set[tuple[Any, ...]]:
    return set(connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_an_older_sqlite_schema_becomes_the_newest_and_is_kept_as_it_was(tmp_path: Path, version: int) -> None:
    fresh, file = tmp_path / "fresh.db", tmp_path / "fleetroll.db"
    with older(file, version), asyncio.Runner() as runner:
        for place, create in ((fresh, True), (file, False)):
            runner.run(reopened(place, create=create))
    with (
        closing(apsw.Connection(str(fresh))) as made,
        closing(apsw.Connection(str(file))) as grown,
        closing(apsw.Connection(str(tmp_path / f"fleetroll.db.schema-{version}"))) as kept,
    ):
        columns = 'SELECT m.name, p.name, p.type, p."notnull" FROM sqlite_schema AS m, pragma_table_info(m.name) AS p'
        assert set(grown.execute(columns)) == set(made.execute(columns))
        assert {one[:2] for one in shape(grown)} == {one[:2] for one in shape(made)}
        assert grown.pragma("user_version") == NEWEST
        assert kept.pragma("user_version") == version
        assert kept.execute("SELECT name FROM organization").get == "Kept"


async def reopened(file: Path, *, create: bool) -> None:
    await sqlite.open_store(file, create=create).close()


def test_migrate_shows_and_applies(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with older(data / "fleetroll.db", 1):
        shown = fleetroll("migrate", "--data", str(data), "--dry-run")
        assert (shown.returncode, "schema 1" in shown.stdout, "device_views" in shown.stdout) == (0, True, True)
        assert "device_views" in fleetroll("migrate", "--data", str(data)).stdout
        assert "up to date" in fleetroll("migrate", "--data", str(data)).stdout


async def at_version(url: str, version: int) -> None:
    """An empty PostgreSQL database as the release with that schema left it."""
    connection = await asyncpg.connect(url)
    await connection.execute('CREATE TABLE fleetroll (version bigint NOT NULL, server_key text COLLATE "C")')
    await connection.execute("INSERT INTO fleetroll (version) VALUES ($1)", version)
    for step in migrations.load("postgres")[:version]:
        await connection.execute(step.text)
    await connection.close()


async def described(url: str) -> set[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    try:
        columns = await connection.fetch(
            "SELECT table_name, column_name, data_type, is_nullable, coalesce(column_default, ''), collation_name "
            "FROM information_schema.columns WHERE table_schema = 'public'"
        )
        indexes = await connection.fetch("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'")
    finally:
        await connection.close()
    return {tuple(row) for row in (*columns, *indexes)}


@pytest.mark.parametrize("version", range(NEWEST))
def test_postgres_migrations_end_in_the_schema_of_a_new_database_wherever_they_are_cut(version: int) -> None:
    """One connection is cut off again and again while another one migrates, until one migration comes to its end."""

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
