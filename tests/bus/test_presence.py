"""Presence is true soon after anything has died: a device, its network, or the broker."""

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

import fleetroll.bus.presence
from fleetroll.bus import links
from fleetroll.bus.broker import Broker
from fleetroll.bus.permissions import Authority
from fleetroll.bus.port import Announcement, Connection, ConnectionChange, Minted
from fleetroll.bus.presence import Presence
from fleetroll.bus.settings import Files, Listeners, write
from fleetroll.core import limits
from tests.support.broker import DEVICE, ORG, SERVER_KEY, Registry, address, broker, client, run, with_device
from tests.support.nats_sockets import LEFT
from tests.support.waiting import PATIENCE, until

pytestmark = LEFT

AUTHORITY = Authority(SERVER_KEY)

APART = """
    import asyncio, sys
    from fleetroll.bus.port import Minted
    from tests.support.broker import client

    async def main():
        url, api_key, secret, subject = sys.argv[1:]
        connected = await client(url, Minted("", "", api_key, secret))
        if subject:
            await connected.subscribe(subject)
            await connected.flush()
        print("here", flush=True)
        while True:
            await asyncio.sleep(60)

    asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def apart(url: str, minted: Minted, subject: str = "") -> AsyncIterator[int]:
    """A device in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(APART), url, minted.api_key, minted.secret, subject,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE) == b"here\n"
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def test_however_many_come_and_go_at_the_same_time_nobody_who_is_gone_is_taken_to_be_there(tmp_path: Path) -> None:
    async def come_and_go(url: str, minted: Minted) -> None:
        for _ in range(25):
            await (await client(url, minted)).close()

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            minted = await with_device(served, registry)
            await asyncio.gather(*(come_and_go(address(served), minted) for _ in range(30)))
            last = await client(address(served), minted)
            await registry.until(lambda: minted.account in registry.present_now)
            await last.close()
            await registry.until(lambda: minted.account not in registry.present_now)

    run(story())


def test_a_device_that_falls_silent_is_noticed(tmp_path: Path) -> None:
    """Nothing tells the broker that the device is gone: its connection stays, and nobody reads from it."""

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry, silence=limits.BUS_SILENCE) as served:
            minted = await with_device(served, registry)
            async with apart(address(served), minted) as pid:
                await registry.until(lambda: minted.account in registry.present_now)
                os.kill(pid, signal.SIGSTOP)
                await registry.until(lambda: minted.account not in registry.present_now)

    run(story())


def test_a_silent_device_is_noticed_with_calls_piling_up_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry, silence=limits.BUS_SILENCE) as served:
            minted = await with_device(served, registry)
            async with apart(address(served), minted, f"{ORG}.production.command.rpc.{DEVICE}.*") as pid:
                await registry.until(lambda: minted.account in registry.present_now)
                os.kill(pid, signal.SIGSTOP)
                for _ in range(200):
                    await served._platform.publish(f"call.{DEVICE}.production.flood", b"x" * 60_000, reply="nobody")
                await served._platform.flush()
                await registry.until(lambda: minted.account not in registry.present_now)

    run(story())


def test_a_killed_device_is_noticed(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry, silence=3600.0) as served:
            minted = await with_device(served, registry)
            async with apart(address(served), minted) as pid:
                await registry.until(lambda: minted.account in registry.present_now)
                os.kill(pid, signal.SIGKILL)
                await registry.until(lambda: minted.account not in registry.present_now)

    run(story())


class Listed(Presence):
    """Between any two pages of the list, one of the connections that began first ends."""

    def __init__(self, client: Client, registry: Registry, first: list[Client]) -> None:
        super().__init__(client, registry, _say_nothing)
        self.first = first

    async def _ask(self, options: dict[str, Any], servers: int) -> list[Any]:
        found = await super()._ask(options, servers)
        if self.first:
            await self.first.pop().close()
        return found


async def _say_nothing(_: list[Announcement]) -> None:
    pass


