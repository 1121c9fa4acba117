"""Sockets that a service manager keeps open: the server restarts, and nobody who connects meanwhile is refused."""

import asyncio
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from tests.support.app import ADMIN_KEY
from tests.support.postgres import new_database
from tests.support.process import SERVE, Process, end, start
from tests.support.waiting import wait_until

HEADERS = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
CONFIG = 78
RESTARTS, CLIENTS = 4, 4
ALONE = ("--http", "127.0.0.1:0", "--nats", "off")

# What systemd does before it runs a service: the sockets become file descriptors 3 and up, and are described.
MANAGER = """
import fcntl, os, sys
names, passed, command = sys.argv[1], list(map(int, sys.argv[2].split())), sys.argv[3:]
numbers = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 100) for number in passed]
for number in passed:
    os.close(number)
for place, number in enumerate(numbers, 3):
    os.dup2(number, place)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(numbers)), LISTEN_FDNAMES=names)
os.execv(command[0], command)
"""


def manager(names: str, passed: Sequence[int]) -> list[str]:
    return [sys.executable, "-c", MANAGER, names, " ".join(map(str, passed))]


@contextmanager
def listening(count: int = 1) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]


def started(data: Path, names: str, sockets: Sequence[socket.socket], *options: str) -> Process:
    numbers = [one.fileno() for one in sockets]
    return start(data, "--nats", "off", *options, under=manager(names, numbers), passing=numbers)


def port_of(one: socket.socket) -> int:
    return int(one.getsockname()[1])


def ask(connection: http.client.HTTPConnection, method: str, target: str, body: Any = None) -> tuple[int, bytes]:
    connection.request(method, target, None if body is None else json.dumps(body), HEADERS)
    response = connection.getresponse()
    return response.status, response.read()


def create(port: int, ident: str) -> int:
    """Create a device, on a connection of its own. Returns the status."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        return ask(connection, "POST", "/v1/devices", {"ident": ident})[0]


def create_until(ended: threading.Event, port: int, client: int) -> list[str]:
    """Create devices one after the other. Returns those that were acknowledged, which are all."""
    created: list[str] = []
    while not ended.is_set():
        ident = f"client-{client}-{len(created)}"
        assert create(port, ident) == 201
        created.append(ident)
    return created


def test_a_server_that_restarts_refuses_nobody_and_loses_nothing(tmp_path: Path) -> None:
    ended = threading.Event()
    with listening() as sockets, ThreadPoolExecutor(CLIENTS) as pool, ThreadPoolExecutor(1) as waiters:
        [port] = map(port_of, sockets)
        process = started(tmp_path / "data", "fleetroll.socket", sockets)
        try:
            working = [pool.submit(create_until, ended, port, client) for client in range(CLIENTS)]
            for turn in range(RESTARTS):
                assert create(port, f"before-{turn}") == 201
                end(process)
                waiting = waiters.submit(create, port, f"meanwhile-{turn}")
                process = started(tmp_path / "data", "fleetroll.socket", sockets)
                assert process.port == port
                assert waiting.result(60) == 201
            ended.set()
            created = {ident for one in working for ident in one.result(60)}
            named = {f"{when}-{turn}" for when in ("before", "meanwhile") for turn in range(RESTARTS)}
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                rows = ask(connection, "GET", "/v1/devices:export?format=ndjson")[1].splitlines()
            assert {json.loads(row)["ident"] for row in rows} == created | named
        finally:
            ended.set()
            end(process)


def test_several_sockets_serve_by_their_names(tmp_path: Path) -> None:
    """As for two families of addresses, and for devices that enrol."""
    with listening(3) as sockets:
        first, second, est = map(port_of, sockets)
        process = started(tmp_path / "data", "fleetroll.socket:other:est", sockets, "--est", "127.0.0.1:1")
        try:
            assert [create(port, f"at-{port}") for port in (first, second)] == [201, 201]
            unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
            with closing(http.client.HTTPSConnection("127.0.0.1", est, timeout=30, context=unchecked)) as connection:
                connection.request("GET", "/health")
                assert connection.getresponse().status == 200
        finally:
            end(process)


def test_the_usual_options_may_name_the_address_of_what_was_passed(tmp_path: Path) -> None:
    """As with the unit file and the options that a server has by itself; the broker is kept off it nevertheless."""
    with listening(2) as sockets:
        http, est = (f"127.0.0.1:{port_of(one)}" for one in sockets)
        numbers = [one.fileno() for one in sockets]
        options, under = ("--http", http, "--est", est), manager("http:est", numbers)
        process = start(tmp_path / "data", *options, "--nats", "127.0.0.1:0", under=under, passing=numbers)
        try:
            assert create(port_of(sockets[0]), "d") == 201
        finally:
            end(process)
        sentence = refused(tmp_path / "other", *options, "--nats", http, under=under, passing=numbers)
        assert sentence.startswith(f"fleetroll: cannot listen on {http}: ")


def test_all_workers_accept_from_what_was_passed(tmp_path: Path) -> None:
    database = {"FLEETROLL_DATABASE": asyncio.run(new_database())}
    with listening() as sockets:
        numbers = [one.fileno() for one in sockets]
        under = manager("http", numbers)
        for turn in range(2):
            process = start(
                tmp_path / "data", "--nats", "off", "--workers", "2", under=under, passing=numbers, **database
            )
            try:
                assert create(port_of(sockets[0]), f"in-turn-{turn}") == 201
            finally:
                end(process)


def test_sockets_for_another_process_are_left_alone(tmp_path: Path) -> None:
    with listening() as sockets:
        number = sockets[0].fileno()
        told = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        process = start(tmp_path / "data", "--nats", "off", passing=[number], **told)
        try:
            assert process.port != port_of(sockets[0])
        finally:
            end(process)


def broker_of(server: Process) -> Path | None:
    """The folder of the broker's process, once it runs."""
    pid = server.popen.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = [Path(f"/proc/{child}") for child in children]
    return next((one for one in found if b"nats-server" in (one / "cmdline").read_bytes()), None)


