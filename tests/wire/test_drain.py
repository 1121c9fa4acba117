"""SIGTERM and its like: readiness goes first, what was received is answered, streams end, and the process exits 0."""

import http.client
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.process import Process, serving, start


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    process = start(tmp_path / "data")
    try:
        yield process
    finally:
        process.popen.kill()
        process.popen.wait(15)
        assert process.popen.stdout is not None
        process.popen.stdout.close()


@contextmanager
def importing(server: Process, rows: bytes) -> Iterator[socket.socket]:
    """An import whose rows have all arrived but the last byte."""
    head = f"POST /v1/devices:import HTTP/1.1\r\nHost: x\r\nX-Api-Key: {server.key}\r\n"
    head += f"Content-Type: application/x-ndjson\r\nContent-Length: {len(rows)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(head.encode() + rows[:-1])
        yield connection


def results(connection: socket.socket) -> list[str]:
    reply = http.client.HTTPResponse(connection)
    reply.begin()
    assert reply.status == 200
    return [json.loads(line)["outcome"] for line in reply.read().splitlines()]


def readiness(server: Process) -> tuple[bytes, bytes]:
    """The replies of a server that serves, and of one that drains, on one connection.

    All that is asked lies there when the server hears that it should end, so that nobody has to be fast: it reads for
    a quarter of a second more.
    """
    ask = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(ask)
        first = b""
        while not first.endswith(b"}"):
            first += connection.recv(65536)
        server.popen.send_signal(signal.SIGSTOP)
        connection.sendall(ask * 50)
        server.popen.send_signal(signal.SIGTERM)
        server.popen.send_signal(signal.SIGCONT)
        replies = b"".join(iter(lambda: connection.recv(65536), b""))
    return first, b"HTTP/1.1 " + replies.rpartition(b"HTTP/1.1 ")[2]


def test_a_draining_server_is_unready_and_finishes_what_it_was_given(server: Process) -> None:
    rows = b"".join(b'{"ident":"n%d"}\n' % number for number in range(1200))
    with importing(server, rows) as under_way:
        serves, drains = readiness(server)
        assert serves.startswith(b"HTTP/1.1 200 ")
        assert drains.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nconnection: close\r\n" in drains
        assert drains.endswith(b'\r\n\r\n{"status":"not ready"}')
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), 5).close()
        under_way.sendall(rows[-1:])
        assert results(under_way) == ["created"] * 1200
    assert server.popen.wait(15) == 0


def test_event_streams_end_cleanly_and_can_be_resumed_on_the_next_server(server: Process, tmp_path: Path) -> None:
    headers = {"x-api-key": server.key}
    with (
        httpx.Client(base_url=server.url, headers=headers, timeout=20) as client,
        client.stream("GET", "/v1/events?after=0") as reply,
    ):
        lines = reply.iter_lines()
        assert next(lines) == ": following"
        client.put("/v1/devices/before", json={})
        event = next(line for line in lines if '"before"' in line)
        last = json.loads(event.removeprefix("data: "))["id"]
        server.popen.send_signal(signal.SIGTERM)
        assert not [line for line in lines if line.startswith("id: ")]
    assert server.popen.wait(15) == 0
    with serving(tmp_path / "data") as again, httpx.Client(base_url=again.url, headers=headers, timeout=20) as client:
        client.put("/v1/devices/after", json={})
        with client.stream("GET", "/v1/events", headers={"Last-Event-ID": str(last)}) as reply:
            names = (json.loads(line[6:])["name"] for line in reply.iter_lines() if line.startswith("data: "))
            assert next(names) == "after"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_idle_server_exits_at_once_and_keeps_what_it_acknowledged(
    server: Process, tmp_path: Path, number: signal.Signals
) -> None:
    with httpx.Client(base_url=server.url, headers={"x-api-key": server.key}, timeout=20) as client:
        assert client.put("/v1/devices/kept", json={}).status_code == 201
    server.popen.send_signal(number)
    assert server.popen.wait(15) == 0
    with serving(tmp_path / "data") as again:
        assert httpx.get(f"{again.url}/v1/devices/kept", headers={"x-api-key": again.key}).status_code == 200


def test_a_terminal_that_closes_and_says_so_twice_cuts_no_request_short(server: Process) -> None:
    with importing(server, b'{"ident":"a"}\n') as under_way:
        assert httpx.get(f"{server.url}/health").status_code == 200  # by now it has read the request before this one
        for _ in range(2):
            server.popen.send_signal(signal.SIGHUP)
            with suppress(subprocess.TimeoutExpired):
                server.popen.wait(0.5)
        under_way.sendall(b"\n")
        assert results(under_way) == ["created"]
    assert server.popen.wait(15) == 0


def test_a_server_under_nohup_goes_on_when_its_terminal_closes(tmp_path: Path) -> None:
    with serving(tmp_path / "data", under=("nohup",)) as server:
        server.popen.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            server.popen.wait(0.5)
        assert httpx.get(f"{server.url}/ready").status_code == 200


def test_a_server_that_is_told_to_stop_again_and_again_still_closes_its_store(server: Process, tmp_path: Path) -> None:
    """A terminal and `make` both pass a signal on, so a server often gets it twice."""
    headers = {"x-api-key": server.key, "content-type": "application/x-ndjson"}
    rows = b"".join(b'{"ident":"d-%d"}\n' % number for number in range(5_000))
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
        assert client.post("/v1/devices:import", content=rows).status_code == 200
    while server.popen.poll() is None:
        server.popen.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.popen.wait(0.05)
    assert server.popen.returncode == 0
    assert not list((tmp_path / "data").glob("fleetroll.db-*"))


def test_a_request_that_the_drain_cuts_short_is_logged_as_one_and_not_as_a_defect(
    server: Process, tmp_path: Path
) -> None:
    with importing(server, b'{"ident":"a"}\n'):
        assert httpx.get(f"{server.url}/health").status_code == 200  # by now it has read the request before this one
        server.popen.send_signal(signal.SIGTERM)
        while server.popen.poll() is None:  # told again, it waits no longer
            server.popen.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                server.popen.wait(0.05)
    assert server.popen.returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "data.log").read_text().splitlines()]
    assert [line for line in lines if line.get("level") == "error"] == []
    assert [line["status"] for line in lines if line.get("path") == "/v1/devices:import"] == [499]
