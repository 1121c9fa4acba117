"""A broker of several servers, none of them ours: what is answered and kept while one stands still or is gone."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client

from fleetroll.bus import links
from fleetroll.bus.broker import Broker
from fleetroll.bus.keypairs import Pair
from fleetroll.bus.permissions import COMMANDS, Authority, ingest_stream
from fleetroll.bus.port import AppAccount
from fleetroll.bus.settings import trust
from fleetroll.core.faults import Fault
from tests.support.broker import (
    DEVICE,
    ORG,
    SERVER_KEY,
    Registry,
    client,
    first,
    kept,
    run,
    with_app,
    with_device,
)
from tests.support.nats_sockets import LEFT
from tests.support.ports import free_port
from tests.support.waiting import eventually

pytestmark = LEFT

T = TypeVar("T")
SUBJECT = f"{ORG}.production.telemetry.{DEVICE}.temperature"
STREAM = ingest_stream(ORG)
AUTHORITY = Authority(SERVER_KEY)
SERVERS = 3  # of two, one could make no streams without the other
TRIES = 10


@contextlib.contextmanager
def cluster(directory: Path) -> Iterator[list[tuple[str, "subprocess.Popen[bytes]"]]]:
    """The servers, each with its URL."""
    program = Path(sys.executable).with_name("nats-server")
    ports = [(free_port(), free_port()) for _ in range(SERVERS)]
    started = []
    for number, (port, route) in enumerate(ports):
        own = directory / f"server-{number}"
        own.mkdir()
        routes = [f"nats://127.0.0.1:{one}" for _, one in ports]
        settings = {
            "server_name": own.name,
            "listen": f"127.0.0.1:{port}",
            "cluster": {"name": "cluster", "listen": f"127.0.0.1:{route}", "routes": routes},
            "jetstream": {"store_dir": str(own / "streams")},
            "resolver": {"type": "full", "dir": str(own / "accounts"), "allow_delete": True, "hard_delete": True},
            **trust(AUTHORITY, int(time.time())),
        }
        (own / "nats.conf").write_text(json.dumps(settings))
        with (own / "log").open("w") as log:
            process = subprocess.Popen([program, "-c", own / "nats.conf"], stderr=log)
        started.append((f"nats://127.0.0.1:{port}", process))
    try:
        yield started
    finally:
        for _, process in started:
            process.kill()
            process.wait(10)


@contextlib.asynccontextmanager
async def serving(urls: list[str], registry: Registry, *, replicas: int = 1) -> AsyncIterator[Broker]:
    """Our server, over a cluster of which it is told these servers."""
    served = Broker(AUTHORITY, lambda: int(time.time()), lambda: urls, None, replicas=replicas)
    async with kept(served, registry) as keeping:
        await first(served.up(), keeping)
        yield served


async def answered(device: Client) -> bool:
    """Whether it is, within a few tries: the others may pass a request on to the server that stands still."""
    for _ in range(TRIES):
        with contextlib.suppress(nats.errors.Error):
            return bool((await device.request(f"api.iot.devices.{ORG}.sdk.config.get", b"{}", timeout=1)).data)
    return False


def test_who_asks_at_another_server_than_ours_is_answered_while_ours_stands_still(tmp_path: Path) -> None:
    """The vendor's SDKs ask only once, and a device asks for its commands as soon as it is back."""

    async def story(servers: list[tuple[str, "subprocess.Popen[bytes]"]]) -> None:
        (ours, stopped), (theirs, _), _ = servers
        registry = Registry()
        try:
            async with serving([ours], registry) as served:
                device = await client(theirs, await with_device(served, registry))
                stopped.send_signal(signal.SIGSTOP)
                assert await answered(device)
                await device.close()
        finally:
            stopped.kill()

    with cluster(tmp_path) as servers:
        run(story(servers))


