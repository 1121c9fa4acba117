"""The rows about a large fleet with identities: how its slots age, and how fast its lists are in two vendors' forms.

The devices are put into the data directory at rest, over the store's own verbs. For the sweeper to have work they are
as they were a hundred days ago, when every slot was ACTIVE: none is any more, and the server learns it when it starts.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct, structs

from bench import rows, work
from bench.fleet import ident
from bench.profile import Profile, profiling
from bench.rows import STALL, Fleet, Outcome, Settings, Timed
from bench.servers import Passerby, Server, serving
from fleetroll.core import documents, identity
from fleetroll.core.identity import Windows
from fleetroll.core.model import Cohort, Device, NewDevice, SoftwareVersion
from fleetroll.data_directory import DATABASE
from fleetroll.store import sqlite
from fleetroll.store.port import Records

_DAY = 86_400 * 1_000_000
_LATE = 100 * _DAY
_WINDOWS = Windows(preventive=30 * _DAY, critical=7 * _DAY)
_ENDS = ((8, 29), (1, 6), (-20, -1))  # days from now: to be renewed, urgently, and too late
_ENDS_WEIGHTS = (80, 19, 1)
_TAGS, _TAGS_WEIGHTS = ("production", "staging", "canary"), (70, 20, 10)
_HARDWARE, _HARDWARE_WEIGHTS = ("mp", "pvt", "dvt", "evt"), (90, 6, 3, 1)
_COHORTS, _COHORTS_WEIGHTS = ("beta", "canary", None), (15, 5, 80)
_STILL_ACTIVE = quote('status = "ACTIVE"')
_SEEN = work.SEEN_DAYS * _DAY
_BATCH = 5_000
_TOGETHER = 100  # devices that were seen at the same moment
_PROFILED = 50_000
_POLL, _LAGS = 0.5, 5.0
_PATIENCE = 3_600.0

LISTS = (
    Timed("lamassu-list", "p99 of a list of 25 by status and tag, in Lamassu's form", 15.0, work.lamassu_lists),
    Timed(
        "memfault-pages", "p99 of a filtered page in Memfault's form, which also counts all", 15.0, work.memfault_lists
    ),
)


class Swept(Struct, frozen=True):
    """What was seen while slots aged: seconds, the loop's lags, and how long somebody waited meanwhile."""

    seconds: float
    stalls: int
    worst: float
    asked: int
    p99: float


def measure(scratch: Path, settings: Settings, wanted: frozenset[str]) -> Iterator[Outcome]:
    """The sweeper first, so that the lists are read as it leaves them."""
    data, sweeping = scratch / "ageing", "sweep" in wanted
    _make(data, settings.large, _LATE if sweeping else 0)
    with serving(data) as server:
        swept = _sweep(server) if sweeping else None
        one = Fleet(server, settings.large, 0)
        lists = {row: rows.timed(row, one, settings) for row in LISTS if row.row in wanted}
    if swept is not None:
        yield _outcome(swept, settings.large, _profile(scratch / "ageing-profiled", min(settings.large, _PROFILED)))
    if lists:
        yield from _explained(data, lists, settings)


def _explained(data: Path, lists: dict[Timed, Outcome], settings: Settings) -> Iterator[Outcome]:
    with profiling(data) as profiler:
        one = Fleet(profiler.server, settings.large, 0)
        for row, outcome in lists.items():
            yield structs.replace(outcome, profile=profiler.profile(rows.driving(row, one, settings)))


# --- the sweeper -----------------------------------------------------------------------------------------------------


def _profile(data: Path, slots: int) -> Profile:
    _make(data, slots, _LATE)
    with profiling(data) as profiler:
        return profiler.profile(lambda: _sweep(profiler.server))


def _sweep(server: Server) -> Swept:
    """Wait until all slots have aged. The sweeper begins with the server, so what counts is counted from there."""
    began, worst, looked = time.monotonic(), 0.0, 0.0
    with Passerby(server, f"/v1/devices/{ident(0)}") as passerby:
        while _has_active(server):
            if (now := time.monotonic()) - looked > _LAGS:
                looked, worst = now, max(worst, server.lags().worst)
            if now - began > _PATIENCE:
                raise RuntimeError("the sweeper does not finish")
            time.sleep(_POLL)
        took = time.monotonic() - began
    lags = server.lags()
    return Swept(took, lags.longer_than(STALL), max(worst, lags.worst), passerby.asked, passerby.p99)


