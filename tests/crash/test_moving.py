"""From SQLite to PostgreSQL: cut short and tried again, the end is the same."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fleetroll.data_directory import DirectoryRefused
from fleetroll.store import postgres, sqlite
from fleetroll.store.port import Records
from fleetroll.store.refusals import Refused
from tests.fixtures.make import BODIES
from tests.support.app import App, about_sqlite, running
from tests.support.postgres import empty_database, rows
from tests.support.process import fleetroll
from tests.support.server_keys import ANOTHER_KEY, unmark
from tests.support.stores import NOW, device, document, event, organization


def copied(data: Path, url: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return fleetroll("copy", "--from", f"sqlite:{data}", "--to", url, *options)


# --- copying ---------------------------------------------------------------------------------------------------------


def furnish(app: App) -> None:
    """Something of every noun that the native API has, with what is awkward in each."""
    made = app.request("POST", "/v1/keys", {"name": "viewer \u03a9", "role": "viewer"})
    assert made.status == 201
    app.key = made.json()["key"]
    bodies = {target: body for target, (body, *_) in BODIES.items()}
    full = bodies.pop("/v1/devices")
    for target, body in bodies.items():
        assert app.request("POST", target, body).status == 201, target
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


@about_sqlite
def test_a_copy_belongs_to_the_server_key_of_its_source_whatever_lies_beside_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data):
        pass
    key = (data / "server.key").read_text()
    (data / "server.key").write_text(ANOTHER_KEY)
    url = asyncio.run(empty_database())
    done = copied(data, url, "--json")
    assert done.returncode == 0
    assert {"organization", "device"} <= {table["table"] for table in json.loads(done.stdout)["tables"]}
    with pytest.raises(Refused, match="made with another server key"), running(data, database=url):
        pass
    with running(data, database=url, server_key=key) as app:
        assert app.request("GET", "/v1/me").status == 200


@about_sqlite
def test_no_server_key_is_made_for_a_copy_that_lacks_one(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    with running(data):
        pass
    unmark(data / "fleetroll.db")
    key = data / "server.key"
    key.rename(tmp_path / "kept")
    url = asyncio.run(empty_database())
    assert copied(data, url).returncode == 0
    with pytest.raises(DirectoryRefused, match=r"server\.key is missing"), running(elsewhere, database=url):
        pass
    assert not (elsewhere / "server.key").exists()
    (tmp_path / "kept").rename(key)
    with running(data, database=url) as app:
        assert app.request("GET", "/v1/me").status == 200


READS_ONLY = (
    "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET default_transaction_read_only = on'; END $$"
)
HANGS_UP = """
CREATE FUNCTION hang_up() RETURNS event_trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END';
CREATE EVENT TRIGGER hangs_up ON ddl_command_end EXECUTE FUNCTION hang_up();
"""


@about_sqlite
@pytest.mark.parametrize("habit", [READS_ONLY, HANGS_UP])
def test_a_database_that_fails_meanwhile_is_reported(tmp_path: Path, habit: str) -> None:
    data = tmp_path / "data"
    with running(data):
        pass

    async def spoilt() -> str:
        url = await empty_database()
        connection = await asyncpg.connect(url)
        await connection.execute(habit)
        await connection.close()
        return url

    url = asyncio.run(spoilt())
    for ended in (copied(data, url), fleetroll("migrate", "--database", url)):
        assert ended.returncode == 1
        assert re.fullmatch(r"fleetroll: The database cannot be used: .*\.\n", ended.stderr)


def test_a_copy_that_is_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with asyncio.Runner() as runner:
        runner.run(populate(data / "fleetroll.db", 12_000))
    url = asyncio.run(empty_database())
    killed = 0
    for noted in (0, 5_000, 15_000):
        asyncio.run(cut_short(data, url, noted))
        if "fleetroll_copy" in asyncio.run(tables(url)):
            killed += 1
            with pytest.raises(Refused, match="not finished"):
                asyncio.run(postgres.open_store(url, migrate=True))
    assert killed
    ended = copied(data, url)
    # The last one may have been killed just as it finished.
    assert ended.returncode == 0 or "not empty" in ended.stderr
    assert asyncio.run(count(url, "device")) == 12_000
    assert "fleetroll_copy" not in asyncio.run(tables(url))


async def cut_short(data: Path, url: str, noted: int) -> None:
    """Copy, and kill it as soon as it has noted so many rows."""
    watching = await asyncpg.connect(url)
    command = [sys.executable, "-m", "fleetroll", "copy", "--from", f"sqlite:{data}", "--to", url]
    copying = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while copying.returncode is None:
        with contextlib.suppress(asyncpg.UndefinedTableError):  # it has not begun
            if await watching.fetchval("SELECT coalesce(sum(rows), 0) FROM fleetroll_copy") >= noted:
                copying.kill()
                break
        await asyncio.sleep(0.001)
    await copying.wait()
    await watching.close()


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


def test_a_database_that_cannot_hold_every_text_is_refused_before_anything_is_copied(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    asyncio.run(populate(data / "fleetroll.db", 1))
    url = asyncio.run(empty_database("LATIN1"))
    refused = copied(data, url)
    assert (refused.returncode, "stores text as LATIN1" in refused.stderr) == (1, True)
    assert asyncio.run(rows(url)) == []


def test_a_registry_that_is_served_is_not_copied(tmp_path: Path) -> None:
    with running(tmp_path / "data"):
        refused = copied(tmp_path / "data", "postgresql://nobody@127.0.0.1:1/none")
    assert (refused.returncode, "stop it first" in refused.stderr) == (1, True)
