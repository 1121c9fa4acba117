"""The processes that are measured: how they are started, watched and stopped."""

import contextlib
import http.client
import math
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from bench.bare import Prepared

KEY = "bench-admin-key-0123456789-abcdefghijklmnop"
SETTINGS = {
    "FLEETROLL_NATS": "off",
    "FLEETROLL_TRUSTED_PROXY": "127.0.0.1",
    "FLEETROLL_ADMIN_KEY": KEY,
    # Far above what is reached: the limiter of keys does its work and refuses nobody. With one of organizations the
    # vendors' own limits would hold, and those are far below.
    "FLEETROLL_KEY_RATE": "1000000",
    "FLEETROLL_ORGANIZATION_RATE": "0",
}
AUTHORIZATION = {"authorization": f"Bearer {KEY}"}
_URL = re.compile(r"http://127\.0\.0\.1:(\d+)")
_LAGS = re.compile(r'^fleetroll_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)
_BETWEEN = 0.005
_WORST = re.compile(r"^fleetroll_loop_stall_seconds (\S+)$", re.MULTILINE)


class Lags(Struct, frozen=True):
    """Counts by upper bound in seconds, cumulated, and the worst lag of the last minute or two."""

    counts: dict[float, float]
    worst: float

    def longer_than(self, bound: float, before: "Lags | None" = None) -> int:
        """How many lags since `before` were above a bound, which is one of those that the server counts by."""
        earlier = 0 if before is None else before.longer_than(bound)
        return int(self.counts[math.inf] - self.counts[bound]) - earlier


def processor_seconds(pid: int) -> float:
    """What a process and those of its children that have ended have used of the processors, in the kernel too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


class Server:
    """A started process that listens on `port`."""

    def __init__(self, popen: "subprocess.Popen[str]", port: int) -> None:
        self.popen = popen
        self.port = port

    @property
    def resident(self) -> float:
        """MiB in memory now."""
        return resident(self.popen.pid)

    @property
    def processor_seconds(self) -> float:
        """What its threads have used of the processors, in the kernel too."""
        return processor_seconds(self.popen.pid)

    @property
    def workers(self) -> list[int]:
        """The processes that it has started."""
        pid = self.popen.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    @property
    def peak(self) -> float:
        """MiB in memory at most, since it started."""
        return _status(self.popen.pid, "VmHWM")

    def stop(self) -> None:
        self.popen.terminate()
        with self.popen:  # which closes its pipe and waits for its end
            try:
                self.popen.wait(60)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                raise

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def ask(self, method: str, target: str, body: Any = None) -> Any:
        """The answer to one request of the administrator's, decoded."""
        with contextlib.closing(self.connect()) as connection:
            return ask(connection, method, target, body)

    def get(self, target: str) -> Any:
        return self.ask("GET", target)

    def page(self, path: str) -> bytes:
        """One of the pages that need no credential."""
        with contextlib.closing(self.connect()) as connection:
            connection.request("GET", path)
            return connection.getresponse().read()

    def send(self, request: bytes) -> Prepared:
        """The reply to a request that is ready to be sent, as the yardstick is to repeat it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(request)
            reply = http.client.HTTPResponse(connection)
            reply.begin()
            headers = [(name.lower(), value) for name, value in reply.getheaders()]
            kept = [(name.encode(), value.encode()) for name, value in headers if name != "date"]
            return Prepared(reply.status, kept, reply.read(), reads=not request.startswith(b"GET"))

    def lags(self) -> Lags:
        """How late the event loop has come to its timers, since the start of the process."""
        text = self.page("/metrics").decode()
        counts = {float(bound): float(count) for bound, count in _LAGS.findall(text)}
        worst = _WORST.search(text)
        return Lags(counts, float(worst[1]) if worst else 0.0)


def ask(
    connection: http.client.HTTPConnection, method: str, target: str, body: Any = None, organization: str = ""
) -> Any:
    """As `Server.ask`, over an open connection, and perhaps in an organization below."""
    headers = AUTHORIZATION | ({"fleetroll-organization": organization} if organization else {})
    content = None if body is None else msgspec.json.encode(body)
    connection.request(
        method, target, content, headers | ({} if body is None else {"content-type": "application/json"})
    )
    reply = connection.getresponse()
    answer = reply.read()
    if not 200 <= reply.status < 300:
        raise RuntimeError(f"{method} {target}: {reply.status} {answer[:500]!r}")
    return msgspec.json.decode(answer) if answer else None


def resident(pid: int) -> float:
    """MiB of a process in memory now."""
    return _status(pid, "VmRSS")


def _status(pid: int, name: str) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", text)
    return int(found[1]) / 1024 if found else 0.0


def start(data: Path, *options: str, module: tuple[str, ...] = ("fleetroll",), **environment: str) -> Server:
    """`fleetroll serve` on a data directory, logging as it does by default, into a file beside the directory."""
    words = ("serve", "--data", str(data), "--http", "127.0.0.1:0", *options)
    return _start((*module, *words), data.with_suffix(".log"), {**SETTINGS, **environment})


@contextlib.contextmanager
def serving(
    data: Path, *options: str, module: tuple[str, ...] = ("fleetroll",), **environment: str
) -> Iterator[Server]:
    server = start(data, *options, module=module, **environment)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def bare(prepared: Prepared, scratch: Path) -> Iterator[Server]:
    """An app that answers everything with `prepared`."""
    file = scratch / "prepared.bin"
    file.write_bytes(msgspec.msgpack.encode(prepared))
    server = _start(("bench.bare", str(file)), scratch / "bare.log", {})
    try:
        yield server
    finally:
        server.stop()


def _start(words: tuple[str, ...], log: Path, settings: dict[str, str]) -> Server:
    with log.open("a") as errors:
        popen = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **settings},
        )
    for line in popen.stdout or ():
        if match := _URL.search(line):
            return Server(popen, int(match[1]))
    with popen:
        raise RuntimeError(f"{' '.join(words)} ended with {popen.wait()}: {log.read_text()[-2000:]}")


class Watcher:
    """Samples the resident memory of a server while something happens to it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.samples: list[float] = []

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self.samples.append(self._server.resident)

    @property
    def growth(self) -> float:
        """MiB between the end of the first fifth and the highest point: what constant memory keeps near nothing."""
        if not self.samples:
            return 0.0
        return max(self.samples) - max(self.samples[: len(self.samples) // 5 + 1])


class Passerby:
    """Asks for one path every few milliseconds while something else happens to a server, and notes the answers' times.

    What it measures is how long somebody waits who comes meanwhile; it takes next to no time of the server itself.
    """

    def __init__(self, server: Server, target: str) -> None:
        self._server = server
        self._target = target
        self._ended = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._milliseconds: list[float] = []

    def __enter__(self) -> "Passerby":
        self._passing = self._thread.submit(self._pass)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._passing.result()
        self._thread.shutdown()

    def _pass(self) -> None:
        with contextlib.closing(self._server.connect()) as connection:
            while not self._ended.wait(_BETWEEN):
                began = time.perf_counter()
                ask(connection, "GET", self._target)
                self._milliseconds.append((time.perf_counter() - began) * 1000)

    @property
    def asked(self) -> int:
        return len(self._milliseconds)

    @property
    def p99(self) -> float:
        times = sorted(self._milliseconds)
        return times[int((len(times) - 1) * 0.99)] if times else 0.0


def seconds_to_ready(data: Path) -> float:
    """From the start of the process to its first answer to `/ready`."""
    began = time.perf_counter()
    with serving(data) as server:
        if b"ready" not in server.page("/ready"):
            raise RuntimeError("the server says it listens but is not ready")
        return time.perf_counter() - began