def _has_active(server: Server) -> bool:
    """A filter looks at what is stored, so it follows the sweeper."""
    return bool(server.get(f"/v1/devices?limit=1&filter={_STILL_ACTIVE}")["devices"])


def _outcome(seen: Swept, slots: int, profile: Profile) -> Outcome:
    notes = (
        f"{slots / seen.seconds:,.0f} slots a second, {seen.seconds:.0f} s in all",
        f"{seen.stalls} stalls above {STALL * 1000:.0f} ms",
        f"p99 of {seen.asked:,} GETs of a device meanwhile: {seen.p99:.1f} ms",
    )
    title, target = f"event-loop stalls while {slots:,} slots age", f"≤ {STALL * 1000:.0f} ms"
    worst, met = f"{seen.worst * 1000:.0f} ms", seen.worst <= STALL and not seen.stalls
    return Outcome("sweep", title, target, worst, met, notes, profile)


# --- the fleet -------------------------------------------------------------------------------------------------------


def _make(data: Path, devices: int, late: int) -> None:
    """A registry as it was `late` microseconds ago."""
    with serving(data):
        pass
    asyncio.run(_fill(data / DATABASE, devices, time.time_ns() // 1000, late))


async def _fill(file: Path, devices: int, now: int, late: int) -> None:
    store = sqlite.open_store(file, create=False)
    chance = random.Random(devices)

    async def surroundings(records: Records) -> None:
        await records.usage.add(1, "devices", devices, devices)
        for version in work.RELEASES:
            await records.software_versions.insert(SoftwareVersion(0, 1, "main", version, now - late))
        for slug in filter(None, _COHORTS):
            await records.cohorts.insert(Cohort(0, 1, slug, slug, now - late, now - late, 1))

    try:
        await store.write(surroundings)
        for first in range(0, devices, _BATCH):
            some = [_device(chance, number) for number in range(first, min(first + _BATCH, devices))]

            async def batch(records: Records, some: list[NewDevice] = some) -> None:
                made = await records.devices.insert_many(1, some, now - late)
                for device in made:
                    await records.devices.age(device, _filled(chance, device, now, late))
                await _see(chance, records, [device.id for device in made], now - late)

            await store.write(batch, bulk=True)
    finally:
        await store.close()


def _device(chance: random.Random, number: int) -> NewDevice:
    def pick(words: tuple[Any, ...], weights: tuple[int, ...]) -> Any:
        return chance.choices(words, weights)[0]

    version = pick(work.RELEASES, work.RELEASES_WEIGHTS)
    return NewDevice(
        ident(number),
        hardware_version=pick(_HARDWARE, _HARDWARE_WEIGHTS),
        software=documents.of({"type": "main", "version": version}, "software"),
        tags=(pick(_TAGS, _TAGS_WEIGHTS),),
        cohort=pick(_COHORTS, _COHORTS_WEIGHTS),
        dms="line",
    )


def _filled(chance: random.Random, device: Device, now: int, late: int) -> Device:
    """The device with a slot that was filled when the device was made."""
    days = chance.choices(_ENDS, _ENDS_WEIGHTS)[0]
    ends = now + chance.randint(*days) * _DAY
    slot = identity.bind(None, f"{device.id:032x}", ends, _WINDOWS, now - late)
    change = identity.change(device, slot, now - late)
    return structs.replace(device, status=change.status, identity=change.identity, identity_due=change.identity_due)


async def _see(chance: random.Random, records: Records, devices: list[int], until: int) -> None:
    """All devices were there at some time, and are not now."""
    for first in range(0, len(devices), _TOGETHER):
        await records.presence.heard(1, devices[first : first + _TOGETHER], until - chance.randrange(_SEEN))
    await records.presence.lost(1, devices)
