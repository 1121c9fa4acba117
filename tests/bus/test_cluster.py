"""A broker of several servers, none of them ours: what is answered while one of them stands still."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nats.errors
from nats.aio.client import Client

from fleetroll.bus.broker import Broker
from fleetroll.bus.port import DeviceAccount
from fleetroll.bus.settings import trust
from fleetroll.bus.walls import Authority
from tests.support.broker import SERVER_KEY, Registry, client, first, run
from tests.support.nats_sockets import LEFT
from tests.support.ports import free_port

pytestmark = LEFT

ORG, DEVICE = "org_1", "00000000" + "0" * 15 + "1"
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


async def answered(device: Client) -> bool:
    """Within a few tries: the others may pass a request on to the one that stands still."""
    for _ in range(TRIES):
        with contextlib.suppress(nats.errors.Error):
            return bool((await device.request(f"api.iot.devices.{ORG}.sdk.config.get", b"{}", timeout=1)).data)
    return False


def test_who_asks_at_another_server_than_ours_is_answered_while_ours_stands_still(tmp_path: Path) -> None:
    """The vendor's SDKs ask once, and a device that comes back asks at once to hear its commands."""

    async def story(servers: list[tuple[str, "subprocess.Popen[bytes]"]]) -> None:
        (ours, stopped), (theirs, _), _ = servers
        registry = Registry()
        served = Broker(AUTHORITY, lambda: int(time.time()), lambda: [ours], None)
        running = [asyncio.ensure_future(work) for work in (served.keep(registry), served.attend())]
        try:
            await first(served.up(), running[0])
            minted = served.mint_device(ORG, DEVICE)
            registry.want(minted.account, DeviceAccount(minted.account, ORG, DEVICE))
            await served.settle()
            device = await client(theirs, minted)
            stopped.send_signal(signal.SIGSTOP)
            assert await answered(device)
            await device.close()
        finally:
            stopped.kill()
            for work in running:
                work.cancel()
            await asyncio.wait(running)

    with cluster(tmp_path) as servers:
        run(story(servers))