async def agreed(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, once the servers have agreed on who stands in for one that is gone."""
    return await eventually(ask, nats.errors.Error, nats.js.errors.Error)


async def leader(url: str, stream: str, account: Pair = AUTHORITY.platform) -> int:
    """The number of the server that answers for a stream of an account."""
    connected = await links.connect([url], account, "test")
    found = await agreed(lambda: connected.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=2))
    await links.close(connected)
    return int(json.loads(found.data)["cluster"]["leader"].removeprefix("server-"))


@pytest.mark.long
def test_what_several_servers_keep_outlives_one_of_them(tmp_path: Path) -> None:
    """What the store has not taken yet, commands that wait, and the streams of applications."""

    async def story(servers: list[tuple[str, "subprocess.Popen[bytes]"]]) -> None:
        urls = [url for url, _ in servers]
        registry = Registry()
        async with serving(urls[:1], registry, replicas=SERVERS) as served:
            minted, app = await with_device(served, registry), await with_app(served, registry)
            gone = await leader(urls[0], STREAM)
            device = await client(urls[gone - 1], minted)
            registry.refusing = True
            for number in range(20):
                await device.jetstream().publish(SUBJECT, b"%d" % number)
            await served.send(ORG, "production", DEVICE, "reboot", b"now")
            servers[gone][1].kill()
            registry.refusing = False
            await agreed(lambda: device.jetstream().publish(SUBJECT, b"after", timeout=2))
            await registry.until(lambda: {b"after", b"now"} <= {one.body for one in registry.messages})
            readings = [one.body for one in registry.messages if one.family == "telemetry"]
            assert readings[:20] == [b"%d" % number for number in range(20)]
            assert {*readings[20:]} == {b"after"}  # more than once if it was taken, and the broker could not say so
            assert [one.body for one in registry.messages if one.family == "commands"] == [b"now"]
            assert await leader(urls[gone - 1], COMMANDS) != gone
            listening = await client(urls[gone - 1], app)
            stream = await agreed(lambda: listening.jetstream().stream_info(f"{ORG}_stream"))
            assert stream.config.num_replicas == SERVERS
            await listening.close()
            await device.close()

    with cluster(tmp_path) as servers:
        run(story(servers))


@pytest.mark.long
def test_commands_are_sent_though_the_one_server_that_was_named_is_gone(tmp_path: Path) -> None:
    async def story(servers: list[tuple[str, "subprocess.Popen[bytes]"]]) -> None:
        (named, process), *_ = servers
        registry = Registry()
        async with serving([named], registry, replicas=SERVERS) as served:
            process.kill()
            process.wait(10)
            await eventually(lambda: sent(served), Fault)
            await registry.until(lambda: any(one.body == b"now" for one in registry.messages))

    with cluster(tmp_path) as servers:
        run(story(servers))


async def sent(served: Broker) -> bool:
    await served.send(ORG, "production", DEVICE, "reboot", b"now")
    return True


@pytest.mark.long
@pytest.mark.parametrize("kept", ["applications", "commands"])
def test_who_is_cut_off_waits_for_no_streams_that_went_with_a_server(tmp_path: Path, kept: str) -> None:
    async def story(servers: list[tuple[str, "subprocess.Popen[bytes]"]]) -> None:
        urls = [url for url, _ in servers]
        registry = Registry()
        async with serving(urls, registry) as served:
            app, device = await with_app(served, registry), await with_device(served, registry)
            if kept == "commands":
                gone = await leader(urls[0], COMMANDS)
            else:
                gone = await leader(urls[0], f"{ORG}_stream", AUTHORITY.apps(ORG, "operator"))
            servers[gone][1].kill()
            revoked = frozenset({app.user})
            registry.want(app.account, AppAccount(ORG, "operator", commands=True, revoked=revoked))
            registry.want(device.account, None)
            await registry.until(lambda: not registry.waiting)
            for ended in (app, device):
                with pytest.raises(nats.errors.Error):
                    await client(urls[gone - 1], ended)

    with cluster(tmp_path) as servers:
        run(story(servers))
