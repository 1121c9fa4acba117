"""A server that is killed, or told to stop, while it writes: whatever it had answered for is there afterwards.

Each client keeps a ledger of what was acknowledged to it. After a clean restart the ledger is compared with the store.
(A killed process leaves the page cache to the kernel, so this says nothing about power loss.)
"""

import http.client
import json
import os
import queue
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from fleetroll.store import sqlite
from tests.support.app import ADMIN_KEY, about_sqlite
from tests.support.effort import often
from tests.support.ledger import COUNTS
from tests.support.process import Process, serving, start
from tests.support.tracing import traced
from tests.support.waiting import wait_until

DATABASE = "fleetroll.db"
pytestmark = about_sqlite  # on PostgreSQL: test_workers
BATCHES = 150  # of a hundred rows each
HEADERS = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}


def call(server: Process, method: str, target: str, body: Any = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    with closing(connection):
        connection.request(method, target, None if body is None else json.dumps(body), HEADERS)
        response = connection.getresponse()
        return response.status, response.read()


def exported(server: Process) -> dict[str, Any]:
    status, body = call(server, "GET", "/v1/devices:export")
    assert status == 200
    return {row["ident"]: row for row in map(json.loads, body.splitlines())}


def assert_consistent(file: Path) -> int:
    """Every table agrees on how many devices there are. Returns how many."""
    assert sqlite.inspect(file) == []
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    with closing(connection):
        count = [connection.execute(question).get for question in COUNTS]
    assert count == [count[0]] * len(count)
    return int(count[0])


def assert_kept(data: Path, acknowledged: set[str]) -> None:
    """After a restart every acknowledged device is there, found by every way of looking, and the store is sound."""
    with serving(data) as server:
        devices = exported(server)
        assert acknowledged <= devices.keys()
        for ident in sorted(acknowledged)[:: max(1, len(acknowledged) // 20)]:
            assert call(server, "GET", f"/v1/devices/{ident}")[0] == 200
        found = json.loads(call(server, "GET", "/v1/devices?q=LEDGER&limit=1&count=true")[1])
        assert found["total"] == len(devices)
        status, created = call(server, "POST", "/v1/devices", {"ident": "ledger-after", "tags": ["ledger"]})
        assert status == 201
        assert json.loads(created)["id"] > max((int(row["id"]) for row in devices.values()), default=0)
    assert assert_consistent(data / DATABASE) == len(devices) + 1


# --- clients ---------------------------------------------------------------------------------------------------------


class Import:
    """An import that sends its rows, reads the result lines as they come, and ends its body when it is told to."""

    def __init__(self, server: Process, name: str = "ledger") -> None:
        self.acknowledged: set[str] = set()
        self.ended = threading.Event()
        self._name = name
        self._finish = threading.Event()
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        head = (
            "POST /v1/devices:import HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
            f"Authorization: Bearer {ADMIN_KEY}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        self._socket.sendall(head.encode())
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._read)]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Send the end of the body, and wait for the last line or the end of the server."""
        self._finish.set()
        for thread in self._threads:
            thread.join(30)
        self._socket.close()

    def _send(self) -> None:
        try:
            for batch in range(BATCHES):
                if self._finish.is_set():
                    break
                rows = b"".join(
                    json.dumps({"ident": f"{self._name}-{batch}-{row}", "tags": ["ledger"]}).encode() + b"\n"
                    for row in range(100)
                )
                self._socket.sendall(b"%x\r\n%b\r\n" % (len(rows), rows))
            self._finish.wait(30)
            self._socket.sendall(b"0\r\n\r\n")
        except OSError:
            pass

    def _read(self) -> None:
        try:
            for line in self._lines():
                result = json.loads(line)
                assert result["outcome"] == "created", result
                self.acknowledged.add(result["ident"])
        except (OSError, ValueError):
            pass
        finally:
            self.ended.set()

    def _lines(self) -> Iterator[bytes]:
        with self._socket.makefile("rb") as stream:
            assert stream.readline().startswith(b"HTTP/1.1 200")
            while stream.readline().strip():
                pass
            rest = b""
            while size := int(stream.readline().strip() or b"0", 16):
                *lines, rest = (rest + stream.read(size)).split(b"\n")
                stream.readline()
                yield from lines


class Posts:
    """Clients that create devices one by one, each over a connection of its own, until the server is gone."""

    def __init__(self, server: Process, clients: int, name: str = "ledger") -> None:
        self.acknowledged: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.unexpected: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._port = server.port
        self._name = name
        self._threads = [threading.Thread(target=self._post, args=(number,)) for number in range(clients)]
        for thread in self._threads:
            thread.start()

    def join(self) -> set[str]:
        for thread in self._threads:
            thread.join(30)
        assert self.unexpected.empty(), self.unexpected.get()
        return {self.acknowledged.get() for _ in range(self.acknowledged.qsize())}

    def _post(self, client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            for number in range(1_000_000):
                ident = f"{self._name}-{client}-{number}"
                connection.request("POST", "/v1/devices", json.dumps({"ident": ident, "tags": ["ledger"]}), HEADERS)
                response = connection.getresponse()
                body = response.read()
                if response.status != 201 or json.loads(body)["ident"] != ident:
                    self.unexpected.put((response.status, body))
                    return
                self.acknowledged.put(ident)
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()


# --- kill ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [1, 3_000])
def test_every_reported_row_of_an_import_survives_a_kill(tmp_path: Path, lines: int) -> None:
    data = tmp_path / "data"
    server = start(data)
    load = Import(server)
    wait_until(lambda: len(load.acknowledged) >= lines or load.ended.is_set())
    server.popen.kill()
    server.popen.communicate()
    load.finish()
    assert len(load.acknowledged) >= lines
    assert_kept(data, load.acknowledged)


@pytest.mark.parametrize("devices", [1, 600])
def test_every_created_device_survives_a_kill(tmp_path: Path, devices: int) -> None:
    data = tmp_path / "data"
    server = start(data, "--no-log-requests")
    posts = Posts(server, 8)
    wait_until(lambda: posts.acknowledged.qsize() >= devices)
    server.popen.kill()
    server.popen.communicate()
    acknowledged = posts.join()
    assert len(acknowledged) >= devices
    assert_kept(data, acknowledged)


def test_a_store_survives_one_kill_after_another(tmp_path: Path) -> None:
    data, chance = tmp_path / "data", random.Random(os.environ["FLEETROLL_SEED"])
    acknowledged: set[str] = set()
    for turn in range(often(3)):
        server = start(data, "--no-log-requests")
        load, posts = Import(server, f"ledger-import-{turn}"), Posts(server, 15, f"ledger-{turn}")
        wait_until(lambda load=load: bool(load.acknowledged) or load.ended.is_set())
        time.sleep(chance.random() / 5)
        server.popen.kill()
        server.popen.communicate()
        load.finish()
        acknowledged |= load.acknowledged | posts.join()
    assert_kept(data, acknowledged)


# --- stop ------------------------------------------------------------------------------------------------------------


def test_a_server_that_is_told_to_stop_answers_what_it_was_asked(tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start(data, "--no-log-requests")
    posts = Posts(server, 8)
    wait_until(lambda: posts.acknowledged.qsize() >= 50)
    server.popen.send_signal(signal.SIGTERM)
    server.popen.communicate(timeout=20)
    assert server.popen.returncode == 0
    acknowledged = posts.join()
    assert {file.name for file in data.iterdir()} == {"lock", "server.key", DATABASE}
    assert assert_consistent(data / DATABASE) == len(acknowledged)
    assert_kept(data, acknowledged)


def test_an_import_under_way_comes_to_its_end_before_the_server_stops(tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start(data)
    load = Import(server)
    wait_until(lambda: len(load.acknowledged) >= 100)
    server.popen.send_signal(signal.SIGTERM)
    load.finish()
    server.popen.communicate(timeout=20)
    assert server.popen.returncode == 0
    assert assert_consistent(data / DATABASE) == len(load.acknowledged)


# --- backup ----------------------------------------------------------------------------------------------------------


def test_a_backup_taken_during_an_import_is_a_whole_store(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as server:
        load = Import(server)
        wait_until(lambda: len(load.acknowledged) >= 500)
        before = len(load.acknowledged)
        status, copy = call(server, "GET", "/v1/backup")
        assert status == 200
        load.finish()
        ids = {ident: row["id"] for ident, row in exported(server).items()}
    restored = tmp_path / "restored"
    restored.mkdir(mode=0o700)
    (restored / DATABASE).write_bytes(copy)
    (restored / "server.key").write_bytes((data / "server.key").read_bytes())
    count = assert_consistent(restored / DATABASE)
    assert before <= count <= len(ids)
    with serving(restored) as server:
        found = exported(server)
    assert len(found) == count
    assert all(ids[ident] == row["id"] for ident, row in found.items())


@traced
def test_a_backups_copy_that_takes_long_to_delete_holds_up_nobody(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        waiting = ("-e", "trace=unlink,unlinkat", "-e", "inject=unlink,unlinkat:delay_enter=2000000")
        note, copy = tmp_path / "strace", 'fleetroll.db"'
        with note.open("w") as log:
            tracer = subprocess.Popen(["strace", "-f", "-p", str(server.popen.pid), *waiting], stderr=log)
        wait_until(lambda: "attached" in note.read_text())
        with ThreadPoolExecutor(1) as beside:
            saved = beside.submit(call, server, "GET", "/v1/backup")
            wait_until(lambda: copy in note.read_text())
            assert call(server, "GET", "/health")[0] == 200
            assert "DELAYED" not in note.read_text().partition(copy)[2], "it is still being deleted"
            assert saved.result(20)[0] == 200
        tracer.terminate()
        tracer.wait(10)


def test_a_server_that_is_killed_while_it_sends_a_backup_leaves_no_copy(tmp_path: Path) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    rows = b"".join(b'{"ident":"d-%d","metadata":{"text":"%b"}}\n' % (number, b"x" * 60_000) for number in range(200))
    with serving(tmp_path / "data", "--nats", "off", TMPDIR=str(place)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        headers = {"x-api-key": ADMIN_KEY, "content-type": "application/x-ndjson"}
        connection.request("POST", "/v1/devices:import", rows, headers)
        assert connection.getresponse().read().count(b"created") == 200
        connection.close()
        with socket.create_connection(("127.0.0.1", server.port), 20) as slow:
            slow.sendall(f"GET /v1/backup HTTP/1.1\r\nHost: x\r\nX-Api-Key: {ADMIN_KEY}\r\n\r\n".encode())
            assert slow.recv(100).startswith(b"HTTP/1.1 200 ")
            server.popen.kill()
            server.popen.wait(20)
    assert list(place.iterdir()) == []
