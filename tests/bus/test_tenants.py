"""Organizations on one broker: what devices of one publish delays no other, and each has its own stream."""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client

from fleetroll.bus import ingest, links, platform_streams, streams
from fleetroll.bus.broker import Broker
from fleetroll.bus.permissions import COMMANDS, INGEST, Authority, ingest_stream
from fleetroll.bus.port import Batch, DeviceAccount, Message
from fleetroll.bus.process import Process
from fleetroll.core import limits
from fleetroll.core.model import StreamPosition
from fleetroll.core.times import DAY
from tests.support import waiting
from tests.support.broker import (
    DEVICE,
    ORG,
    PATIENCE,
    SERVER_KEY,
    Registry,
    address,
    broker,
    client,
    run,
    settled,
    starting,
    with_device,
)
from tests.support.nats_sockets import LEFT
from tests.support.ports import free_port
from tests.support.waiting import eventually

pytestmark = LEFT

LOUD, QUIET = "org_1", "org_2"
AUTHORITY = Authority(SERVER_KEY)
T = TypeVar("T")
TIMES = 5


def subject(org: str, device: str = DEVICE) -> str:
    return f"{org}.production.telemetry.{device}.temperature"


async def device_of(served: Broker, registry: Registry, org: str) -> Client:
    return await client(address(served), await with_device(served, registry, org))


@contextlib.asynccontextmanager
async def devices_of(
    directory: Path, registry: Registry, *orgs: str
) -> AsyncIterator[tuple[Broker, Client, list[Client]]]:
    """A broker, our own connection to it, and a connected device of each organization."""
    async with broker(directory / "nats", registry) as served:
        assert served._platform is not None
        devices = [await device_of(served, registry, org) for org in orgs]
        yield served, served._platform, devices
        for one in devices:
            await one.close()


def bodies(registry: Registry, org: str) -> list[bytes]:
    return [one.body for one in registry.messages if one.org == org]


async def last(served: Broker, stream: str) -> int:
    """How much has been published to a stream, in all."""
    assert served._platform is not None
    return (await served._platform.jetstream().stream_info(stream)).state.last_seq


async def flood(device: Client, org: str, count: int, body: bytes = b"1") -> None:
    """Publish until the broker has taken all of it, which does not mean that it has written it."""
    line = b"PUB %b %d\r\n%b\r\n" % (subject(org).encode(), len(body), body)
    await device._send_command(line * count)
    await device._flush_pending()
    await device.flush(timeout=PATIENCE)


async def until(holds: Callable[[], Awaitable[T]]) -> T:
    """What `holds` returns, once it is true; an exception of the broker's means not yet."""
    return await eventually(holds, nats.errors.Error, nats.js.errors.Error)


# --- isolation -------------------------------------------------------------------------------------------------------


def test_what_one_organization_publishes_waits_for_nothing_that_another_has_published_before() -> None:
    """Each flood fits into the queue of the broker, which writes it one message after the other, as fast as a disk can:
    what is in memory alone may be written before anybody else can speak.
    """
    count = 20_000

    async def story(directory: Path) -> None:
        registry = Registry()
        async with devices_of(directory, registry, LOUD, QUIET) as (served, _, [loud, quiet]):
            for turn in range(1, TIMES + 1):
                await flood(loud, LOUD, count)
                await quiet.jetstream(timeout=PATIENCE).publish(subject(QUIET), b"%d" % turn)
                await registry.until(lambda turn=turn: len(bodies(registry, QUIET)) == turn)
                if await last(served, ingest_stream(LOUD)) < turn * count:
                    break
            else:
                raise AssertionError("it has always waited")

    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        run(story(Path(directory)))


class Slow(Registry):
    """A store that needs so long for each batch."""

    async def ingest(self, batches: Sequence[Batch]) -> Sequence[Message]:
        await asyncio.sleep(0.02)
        return await super().ingest(batches)


