"""Several processes over one PostgreSQL: nobody can tell them from one, and killing any part of it loses nothing."""

import asyncio
import concurrent.futures
import http.client
import itertools
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from cryptography import x509

from tests.support.app import ADMIN_KEY
from tests.support.ledger import COUNTS
from tests.support.postgres import Server, empty_database, new_database, own_server
from tests.support.process import Process, end, fleetroll, serving, start
from tests.support.proxy import gated
from tests.support.server_keys import ANOTHER_KEY
from tests.support.waiting import wait_until

HEADERS = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
WORKERS = 3


def ask(
    server: Process, method: str, target: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own, which any of the workers may take."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        connection.request(method, target, None if body is None else json.dumps(body), {**HEADERS, **headers})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return response.status, found, response.read()


def workers_of(server: Process) -> list[int]:
    pid = server.popen.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def crew(tmp_path: Path, url: str, workers: int = WORKERS, **environment: str) -> Iterator[Process]:
    # The database's URL may hold a password, so it comes by the environment as an operator's would.
    given = {"FLEETROLL_DATABASE": url, "FLEETROLL_NATS": "off", **environment}
    with serving(tmp_path / "data", "--workers", str(workers), **given) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with crew(tmp_path_factory.mktemp("crew"), asyncio.run(new_database())) as started:
        yield started


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


# --- one server ------------------------------------------------------------------------------------------------------


def test_every_worker_signs_the_same_revocation_list(server: Process) -> None:
    assert ask(server, "POST", "/v1/authorities", {"name": "default"})[0] == 201
    shown = [ask(server, "GET", "/v1/authorities/default/crl") for _ in range(40)]
    assert {status for status, _, _ in shown} == {200}
    assert len({headers["etag"] for _, headers, _ in shown}) == 1
    assert len({x509.load_der_x509_crl(body).tbs_certlist_bytes for _, _, body in shown}) == 1


def test_each_worker_counts_for_itself_under_a_label_of_its_own(server: Process) -> None:
    counted: dict[str, float] = {}
    for _ in range(20):
        lines = ask(server, "GET", "/metrics")[2].decode().splitlines()
        samples = [line for line in lines if not line.startswith("#")]
        (worker,) = {found[1] if (found := re.search(r'worker="(\d+)"', line)) else "" for line in samples}
        (count,) = (float(line.split()[1]) for line in samples if line.startswith("fleetroll_loop_lag_seconds_count"))
        assert worker
        assert count >= counted.get(worker, 0)
        counted[worker] = count


def test_a_write_is_seen_by_whichever_worker_is_asked_next(server: Process) -> None:
    for number in range(40):
        assert ask(server, "POST", "/v1/devices", {"ident": f"seen-{number}"})[0] == 201
        assert ask(server, "GET", f"/v1/devices/seen-{number}")[0] == 200


def test_the_same_request_at_every_worker_is_done_once(server: Process) -> None:
    for turn in range(5):
        name = {"Idempotency-Key": f"once-{turn}"}

        def post(_: int, turn: int = turn, name: dict[str, str] = name) -> tuple[int, bytes]:
            status, _, body = ask(server, "POST", "/v1/devices", {"ident": f"once-{turn}"}, **name)
            return status, body

        assert len(set(at_once(12, post))) == 1


def test_upserts_and_unguarded_changes_at_every_worker_all_succeed(server: Process) -> None:
    def put(number: int) -> int:
        return ask(server, "PUT", f"/v1/devices/shared-{number % 3}", {"metadata": {str(number): 1}})[0]

    assert sorted(at_once(24, put)) == [200] * 21 + [201] * 3


def test_a_device_is_found_while_it_goes_from_one_organization_to_another(server: Process) -> None:
    made = [json.loads(ask(server, "POST", "/v1/organizations", {"slug": slug})[2]) for slug in ("north", "south")]
    places = [1, *(one["id"] for one in made)]
    device = json.loads(ask(server, "POST", "/v1/devices", {"ident": "traveller"})[2])["id"]

    def call(number: int) -> int:
        if number % 2:
            return ask(server, "GET", f"/api/v1/organization/device?deviceId={device}")[0]
        body = {"deviceId": device, "newOrgId": places[number // 2 % 3]}
        return ask(server, "POST", "/api/v1/organization/device/transfer/to-organization", body)[0]

    assert set(itertools.chain.from_iterable(at_once(24, call) for _ in range(4))) == {200, 204}


def test_a_revoked_key_is_refused_by_every_worker_within_a_second(server: Process) -> None:
    for _ in range(3):
        made = json.loads(ask(server, "POST", "/v1/keys", {"name": "short-lived", "role": "viewer"})[2])
        mine = {"Authorization": f"Bearer {made['key']}"}
        assert {ask(server, "GET", "/v1/me", **mine)[0] for _ in range(20)} == {200}
        assert ask(server, "DELETE", f"/v1/keys/{made['id']}")[0] in {200, 204}
        time.sleep(1)
        assert {ask(server, "GET", "/v1/me", **mine)[0] for _ in range(30)} == {401}


def test_a_new_definition_binds_at_every_worker(server: Process) -> None:
    for number in range(12):
        ask(server, "POST", "/v1/devices", {"ident": f"warm-{number}"})  # each worker has asked for the definitions
    assert ask(server, "POST", "/v1/metadata-fields", {"name": "rack", "type": "integer"})[0] == 201
    time.sleep(1)
    for number in range(20):
        wrong = {"ident": f"bound-{number}", "metadata": {"rack": "no number"}}
        assert ask(server, "POST", "/v1/devices", wrong)[0] == 400
    assert ask(server, "DELETE", "/v1/metadata-fields/rack")[0] == 204


def test_a_follower_sees_what_every_worker_commits(server: Process) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        connection.request("GET", "/v1/events?filter=name%3D%22followed-*%22", headers=HEADERS)
        stream = connection.getresponse()
        assert stream.readline() == b": following\n"
        names = {f"followed-{number}" for number in range(60)}
        assert at_once(12, lambda n: [create(server, f"followed-{n * 5 + m}") for m in range(5)]) == [[201] * 5] * 12
        told: set[str] = set()
        while told < names:
            line = stream.readline()
            if line.startswith(b"data: "):
                told.add(json.loads(line[6:])["name"])
    assert told == names


def create(server: Process, ident: str) -> int:
    return ask(server, "POST", "/v1/devices", {"ident": ident})[0]


def test_devices_written_at_once_by_all_workers_are_all_counted(server: Process) -> None:
    before = json.loads(ask(server, "GET", "/v1/stats")[2])["total"]
    assert at_once(12, lambda n: [create(server, f"many-{n}-{m}") for m in range(10)]) == [[201] * 10] * 12
    after = json.loads(ask(server, "GET", "/v1/stats")[2])["total"]
    assert after - before == 120


def test_a_rate_limit_is_one_for_all_workers(tmp_path: Path) -> None:
    with crew(tmp_path, asyncio.run(new_database()), FLEETROLL_KEY_RATE="5") as slow:
        began = time.monotonic()
        answers = [*itertools.chain(*at_once(12, lambda _: [ask(slow, "GET", "/v1/me") for _ in range(5)]))]
        most = 2 * 5 + 5 * (time.monotonic() - began) + 1  # those that may come at once, and what each second allows
        waits = [float(headers["retry-after"]) for status, headers, _ in answers if status == 429]
        assert sum(status == 200 for status, _, _ in answers) <= most
        assert waits
        time.sleep(max(waits))
        assert ask(slow, "GET", "/v1/me")[0] == 200


# --- parts that die --------------------------------------------------------------------------------------------------


class Ledger:
    """Clients that create devices until they are told to stop, and note what was acknowledged."""

    def __init__(self, server: Process, clients: int = 6) -> None:
        self.acknowledged: set[str] = set()
        self.refused: list[tuple[int, dict[str, str]]] = []
        self._server = server
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            ident = f"ledger-{next(self._numbers)}"
            try:
                status, headers, body = ask(self._server, "POST", "/v1/devices", {"ident": ident, "tags": ["ledger"]})
            except (OSError, http.client.HTTPException):
                continue  # the worker died with the request
            if status == 201:
                assert json.loads(body)["ident"] == ident
                self.acknowledged.add(ident)
            else:
                self.refused.append((status, headers))
                time.sleep(0.02)

    def grow(self, by: int) -> None:
        wanted = len(self.acknowledged) + by
        wait_until(lambda: len(self.acknowledged) >= wanted, 30)

    def finish(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


async def assert_reconciled(url: str, acknowledged: set[str]) -> None:
    """Everything acknowledged is there, and every table agrees on what there is."""
    connection = await asyncpg.connect(url)
    try:
        found = {row[0] for row in await connection.fetch("SELECT ident FROM device WHERE ident LIKE 'ledger-%'")}
        assert acknowledged <= found
        counts = [await connection.fetchval(question) for question in COUNTS]
    finally:
        await connection.close()
    assert counts == [len(found)] * len(counts)


def test_a_worker_that_dies_is_replaced_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    url = asyncio.run(new_database())
    with crew(tmp_path, url) as server:
        ledger = Ledger(server)
        for _ in range(3):
            ledger.grow(20)
            victim = workers_of(server)[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda victim=victim: len(workers := workers_of(server)) == WORKERS and victim not in workers)
        ledger.grow(20)
        ledger.finish()
    assert server.popen.returncode == 0
    assert ledger.refused == []
    asyncio.run(assert_reconciled(url, ledger.acknowledged))


async def holder(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("SELECT holder FROM lease") or "")
    finally:
        await connection.close()


def test_owned_work_moves_when_its_owner_is_killed(tmp_path: Path) -> None:
    url = asyncio.run(new_database())
    with crew(tmp_path, url) as server:
        first = wait_until(lambda: asyncio.run(holder(url)))
        os.kill(int(first.split(":")[1]), signal.SIGKILL)
        second = wait_until(lambda: (found := asyncio.run(holder(url))) and found != first and found, 12)
        assert int(second.split(":")[1]) in workers_of(server)
    assert asyncio.run(holder(url)) == ""  # given back, so that the next one need not wait


@pytest.fixture(scope="module")
def database() -> Iterator[Server]:
    with own_server(wal_level="replica") as own:
        yield own


def test_a_database_that_is_killed_loses_nothing_and_is_used_again_at_once(database: Server, tmp_path: Path) -> None:
    with crew(tmp_path, database.url) as server:
        ledger = Ledger(server)
        for _ in range(2):
            ledger.grow(30)
            database.kill()
            wait_until(lambda: any(status == 503 for status, _ in ledger.refused))
            assert ask(server, "GET", "/v1/devices/none")[0] == 503
            wait_until(lambda: ask(server, "GET", "/ready")[0] == 503)
            assert ask(server, "GET", "/health")[0] == 200
            database.start()
            came_back = time.monotonic()
            ledger.grow(1)
            assert time.monotonic() - came_back < 5
            wait_until(lambda: ask(server, "GET", "/ready")[0] == 200)
        ledger.grow(10)
        ledger.finish()
        assert {status for status, _ in ledger.refused} == {503}
        assert all(int(headers["retry-after"]) >= 1 for _, headers in ledger.refused)
        asyncio.run(assert_reconciled(database.url, ledger.acknowledged))


def test_a_network_that_goes_silent_is_noticed_and_used_again_at_once(tmp_path: Path) -> None:
    """Nothing is refused or closed: what is sent to the database is not answered, until all of it comes through."""
    database = asyncio.run(new_database())
    url = urlsplit(database)
    with (
        gated(url.port or 5432) as gate,
        crew(tmp_path, url._replace(netloc=f"{url.username}@127.0.0.1:{gate.port}").geturl(), 2) as server,
    ):
        ledger = Ledger(server)
        for _ in range(2):
            ledger.grow(20)
            gate.shut()
            before = len(ledger.refused)
            wait_until(lambda before=before: len(ledger.refused) > before, 10)
            wait_until(lambda: ask(server, "GET", "/ready")[0] == 503)
            for target in ("/v1/devices/none", "/v1/devices?limit=5", "/v1/stats"):
                status, headers, _ = ask(server, "GET", target)
                assert (status, int(headers["retry-after"]) >= 1) == (503, True)
            assert ask(server, "GET", "/health")[0] == 200
            gate.open()
            came_back = time.monotonic()
            ledger.grow(1)
            assert time.monotonic() - came_back < 5
            wait_until(lambda: ask(server, "GET", "/ready")[0] == 200)
        ledger.finish()
        assert {status for status, _ in ledger.refused} == {503}
        assert all(int(headers["retry-after"]) >= 1 for _, headers in ledger.refused)
        asyncio.run(assert_reconciled(database, ledger.acknowledged))


def test_sessions_that_are_cut_off_are_replaced(tmp_path: Path) -> None:
    """As when a failover, a proxy or an operator ends them: in the middle of transactions, and between them."""
    url = asyncio.run(new_database())

    async def cut() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name LIKE 'fleetroll %'"
        )
        await connection.close()

    with crew(tmp_path, url, 2) as server:
        ledger = Ledger(server)
        for _ in range(5):
            ledger.grow(15)
            asyncio.run(cut())
        ledger.grow(15)
        ledger.finish()
        assert {status for status, _ in ledger.refused} <= {503}
        asyncio.run(assert_reconciled(url, ledger.acknowledged))


def test_who_is_told_to_stop_again_and_again_ends_as_if_told_once(tmp_path: Path) -> None:
    with crew(tmp_path, asyncio.run(new_database())) as server:
        while server.popen.poll() is None:
            server.popen.send_signal(signal.SIGTERM)
            time.sleep(0.01)
        assert server.popen.returncode == 0


def test_servers_that_start_at_once_on_a_new_database_all_serve_with_one_first_key(tmp_path: Path) -> None:
    given = {"FLEETROLL_DATABASE": asyncio.run(empty_database()), "FLEETROLL_SERVER_KEY": ANOTHER_KEY}
    with ExitStack() as all_of_them:

        def started(number: int) -> Process:
            server = start(tmp_path / f"data-{number}", **given)
            all_of_them.callback(end, server)
            return server

        for server in at_once(3, started):
            status, _, body = ask(server, "GET", "/v1/keys")
            assert (status, len(json.loads(body)["keys"])) == (200, 1)


def test_another_server_key_is_refused(tmp_path: Path) -> None:
    url = asyncio.run(new_database())
    with crew(tmp_path, url, 1):
        pass
    with (
        pytest.raises(AssertionError, match="made with another server key"),
        crew(tmp_path, url, 1, FLEETROLL_SERVER_KEY="another-key-0123456789-abcdefghijkl"),
    ):
        pass
    with crew(tmp_path, url, 1) as server:
        assert ask(server, "GET", "/v1/me")[0] == 200


def test_a_database_that_is_not_there_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for url in ("postgresql://postgres@127.0.0.1:1/none", "postgresql:///?host=/nowhere"):
        with (
            pytest.raises(AssertionError, match=r"fleetroll: The database cannot be opened: .*\."),
            crew(tmp_path, url),
        ):
            pass


def test_a_server_whose_database_is_away_may_be_started_again(tmp_path: Path) -> None:
    """Whoever starts it, as systemd does, can tell this from an option that is wrong."""
    url = "postgresql://postgres@127.0.0.1:{}/none"
    for port, code in (("1", 69), ("port", 78), ("99999", 78), ("0", 78), ("1,localhost:1", 69), ("1,localhost:p", 78)):
        ended = fleetroll("serve", "--database", url.format(port), "--data", str(tmp_path / "data"))
        assert (ended.returncode, ended.stderr.count("\n")) == (code, 1), ended.stderr


def test_a_database_that_says_nothing_is_named_when_it_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        url = f"postgresql://someone:secret@{where}/none"
        ended = fleetroll("serve", "--database", url, "--data", str(tmp_path / "data"))
    sentence = f"no connection to {where} within 3 seconds; see that it runs and can be reached."
    assert (ended.returncode, ended.stderr) == (69, f"fleetroll: The database cannot be opened: {sentence}\n")
