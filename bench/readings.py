"""The rows about readings: how fast they come in, how many bytes each takes, and how fast a stretch of one is read.

Batches come in over HTTP, as a device sends them. The many readings among which one stretch is looked for are put into
the data directory at rest, over the store's own verbs and in the order of time, as many devices report side by side:
so each series is written a little at a time, between all the others.
"""

import asyncio
import contextlib
import math
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct

from bench import work
from bench.profile import Profile, profiling
from bench.rows import Outcome, Settings
from bench.servers import AUTHORIZATION, Server, serving
from fleetroll.core.model import NewDevice, Reading
from fleetroll.data_directory import DATABASE
from fleetroll.store import sqlite
from fleetroll.store.port import Records

BATCH = 10_000
_LEAST_POINTS, _MOST_MS = 40_000, 30.0
_SERIES = 1_000
_ROW = 10  # readings of one series that lie side by side in a batch, as a device that sends now and then has them
_START = 1_700_000_000_000_000
_SECOND = 1_000_000
_ROOM = 120  # bytes of disk for each reading, log and all
_MOST_SECONDS = 600.0  # for the readings of one size
_ASKED = 40


class Reach(Struct, frozen=True):
    """What was seen at one size, and how many readings a second had been stored to get there."""

    stored: int
    rate: float
    bytes: float
    p50: float
    p99: float


def batches(scratch: Path, settings: Settings) -> Outcome:
    """Batches of one pin, one after the other over one connection, each of a time of its own."""
    data = scratch / "batches"
    with serving(data) as server:
        target = _target(server)
        rates = [_round(server, target, number, settings) for number in range(settings.rounds)]
    found = median(rates)
    with profiling(data) as profiler:
        profile = profiler.profile(lambda: _round(profiler.server, target, settings.rounds, settings))
    title = f"POST /external/api/batch/update of {BATCH:,} points, durable"
    notes = ("points a second by round: " + ", ".join(f"{rate:,.0f}" for rate in rates),)
    return Outcome("batch", title, f"≥ {_LEAST_POINTS:,}/s", f"{found:,.0f}/s", found >= _LEAST_POINTS, notes, profile)


def _target(server: Server) -> str:
    token = next(work.tokens(server, ["batch-1"], create=True))
    return f"/external/api/batch/update?token={token}&pin=v1"


def _round(server: Server, target: str, number: int, settings: Settings) -> float:
    """Points a second."""
    chance = random.Random(number)
    start = _START // 1000 + number * 10_000_000_000
    bodies = [
        msgspec.json.encode([[start + (batch * BATCH + place) * 1000, chance.random() * 100] for place in range(BATCH)])
        for batch in range(max(2, int(settings.seconds * 5)))
    ]
    with contextlib.closing(server.connect()) as connection:
        began = time.perf_counter()
        for body in bodies:
            connection.request("POST", target, body, {"content-type": "application/json"})
            reply = connection.getresponse()
            if (reply.status, reply.read()) != (200, b"OK"):
                raise RuntimeError(f"a batch was answered by {reply.status}")
        return len(bodies) * BATCH / (time.perf_counter() - began)


def stretches(scratch: Path, settings: Settings, say: Callable[[str], None]) -> Outcome:
    """A stretch of one metric among more and more readings, as far as there is room and time to store them."""
    data, seen = scratch / "readings", [Reach(0, math.inf, 0.0, 0.0, 0.0)]
    with serving(data):
        pass  # which makes the registry
    for wanted in settings.readings:
        before, possible = seen[-1].stored, _possible(scratch, seen[-1].rate)
        stored = min(wanted, before + possible)
        say(f"storing {stored - before:,} readings" + (f", not as many as {wanted:,}" if stored < wanted else ""))
        began = time.monotonic()
        asyncio.run(_fill(data / DATABASE, before, stored))
        seen.append(_reach(data, stored, (stored - before) / (time.monotonic() - began)))
        say(f"  {seen[-1].p99:.1f} ms among {stored:,}")
        if stored < wanted:
            break
    with profiling(data) as profiler:
        profile = profiler.profile(lambda: _ask(profiler.server, seen[-1].stored))
    return _outcome(seen[1:], profile)


def _possible(scratch: Path, rate: float) -> int:
    """How many more readings fit on the disk and into the time; the same number of each series."""
    most = min(shutil.disk_usage(scratch).free / _ROOM, rate * _MOST_SECONDS)
    return int(most / _SERIES) * _SERIES


def _outcome(seen: list[Reach], profile: Profile) -> Outcome:
    last = seen[-1]
    title = f"p99 of a stretch of {BATCH:,} readings among {last.stored:,}"
    notes = tuple(
        f"among {one.stored:,}: p50 {one.p50:.1f}, p99 {one.p99:.1f} ms; {one.bytes:.0f} bytes a reading, stored at "
        f"{one.rate:,.0f}/s"
        for one in seen
    )
    return Outcome("stretch", title, f"≤ {_MOST_MS:.0f} ms", f"{last.p99:.1f} ms", last.p99 <= _MOST_MS, notes, profile)


def _reach(data: Path, stored: int, rate: float) -> Reach:
    size = (data / DATABASE).stat().st_size
    with serving(data) as server:
        times = sorted(_ask(server, stored))
    return Reach(stored, rate, size / stored, median(times), times[int((len(times) - 1) * 0.99)])


def _ask(server: Server, stored: int) -> list[float]:
    """Milliseconds of each answer, from series that were not asked for before."""
    length, times = stored // _SERIES, list[float]()
    chance = random.Random(stored)
    with contextlib.closing(server.connect()) as connection:
        for number in chance.sample(range(_SERIES), min(_ASKED, _SERIES)):
            first = chance.randrange(max(1, length - BATCH))
            since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_START // _SECOND + first))
            target = f"/v1/devices/S{number}/telemetry?metric=m&limit={BATCH}&from={since}"
            began = time.perf_counter()
            connection.request("GET", target, headers=AUTHORIZATION)
            content = connection.getresponse().read()
            times.append((time.perf_counter() - began) * 1000)
            if content.count(b'"metric"') != min(BATCH, length - first):
                raise RuntimeError(f"{target}: {content[:200]!r}")
    return times


async def _fill(file: Path, since: int, until: int) -> None:
    """Continue all series evenly, from `since` readings in all to `until`."""
    store = sqlite.open_store(file, create=False)
    try:
        devices = await store.write(_devices, bulk=True)
        for readings in _readings(devices, since // _SERIES, until // _SERIES):

            async def work(records: Records, readings: list[Reading] = readings) -> None:
                await records.telemetry.append(1, readings)

            await store.write(work, bulk=True)
    finally:
        await store.close()


async def _devices(records: Records) -> list[int]:
    made = [await records.devices.insert(1, NewDevice(f"S{number}"), _START) for number in range(_SERIES)]
    found = [await records.devices.get(1, f"S{number}") for number in range(_SERIES)] if None in made else made
    devices = [device.id for device in found if device]
    await records.telemetry.open(1, {(device, "", "m") for device in devices})
    return devices


def _readings(devices: list[int], since: int, until: int) -> Iterator[list[Reading]]:
    chance = random.Random(since)
    for first in range(since, until, _ROW):
        yield [
            Reading(device, "m", _START + at * _SECOND, round(chance.random() * 100, 2))
            for device in devices
            for at in range(first, min(first + _ROW, until))
        ]