def test_the_broker_is_told_of_no_sockets(tmp_path: Path) -> None:
    """It would take them for its own, if they reached it."""
    with listening() as sockets:
        number = sockets[0].fileno()
        process = start(tmp_path / "data", "--nats", "127.0.0.1:0", under=manager("http", [number]), passing=[number])
        try:
            broker = wait_until(lambda: broker_of(process))
            assert b"LISTEN_" not in (broker / "environ").read_bytes()
            assert Path(f"/proc/self/fd/{number}").readlink() not in [
                one.readlink() for one in (broker / "fd").iterdir()
            ]
        finally:
            end(process)


def refused(data: Path, *options: str, under: Sequence[str], passing: Sequence[int]) -> str:
    command = [*under, *SERVE, "--data", str(data), *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, pass_fds=passing)
    assert ended.returncode == CONFIG
    return ended.stderr


def test_what_is_no_listening_socket_is_refused(tmp_path: Path) -> None:
    with (
        (tmp_path / "file").open("w") as file,
        socket.socket() as silent,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as local,
    ):
        local.bind(str(tmp_path / "local"))
        local.listen()
        for number in (file.fileno(), silent.fileno(), datagrams.fileno(), local.fileno()):
            sentence = refused(tmp_path / "data", *ALONE, under=manager("http", [number]), passing=[number])
            assert sentence == (
                "fleetroll: file descriptor 3, which was passed by LISTEN_FDS, does not listen for TCP connections.\n"
            )
            assert not (tmp_path / "data").exists()


def test_a_socket_for_enrolment_needs_its_option(tmp_path: Path) -> None:
    with listening() as [one]:
        number = one.fileno()
        sentence = refused(tmp_path / "data", *ALONE, under=manager("est", [number]), passing=[number])
        assert "--est" in sentence
