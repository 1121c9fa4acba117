"""Several processes over one PostgreSQL: one of them keeps the broker, and each of them can use it."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import nats.errors
import pytest
from relayx_device_sdk import RelayDevice

from fleetroll.bus.port import Minted
from tests.support.broker import client
from tests.support.nats_sockets import LEFT
from tests.support.ports import free_port
from tests.support.postgres import new_database
from tests.support.relay import Vendor, device, run, vendor
from tests.support.waiting import PATIENCE

pytestmark = LEFT

LIVE = {"telemetry": "true", "filter": 'type = "device.telemetry"'}
WORKERS = 3
OFTEN = range(6 * WORKERS)  # each request is taken by some worker; of so many, every worker takes one
BROKER_UP = re.compile(r'^fleetroll_broker_up\{worker="(\d+)"\} 1', re.MULTILINE)


@asynccontextmanager
async def crew(directory: Path) -> AsyncIterator[Vendor]:
    where = f"127.0.0.1:{free_port()}"
    database = await new_database()
    options = ("--database", database, "--workers", str(WORKERS))
    async with vendor(directory, *options, broker=where) as served:
        await served.point()
        there: set[str] = set()
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient(timeout=PATIENCE) as http:
            while len(there) < WORKERS:
                metrics = await http.get(f"{served.process.url}/metrics", headers={"connection": "close"})
                there |= set(BROKER_UP.findall(metrics.text))
        yield served


def keeper_of(data: Path) -> int:
    """The worker whose child the broker is."""
    broker = (data / "nats" / "nats-server.pid").read_text()
    return int(Path(f"/proc/{int(broker)}/stat").read_text().rpartition(")")[2].split()[1])


async def listening(served: Vendor, ident: str) -> RelayDevice:
    await served.ask("POST", "/v1/devices", {"ident": ident, "schema": {"n": {"type": "number"}}})
    made = await served.ask("POST", f"/v1/devices/{ident}/credentials", {})
    return await device(made["nats"])


def test_commands_and_calls_reach_a_device_from_each_worker(tmp_path: Path) -> None:
    async def story() -> None:
        async with crew(tmp_path / "data") as served:
            sensor = await listening(served, "pump")
            heard: asyncio.Queue[Any] = asyncio.Queue()

            async def double(asked: Any) -> None:
                await asked.respond(asked.payload * 2)

            await sensor.command.listen("go", heard.put_nowait)
            await sensor.rpc.listen("double", double)
            for number in OFTEN:
                await served.ask("POST", "/v1/devices/pump/commands", {"name": "go", "data": number})
                answer = await served.ask("POST", "/v1/devices/pump/rpc", {"name": "double", "data": number})
                assert answer["data"] == number * 2
            told = [await asyncio.wait_for(heard.get(), PATIENCE) for _ in OFTEN]
            assert [one.payload["value"] for one in told] == list(OFTEN)
            await sensor.disconnect()

    run(story())


def test_a_credential_from_any_worker_is_good_at_once_and_no_longer_than_it_should(tmp_path: Path) -> None:
    async def story() -> None:
        async with crew(tmp_path / "data") as served:
            url = await served.point()
            await served.ask("POST", "/v1/devices", {"ident": "one"})
            for _ in OFTEN:
                made = await served.ask("POST", "/v1/devices/one/credentials", {})
                minted = Minted("", "", made["nats"]["api_key"], made["nats"]["secret"])
                await (await client(url, minted)).close()
                await served.ask("DELETE", f"/v1/devices/one/credentials/{made['id']}")
                with pytest.raises(nats.errors.Error):
                    await client(url, minted)

    run(story())


def test_readings_are_shown_live_at_each_worker(tmp_path: Path) -> None:
    async def story() -> None:
        async with crew(tmp_path / "data") as served:
            sensor = await listening(served, "pump")
            headers = {"authorization": f"Bearer {served.process.key}"}
            async with AsyncExitStack() as stack:
                # Each connection is taken by some worker.
                streams = []
                for _ in OFTEN:
                    http = await stack.enter_async_context(httpx.AsyncClient(headers=headers, timeout=PATIENCE))
                    wanted = http.stream("GET", f"{served.process.url}/v1/events", params=LIVE)
                    streams.append((await stack.enter_async_context(wanted)).aiter_lines())
                assert await sensor.telemetry.publish("n", 1)
                for stream in streams:
                    line = await anext(line async for line in stream if line.startswith("data: "))
                    assert json.loads(line.removeprefix("data: "))["data"] == {"metric": "n", "value": 1}
            await sensor.disconnect()

    run(story())


def test_readings_that_any_worker_takes_are_heard_by_applications(tmp_path: Path) -> None:
    async def story() -> None:
        async with crew(tmp_path / "data") as served:
            await served.ask("POST", "/v1/devices", {"ident": "pump", "schema": {"n": {"type": "number"}}})

            async def report(number: int) -> None:
                body = {"readings": [{"metric": "n", "value": number}]}
                await served.ask("POST", "/v1/devices/pump/telemetry", body)

            for number in OFTEN:  # each worker has noticed that there are no applications
                await report(-number)
            app, heard = await served.app(), asyncio.Queue[Any]()
            await app.telemetry.stream({"device_ident": "pump", "metric": "*", "callback": heard.put_nowait})
            for number in OFTEN:
                await report(number)
            told = [(await asyncio.wait_for(heard.get(), PATIENCE))["data"]["value"] for _ in OFTEN]
            assert sorted(told) == list(OFTEN)  # each once; between workers there is no order
            await app.disconnect()

    run(story())


def test_the_broker_moves_when_its_keeper_is_killed(tmp_path: Path) -> None:
    async def story() -> None:
        async with crew(tmp_path / "data") as served:
            sensor = await listening(served, "pump")
            await served.until(lambda found: found["connected"], "GET", "/v1/devices/pump")
            keeper = keeper_of(tmp_path / "data")
            back = asyncio.Event()
            sensor.connection.listeners(lambda said: back.set() if said["type"] == "reconnected" else None)
            os.kill(keeper, signal.SIGKILL)
            await asyncio.wait_for(back.wait(), PATIENCE)
            await sensor.disconnect()  # which the SDK does not do while it has no connection
            await served.until(lambda found: not found["connected"], "GET", "/v1/devices/pump")
            again = await listening(served, "other")
            await served.until(lambda found: found["connected"], "GET", "/v1/devices/other")
            assert await again.telemetry.publish("n", 1)
            await again.disconnect()

    run(story())
