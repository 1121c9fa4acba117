"""The load generator: keep-alive connections that each wait for their reply before they ask again.

It runs in a process of its own (`python -m bench.load`), takes a plan on standard input and answers with what it saw.
Plain sockets under one poll, because asyncio would cost more per request than the server that is measured.

It never sleeps: a server that has to wake its client for every reply pays for that, the slower one more often, and a
real client is on another machine. Its priority is low instead, so it leaves the second core to the server's threads
whenever they want it. `busy` is the share of the time in which it had replies to handle: below about 0.9 it was not
what held the numbers down.
"""

import os
import random
import select
import socket
import subprocess
import sys
import time

import msgspec
from msgspec import Struct

_WARM_UP = 0.15  # of the seconds of a plan, before anything counts
_PATIENCE = 30.0
_NICE = 10
_SCATTER = 7919  # a prime: numbers that follow each other become indexes that do not


class Plan(Struct, frozen=True):
    """Requests for one server. With `numbered`, the first request is a template and gets %(number)d and %(index)d.

    The number counts up from `first` and never comes twice; the index is within `span`. With `total`, the
    plan ends after so many requests, and `seconds` is only its patience.
    """

    port: int
    requests: list[bytes]
    status: int
    seconds: float
    connections: int
    numbered: bool = False
    first: int = 0
    span: int = 1
    total: int = 0


class Seen(Struct, frozen=True):
    """What a generator saw. Times are milliseconds; `answered` counts the warm-up too, the others do not."""

    answered: int
    per_second: float
    p50: float
    p99: float
    worst: float
    busy: float
    next_number: int
    cost: float = 0.0
    """Microseconds of processor time that the server took for each; its starter knows."""


class UnexpectedReply(Exception):
    """The server did not do what was asked of it, so its speed means nothing."""


def drive(plan: Plan) -> Seen:
    """Carry out a plan in another process."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"], input=msgspec.msgpack.encode(plan), capture_output=True, check=False
    )
    if done.returncode:
        raise UnexpectedReply(done.stderr.decode().strip() or f"the load generator ended with {done.returncode}")
    return msgspec.msgpack.decode(done.stdout, type=Seen)


class _Line:
    """One connection, and the request that is under way on it."""

    __slots__ = ("asked_at", "missing", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.missing = 0
        self.asked_at = 0.0


class _Generator:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._number = plan.first
        self._place = random.Random(plan.first).randrange(len(plan.requests))
        self._expected = b"HTTP/1.1 %d" % plan.status
        self._poll = select.epoll()
        self._lines = {line.socket.fileno(): line for line in (_Line(plan.port) for _ in range(plan.connections))}
        self._waiting = self._answered = 0
        self._left = plan.total or -1
        self._latencies: list[float] = []
        self._idle = 0.0

    def run(self) -> Seen:
        for number, line in self._lines.items():
            self._poll.register(number, select.EPOLLIN)
            self._ask(line)
        if not self._plan.total:
            self._until(time.perf_counter() + self._plan.seconds * _WARM_UP)
            self._latencies.clear()
            self._idle = 0.0
        began = time.perf_counter()
        self._until(began + self._plan.seconds)
        elapsed, counted = time.perf_counter() - began, sorted(self._latencies)
        self._finish()
        return self._summary(counted, elapsed)

    def _summary(self, counted: list[float], elapsed: float) -> Seen:
        if not counted:
            raise UnexpectedReply("no reply within the time of the plan")
        p50, p99, worst = (counted[int((len(counted) - 1) * share)] * 1000 for share in (0.5, 0.99, 1.0))
        busy = 1 - self._idle / elapsed
        return Seen(self._answered, len(counted) / elapsed, p50, p99, worst, busy, self._number)

    def _until(self, deadline: float) -> None:
        """Ask and take replies for a time, and beyond it until there has been one."""
        clock, poll, lines = time.perf_counter, self._poll.poll, self._lines
        while (now := clock()) < (deadline if self._latencies else deadline + _PATIENCE) and self._waiting:
            ready = poll(0)
            if not ready:
                self._idle += clock() - now
            for number, _ in ready:
                line = lines[number]
                if self._take(line):
                    self._latencies.append(clock() - line.asked_at)
                    self._ask(line)

    def _finish(self) -> None:
        """Let what is under way come to its end, so that the server is idle when the next plan begins."""
        deadline = time.perf_counter() + _PATIENCE
        while self._waiting and time.perf_counter() < deadline:
            for number, _ in self._poll.poll(1.0):
                self._take(self._lines[number])
        if self._waiting:
            raise UnexpectedReply(f"{self._waiting} requests were never answered")

    def _ask(self, line: _Line) -> None:
        if not self._left:
            return
        self._left -= 1
        request = self._next()
        line.asked_at = time.perf_counter()
        if line.socket.send(request) != len(request):
            raise UnexpectedReply("a request did not fit into the socket's buffer")
        self._waiting += 1

    def _next(self) -> bytes:
        plan = self._plan
        if plan.numbered:
            self._number += 1
            return plan.requests[0] % {b"number": self._number, b"index": self._number * _SCATTER % plan.span}
        self._place += 1
        return plan.requests[self._place % len(plan.requests)]

    def _take(self, line: _Line) -> bool:
        """Read what there is; true once the reply is complete."""
        data = line.socket.recv(1 << 17)
        if not data:
            raise UnexpectedReply("the server closed a connection")
        line.missing = line.missing - len(data) if line.missing else self._begun(data)
        if line.missing:
            return False
        self._waiting -= 1
        self._answered += 1
        return True

    def _begun(self, data: bytes) -> int:
        """How much of a reply is still missing after its first part, which holds the whole head."""
        if not data.startswith(self._expected):
            raise UnexpectedReply(f"expected {self._expected.decode()}, got {data[:600].decode('latin-1')}")
        start = data.index(b"content-length: ") + 16
        length = int(data[start : data.index(b"\r", start)])
        return data.index(b"\r\n\r\n") + 4 + length - len(data)


def _main() -> int:
    os.nice(_NICE)
    try:
        seen = _Generator(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Plan)).run()
    except (UnexpectedReply, OSError) as problem:
        print(problem, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(msgspec.msgpack.encode(seen))
    return 0


if __name__ == "__main__":
    sys.exit(_main())
