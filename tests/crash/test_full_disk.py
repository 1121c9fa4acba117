"""A full disk: nothing is falsely acknowledged, what takes something away still works, and the rest comes back.

The server runs in a mount namespace of its own, on a small file system in memory that is filled from outside.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shlex import quote
from typing import Any

import apsw
import httpx
import pytest

from fleetroll.application import DIALECTS
from fleetroll.core.ids import text_number
from fleetroll.core.policy import Action
from fleetroll.data_directory import DATABASE
from tests.support.app import ADMIN_KEY, about_sqlite
from tests.support.process import Process, serving

pytestmark = about_sqlite
_APART = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-Urm")
DELETED = 200
LARGE = {"text": "x" * 60_000}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Process, Path]]:
    """A server whose data are on a small disk of their own, and a file on that disk as it is reached from here."""
    place = tmp_path / "disk"
    place.mkdir()
    with serving(place / "data", "--nats", "off", under=apart(place), log=tmp_path / "log") as server:
        yield server, Path(f"/proc/{server.popen.pid}/root{place}/filler")


def apart(place: Path) -> tuple[str, ...]:
    """A prefix that runs a command where `place` is a small file system in memory. `$FILL` is shell code to fill it."""
    return (*_APART, "sh", "-c", 'mount -t tmpfs -o size=48m none "$0" && eval "$FILL" && exec "$@"', str(place))


@contextmanager
def client(server: Process, key: str = ADMIN_KEY) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {key}"}, timeout=30) as opened:
        yield opened


def fill(file: Path) -> None:
    """Leave no byte free."""
    with file.open("wb", buffering=0) as stream:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError:
                continue


def made(api: httpx.Client, ident: str, **members: Any) -> int:
    return api.post("/v1/devices", json={"ident": ident, **members}).status_code


def test_every_dialect_deletes_in_the_room_that_is_kept() -> None:
    rows = [row for dialect in DIALECTS for row in (*dialect.routes, *dialect.subjects)]
    deleting = [
        row.operation
        for row in rows
        if row.operation.action is Action.DEVICES_DELETE or getattr(row, "method", "") == "DELETE"
    ]
    assert {operation.name for operation in deleting if not operation.relieves} == {"fleet.delete"}  # its batches do


def _may_mount() -> bool:
    """Who runs in a container often may not, root or not."""
    if not shutil.which("unshare"):
        return bool(os.environ.get("CI"))  # where they fail instead
    mount = [*_APART, "mount", "-t", "tmpfs", "none", tempfile.gettempdir()]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


unshare = pytest.mark.skipif(not _may_mount(), reason="it needs unshare, and the right to mount")


@unshare
@pytest.mark.parametrize(("is_first", "free"), [(True, 0), (True, 100), (False, 0)])
def test_a_start_on_a_full_disk_says_so_and_calls_nothing_damaged(tmp_path: Path, is_first: bool, free: int) -> None:
    place, source = tmp_path / "disk", tmp_path / "source"
    place.mkdir()
    with serving(source, "--nats", "off"):
        pass
    bring = "true" if is_first else copying(source, place / "data")
    ended = on_full_disk(place, bring, free, "serve", "--data", str(place / "data"), "--http", "8.8.8.8:1")
    assert ended.returncode == 74, ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "damaged" not in ended.stderr


@unshare
def test_an_upgrade_that_finds_no_room_for_its_copy_leaves_nothing_of_it(tmp_path: Path) -> None:
    place, source = tmp_path / "disk", tmp_path / "source"
    place.mkdir()
    with serving(source, "--nats", "off"):
        pass
    with closing(apsw.Connection(str(source / DATABASE))) as connection:
        connection.execute("CREATE TABLE ballast (content BLOB); INSERT INTO ballast VALUES (zeroblob(8 << 20))")
        connection.pragma("user_version", connection.pragma("user_version") - 1)
    bring = copying(source, place / "data")
    tell = ("sh", "-c", '"$@"; echo $?; ls "$0"', str(place / "data"))
    ended = on_full_disk(place, bring, 4096, "serve", "--data", str(place / "data"), under=tell)
    assert "There is no room beside" in ended.stderr
    code, *left = ended.stdout.split()
    assert (code, {*left} - {"lock"}) == ("74", {file.name for file in source.iterdir()} - {"lock"})


def copying(source: Path, to: Path) -> str:
    return f"cp -r {quote(str(source))} {quote(str(to))}"


def on_full_disk(
    place: Path, bring: str, free: int, *arguments: str, under: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a command where so many KiB are free, after the shell code `bring` has put there what it needs.

    The command line `under` runs the command.
    """
    disk, filler = quote(str(place)), quote(str(place / "filler"))
    fill = f"{bring}; head -c $((48 * 1024 - $(du -sk {disk} | cut -f1) - {free}))k /dev/zero > {filler}"
    return subprocess.run(
        (*apart(place), *under, sys.executable, "-m", "fleetroll", *arguments),
        env={**os.environ, "FILL": fill},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@unshare
@pytest.mark.parametrize("free", [0, 60])
def test_a_key_that_finds_no_room_is_not_shown_as_made(tmp_path: Path, free: int) -> None:
    place, source = tmp_path / "disk", tmp_path / "source"
    place.mkdir()
    with serving(source, "--nats", "off"):
        pass
    ended = on_full_disk(place, copying(source, place / "data"), free, "recover", "--data", str(place / "data"))
    assert (ended.returncode, ended.stdout) == (1, ""), ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "disk" in ended.stderr


@unshare
def test_doctor_sees_a_disk_that_is_mounted_for_reading_only(tmp_path: Path) -> None:
    """As Linux mounts a failing disk by itself."""
    data = tmp_path / "disk" / "data"
    with serving(data, "--nats", "off", log=tmp_path / "log"):
        pass
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    command = [*_APART, "sh", "-c", mount, str(data.parent), sys.executable, "-m", "fleetroll"]
    served, examined = (
        subprocess.run([*command, name, "--data", str(data)], capture_output=True, text=True, timeout=60, check=False)
        for name in ("serve", "doctor")
    )
    assert (served.returncode, "Read-only file system" in served.stderr) == (65, True)
    (line,) = [line for line in examined.stdout.splitlines() if " fail " in line]
    assert (examined.returncode, line.split()[0]) == (1, "disk")


@unshare
def test_doctor_sees_a_disk_that_has_failed(tmp_path: Path) -> None:
    """As ext4 does: newer kernels then refuse each write, and show it as mounted for writing."""
    data = tmp_path / "disk" / "data"
    data.mkdir(parents=True, mode=0o700)
    (tmp_path / "image").write_bytes(bytes(8 << 20))
    failing = (
        'mkfs.ext4 -q "$1" && mount -o loop,errors=remount-ro "$1" "$0" && mkdir -m 0700 "$0/data" || exit 77; '
        'failed=/sys/fs/ext4/$(basename "$(findmnt -no SOURCE "$0")")/trigger_fs_error; shift; '
        'echo x > "$failed" || exit 77; exec "$@"'
    )
    program = (sys.executable, "-m", "fleetroll", "doctor", "--data", str(data))
    command = [*_APART, "sh", "-c", failing, str(data.parent), str(tmp_path / "image"), *program]
    examined = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if examined.returncode == 77:
        pytest.skip("nobody may make a file system here")
    (line,) = [line for line in examined.stdout.splitlines() if line.startswith("disk")]
    assert (examined.returncode, "read-only" in line) == (1, True)


@unshare
def test_on_a_full_disk_what_takes_something_away_still_works(disk: tuple[Process, Path]) -> None:
    server, filler = disk
    with client(server) as api:
        rows = "".join(json.dumps({"ident": f"d{number}"}) + "\n" for number in range(1_000))
        api.post("/v1/devices:import", content=rows, headers={"content-type": "application/x-ndjson"})
        assert made(api, "pump", owners=["ada@example.com"], tags=["Hall 5"]) == 201
        lost = api.post("/v1/keys", json={"name": "lost", "role": "viewer"}).json()
        assert api.post("/v1/authorities", json={"name": "house"}).status_code == 201
        fill(filler)
        kept = [number for number in range(100) if made(api, f"large-{number}", metadata=LARGE) == 201]
        assert len(kept) < 100
        assert made(api, "another", metadata=LARGE) == 507
        for number in range(DELETED):
            assert api.delete(f"/v1/devices/d{number}").status_code == 204
        assert api.delete(f"/v1/keys/{lost['id']}").status_code in {200, 204}
        with client(server, lost["key"]) as stranger:
            assert stranger.get("/v1/devices").status_code == 401
        assert api.post("/v1/devices/d999:decommission").status_code == 200
        assert api.delete("/api/devmanager/v1/devices/d997/decommission").status_code == 204
        removed = api.post("/v1/devices:delete", json={"filter": 'ident = "d998"'})
        assert removed.json()["outcome"] == "deleted"
        pump = {"deviceId": api.get("/v1/devices/pump").json()["id"]}
        for path in ("owner", "tag"):
            taken = {**pump, "tagId": text_number("Hall 5")}
            assert api.delete(f"/api/v1/organization/device/{path}", params=taken).status_code == 204
        pump = api.get("/v1/devices/pump").json()
        assert (pump["owners"], pump["tags"]) == ([], [])
        assert api.get("/v1/authorities/house/crl").status_code == 200  # a new list is stored before it is shown
        # The room that is free now is not for other writes.
        assert {made(api, f"refused-{number}", metadata=LARGE) for number in range(10)} == {507}
        assert api.get("/v1/devices/d500").status_code == 200
        filler.unlink()
        deadline = time.monotonic() + 10
        while (status := made(api, "later", metadata=LARGE)) != 201:
            assert (status, time.monotonic() < deadline) == (507, True)
            time.sleep(0.2)
        assert api.get("/v1/stats").json()["total"] == 1_001 - DELETED - 1 + len(kept) + 1
        fill(filler)  # once more, as room is kept again
        while made(api, f"more-{time.monotonic_ns()}", metadata=LARGE) == 201:
            pass
        assert {api.delete(f"/v1/devices/d{number}").status_code for number in range(300, 310)} == {204}


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[tuple[Process, Path]]:
    """A server whose temporary files are on a small disk of their own, which it has used, and a file on that disk."""
    place = tmp_path / "disk"
    place.mkdir()
    log = tmp_path / "log"
    with serving(tmp_path / "data", "--nats", "off", under=apart(place), log=log, TMPDIR=str(place)) as server:
        with client(server) as api:
            assert api.get("/v1/backup").status_code == 200
        yield server, Path(f"/proc/{server.popen.pid}/root{place}/filler")


@unshare
@pytest.mark.parametrize("field", ["", "Via: 1.1 proxy\r\n"])
def test_where_no_temporary_file_can_grow_whoever_reads_an_imports_results_gets_them_all(
    scratch: tuple[Process, Path], field: str
) -> None:
    server, filler = scratch
    fill(filler)
    count = 150_000  # their results are far more than the buffers of two sockets could hold
    body = b"{}\n" * count
    head = f"POST /v1/devices:import HTTP/1.1\r\nHost: x\r\nX-Api-Key: {server.key}\r\n{field}"
    head += f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.socket() as connection, client(server) as api:
        connection.settimeout(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 << 10)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(head.encode() + body)
        time.sleep(2)
        assert api.get("/v1/devices").status_code == 200
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        lines = reply.read().splitlines()
    assert [json.loads(line)["line"] for line in lines] == list(range(1, count + 1))


@unshare
def test_what_needs_a_temporary_file_says_that_there_is_no_room(scratch: tuple[Process, Path]) -> None:
    server, filler = scratch
    rows = [json.dumps({"ident": f"d{number}", "metadata": {"x": "y" * 2_000}}) + "\n" for number in range(2_000)]
    headers = {"content-type": "application/x-ndjson"}
    with client(server) as api:
        assert api.post("/v1/devices:import", content="".join(rows), headers=headers).status_code == 200
        fill(filler)
        backup = api.get("/v1/backup")
        assert (backup.status_code, backup.json()["code"]) == (507, "storage_full")
        planned = "".join(row.replace('"d', '"e', 1) for row in rows)
        rehearsed = api.post("/v1/devices:import?dry_run=true", content=planned, headers=headers)
        assert (rehearsed.status_code, rehearsed.json()["code"]) == (507, "storage_full")
        filler.unlink()
        assert api.get("/v1/backup").status_code == 200