@pytest.mark.parametrize("ending", [1, 5])
def test_who_is_connected_is_listed_however_many_end_their_connections_meanwhile(
    tmp_path: Path, ending: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleetroll.bus.presence, "_PAGE", 4)
    monkeypatch.setattr(fleetroll.bus.presence, "_OVERLAP", 1)

    async def story() -> None:
        registry, again = Registry(), Registry()
        async with broker(tmp_path / "nats", registry) as served:
            minted = [await with_device(served, registry) for _ in range(ending + 8)]
            devices = [await client(address(served), one) for one in minted]
            await registry.until(lambda: registry.present_now == {one.account for one in minted})
            system = await links.connect([address(served)], AUTHORITY.system, "test")
            again.wanted = registry.wanted
            listing = asyncio.ensure_future(Listed(system, again, devices[:ending]).run())
            await again.until(lambda: again.connections)
            await again.until(lambda: again.present_now == {one.account for one in minted[ending:]})
            listing.cancel()
            await links.close(system)
            for one in devices[ending:]:
                await one.close()

    run(story())


def test_nobody_is_connected_while_there_is_no_broker(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            minted = await with_device(served, registry)
            device = await client(address(served), minted)
            await registry.until(lambda: minted.account in registry.present_now)
            configuration = served._process.files.configuration
            configuration.unlink()
            configuration.mkdir()  # so that no other broker can start
            os.kill(served._process.pid, signal.SIGKILL)
            await registry.until(lambda: not registry.present_now)
            await until(lambda: not served.is_up)
            configuration.rmdir()
            await device.close()
            await until(lambda: served.is_up)
            again = await client(address(served), minted)
            await registry.until(lambda: minted.account in registry.present_now)
            await again.close()

    run(story())


class Away(Registry):
    """A registry whose store is away while it is `refusing`."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[ConnectionChange] = []

    async def note_connections(self, changes: Sequence[ConnectionChange]) -> list[Announcement]:
        self._require()
        self.told += changes
        return await super().note_connections(changes)

    async def reconcile_connections(self, connections: Sequence[Connection]) -> list[Announcement]:
        self._require()
        return await super().reconcile_connections(connections)

    def _require(self) -> None:
        if self.refusing:
            raise RuntimeError("the store is away")


def test_what_came_while_the_store_was_away_is_in_the_list_and_kept_nowhere(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Away()
        async with broker(tmp_path / "nats", registry) as served:
            minted = await with_device(served, registry)
            registry.refusing, registry.told = True, []
            for _ in range(30):
                await (await client(address(served), minted)).close()
            device = await client(address(served), minted)
            await asyncio.sleep(2)  # so that more is refused
            registry.refusing = False
            await registry.until(lambda: minted.account in registry.present_now)
            await device.close()
            await registry.until(lambda: minted.account not in registry.present_now)
            assert len([one for one in registry.told if one.connection.account == minted.account]) < 10

    run(story())


def test_who_went_with_a_server_of_a_cluster_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reports them, so the list of connections is read now and then."""

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            outside = Broker(Authority(SERVER_KEY), lambda: int(time.time()), lambda: [address(served)], None)
            told = Registry()
            told.wanted = registry.wanted
            keeping = asyncio.ensure_future(outside.serve(told))
            gone = Connection((await with_device(served, registry)).account, "of a server that has died")
            told.connections = {gone}
            await told.until(lambda: gone not in told.connections)
            told.connections = {gone}
            await told.until(lambda: gone not in told.connections)
            keeping.cancel()
            await asyncio.wait([keeping])

    monkeypatch.setattr("fleetroll.bus.broker._CLUSTER_SECONDS", 0.2)
    run(story())


def test_more_connections_than_fit_on_a_page_are_all_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            minted = await with_device(served, registry)
            devices = [await client(address(served), minted) for _ in range(5)]
            await registry.until(lambda: len(registry.connections) >= 5)
            before = {one for one in registry.connections if one.account == minted.account}
            registry.connections = set()
            served._presence.mark_stale()
            await registry.until(lambda: before <= registry.connections)
            for device in devices:
                await device.close()

    monkeypatch.setattr(fleetroll.bus.presence, "_PAGE", 2)
    monkeypatch.setattr(fleetroll.bus.presence, "_OVERLAP", 1)
    run(story())


@pytest.mark.parametrize("silence", [1.0, 2.0, 3600.0])
def test_the_broker_pings_often_enough(tmp_path: Path, silence: float) -> None:
    """Whenever in an interval a client falls silent, it is cut off before `silence` is over."""
    files = Files(tmp_path / "nats")
    write(files, Listeners(("127.0.0.1", 0), silence=silence), Authority(SERVER_KEY), 0, {})
    lines = dict(line.split(": ", 1) for line in files.configuration.read_text().splitlines())
    interval = float(lines["ping_interval"].strip('"').removesuffix("ms")) / 1000
    assert 0.8 * silence <= interval * (int(lines["ping_max"]) + 2) < silence
