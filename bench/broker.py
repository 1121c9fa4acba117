"""The rows about the broker: devices that are connected and publish, requests over it, and many tenants on it.

They run on servers with the broker that they embed. Clients are plain ones of NATS's own library, in a process of
their own. For `ingest` the broker runs alone while devices publish: what counts is how the server catches up.
"""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct, structs

from bench.crowd import Answered, Credential, Crowd, Report
from bench.profile import Profile, profiling
from bench.rows import CONNECTIONS, Outcome, Settings, Stalls
from bench.servers import Passerby, Server, ask, resident, serving
from fleetroll.bus.settings import render

S = TypeVar("S")
T = TypeVar("T")
_LISTENING = ("--nats", "127.0.0.1:0")
_PATIENCE = 60.0
_PAUSE = 0.05
_PREPARING = 8  # connections over which devices and organizations are made
_APPLICATIONS = 8
_REPORTING, _METRICS, _DEPTH = 100, 4, 8
_PROFILED = 5  # the load of a profile is this many times smaller
_SOON = 2.0
_REQUESTS, _READINGS, _WAIT = 3_000, 20_000, 20.0
_INGEST = "ingest"
_CONNECTED = quote("connected = true")


class Scene(Struct, frozen=True):
    """A server with a broker, and those who speak with it. Names begin with `run`, so that all are new."""

    server: Server
    crowd: Crowd
    settings: Settings
    run: str

    def names(self, what: str, count: int) -> list[str]:
        return [f"{self.run}-{what}-{number}" for number in range(count)]

    @property
    def url(self) -> str:
        """The broker's address, once it serves."""
        return _until_up(self.server)


class Row(Struct, Generic[S], frozen=True):
    """`ready` prepares everything and returns the load to be measured; `judge` tells what came of it."""

    row: str
    ready: Callable[[Scene], Callable[[], S]]
    judge: Callable[[S, Settings], Outcome]


def measure(scratch: Path, settings: Settings, wanted: frozenset[str], stalls: Stalls) -> Iterator[Outcome]:
    if chosen := [row for row in _TALKS if row.row in wanted]:
        yield from _talks(scratch / "broker", settings, chosen, stalls)
    if _INGEST in wanted:
        yield ingest(scratch, settings, stalls)