def test_what_one_organization_publishes_is_stored_before_what_another_has_waiting(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Slow()
        registry.refusing = True
        orgs = [f"org_{number}" for number in range(1, 40)]
        async with devices_of(tmp_path, registry, *orgs) as (served, _, [loud, *others]):
            count = 20 * limits.BUS_BATCH
            await flood(loud, LOUD, count)
            await until(lambda: _has(served, ingest_stream(LOUD), count))
            for number, other in enumerate(others, 2):
                await other.jetstream(timeout=PATIENCE).publish(subject(f"org_{number}"), b"1")
            registry.refusing = False
            await registry.until(lambda: {one.org for one in registry.messages} >= {f"org_{n}" for n in range(2, 40)})
            assert len(bodies(registry, LOUD)) < count
            await registry.until(lambda: len(bodies(registry, LOUD)) == count)

    run(story())


async def _has(served: Broker, stream: str, count: int) -> bool:
    return await last(served, stream) >= count


def test_many_organizations_share_a_transaction(tmp_path: Path) -> None:
    shared: list[int] = []

    class Counted(Registry):
        """A store that takes nothing until `released`."""

        def __init__(self) -> None:
            super().__init__()
            self.released = asyncio.Event()

        async def ingest(self, batches: Sequence[Batch]) -> Sequence[Message]:
            shared.append(len(batches))
            await self.released.wait()
            return await super().ingest(batches)

    async def story() -> None:
        registry, orgs = Counted(), [f"org_{number}" for number in range(1, 31)]
        async with devices_of(tmp_path, registry, *orgs) as (served, _, devices):
            assert served._ingest is not None
            intakes, wanted = served._ingest._intakes, set(map(ingest_stream, orgs))
            # Streams are opened between two transactions, and the first is about to take long.
            await waiting.until(lambda: {one.stream for one in intakes.values() if one.is_open} >= wanted)
            given = zip(devices, orgs, strict=True)
            await asyncio.gather(*(device.jetstream().publish(subject(org), b"1") for device, org in given))
            await waiting.until(lambda: sum(shared) + sum(bool(one.arrived) for one in intakes.values()) == len(orgs))
            registry.released.set()
            await registry.until(lambda: len(registry.messages) == len(orgs))
            assert len(shared) <= 2  # of those that had come when the first began, and of all others

    run(story())


# --- lifecycle -------------------------------------------------------------------------------------------------------


async def names(served: Broker) -> set[str]:
    assert served._platform is not None
    return set((await streams.listed(served._platform)).held)


def test_an_organization_has_a_stream_before_its_first_device_gets_in_and_until_all_of_it_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_DRAINED_SECONDS", 0.1)
    monkeypatch.setattr(ingest, "_LOOK_SECONDS", 0.2)
    both, one = {ingest_stream(LOUD), ingest_stream(QUIET), COMMANDS}, {ingest_stream(QUIET), COMMANDS}

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            assert await names(served) == {COMMANDS}
            quiet = await device_of(served, registry, QUIET)
            minted = await with_device(served, registry, LOUD)
            assert await names(served) == both
            loud = await client(address(served), minted)
            registry.refusing = True
            for number in range(3):
                await loud.jetstream().publish(subject(LOUD), b"%d" % number)
            registry.want(minted.account, None)
            await settled(served, registry)
            await asyncio.sleep(1)
            assert await names(served) == both
            registry.refusing = False
            await until(lambda: _are(served, one))
            assert bodies(registry, LOUD) == [b"0", b"1", b"2"]
            await registry.until(
                lambda: not any(stream.startswith(ingest_stream(LOUD)) for stream in registry.sequences)
            )
            again = await device_of(served, registry, LOUD)
            await again.jetstream().publish(subject(LOUD), b"again")
            await quiet.jetstream().publish(subject(QUIET), b"1")
            await registry.until(lambda: len(registry.messages) == 5)
            for connected in (loud, quiet, again):
                await connected.close()
        # One that went while no server ran.
        registry.wanted = {name: account for name, account in registry.wanted.items() if account.org == QUIET}
        async with broker(tmp_path / "nats", registry) as served:
            await until(lambda: _are(served, one))

    run(story())


async def _are(served: Broker, wanted: set[str]) -> bool:
    return await names(served) == wanted


def test_no_stream_is_removed_while_the_broker_still_writes_what_was_published_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a flood, that may take minutes."""
    monkeypatch.setattr(ingest, "_DRAINED_SECONDS", 1.0)
    monkeypatch.setattr(ingest, "_LOOK_SECONDS", 0.1)

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            assert served._platform is not None
            minted = await with_device(served, registry, LOUD)
            registry.want(minted.account, None)
            await settled(served, registry)
            for number in range(15):
                await served._platform.jetstream().publish(f"data.{subject(LOUD)}", b"%d" % number)
                await asyncio.sleep(0.1)
            await until(lambda: _are(served, {COMMANDS}))
            assert bodies(registry, LOUD) == [b"%d" % number for number in range(15)]

    run(story())


def test_a_flood_that_the_operator_has_purged_is_waited_for_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_PORTION_SECONDS", 1)
    monkeypatch.setattr(ingest, "_DRAINED_SECONDS", 0.1)
    monkeypatch.setattr(ingest, "_LOOK_SECONDS", 0.2)

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            assert served._platform is not None
            assert served._ingest is not None
            minted = await with_device(served, registry, LOUD)
            device = await client(address(served), minted)
            registry.refusing = True
            size = 60_000
            count = limits.BUS_BATCHES * limits.BUS_BATCH_BYTES // size  # twice what one stream has on its way
            await flood(device, LOUD, count, bytes(size))
            await until(lambda: _has(served, ingest_stream(LOUD), count))
            await device.close()
            await streams.request(served._platform, f"STREAM.PURGE.{ingest_stream(LOUD)}", {})
            registry.refusing = False
            registry.want(minted.account, None)
            await settled(served, registry)
            await until(lambda: _are(served, {COMMANDS}))
            assert len(registry.messages) < count

    run(story())


def test_a_stream_from_which_unread_messages_were_purged_is_read_on_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_SILENT_SECONDS", 0.2)
    monkeypatch.setattr(ingest, "_LOOK_SECONDS", 0.1)

    async def story() -> None:
        registry = Registry()
        async with devices_of(tmp_path, registry, LOUD) as (_, platform, [device]):
            await device.jetstream().publish(subject(LOUD), b"before")
            await registry.until(lambda: registry.messages)
            await streams.request(platform, f"STREAM.PURGE.{ingest_stream(LOUD)}", {})
        registry.sequences.clear()  # an older copy of the store
        async with devices_of(tmp_path, registry) as (_, platform, _):
            consumers = await until(lambda: streams.consumers(platform, ingest_stream(LOUD)))
            await asyncio.sleep(2)
            assert await streams.consumers(platform, ingest_stream(LOUD)) == consumers

    run(story())


def test_streams_that_others_have_made_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "_DRAINED_SECONDS", 0.1)
    monkeypatch.setattr(ingest, "_LOOK_SECONDS", 0.2)

    async def story() -> None:
        registry = Registry()
        async with devices_of(tmp_path, registry, LOUD) as (served, platform, [device]):
            for name, more in (
                ("INGEST_MIRROR", {"mirror": {"name": ingest_stream(LOUD)}}),
                ("mine", {"subjects": ["m"]}),
            ):
                await streams.request(platform, f"STREAM.CREATE.{name}", {"name": name, "storage": "file", **more})
            await device.jetstream().publish(subject(LOUD), b"1")
            await registry.until(lambda: registry.messages)
            await asyncio.sleep(2)
            assert await names(served) == {COMMANDS, ingest_stream(LOUD), "INGEST_MIRROR", "mine"}
            assert len(registry.messages) == 1
        async with devices_of(tmp_path, registry) as (_, platform, _):
            assert "mirror" in (await streams.listed(platform)).held["INGEST_MIRROR"].config

    run(story())


def test_a_device_that_comes_back_to_an_organization_finds_its_stream(tmp_path: Path) -> None:
    """However soon after the last one had left: its stream waits to be removed."""

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            streams_ = platform_streams.PlatformStreams(served._platform, None, None)  # type: ignore[arg-type]
            await streams_.meet([LOUD])
            streams_.release([LOUD])
            assert not streams_.is_wanted(ingest_stream(LOUD))
            await streams_.require([LOUD])
            assert not await streams_.drop(ingest_stream(LOUD))
            assert ingest_stream(LOUD) in await names(served)

    run(story())


def test_a_look_at_the_streams_holds_up_no_device_of_an_organization_that_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a broker is busy, it may need seconds to list them."""
    monkeypatch.setattr(ingest, "_LOOK_SECONDS", 0.1)
    listed, begun, go_on = streams.listed, asyncio.Event(), asyncio.Event()

    async def slow(client: Client) -> streams.Listing:
        begun.set()
        await go_on.wait()
        return await listed(client)

    async def story() -> None:
        registry = Registry()
        async with devices_of(tmp_path, registry, LOUD) as (served, _, _):
            monkeypatch.setattr(streams, "listed", slow)
            await begun.wait()
            another = await device_of(served, registry, LOUD)
            await another.close()
            go_on.set()

    run(story())


@pytest.mark.parametrize(("count", "size"), [(limits.BUS_BATCH, 1), (2 * limits.BUS_BATCH_BYTES // 60_000, 60_000)])
def test_what_is_stored_is_removed_from_the_broker_if_it_is_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, size: int
) -> None:
    monkeypatch.setattr(ingest, "_LOOK_SECONDS", 3600.0)  # a look at half of it would leave the other, which is little

    async def story() -> None:
        registry = Registry()
        async with devices_of(tmp_path, registry, LOUD) as (served, platform, [device]):
            await flood(device, LOUD, count, bytes(size))
            await registry.until(lambda: len(registry.messages) == count)
            assert served._ingest is not None
            served._ingest._look_soon.set()

            async def is_empty() -> bool:
                state = (await platform.jetstream().stream_info(ingest_stream(LOUD))).state
                return state.last_seq == count and not state.messages

            await until(is_empty)

    run(story())


def test_streams_of_a_broker_that_is_here_no_more_are_forgotten_once_they_can_hold_nothing(tmp_path: Path) -> None:
    """Sooner it may come back, with messages that are stored."""

    async def story() -> None:
        registry = Registry()
        now = time.time_ns() // 1000
        for name, age in (("INGEST_org_1 old", 15), ("INGEST_org_1 other", 13)):
            registry.sequences[name], registry.times[name] = 7, now - age * DAY
        async with broker(tmp_path / "nats", registry):
            await registry.until(lambda: "INGEST_org_1 old" not in registry.sequences)
            assert "INGEST_org_1 other" in registry.sequences

    run(story())


# --- the disk --------------------------------------------------------------------------------------------------------


class SmallDisk:
    """A disk of so many bytes that holds nothing but the streams of a broker; counts how often that looks at it."""

    def __init__(self, size: int, directory: Path) -> None:
        self._size = size
        self._directory = directory
        self._looks = 0

    def free(self) -> int:
        self._looks += 1
        return self._size - self.taken()

    async def looked_at(self) -> None:
        """Wait until a look has begun after now, and has ended."""
        seen = self._looks
        await waiting.until(lambda: self._looks >= seen + 2)

    def taken(self) -> int:
        return sum(file.stat().st_size for file in self._directory.rglob("*.blk") if file.exists())


@pytest.mark.parametrize("seconds", [0.1, 2.5])
def test_organizations_that_flood_together_leave_room_on_the_disk_and_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """However much each may take between two looks."""
    monkeypatch.setattr(ingest, "_LOOK_SECONDS", seconds)
    disk, large = SmallDisk(96 << 20, tmp_path / "nats" / "streams"), bytes(60_000)
    monkeypatch.setattr(Process, "room", lambda _: disk.free())
    orgs = [f"org_{number}" for number in range(1, 13)]
    quiet, *flooding = orgs

    async def flooded(device: Client, org: str) -> int:
        """Publish until that is refused. Returns how often it was taken."""
        for taken in itertools.count():
            try:
                await device.jetstream(timeout=PATIENCE).publish(subject(org), large)
            except nats.js.errors.APIError as refusal:
                assert refusal.err_code == 10077
                return taken
        raise AssertionError

    async def story() -> None:
        registry = Registry()
        registry.refusing = True
        async with devices_of(tmp_path, registry, *orgs) as (_, _, connected):
            devices, taken = dict(zip(orgs, connected, strict=True)), 0
            for _ in range(3):  # a bound may be raised while little is free, if much was
                taken += sum(await asyncio.gather(*(flooded(devices[org], org) for org in flooding)))
                await disk.looked_at()
            assert disk.free() > (96 << 20) / 4
            await devices[quiet].jetstream(timeout=PATIENCE).publish(subject(quiet), b"1")
            registry.refusing = False
            for org in flooding:
                await until(lambda org=org: devices[org].jetstream(timeout=PATIENCE).publish(subject(org), b"after"))
            await registry.until(lambda: len(registry.messages) == taken + 1 + len(flooding))

    run(story())


async def kill(served: Broker) -> None:
    """Kill the broker, and wait for the next one."""
    assert served._process is not None
    pid = served._process.pid
    os.kill(pid, signal.SIGKILL)  # type: ignore[arg-type]
    await waiting.until(lambda: served._process.pid != pid)  # type: ignore[union-attr]
    await served._process.ready()


# --- trouble ---------------------------------------------------------------------------------------------------------


def test_the_loss_of_one_stream_is_made_good_and_stops_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        registry = Registry()
        async with devices_of(tmp_path, registry, LOUD, QUIET) as (served, platform, [loud, quiet]):
            await loud.jetstream().publish(subject(LOUD), b"before")
            await quiet.jetstream().publish(subject(QUIET), b"before")
            await registry.until(lambda: len(registry.messages) == 2)
            await streams.request(platform, f"STREAM.DELETE.{ingest_stream(LOUD)}", {})
            await quiet.jetstream().publish(subject(QUIET), b"meanwhile")
            await until(lambda: loud.jetstream(timeout=1).publish(subject(LOUD), b"after"))
            await registry.until(lambda: b"after" in bodies(registry, LOUD) and len(bodies(registry, QUIET)) == 2)
            # The last more than once, if it was taken and the broker was slow to say so.
            assert [body for body in bodies(registry, LOUD) if body != b"after"] == [b"before"]
            assert bodies(registry, QUIET) == [b"before", b"meanwhile"]
            assert f"the broker has lost stream {ingest_stream(LOUD)}" in caplog.text
            assert ingest_stream(QUIET) not in caplog.text
            assert served._platform is platform
            assert len([stream for stream in registry.sequences if stream.startswith(ingest_stream(LOUD))]) == 1

    run(story())


class Choosy(Registry):
    """A store that cannot take what one organization publishes."""

    is_choosy = True

    async def ingest(self, batches: Sequence[Batch]) -> Sequence[Message]:
        if self.is_choosy and any(batch.stream.startswith(ingest_stream(LOUD)) for batch in batches):
            raise RuntimeError("what is this?")
        return await super().ingest(batches)


def test_what_cannot_be_stored_of_one_organization_holds_up_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        registry, orgs = Choosy(), [LOUD, QUIET, "org_3", "org_4"]
        async with devices_of(tmp_path, registry, *orgs) as (_, _, devices):
            for number in range(3):
                for org, device in zip(orgs, devices, strict=True):
                    await device.jetstream().publish(subject(org), b"%d" % number)
            await registry.until(lambda: len(registry.messages) == 9)
            assert caplog.text.count("what is this?") == 1
            registry.is_choosy = False
            await registry.until(lambda: len(registry.messages) == 12)
            assert bodies(registry, LOUD) == bodies(registry, QUIET) == [b"0", b"1", b"2"]

    run(story())


def forget_sum(directory: Path, stream: str) -> None:
    """What is on the disk if the broker ends between its two writes, while it changes what a stream is like."""
    [file] = directory.rglob(f"{stream}/meta.sum")
    file.write_bytes(b"0" * 16)


def test_a_stream_that_the_broker_cannot_read_when_it_comes_back_is_read_on_where_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        registry = Registry()

        async def publish(device: Client, *numbers: int) -> None:
            for number in numbers:
                await device.jetstream().publish(subject(LOUD), b"%d" % number)

        async with broker(tmp_path / "nats", registry) as served:
            minted = await with_device(served, registry, LOUD)
            device = await client(address(served), minted)
            await publish(device, 0, 1)
            await registry.until(lambda: len(registry.messages) == 2)
            registry.refusing = True
            await publish(device, 2)
            forget_sum(tmp_path, ingest_stream(LOUD))
            await kill(served)
            await device.close()
            registry.refusing = False
            await registry.until(lambda: len(registry.messages) == 3)
            device = await client(address(served), minted)
            await until(lambda: device.jetstream(timeout=1).publish(subject(LOUD), b"3"))
            await registry.until(lambda: b"3" in bodies(registry, LOUD))
            registry.refusing = True
            await publish(device, 4)
            await device.close()
        forget_sum(tmp_path, ingest_stream(LOUD))
        registry.refusing = False
        registry.wanted.clear()  # nor is it needed any more, but for what is in it
        async with broker(tmp_path / "nats", registry) as served:
            await registry.until(lambda: b"4" in bodies(registry, LOUD))
        # One of them more than once, if it was taken and the broker, just back, was slow to say so.
        assert [body for body in bodies(registry, LOUD) if body != b"3"] == [b"0", b"1", b"2", b"4"]
        assert caplog.text.count(f"what was in stream {ingest_stream(LOUD)} is found again") == 2
        assert len(registry.sequences) == 1

    run(story())


def test_a_message_is_missing_only_if_the_broker_says_so(tmp_path: Path) -> None:
    """Any other trouble of the broker's must not make the registry read again what it has."""

    async def story() -> None:
        async with devices_of(tmp_path, Registry(), LOUD) as (_, platform, _):
            held = await streams.make(platform, {"name": "test", "subjects": ["test"]})
            for _ in range(3):
                await platform.jetstream().publish("test", b"1")
            held = (await streams.listed(platform)).held["test"]
            at = await streams._stored_at(platform, held, 2)
            assert at is not None
            reached = StreamPosition(2, at)
            assert await streams.has(platform, held, reached)
            assert not await streams.has_fallen_back(platform, held, reached)
            await platform.jetstream().delete_msg("test", 2)
            assert not await streams.has(platform, held, reached)
            assert not await streams.has_fallen_back(platform, held, reached)
            await streams.remove(platform, "test")
            for asked in (streams.has, streams.has_fallen_back):
                with pytest.raises(links.Rejected):
                    await asked(platform, held, reached)

    run(story())


def test_a_consumer_that_is_gone_is_made_again(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with devices_of(tmp_path, registry, LOUD) as (_, platform, [device]):
            await device.jetstream().publish(subject(LOUD), b"before")
            await registry.until(lambda: registry.messages)
            for name in await streams.consumers(platform, ingest_stream(LOUD)):
                await streams.request(platform, f"CONSUMER.DELETE.{ingest_stream(LOUD)}.{name}", {})
            await device.jetstream().publish(subject(LOUD), b"after")
            await registry.until(lambda: bodies(registry, LOUD) == [b"before", b"after"])

    run(story())


def test_what_was_stored_since_a_look_began_is_not_taken_for_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A look may take long, as it makes what is missing; meanwhile a consumer may go."""
    monkeypatch.setattr(ingest, "_LOOK_SECONDS", 0.1)

    async def story() -> None:
        registry = Registry()
        async with devices_of(tmp_path, registry, LOUD) as (served, _, [device]):
            assert served._ingest is not None
            await device.jetstream().publish(subject(LOUD), b"before")
            await registry.until(lambda: registry.messages)
            streams_, intake = served._ingest._platform, served._ingest._intakes[ingest_stream(LOUD)]
            look, found, wait = streams_.look, asyncio.Event(), asyncio.Event()

            async def slow() -> dict[str, streams.Held]:
                there = await look()
                found.set()
                await wait.wait()
                return there

            monkeypatch.setattr(streams_, "look", slow)
            await found.wait()
            await device.jetstream().publish(subject(LOUD), b"meanwhile")
            await registry.until(lambda: len(registry.messages) == 2)
            served._ingest._close(intake)
            wait.set()
            await device.jetstream().publish(subject(LOUD), b"after")
            await registry.until(lambda: bodies(registry, LOUD) == [b"before", b"meanwhile", b"after"])
            assert "lost" not in caplog.text

    run(story())


def test_a_request_that_was_lost_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a server of a cluster dies with it."""
    monkeypatch.setattr(ingest, "_SILENT_SECONDS", 0.2)
    monkeypatch.setattr(ingest, "_LOOK_SECONDS", 0.2)

    async def story() -> None:
        registry = Registry()
        async with devices_of(tmp_path, registry, LOUD) as (served, _, [device]):
            await device.jetstream().publish(subject(LOUD), b"before")
            await registry.until(lambda: registry.messages)
            assert served._ingest is not None
            served._ingest._open.clear()  # whatever comes is as good as lost
            await device.jetstream().publish(subject(LOUD), b"after")
            await registry.until(lambda: bodies(registry, LOUD) == [b"before", b"after"])

    run(story())


def test_what_is_acknowledged_is_stored_once_though_the_broker_is_killed_again_and_again(tmp_path: Path) -> None:
    orgs = [f"org_{number}" for number in range(1, 6)]

    async def publishing(
        served: Broker, registry: Registry, org: str, acknowledged: set[bytes], end: asyncio.Event
    ) -> None:
        minted = await with_device(served, registry, org)
        number = 0
        while not end.is_set():
            with contextlib.suppress(nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError):
                device = await client(address(served), minted)
                try:
                    while not end.is_set():
                        number += 1
                        body = b"%b %d" % (org.encode(), number)
                        await device.jetstream(timeout=1).publish(subject(org), body)
                        acknowledged.add(body)
                finally:
                    await device.close()
            await asyncio.sleep(0.05)

    async def story() -> None:
        registry, acknowledged, end = Slow(), set[bytes](), asyncio.Event()
        async with broker(tmp_path / "nats", registry) as served:
            publishers = [asyncio.create_task(publishing(served, registry, org, acknowledged, end)) for org in orgs]
            for _ in range(3):
                had = len(acknowledged)
                await registry.until(lambda had=had: len(registry.messages) > had + 200)
                await kill(served)
            end.set()
            await asyncio.gather(*publishers)
            await registry.until(lambda: acknowledged <= {one.body for one in registry.messages})
        stored = [one.body for one in registry.messages]
        assert len(stored) == len(set(stored))

    run(story())


# --- an earlier version ----------------------------------------------------------------------------------------------


OLD = {
    "name": INGEST,
    "subjects": [f"data.*.*.{family}.*.*" for family in ("telemetry", "events", "logs")],
    "retention": "limits",
    "storage": "file",
    "num_replicas": 1,
    "max_age": limits.BUS_INGEST_AGE * 10**9,
    "max_msg_size": limits.MAX_BUS_MESSAGE,
    "duplicate_window": 10**8,
    "max_bytes": 1 << 30,
    "discard": "new",
}


@contextlib.asynccontextmanager
async def earlier(directory: Path, url: str) -> AsyncIterator[tuple[Client, streams.Held]]:
    """The broker of this directory, with the one stream that an earlier version had, and a connection to it."""
    program = Path(sys.executable).with_name("nats-server")
    with (directory / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(program, "-c", directory / "nats-server.conf", stderr=log)
    try:
        platform = await until(lambda: links.connect([url], AUTHORITY.platform, "earlier"))
        for name in (await streams.listed(platform)).held:
            await streams.remove(platform, name)
        yield platform, await streams.make(platform, OLD)
        await links.close(platform)
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("is_readable", [True, False])
def test_what_an_earlier_version_has_left_is_read_and_no_device_is_refused_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_readable: bool
) -> None:
    """Even if the broker was killed while it changed what the stream of that version is like."""
    monkeypatch.setattr(ingest, "_DRAINED_SECONDS", 0.1)
    monkeypatch.setattr(ingest, "_LOOK_SECONDS", 0.2)
    monkeypatch.setattr(platform_streams, "_MADE_AT_ONCE", 8)
    orgs = [f"org_{number}" for number in range(1, 41)]

    async def story() -> None:
        registry, place = Registry(), ("127.0.0.1", free_port())
        async with broker(tmp_path / "nats", registry, nats=place) as served:
            minted = {org: served.mint_device(org, DEVICE) for org in orgs}
            for org in orgs:
                registry.want(minted[org].account, DeviceAccount(minted[org].account, org, DEVICE))
            await settled(served, registry)
            url = address(served)
        async with earlier(tmp_path / "nats", url) as (platform, old):
            device = await client(url, minted[ORG])
            for number in range(5):
                acknowledged = await device.jetstream().publish(subject(ORG), b"old %d" % number)
                assert acknowledged.stream == INGEST
            await device.close()
            stored_at = await streams._stored_at(platform, old, 2)
        reached = f"{INGEST} {old.created}"
        registry.sequences[reached], registry.times[reached] = 2, 0 if is_readable else stored_at or 0
        if not is_readable:
            forget_sum(tmp_path, INGEST)
        clock = asyncio.get_running_loop().time
        async with starting(tmp_path / "nats", registry, nats=place) as served:
            assert served._process is not None
            await served._process.ready()
            device = await client(address(served), minted[orgs[-1]])
            longest, since, number, seen = 0.0, clock(), 0, set[str]()
            async with asyncio.timeout(PATIENCE):
                while seen != {ingest_stream(orgs[-1])} or number < 20:
                    with contextlib.suppress(nats.errors.Error, nats.js.errors.Error):
                        taken = await device.jetstream(timeout=5).publish(subject(orgs[-1]), b"%d" % number)
                        seen = {taken.stream}
                        number, longest, since = number + 1, max(longest, clock() - since), clock()
            assert longest < 2
            await until(lambda: _are(served, {COMMANDS, *map(ingest_stream, orgs)}))
            await registry.until(lambda: len(bodies(registry, orgs[-1])) == number)
            assert sorted(bodies(registry, orgs[-1]), key=int) == [b"%d" % one for one in range(number)]
            assert bodies(registry, ORG) == [b"old 2", b"old 3", b"old 4"]
            await registry.until(lambda: reached not in registry.sequences)  # just after the stream is gone
            await device.close()

    run(story())
