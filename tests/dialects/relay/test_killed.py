"""Many devices publish at once while broker and server are killed in turn; a ledger is kept of what they are told."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from relayx_device_sdk import RelayDevice

from tests.support.nats_sockets import LEFT
from tests.support.ports import free_port
from tests.support.relay import Vendor, device, run, vendor

pytestmark = LEFT

DEVICES = 20
ENOUGH = 10 * DEVICES  # acknowledgements between two blows
PAUSE = 0.02  # a device has one value of a metric in a millisecond
SECONDS = 60.0


class Ledger:
    """Which numbers of which device were acknowledged. Each number is published once."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, list[int]] = {}
        self._count = 0
        self._moved = asyncio.Event()
        self._stopping = False

    async def publish(self, ident: str, sensor: RelayDevice) -> None:
        """One number after the other, whether or not anybody takes them."""
        numbers = self.acknowledged.setdefault(ident, [])
        number = 0
        while not self._stopping:
            if await sensor.telemetry.publish("n", number):
                numbers.append(number)
                self._count += 1
                self._moved.set()
            number += 1
            await asyncio.sleep(PAUSE)

    async def grow(self) -> None:
        """Wait until much more is acknowledged."""
        until = self._count + ENOUGH
        async with asyncio.timeout(SECONDS):
            while self._count < until:
                self._moved.clear()
                await self._moved.wait()

    def stop(self) -> None:
        self._stopping = True


async def sensors(served: Vendor) -> dict[str, RelayDevice]:
    await served.point()
    found = {}
    for number in range(DEVICES):
        ident = f"sensor-{number}"
        await served.ask("POST", "/v1/devices", {"ident": ident, "schema": {"n": {"type": "number"}}})
        made = await served.ask("POST", f"/v1/devices/{ident}/credentials", {})
        found[ident] = await device(made["nats"])
    return found


async def reconcile(served: Vendor, ledger: Ledger) -> None:
    for ident, numbers in ledger.acknowledged.items():
        wanted = set(numbers)
        found = await served.until(
            lambda found, wanted=wanted: {one["value"] for one in found["readings"]} >= wanted,
            "GET", f"/v1/devices/{ident}/telemetry?metric=n&limit=10000",
        )  # fmt: skip
        values = [one["value"] for one in found["readings"]]
        assert len(values) == len(set(values)), "each once"


@pytest.mark.long
def test_nothing_that_twenty_devices_had_acknowledged_is_lost(tmp_path: Path) -> None:
    async def story() -> None:
        where = f"127.0.0.1:{free_port()}"
        data, ledger = tmp_path / "data", Ledger()
        async with vendor(data, broker=where) as served:
            there = await sensors(served)
            work: list[Coroutine[Any, Any, None]] = [ledger.publish(ident, one) for ident, one in there.items()]
            publishing = asyncio.gather(*work)
            await ledger.grow()
            os.kill(int((data / "nats" / "nats-server.pid").read_text()), signal.SIGKILL)
            await ledger.grow()
            os.kill(served.process.popen.pid, signal.SIGKILL)
        async with vendor(data, broker=where) as served:
            await ledger.grow()
            os.kill(int((data / "nats" / "nats-server.pid").read_text()), signal.SIGKILL)
            os.kill(served.process.popen.pid, signal.SIGKILL)
        async with vendor(data, broker=where) as served:
            await ledger.grow()
            ledger.stop()
            await publishing
            await reconcile(served, ledger)
            for ident in there:
                await served.until(lambda found: found["connected"], "GET", f"/v1/devices/{ident}")
            await asyncio.gather(*(one.disconnect() for one in there.values()))
            for ident in there:
                await served.until(lambda found: not found["connected"], "GET", f"/v1/devices/{ident}")

    run(story())