def _talks(data: Path, settings: Settings, chosen: list[Row[Any]], stalls: Stalls) -> Iterator[Outcome]:
    with serving(data, *_LISTENING) as server, Crowd() as crowd:
        scene = Scene(server, crowd, settings, "measured")
        outcomes = [_measured(row, scene, stalls) for row in chosen]
    less = structs.replace(settings, rounds=1, crowd=settings.crowd // _PROFILED, backlog=settings.backlog // _PROFILED)
    with profiling(data, *_LISTENING) as profiler, Crowd() as crowd:
        scene = Scene(profiler.server, crowd, less, "profiled")
        for row, outcome in zip(chosen, outcomes, strict=True):
            load = row.ready(scene)
            yield structs.replace(outcome, profile=profiler.profile(load))
            crowd.leave()


def _measured(row: Row[Any], scene: Scene, stalls: Stalls) -> Outcome:
    load = row.ready(scene)
    with stalls.during(row.row, scene.server):
        seen = load()
    scene.crowd.leave()
    return row.judge(seen, scene.settings)


# --- devices that are connected --------------------------------------------------------------------------------------


class Present(Struct, frozen=True):
    """Seconds until all had connected, were shown to be, and half were shown to have left; KiB for each connection."""

    seconds: float
    come: float
    gone: float
    broker: float
    server: float


def _ready_connections(scene: Scene) -> Callable[[], Present]:
    idents, server, crowd = scene.names("present", scene.settings.crowd), scene.server, scene.crowd
    url, credentials = scene.url, _credentials(server, idents)
    (broker,) = server.workers

    def load() -> Present:
        before = resident(broker), server.resident
        seconds = crowd.connect(url, credentials)
        come = _presence(server, idents)
        grown = [
            (now - then) * 1024 / len(idents)
            for then, now in zip(before, (resident(broker), server.resident), strict=True)
        ]
        leaving = len(idents) // 2
        crowd.leave(leaving)
        return Present(seconds, come, _presence(server, idents[leaving:]), *grown)

    return load


def _presence(server: Server, expected: list[str]) -> float:
    """Seconds until exactly these devices are shown to be connected."""
    began = time.monotonic()
    _until(lambda: set(_connected(server)), lambda found: found == set(expected))
    return time.monotonic() - began


def _connected(server: Server) -> Iterator[str]:
    cursor = ""
    while cursor is not None:
        page = server.get(f"/v1/devices?limit=1000&filter={_CONNECTED}" + (f"&cursor={cursor}" if cursor else ""))
        yield from (device["ident"] for device in page["devices"])
        cursor = page["next_cursor"]


def _judge_connections(seen: Present, settings: Settings) -> Outcome:
    notes = (
        f"{seen.broker:.0f} KiB of the broker's memory and {seen.server:.0f} KiB of the server's for each",
        f"all had connected after {seen.seconds:.1f} s",
        f"it was shown {seen.come:.2f} s after the last came, and {seen.gone:.2f} s after half had left",
    )
    late = max(seen.come, seen.gone)
    title = f"{settings.crowd:,} devices connected, until presence is right"
    return Outcome("connections", title, f"≤ {_SOON:.0f} s", f"{late:.2f} s", late <= _SOON, notes)


# --- requests --------------------------------------------------------------------------------------------------------


def _ready_requests(scene: Scene) -> Callable[[], list[Answered]]:
    idents, settings = scene.names("asked", _REPORTING), scene.settings
    _each(scene.server, idents, _make_device)
    key = scene.server.ask("POST", "/v1/keys", {"name": "application", "role": "operator", "kind": "nats"})
    scene.crowd.connect(scene.url, [_credential(key)] * _APPLICATIONS)
    depth = CONNECTIONS // _APPLICATIONS
    return lambda: [scene.crowd.get(idents, settings.seconds, depth) for _ in range(settings.rounds)]


def _judge_requests(seen: list[Answered], settings: Settings) -> Outcome:
    found = median(one.per_second for one in seen)
    p50, p99, busy = (median(getattr(one, name) for one in seen) for name in ("p50", "p99", "busy"))
    notes = (
        f"p50 {p50:.1f}, p99 {p99:.1f} ms; {CONNECTIONS} requests at a time over {_APPLICATIONS} connections",
        f"clients busy {busy:.0%} of a core",
        "by round: " + ", ".join(f"{one.per_second:,.0f}" for one in seen),
    )
    target, measured = f"≥ {_REQUESTS:,}/s", f"{found:,.0f}/s"
    return Outcome("relay-get", "device.get over NATS", target, measured, found >= _REQUESTS, notes)


# --- tenants ---------------------------------------------------------------------------------------------------------


class Tenants(Struct, frozen=True):
    """Seconds until all were there, were connected, and had what they published in the store."""

    prepared: float
    connected: float
    served: float


def _ready_tenants(scene: Scene) -> Callable[[], Tenants]:
    slugs, server, url = scene.names("tenant", scene.settings.crowd), scene.server, scene.url

    def load() -> Tenants:
        began = time.monotonic()
        credentials = _each(server, slugs, _make_tenant)
        prepared = time.monotonic()
        scene.crowd.connect(url, credentials)
        connected = time.monotonic()
        scene.crowd.report(Report(count=1, metrics=1, since=_now()))
        _each(server, slugs, _await_reading)
        return Tenants(prepared - began, connected - prepared, time.monotonic() - connected)

    return load


def _make_tenant(connection: HTTPConnection, slug: str) -> Credential:
    """An organization with a key for its applications, and a device with a credential of its own."""
    ask(connection, "POST", "/v1/organizations", {"slug": slug})
    ask(connection, "POST", "/v1/keys", {"name": "application", "role": "operator", "kind": "nats"}, slug)
    _make_device(connection, "sensor", slug)
    return _make_credential(connection, "sensor", slug)


def _await_reading(connection: HTTPConnection, slug: str) -> None:
    _until(lambda: ask(connection, "GET", "/v1/devices/sensor/telemetry", organization=slug)["readings"], bool)


def _judge_tenants(seen: Tenants, settings: Settings) -> Outcome:
    notes = (
        f"{seen.prepared / settings.crowd * 1000:.0f} ms each: the organization, a key for applications with their "
        "streams, a device, and its credential",
        f"all devices connected after {seen.connected:.1f} s; what they published was stored {seen.served:.1f} s later",
    )
    title = f"{settings.crowd:,} organizations, each with a device that connects and publishes"
    return Outcome("organizations", title, "all served", f"all, made in {seen.prepared:.0f} s", True, notes)


_TALKS: tuple[Row[Any], ...] = (
    Row("connections", _ready_connections, _judge_connections),
    Row("relay-get", _ready_requests, _judge_requests),
    Row("organizations", _ready_tenants, _judge_tenants),
)
ROWS = (*(row.row for row in _TALKS), _INGEST)


# --- readings --------------------------------------------------------------------------------------------------------


class Caught(Struct, frozen=True):
    """The seconds in which waiting readings were stored, and how long somebody waited meanwhile."""

    seconds: float
    asked: int
    p99: float


def ingest(scratch: Path, settings: Settings, stalls: Stalls) -> Outcome:
    """A server that was away while its devices published, and how it catches up."""
    data, idents = scratch / "ingest", [f"reporting-{number}" for number in range(min(_REPORTING, settings.crowd))]
    with serving(data, *_LISTENING) as server:
        _until_up(server)  # so that the broker knows of a credential when it is shown
        credentials = _credentials(server, idents)
    first, again = settings.backlog // len(idents), settings.backlog // len(idents) // _PROFILED
    _publish(data, credentials, first)
    with serving(data, *_LISTENING) as server, stalls.during("ingest", server):
        seen = _catch_up(server, idents, first)
    _publish(data, credentials, again)
    with profiling(data, *_LISTENING) as profiler:
        profile = profiler.profile(lambda: _catch_up(profiler.server, idents, again))
    return _judge_ingest(seen, first * len(idents), profile)


def _publish(data: Path, credentials: list[Credential], count: int) -> None:
    """Publish readings of each device to a broker without its server; they are newer than those of the call before."""
    with _broker_alone(data) as url, Crowd() as crowd:
        crowd.connect(url, credentials)
        crowd.report(Report(count, _METRICS, _now(), _DEPTH))


@contextlib.contextmanager
def _broker_alone(data: Path) -> Iterator[str]:
    """The server's broker, alone. It syncs only now and then: all that matters here is that there is a lot to read."""
    lines = (line.partition(": ") for line in (data / "nats/nats-server.conf").read_text().splitlines())
    known = {name: msgspec.json.decode(value) for name, _, value in lines}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    streams = {**known["jetstream"], "sync_interval": "2m"}
    file, pid = data / "alone.conf", data / "alone.pid"
    file.write_text(render({**known, "port": port, "pid_file": str(pid), "jetstream": streams}))
    program = Path(sys.executable).with_name("nats-server")
    with data.with_suffix(".broker").open("w") as log, subprocess.Popen([program, "-c", file], stderr=log) as broker:
        try:
            _until(lambda: _is_open(port), bool)
            yield f"nats://127.0.0.1:{port}"
        finally:
            broker.terminate()


def _is_open(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def _catch_up(server: Server, idents: list[str], count: int) -> Caught:
    _until_up(server)  # whereupon it begins to read
    began = time.monotonic()
    with Passerby(server, f"/v1/devices/{idents[0]}") as passerby:
        for ident in idents:
            _until(partial(_newest, server, ident), lambda newest: newest == count - 1)
        seconds = time.monotonic() - began
    return Caught(seconds, passerby.asked, passerby.p99)


def _newest(server: Server, ident: str) -> int:
    """The value of a device's last reading, which is its number; -1 if there is none."""
    readings = server.get(f"/v1/devices/{ident}/telemetry")["readings"]
    newest = max(readings, key=lambda reading: reading["at"], default={"value": -1})
    return int(newest["value"])


def _judge_ingest(seen: Caught, readings: int, profile: Profile) -> Outcome:
    rate = readings / seen.seconds
    notes = (
        f"{readings:,} readings of {_REPORTING} devices were waiting, stored after {seen.seconds:.1f} s",
        f"p99 of {seen.asked:,} GETs of a device meanwhile: {seen.p99:.1f} ms",
    )
    met = rate >= _READINGS and seen.p99 <= _WAIT
    title = "readings from JetStream into the store, and GETs meanwhile"
    target = f"≥ {_READINGS:,}/s, p99 ≤ {_WAIT:.0f} ms"
    return Outcome("ingest", title, target, f"{rate:,.0f}/s, p99 {seen.p99:.1f} ms", met, notes, profile)


# --- preparing -------------------------------------------------------------------------------------------------------


def _each(server: Server, names: list[str], make: Callable[[HTTPConnection, str], T]) -> list[T]:
    """Do something for each name, over a few connections at once."""

    def some(first: int) -> list[T]:
        with contextlib.closing(server.connect()) as connection:
            return [make(connection, name) for name in names[first::_PREPARING]]

    with ThreadPoolExecutor(_PREPARING) as threads:
        shares = list(threads.map(some, range(_PREPARING)))
    return [shares[number % _PREPARING][number // _PREPARING] for number in range(len(names))]


def _credentials(server: Server, idents: list[str]) -> list[Credential]:
    """New devices, and what each shows to the broker."""

    def make(connection: HTTPConnection, ident: str) -> Credential:
        _make_device(connection, ident)
        return _make_credential(connection, ident)

    return _each(server, idents, make)


def _make_device(connection: HTTPConnection, ident: str, organization: str = "") -> None:
    ask(connection, "POST", "/v1/devices", {"ident": ident}, organization)


def _make_credential(connection: HTTPConnection, ident: str, organization: str = "") -> Credential:
    return _credential(ask(connection, "POST", f"/v1/devices/{ident}/credentials", {}, organization))


def _credential(made: dict[str, Any]) -> Credential:
    return Credential(made["nats"]["api_key"], made["nats"]["secret"])


def _now() -> int:
    return time.time_ns() // 1_000_000


def _until_up(server: Server) -> str:
    """The broker's address, once it serves."""
    return str(_until(lambda: server.get("/v1/broker"), lambda found: found["broker"] == "up")["urls"][0])


def _until(look: Callable[[], T], holds: Callable[[T], bool]) -> T:
    """Look until what is seen is as it should be. Returns what is seen then."""
    deadline = time.monotonic() + _PATIENCE
    while not holds(found := look()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {_PATIENCE:.0f} s; the last seen is {str(found)[:300]}")
        time.sleep(_PAUSE)
    return found
