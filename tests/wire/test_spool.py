"""The queue between an import and its reader: everything comes out once and in order, however late it is read."""

import asyncio
import contextlib
import http.client
import json
import random
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetroll.wire.spool import Spool
from tests.support.process import Process, serving


async def drained(spool: Spool) -> bytes:
    return b"".join([part async for part in spool.drain()])


def test_what_was_put_before_anybody_read_comes_out_whole() -> None:
    async def scenario() -> bytes:
        spool = Spool()
        for number in range(1000):
            await spool.put(b"%d," % number * 700)  # beyond what is kept in memory
        spool.finish()
        return await drained(spool)

    assert asyncio.run(scenario()) == b"".join(b"%d," % number * 700 for number in range(1000))


def test_a_spool_of_nothing_ends() -> None:
    async def scenario() -> bytes:
        spool = Spool()
        spool.finish()
        return await drained(spool)

    assert asyncio.run(scenario()) == b""


@pytest.mark.parametrize("seed", range(8))
def test_reading_and_writing_may_alternate_in_any_way(seed: int) -> None:
    choose = random.Random(seed)
    parts = [choose.randbytes(choose.choice([1, 100, 70_000, 400_000])) for _ in range(60)]

    async def scenario() -> bytes:
        spool = Spool()

        async def produce() -> None:
            for part in parts:
                await spool.put(part)
                for _ in range(choose.choice([0, 0, 1, 3, 20])):
                    await asyncio.sleep(0)
            spool.finish()

        taken, _ = await asyncio.gather(drained(spool), produce())
        return taken

    assert asyncio.run(scenario()) == b"".join(parts)


def test_reading_waits_for_more_without_ending() -> None:
    async def scenario() -> list[bytes]:
        spool = Spool()
        parts = spool.drain()
        await spool.put(b"a")
        found = [await anext(parts)]
        waiting = asyncio.ensure_future(anext(parts))
        await asyncio.sleep(0)
        assert not waiting.done()
        await spool.put(b"b")
        found.append(await waiting)
        spool.finish()
        return found + [part async for part in parts]

    assert asyncio.run(scenario()) == [b"a", b"b"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("spool") / "data") as process:
        yield process


def test_a_client_that_sends_everything_before_it_reads_gets_every_result(server: Process) -> None:
    # Failing rows cost no commit; both ways there is far more of them than the buffers of two sockets could hold.
    count = 60_000
    body = b'{"ident":"","name":"%b"}\n' % (b"x" * 400) * count
    head = f"POST /v1/devices:import HTTP/1.1\r\nHost: x\r\nX-Api-Key: {server.key}\r\n"
    head += f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.socket() as connection:
        connection.settimeout(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 << 10)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(head.encode() + body)
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        lines = reply.read().splitlines()
    assert [json.loads(line)["line"] for line in lines] == list(range(1, count + 1))


@pytest.mark.parametrize(
    ("version", "field", "begins"),
    [
        ("1.1", "", True),
        ("1.1", "X-Forwarded-For: 192.0.2.1\r\n", False),
        ("1.1", "Forwarded: for=192.0.2.1\r\n", False),
        ("1.1", "Via: 1.1 proxy\r\n", False),
        ("1.0", "", False),  # as nginx speaks by default
    ],
)
def test_a_reply_begins_before_the_request_is_whole_unless_a_proxy_is_on_the_way(
    server: Process, version: str, field: str, *, begins: bool
) -> None:
    # nginx forwards no more of a request once the reply begins.
    row, count = b'{"ident":""}\n', 20_000
    head = f"POST /v1/devices:import HTTP/{version}\r\nHost: x\r\nX-Api-Key: {server.key}\r\n{field}"
    head += f"Content-Type: application/x-ndjson\r\nContent-Length: {len(row) * count}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(head.encode() + row * (count // 2))
        assert bool(select.select([connection], [], [], 10 if begins else 1)[0]) is begins
        connection.sendall(row * (count // 2))
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        lines = reply.read().splitlines()
    assert reply.status == 200
    assert [json.loads(line)["line"] for line in lines] == list(range(1, count + 1))


def open_files(server: Process) -> int:
    """Connections, temporary files and the rest, but not the store's: those are opened when first needed, and stay."""
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    clients = {f"socket:[{row[9]}]" for row in table if row[1].endswith(f":{server.port:04X}")}
    found = []
    for link in Path(f"/proc/{server.popen.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in between
            found.append(link.readlink())
    return len([one for one in found if one.name in clients or (one.parent.name != "data" and ":[" not in one.name)])


def settled(server: Process, before: int) -> bool:
    for _ in range(200):
        if open_files(server) <= before:
            return True
        asyncio.run(asyncio.sleep(0.05))
    return False


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(server: Process) -> None:
    row = json.dumps({"ident": "{}", "metadata": {"x": "y" * 60_000}})
    rows = "\n".join(row.replace("{}", f"n{number}", 1) for number in range(100))
    requests = [
        ("POST /v1/devices:import", "Content-Type: application/x-ndjson\r\n", rows.encode(), 0),
        ("POST /v1/devices:import", "Content-Type: application/x-ndjson\r\n", b'{"ident":""}\n' * 50_000, 999),
        ("GET /v1/devices:export", "", b"", 0),
        ("GET /v1/events?after=0", "", b"", 0),
        ("GET /v1/backup", "", b"", 0),
    ]
    for line, headers, body, missing in requests:
        head = f"{line} HTTP/1.1\r\nHost: x\r\nX-Api-Key: {server.key}\r\n{headers}"
        head += f"Content-Length: {len(body) + missing}\r\n\r\n" if body else "\r\n"
        leave(server, head.encode() + body)  # what the first of its kind opens for good is no leak
        with socket.create_connection(("127.0.0.1", server.port), 30):
            before = open_files(server)
        for _ in range(3):
            leave(server, head.encode() + body)
        assert settled(server, before), line


def leave(server: Process, request: bytes) -> None:
    """Begin to read the reply to a request, and go."""
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.sendall(request)
        assert connection.recv(20).startswith(b"HTTP/1.1 200")
