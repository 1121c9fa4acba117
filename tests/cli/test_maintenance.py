"""`fleetroll backup`, `restore`, `doctor` and `recover`."""

import asyncio
import json
import os
import resource
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.cli.impostor import impostor
from tests.support import postgres, process
from tests.support.app import about_sqlite, chosen_database
from tests.support.server_keys import ANOTHER_KEY, unmark

Fleetroll = Callable[..., Any]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a server that has served and stopped."""
    data = tmp_path_factory.mktemp("stopped") / "data"
    with process.serving(data):
        pass
    return data


@pytest.fixture
def data(stopped: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(stopped, tmp_path / "data"))


@pytest.fixture
def backup(fleetroll: Fleetroll, home: Path, work: Path) -> Path:
    """A backup of the module's server, with the server's key beside it."""
    assert fleetroll("backup", "backup.db").code == 0
    shutil.copy(home / "server.key", work / "server.key")
    return work / "backup.db"


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


# --- backup and restore ----------------------------------------------------------------------------------------------


def test_a_restored_server_has_the_same_keys_numbers_and_entity_tags(
    fleetroll: Fleetroll, alone: Fleetroll, home: Path, work: Path
) -> None:
    fleetroll("org", "create", "kept")
    fleetroll("device", "create", "kept", "name=before", "tags=a,b", "--organization", "kept")
    fleetroll("device", "set", "kept", "metadata.n:=1", "--organization", "kept")
    key = fleetroll("key", "create", "kept", "--role", "admin", "--json").json()["key"]
    revoked = fleetroll("key", "create", "revoked", "--role", "admin", "--json").json()
    fleetroll("key", "revoke", str(revoked["id"]))
    before = fleetroll("device", "get", "kept", "--json", "--organization", "kept").json()

    assert fleetroll("backup", "backup.db").code == 0
    fleetroll("device", "set", "kept", "name=after the backup", "--organization", "kept")
    shutil.copy(home / "server.key", "server.key")
    restored = alone("restore", "--from", "backup.db", "--data", "new", "--server-key-file", "server.key")
    assert restored.code == 0
    assert "fleetroll serve --data new" in restored.err

    with process.serving(work / "new") as again:
        inside = {"FLEETROLL_URL": again.url, "FLEETROLL_KEY": key, "FLEETROLL_ORGANIZATION": "kept"}
        assert alone("device", "get", "kept", "--json", **inside).json() == before
        # A relative change sends the entity tag that it has read.
        changed = alone("device", "set", "kept", "tags+=c", "--json", **inside).json()
        assert (changed["id"], changed["revision"], changed["tags"]) == (before["id"], 3, ["a", "b", "c"])
        assert alone("whoami", **inside | {"FLEETROLL_KEY": revoked["key"]}).code == 4


def test_a_backup_and_what_is_restored_are_private(alone: Fleetroll, backup: Path, work: Path) -> None:
    assert alone("restore", "--from", str(backup), "--data", "new", "--server-key-file", "server.key").code == 0
    assert mode(backup) == 0o600
    assert {name: mode(work / "new" / name) for name in ("fleetroll.db", "server.key")} == {
        "fleetroll.db": 0o600,
        "server.key": 0o600,
    }
    assert mode(work / "new") == 0o700


def test_what_became_free_is_not_in_a_backup(fleetroll: Fleetroll, alone: Fleetroll, backup: Path, work: Path) -> None:
    rows = [json.dumps({"ident": f"bulky-{n}", "metadata": {"text": "x" * 60_000}}) for n in range(40)]
    before = backup.stat().st_size
    assert fleetroll("device", "import", "-", "--format", "ndjson", stdin="\n".join(rows).encode()).code == 0
    fleetroll("backup", "full.db")
    for n in range(40):
        assert fleetroll("device", "delete", f"bulky-{n}").code == 0
    fleetroll("backup", "lean.db")
    assert (work / "full.db").stat().st_size > before + 2_000_000
    assert (work / "lean.db").stat().st_size < before + 200_000
    assert alone("restore", "--from", "lean.db", "--data", "new", "--server-key-file", "server.key").code == 0
    assert (work / "new" / "fleetroll.db").stat().st_size == (work / "lean.db").stat().st_size


def test_commands_that_are_advised_work_as_they_stand(alone: Fleetroll, backup: Path, work: Path) -> None:
    restored = alone("restore", "--from", str(backup), "--data", "my data", "--server-key-file", "server.key")
    assert restored.err.strip().endswith(": fleetroll serve --data 'my data'")
    (work / "my data").chmod(0o755)
    (found,) = (
        one for one in alone("doctor", "--data", "my data", "--json").json()["checks"] if one["state"] == "fail"
    )
    subprocess.run(shlex.split(found["advice"]), check=True)
    assert mode(work / "my data") == 0o700


def test_a_new_backup_takes_the_place_of_the_old_one(fleetroll: Fleetroll, backup: Path) -> None:
    backup.write_bytes(b"old")
    assert fleetroll("backup", str(backup)).code == 0
    assert backup.read_bytes().startswith(b"SQLite format 3\0")


def test_a_backup_does_not_take_the_place_of_a_registry(fleetroll: Fleetroll, data: Path, work: Path) -> None:
    (data / "fleetroll.db").write_bytes(b"a registry")
    (work / "link.db").symlink_to(data / "fleetroll.db")
    for name in (str(data / "fleetroll.db"), "link.db"):
        refused = fleetroll("backup", name)
        assert (refused.code, "is the database of a server" in refused.err) == (2, True)
    assert (data / "fleetroll.db").read_bytes() == b"a registry"
    assert fleetroll("backup", "fleetroll.db").code == 0


def test_a_backup_goes_into_a_plain_file_only(fleetroll: Fleetroll) -> None:
    refused = fleetroll("backup", "/dev/null")
    assert (refused.code, "/dev/null is not a plain file." in refused.err) == (2, True)


@pytest.mark.parametrize(
    "command",
    [
        ["backup", "-"],
        ["relay", "certificate", "-"],
        ["device", "import", "x.csv", "--errors", "-"],
        ["import", "lamassu", "--url", "http://127.0.0.1:9", "--token", "t", "--state", "-"],
    ],
)
def test_what_is_not_written_to_standard_output_needs_the_name_of_a_file(
    fleetroll: Fleetroll, work: Path, command: list[str]
) -> None:
    (work / "x.csv").write_text("ident\n")
    refused = fleetroll(*command)
    assert (refused.code, "name a file" in refused.err) == (2, True)
    assert not (work / "-").exists()


@pytest.mark.parametrize(("body", "promised"), [(b"SQLite format 3\0", 4096), (b"<html>", None)])
def test_half_a_backup_leaves_the_old_one_alone(
    fleetroll: Fleetroll, work: Path, body: bytes, promised: int | None
) -> None:
    (work / "x.db").write_bytes(b"old")
    with impostor(body, promised=promised) as url:
        ended = fleetroll("backup", "x.db", FLEETROLL_URL=url)
    assert ended.code == 3
    assert [file.read_bytes() for file in work.iterdir()] == [b"old"]


def test_only_the_root_organization_may_back_up(fleetroll: Fleetroll, work: Path) -> None:
    fleetroll("org", "create", "tenant")
    made = fleetroll("key", "create", "t", "--role", "admin", "--organization", "tenant", "--json").json()
    assert fleetroll("backup", "x.db", FLEETROLL_KEY=made["key"]).code == 4
    assert list(work.iterdir()) == []


def test_a_preset_server_key_is_not_written_down(alone: Fleetroll, backup: Path, work: Path) -> None:
    preset = (work / "server.key").read_text()
    assert alone("restore", "--from", str(backup), "--data", "new", FLEETROLL_SERVER_KEY=preset).code == 0
    assert sorted(file.name for file in (work / "new").iterdir()) == ["fleetroll.db", "lock"]


def test_a_preset_server_key_that_is_not_the_backups_is_refused(alone: Fleetroll, backup: Path, work: Path) -> None:
    refused = alone("restore", "--from", str(backup), "--data", "new", FLEETROLL_SERVER_KEY=ANOTHER_KEY)
    assert refused.code == 1
    assert "FLEETROLL_SERVER_KEY is not the server key of this backup" in refused.err
    assert "--server-key-file" in refused.err
    assert not (work / "new").exists()


def test_a_backup_without_a_mark_is_restored_with_the_key_that_is_given(
    alone: Fleetroll, backup: Path, work: Path
) -> None:
    """As one of a release that left no marks: nothing in it tells one server key from another."""
    unmark(backup)
    (work / "server.key").write_text(ANOTHER_KEY)
    assert alone("restore", "--from", str(backup), "--data", "new", "--server-key-file", "server.key").code == 0
    code, states = checks(alone, work / "new")
    assert (code, states["database key"]) == (0, "warn")


def test_what_an_interrupted_restore_left_is_replaced(alone: Fleetroll, backup: Path, work: Path) -> None:
    (work / "new").mkdir()
    for name in ("lock", "server.key", "fleetroll.db.restoring"):
        (work / "new" / name).write_text("half")
    refused = subprocess.run(
        [sys.executable, "-m", "fleetroll", "serve", "--data", "new", "--http", "127.0.0.1:0"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (refused.returncode, "is missing" in refused.stderr) == (65, True)
    assert alone("restore", "--from", str(backup), "--data", "new", "--server-key-file", "server.key").code == 0
    assert (work / "new" / "server.key").read_text().strip() == (work / "server.key").read_text().strip()


def test_a_restore_onto_a_full_disk_leaves_nothing(backup: Path, work: Path) -> None:
    # A limit on the size of files fails a write in the middle, as a full disk does.
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000));"
        "from fleetroll.__main__ import run; run(sys.argv[1:])"
    )
    arguments = ["restore", "--from", str(backup), "--data", "new", "--server-key-file", "server.key"]
    ended = subprocess.run([sys.executable, "-c", script, *arguments], check=False, capture_output=True, text=True)
    assert ended.returncode == 7
    assert ended.stderr == f"fleetroll: {backup} to new/fleetroll.db: File too large.\n"
    assert not (work / "new").exists()


def test_a_backup_to_a_full_disk_names_the_file(fleetroll: Fleetroll, work: Path) -> None:
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        ended = fleetroll("backup", "small.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    assert (ended.code, ended.err) == (7, "fleetroll: small.db: File too large.\n")
    assert not list(work.glob("*small*"))


def cut(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)


def scribble(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(5 * 4096)
        stream.write(b"\xa5" * 4096 * 3)


def forge(file: Path) -> None:
    file.unlink()
    apsw.Connection(str(file)).execute("CREATE TABLE other (x)")


def advance(file: Path) -> None:
    apsw.Connection(str(file)).execute("PRAGMA user_version = 99")


def leave_a_log(file: Path) -> None:
    file.with_name(file.name + "-wal").write_bytes(b"x")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut, "not a sound backup"),
        (scribble, "not a sound backup"),
        (forge, "not a Fleetroll database"),
        (advance, "Run a newer release"),
        (leave_a_log, "not a backup"),
        (lambda file: file.write_bytes(b""), "not a Fleetroll database"),
        (lambda file: file.write_bytes(b"x" * 9000), "not a database"),
        (lambda file: (file.parent / "server.key").write_text("zz"), "server.key is damaged"),
        (lambda file: (file.parent / "server.key").write_text("abcd"), "server.key is damaged"),
        (lambda file: (file.parent / "server.key").write_text(ANOTHER_KEY), "not the server key of this backup"),
        (lambda file: (file.parent / "new").mkdir() or (file.parent / "new" / "x").write_text(""), "not empty"),
        (lambda file: (file.parent / "new").write_text(""), "is a file"),
    ],
    ids=[
        "cut",
        "scribbled",
        "foreign",
        "newer",
        "live",
        "empty",
        "text",
        "no-hex",
        "short-key",
        "other-key",
        "not-empty",
        "file",
    ],
)
def test_what_cannot_be_restored_is_refused_and_leaves_nothing(
    alone: Fleetroll, backup: Path, work: Path, spoil: Callable[[Path], object], words: str
) -> None:
    spoil(backup)
    before = sorted(work.rglob("*"))
    refused = alone("restore", "--from", str(backup), "--data", "new", "--server-key-file", "server.key")
    assert refused.code in {1, 2}
    assert words in refused.err
    assert ".." not in refused.err
    assert sorted(work.rglob("*")) == before


def test_an_empty_log_beside_a_backup_takes_nothing_from_it(alone: Fleetroll, backup: Path, work: Path) -> None:
    (work / "backup.db-wal").touch()
    assert alone("restore", "--from", str(backup), "--data", "new", "--server-key-file", "server.key").code == 0


def test_nobody_is_sent_for_another_backup_where_another_release_is_missing(
    alone: Fleetroll, backup: Path, work: Path
) -> None:
    advance(backup)
    refused = alone("restore", "--from", str(backup), "--data", "new", "--server-key-file", "server.key")
    assert (refused.code, "another backup" in refused.err) == (1, False)
    shutil.copytree(work, work / "data", ignore=lambda *_: {"data"})
    backup.rename(work / "data" / "fleetroll.db")
    examined = alone("doctor", "--data", str(work / "data"), "--json").json()["checks"]
    (found,) = [check for check in examined if check["check"] == "integrity"]
    assert (found["state"], "backup" in found["advice"]) == ("fail", False)


def test_a_restore_without_the_servers_key_is_refused(alone: Fleetroll, backup: Path, work: Path) -> None:
    refused = alone("restore", "--from", str(backup), "--data", "new")
    assert refused.code == 1
    assert "--server-key-file" in refused.err
    assert not (work / "new").exists()


def test_a_key_that_lies_in_the_directory_survives_a_refusal(alone: Fleetroll, backup: Path, work: Path) -> None:
    (work / "new").mkdir()
    (work / "new" / "server.key").write_text("somebody's")
    assert alone("restore", "--from", str(backup), "--data", "new", "--server-key-file", "server.key").code == 1
    assert (work / "new" / "server.key").read_text() == "somebody's"


def test_nothing_is_restored_over_a_running_server(fleetroll: Fleetroll, home: Path, backup: Path) -> None:
    into = ["--data", str(home), "--server-key-file", "server.key"]
    refused = fleetroll("restore", "--from", str(backup), *into)
    assert (refused.code, "not empty" in refused.err) == (1, True)
    assert fleetroll("whoami").code == 0


# --- doctor ----------------------------------------------------------------------------------------------------------


def checks(alone: Fleetroll, data: Path, **variables: str) -> tuple[int, dict[str, str]]:
    """The exit code, and the state of each check."""
    report = alone("doctor", "--data", str(data), "--json", **variables)
    return report.code, {check["check"]: check["state"] for check in report.json()["checks"]}


@about_sqlite
def test_a_healthy_directory_passes_and_is_left_as_it_is(alone: Fleetroll, data: Path) -> None:
    before = {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in data.iterdir()}
    code, states = checks(alone, data)
    assert code == 0
    assert {name for name, state in states.items() if state == "ok"} >= {
        *("directory", "lock", "server key", "database", "integrity", "schema", "database key", "sqlite", "clock"),
        "temporary files",
    }
    assert {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in data.iterdir()} == before


@about_sqlite
@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lambda data: data.chmod(0o755), "directory"),
        (lambda data: (data / "server.key").chmod(0o644), "server key"),
        (lambda data: (data / "server.key").unlink(), "server key"),
        (lambda data: (data / "server.key").write_text("nonsense"), "server key"),
        (lambda data: (data / "server.key").write_text(""), "server key"),
        (lambda data: (data / "server.key").write_text(ANOTHER_KEY), "database key"),
        (lambda data: (data / "fleetroll.db").chmod(0o644), "database"),
        (lambda data: (data / "fleetroll.db").chmod(0o400), "database"),
        (lambda data: (data / "fleetroll.db").unlink(), "database"),
        (lambda data: cut(data / "fleetroll.db"), "integrity"),
        (lambda data: scribble(data / "fleetroll.db"), "integrity"),
        (lambda data: forge(data / "fleetroll.db") or (data / "fleetroll.db").chmod(0o600), "integrity"),
        (lambda data: advance(data / "fleetroll.db"), "integrity"),
        (shutil.rmtree, "directory"),
    ],
)
def test_a_damaged_directory_fails_the_check_that_names_the_damage(
    alone: Fleetroll, data: Path, spoil: Callable[[Path], object], check: str
) -> None:
    spoil(data)
    code, states = checks(alone, data)
    assert (code, [name for name, state in states.items() if state == "fail"]) == (1, [check])
    people = alone("doctor", "--data", str(data))
    assert people.code == 1
    (line,) = [line for line in people.out.splitlines() if " fail " in line]
    assert line.startswith(f"{check}  ")


@about_sqlite
def test_nobody_is_told_to_give_a_foreign_directory_other_permissions(alone: Fleetroll, work: Path) -> None:
    foreign = work / "foreign"
    foreign.mkdir(0o755)
    (foreign / "hosts").touch()
    report = alone("doctor", "--data", "foreign", "--json")
    (failed,) = [check for check in report.json()["checks"] if check["state"] == "fail"]
    assert (report.code, failed["check"], failed["found"]) == (1, "directory", "there is no registry in foreign")
    assert "chmod" not in report.out


@about_sqlite
@pytest.mark.parametrize(("minutes", "state"), [(4, "ok"), (6, "warn")])
def test_a_database_that_was_written_later_than_now_is_a_warning_of_the_clock(
    alone: Fleetroll, data: Path, minutes: int, state: str
) -> None:
    later = time.time() + minutes * 60
    os.utime(data / "fleetroll.db", (later, later))
    code, states = checks(alone, data)
    assert (code, states["clock"]) == (0, state)


@about_sqlite
def test_a_machine_that_takes_no_temporary_files_fails_a_check(
    alone: Fleetroll, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        code, states = checks(alone, data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    assert (code, states["temporary files"]) == (1, "fail")


@about_sqlite
def test_a_first_start_that_broke_off_is_a_warning(alone: Fleetroll, data: Path) -> None:
    (data / "first-start").write_text("")
    code, states = checks(alone, data)
    assert (code, states["first start"]) == (0, "warn")


def test_a_database_elsewhere_is_examined_too(alone: Fleetroll, work: Path) -> None:
    url = asyncio.run(postgres.new_database())
    with process.serving(work / "data", FLEETROLL_DATABASE=url):
        served = alone("doctor", "--data", str(work / "data"), FLEETROLL_DATABASE=url).out
        assert ("a server is running here" in served, "was not checked" in served) == (True, False)
    code, states = checks(alone, work / "data", FLEETROLL_DATABASE=url)
    assert (code, states["database"], states["schema"], states["server key"]) == (0, "ok", "ok", "ok")
    assert checks(alone, work / "data", FLEETROLL_DATABASE="postgresql://x@127.0.0.1:1/x")[1]["database"] == "fail"
    empty = asyncio.run(postgres.empty_database())
    unmade = states | {"schema": "warn", "database key": "warn"}
    assert checks(alone, work / "data", FLEETROLL_DATABASE=empty) == (0, unmade)
    (work / "data" / "server.key").write_text(ANOTHER_KEY)
    assert checks(alone, work / "data", FLEETROLL_DATABASE=url) == (1, states | {"database key": "fail"})


@about_sqlite
def test_a_server_key_in_the_environment_makes_up_for_the_file(alone: Fleetroll, data: Path) -> None:
    key = (data / "server.key").read_text()
    (data / "server.key").unlink()
    assert checks(alone, data, FLEETROLL_SERVER_KEY=key)[0] == 0
    code, states = checks(alone, data, FLEETROLL_SERVER_KEY=ANOTHER_KEY)
    assert (code, [name for name, state in states.items() if state == "fail"]) == (1, ["database key"])


@about_sqlite
def test_of_many_damages_doctor_tells_the_first(alone: Fleetroll, data: Path) -> None:
    roots = "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'device' LIMIT 5"
    with closing(apsw.Connection(str(data / "fleetroll.db"))) as connection:
        pages = [page for (page,) in connection.execute(roots)]
    with (data / "fleetroll.db").open("r+b") as stream:
        for page in pages:
            stream.seek((page - 1) * 4096)
            stream.write(b"\xa5" * 4096)
    examined = alone("doctor", "--data", str(data), "--json").json()["checks"]
    (found,) = [check["found"] for check in examined if check["check"] == "integrity"]
    assert (found.count("; "), "***" in found, len(found) < 300) == (2, False, True)


@about_sqlite
def test_a_running_server_is_asked_rather_than_its_files(
    alone: Fleetroll, server: process.Process, home: Path, fleetroll: Fleetroll
) -> None:
    code, states = checks(alone, home, FLEETROLL_URL=server.url)
    assert (code, states["server"]) == (0, "ok")
    assert "integrity" not in states
    code, states = checks(alone, home, FLEETROLL_URL="http://127.0.0.1:1")
    assert (code, states["server"]) == (1, "fail")
    assert fleetroll("device", "create", "after-the-doctor").code == 0


@about_sqlite
def test_what_only_the_log_has_is_examined_too(alone: Fleetroll, data: Path) -> None:
    script = "import apsw, os, sys; c = apsw.Connection(sys.argv[1]); c.pragma('user_version', 99); os._exit(0)"
    subprocess.run([sys.executable, "-c", script, str(data / "fleetroll.db")], check=True)
    assert (data / "fleetroll.db-wal").stat().st_size
    code, states = checks(alone, data)
    assert (code, states["integrity"]) == (1, "fail")


@about_sqlite
def test_a_directory_can_be_examined_after_a_crash(tmp_path: Path, alone: Fleetroll) -> None:
    started = process.start(tmp_path / "data")
    connected = {"FLEETROLL_URL": started.url, "FLEETROLL_KEY": started.key}
    alone("device", "create", "in-the-log", **connected)
    started.popen.kill()
    started.popen.communicate()
    assert (tmp_path / "data" / "fleetroll.db-wal").stat().st_size
    code, states = checks(alone, tmp_path / "data")
    assert (code, states["integrity"]) == (0, "ok")
    with process.serving(tmp_path / "data") as again:
        assert alone("device", "get", "in-the-log", **connected | {"FLEETROLL_URL": again.url}).code == 0


# --- recover ---------------------------------------------------------------------------------------------------------


def test_who_has_lost_the_last_admin_key_recovers(alone: Fleetroll, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with process.serving(data, "--nats", "off") as server:
        lost = server.key
        assert alone("whoami", FLEETROLL_URL=server.url, FLEETROLL_KEY=lost).code == 0  # its first start has ended
        busy = alone("recover", "--data", str(data), **chosen_database(data))
        assert (busy.code, "in use" in busy.err, busy.out) == (1, True, ""), busy.err
    recovered = alone("recover", "--data", str(data), **chosen_database(data))
    assert (recovered.code, "shown" in recovered.out) == (0, False), recovered.err
    with process.serving(data, "--nats", "off") as server:
        again = {"FLEETROLL_URL": server.url, "FLEETROLL_KEY": recovered.out.strip()}
        shown = alone("whoami", **again).out
        assert ("recovered admin" in shown, "admin" in shown, "default" in shown) == (True, True, True)
        assert alone("key", "revoke", "1", **again).code == 0
        assert alone("whoami", FLEETROLL_URL=server.url, FLEETROLL_KEY=lost).code == 4
        told = alone("event", "tail", "--since", "0", "--count", "3", **again).out.splitlines()[-1]
        assert all(word in told for word in ("key.created", "recovered admin", "by server"))


@about_sqlite
def test_there_is_nothing_to_recover_where_no_registry_is(alone: Fleetroll, work: Path) -> None:
    (work / "empty").mkdir()
    for place in ("empty", "nowhere"):
        refused = alone("recover", "--data", place)
        assert (refused.code, refused.out) == (1, "")
        assert refused.err.startswith(f"fleetroll: There is no registry in {place}.\n  Name its place")
    assert list(work.rglob("*")) == [work / "empty"]


def test_there_is_nothing_to_recover_in_an_empty_database_which_stays_empty(alone: Fleetroll, work: Path) -> None:
    (work / "data").mkdir()
    url = asyncio.run(postgres.empty_database())
    refused = alone("recover", "--data", "data", FLEETROLL_DATABASE=url)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("fleetroll: There is no registry in the database.\n  Name its place")
    assert asyncio.run(postgres.rows(url)) == []
    assert list(work.rglob("*")) == [work / "data"]


def test_who_serves_an_unsafe_database_recovers_as_well(alone: Fleetroll, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with postgres.own_server(fsync="off") as database:
        given = {"FLEETROLL_DATABASE": database.url}
        with process.serving(data, "--nats", "off", "--allow-unsafe-database", **given):
            pass
        recovered = alone("recover", "--data", str(data), **given)
    assert (recovered.code, recovered.out.startswith("flr_")) == (0, True), recovered.err


@about_sqlite
def test_a_wrong_server_key_recovers_nothing(alone: Fleetroll, data: Path) -> None:
    before = (data / "fleetroll.db").read_bytes()
    refused = alone("recover", "--data", str(data), FLEETROLL_SERVER_KEY=ANOTHER_KEY)
    assert (refused.code, "another server key" in refused.err, refused.out) == (1, True, "")
    assert (data / "fleetroll.db").read_bytes() == before
