"""A power cut, and a disk that fails to sync: what was acknowledged is there afterwards, and nothing is half there.

`tests/support/power.py` tells from a recording what the disk may hold.
"""

import asyncio
import http.client
import json
import os
import random
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from fleetroll.data_directory import claim
from fleetroll.store import sqlite
from tests.support import power
from tests.support.app import ADMIN_KEY, about_sqlite
from tests.support.effort import EFFORT, often
from tests.support.power import Disk, Step, Told
from tests.support.process import Process, serving, start
from tests.support.tracing import traced

DATABASE = "fleetroll.db"
CUTS = often(150)
_DEVICE = re.compile(rb'"outcome":"created","ident":"([^"]+)"|"ident":"([^"]+)".*?"revision":(\d+)')


pytestmark = [about_sqlite, traced]


def send(server: Process, method: str, target: str, body: bytes, kind: str = "application/json") -> int:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": kind}
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        response.read()
        return response.status


def work(server: Process, turn: str) -> None:
    """Clients that create devices and change them, some one by one and some in bulk."""

    def client(number: int) -> None:
        for device in range(6):
            ident = f"{turn}-{number}-{device}"
            assert send(server, "POST", "/v1/devices", json.dumps({"ident": ident, "tags": ["t"]}).encode()) == 201
            for value in range(2):
                assert send(server, "PATCH", f"/v1/devices/{ident}", b'{"metadata":{"n":%d}}' % value) == 200

    def bulk(number: int) -> None:
        rows = b"".join(b'{"ident":"%s-bulk-%d-%d","tags":["t"]}\n' % (turn.encode(), number, row) for row in range(40))
        assert send(server, "POST", "/v1/devices:import", rows, "application/x-ndjson") == 200

    with ThreadPoolExecutor(8) as clients:
        for done in [clients.submit(one, number) for number in range(4) for one in (client, bulk)]:
            done.result(60)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sequence[Step]]:
    """A server from its first start: stopped once, so that its log is folded into its file, and killed in the end."""
    place = tmp_path_factory.mktemp("recorded")
    data, log = place / "data", place / "steps"
    for turn, end in (("first", signal.SIGTERM), ("second", signal.SIGKILL)):
        server = start(data, "--no-log-requests", under=power.recording(log))
        work(server, turn)
        server.popen.send_signal(end)
        server.popen.communicate(timeout=30)
    return data, power.steps(log)


def acknowledged(step: Step, ledger: dict[str, int]) -> None:
    if isinstance(step, Told):
        for imported, ident, revision in _DEVICE.findall(step.content):
            name = (imported or ident).decode()
            ledger[name] = max(ledger.get(name, 1), int(revision or 1))


def found(data: Path) -> dict[str, int]:
    """What a server that starts there has, as it would open it. Raises Refused, or whatever stops it from starting."""
    directory = claim(data)
    try:
        if directory.fresh:
            return {}
        assert len(directory.server_key(None)) == 32

        async def opened() -> None:
            await sqlite.open_store(directory.database, create=False).close()

        asyncio.run(opened())
        assert sqlite.inspect(directory.database) == []
        with closing(apsw.Connection(str(directory.database), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            devices: dict[str, int] = dict(connection.execute("SELECT ident, revision FROM device"))
            counts = [
                connection.execute(question).get or 0
                for question in (
                    "SELECT sum(used) FROM quota_usage WHERE noun = 'devices'",
                    "SELECT count(*) FROM device_tag WHERE tag = 't'",
                    "SELECT count(*) FROM timeline WHERE type = 'device.created'",
                )
            ]
        assert counts == [len(devices)] * len(counts)
        return devices
    finally:
        directory.close()


def losses(recorded: tuple[Path, Sequence[Step]], into: Path, disk: Disk, count: int) -> Counter[str]:
    """How many cuts lost something that was acknowledged, and how many left what cannot be opened."""
    _, all_steps = recorded
    chance = random.Random(os.environ["FLEETROLL_SEED"])
    ledger: dict[str, int] = {}
    places, seen = power.cuts(all_steps, count, chance), Counter[str]()
    for number, step in enumerate(all_steps):
        for cut in range(places.count(number)):
            image = into / f"{number}-{cut}"
            disk.after_cut(chance, image)
            try:
                kept = found(image)
                seen["lost"] += any(kept.get(ident, 0) < revision for ident, revision in ledger.items())
                seen["with something"] += bool(ledger)
            except Exception:  # noqa: BLE001  # whatever it is that stops a start
                seen["broken"] += 1
            shutil.rmtree(image, ignore_errors=True)
        disk.take(step)
        acknowledged(step, ledger)
    assert len(ledger) == 2 * 4 * (6 + 40)
    return seen


def test_a_power_cut_loses_nothing_that_was_acknowledged(recorded: tuple[Path, Sequence[Step]], tmp_path: Path) -> None:
    seen = losses(recorded, tmp_path, Disk(recorded[0]), CUTS)
    assert (seen["lost"], seen["broken"]) == (0, 0)
    assert seen["with something"] > CUTS / 2


def test_a_disk_that_ignores_syncs_is_found_out(recorded: tuple[Path, Sequence[Step]], tmp_path: Path) -> None:
    """Else the test above could not fail."""
    seen = losses(recorded, tmp_path, Disk(recorded[0], are_synced=False), 20)
    assert seen["lost"] + seen["broken"] > 10


# --- a sync that fails -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nth", [1, 2, 9, 25] if EFFORT == 1 else range(1, 51))
def test_a_write_whose_sync_fails_is_not_acknowledged_and_the_server_ends(tmp_path: Path, nth: int) -> None:
    data = tmp_path / "data"
    server = start(data, "--no-log-requests")
    failing = ["-f", "-e", "trace=fdatasync", "-e", f"inject=fdatasync:error=EIO:when={nth}+"]
    with (tmp_path / "strace").open("w") as log:
        tracer = subprocess.Popen(["strace", "-p", str(server.popen.pid), *failing], stderr=log)
        while "attached" not in (tmp_path / "strace").read_text():
            assert tracer.poll() is None
        ledger, refused = [], 0
        for number in range(60):
            try:
                status = send(server, "POST", "/v1/devices", b'{"ident":"d%d"}' % number)
            except (OSError, http.client.HTTPException):
                break
            if status == 201:
                assert not refused
                ledger.append(f"d{number}")
            else:
                assert status == 503
                refused += 1
        assert server.popen.wait(10) != 0
        tracer.wait(10)
    server.popen.communicate()
    assert len(ledger) == nth - 1
    assert "the store failed" in (tmp_path / "data.log").read_text()
    with serving(data) as again:
        assert all(send(again, "PATCH", f"/v1/devices/{ident}", b'{"name":"x"}') == 200 for ident in ledger)
