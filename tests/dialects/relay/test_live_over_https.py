"""What a device reports over HTTPS is in the live stream of the vendor's application SDK, as if it had published it."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgpack
from relayx_app_sdk import RelayApp

from fleetroll.bus import links
from fleetroll.bus.permissions import Authority
from fleetroll.core import limits
from fleetroll.data_directory import KEY, read_key
from tests.support.nats_sockets import LEFT
from tests.support.relay import PATIENCE, Vendor, device, run, vendor

pytestmark = LEFT
SCHEMA = {"n": "number", "text": "string", "flag": "boolean", "json": "json", "v1": "number"}
TEMPLATE = {"name": "Sensors", "datastreams": [{"pin": "v1", "type": "double", "alias": "temperature"}]}


class Heard:
    """What an application was told of one device, in order."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue()

    async def follow(self, app: RelayApp, ident: str) -> "Heard":
        await app.telemetry.stream({"device_ident": ident, "metric": "*", "callback": self._queue.put_nowait})
        return self

    async def next(self, count: int) -> list[tuple[str, Any]]:
        told = [await asyncio.wait_for(self._queue.get(), PATIENCE) for _ in range(count)]
        assert all(one["data"].keys() == {"value", "timestamp"} for one in told)
        return [(one["metric"], one["data"]["value"]) for one in told]

    async def times(self, count: int) -> list[int]:
        return [(await asyncio.wait_for(self._queue.get(), PATIENCE))["data"]["timestamp"] for _ in range(count)]

    @property
    def is_quiet(self) -> bool:
        return self._queue.empty()


async def report(served: Vendor, ident: str, *readings: tuple[str, Any], org: str = "") -> None:
    """By the native API."""
    body = {"readings": [{"metric": metric, "value": value} for metric, value in readings]}
    await served.ask("POST", f"/v1/devices/{ident}/telemetry", body, org)


async def by_blynk(served: Vendor, target: str, body: Any = None) -> None:
    """By the API for devices, with a token in the query."""
    async with httpx.AsyncClient(base_url=f"{served.process.url}/external/api/", timeout=PATIENCE) as client:
        reply = await client.request("POST" if body else "GET", target, json=body)
    assert reply.status_code == 200, reply.text


async def report_much(served: Vendor, ident: str) -> int:
    """More than may wait for the broker, and than its connection takes: the numbers below the one returned, as text."""
    some, requests = 900, 24
    for first in range(0, requests * some, some):
        await report(served, ident, *(("text", f"{first + place:01000}") for place in range(some)))
    return requests * some


def signal_broker(served: Vendor, number: signal.Signals) -> None:
    os.kill(int((served.data / "nats" / "nats-server.pid").read_text()), number)


async def token_of(served: Vendor, ident: str) -> str:
    return str((await served.ask("GET", f"/v1/devices/{ident}/credentials"))["device_token"])


async def create(served: Vendor, ident: str, org: str = "") -> None:
    await served.ask("POST", "/v1/devices", {"ident": ident, "schema": SCHEMA}, org)


def test_readings_are_heard_once_whichever_way_they_come(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            app, tester = await served.app(), await served.app(mode="test")
            made = await app.device.create({"ident": "d", "schema": SCHEMA, "config": {}})
            heard, by_tester = await Heard().follow(app, "d"), await Heard().follow(tester, "d")
            token, sensor = await token_of(served, "d"), await device(made["creds"])
            values = [("n", 1), ("n", 2.5), ("text", "é"), ("flag", True), ("json", [1, {"a": None}]), ("n", 2**64 - 1)]
            for metric, value in values:
                await report(served, "d", (metric, value))
            assert await heard.next(len(values)) == values
            several = [("n", 3), ("flag", False), ("text", "")]
            await report(served, "d", *several)
            assert await heard.next(3) == several
            await by_blynk(served, f"update?token={token}&v1=4")
            await by_blynk(served, f"batch/update?token={token}&v1=5")
            await report(served, "d", ("n", 6))
            assert await heard.next(3) == [("v1", 4), ("v1", 5), ("n", 6)]
            # What the device publishes is heard once, as before: nothing is left of it when the next is heard.
            assert await sensor.telemetry.publish("n", 7)
            assert await heard.next(1) == [("n", 7)]
            await report(served, "d", ("n", 8))
            assert await heard.next(1) == [("n", 8)]
            assert heard.is_quiet
            assert by_tester.is_quiet
            await sensor.disconnect()
            for one in (app, tester):
                await one.disconnect()

    run(story())


def test_what_is_written_to_a_datastream_is_heard_under_its_metric(tmp_path: Path) -> None:
    """By the device or in its name; what is reported late, as an upload of history, with the time that it has."""

    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            await served.ask("POST", "/v1/devices", {"ident": "d"})
            template = await served.ask("POST", "/v1/templates", TEMPLATE)
            await served.ask("PATCH", "/v1/devices/d", {"template": template["id"]})
            (shown,) = (await served.ask("GET", "/api/v1/organization/devices"))["content"]
            app, token = await served.app(), await token_of(served, "d")
            heard = await Heard().follow(app, "d")
            place = {"deviceId": shown["id"], "dataStreamId": 1}
            await served.ask("POST", "/api/v1/organization/device/datastream", {**place, "value": 21.5})
            await by_blynk(served, f"update?token={token}&v1=22.5")
            assert await heard.next(2) == [("temperature", 21.5), ("temperature", 22.5)]
            rows = [{"ts": 1_000, "value": 1}, {"ts": 2_000, "value": 2}]
            await served.ask("POST", "/api/v1/organization/device/import/batch", {**place, "values": rows})
            await by_blynk(served, f"batch/update?token={token}&pin=v1", [[3_000, 3], [4_000, 4]])
            assert await heard.times(4) == [1_000, 2_000, 3_000, 4_000]
            assert heard.is_quiet
            await app.disconnect()

    run(story())


def test_an_application_hears_its_own_organization_alone(tmp_path: Path) -> None:
    """Also of a device that is transferred, from then on."""

    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            await served.ask("POST", "/v1/organizations", {"slug": "buyer"})
            await create(served, "d")
            await create(served, "mark")
            seller, buyer = await served.app(), await served.app(org="buyer")
            by_seller, mark = await Heard().follow(seller, "d"), await Heard().follow(seller, "mark")
            await report(served, "d", ("n", 1))
            assert await by_seller.next(1) == [("n", 1)]
            await served.ask("POST", "/v1/devices/d:transfer", {"organization": "buyer"})
            by_buyer = await Heard().follow(buyer, "d")
            await report(served, "d", ("n", 2), org="buyer")
            await report(served, "mark", ("n", 3))
            assert await by_buyer.next(1) == [("n", 2)]
            assert await mark.next(1) == [("n", 3)]
            assert by_seller.is_quiet
            assert by_buyer.is_quiet
            for one in (seller, buyer):
                await one.disconnect()

    run(story())


@asynccontextmanager
async def everything_shown(served: Vendor) -> AsyncIterator["asyncio.Queue[tuple[str, Any]]"]:
    """Whatever is shown to anybody: the subject, and the body as the vendor's SDK reads it."""
    shown: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def note(message: Any) -> None:
        shown.put_nowait((message.subject, msgpack.unpackb(message.data)))

    authority = Authority(read_key(served.data / KEY))
    client = await links.connect([await served.point()], authority.platform, "test")
    try:
        await client.subscribe("live.>", cb=note)
        await client.flush()
        yield shown
    finally:
        await links.close(client)


def test_nothing_is_shown_while_no_application_may_follow(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served, everything_shown(served) as shown:
            await served.ask("POST", "/v1/organizations", {"slug": "quiet"})
            await create(served, "q", "quiet")
            await create(served, "d")
            await served.key()
            # Keys that are not for the broker, or whose scopes leave out what devices say.
            await served.ask("POST", "/v1/keys", {"name": "api", "role": "admin"}, "quiet")
            await served.key(org="quiet", scopes=("owners:read", "devices:write"))

            async def values(org: str, value: int) -> Any:
                """What is shown until a reading of the organization that has an application."""
                await report(served, "q", ("n", value), org="quiet")
                await report(served, "d", ("n", 0))
                found = []
                while not found or found[-1][1]["value"] != 0:
                    found.append(await asyncio.wait_for(shown.get(), PATIENCE))
                return [body["value"] for _, body in found]

            assert await values("quiet", 1) == [0]
            key = await served.ask("POST", "/v1/keys", {"name": "a", "role": "viewer", "kind": "nats"}, "quiet")
            assert await values("quiet", 2) == [2, 0]
            await served.ask("DELETE", f"/v1/keys/{key['id']}", None, "quiet")
            assert await values("quiet", 3) == [0]

    run(story())


def test_all_readings_of_a_large_request_are_heard(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            app = await served.app()
            await create(served, "d")
            heard, count = await Heard().follow(app, "d"), 10 * limits.LIVE_BATCH + 1
            rows = [{"metric": "n", "value": place, "at": f"2026-01-01T00:00:00.{place:06}Z"} for place in range(count)]
            await served.ask("POST", "/v1/devices/d/telemetry", {"readings": rows})
            assert await heard.next(count) == [("n", place) for place in range(count)]
            await app.disconnect()

    run(story())


def test_a_broker_that_takes_nothing_holds_up_no_reading_and_misses_old_ones(tmp_path: Path) -> None:
    """What waits for it is bounded; all of it is in the history."""

    async def story() -> None:
        async with vendor(tmp_path / "data") as served, everything_shown(served) as shown:
            await create(served, "d")
            await served.key()
            began = time.monotonic()
            signal_broker(served, signal.SIGSTOP)
            count = await report_much(served, "d")
            assert time.monotonic() - began < PATIENCE / 2
            signal_broker(served, signal.SIGCONT)
            heard: list[int] = []
            while not heard or heard[-1] != count - 1:
                _, body = await asyncio.wait_for(shown.get(), PATIENCE)
                heard.append(int(body["value"]))
            assert heard == sorted(set(heard))
            assert heard[-limits.SHOWN_READINGS :] == list(range(count - limits.SHOWN_READINGS, count))
            assert len(heard) < count

    run(story())


def test_a_server_stops_while_its_broker_takes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:  # which waits for it
            await create(served, "d")
            await served.key()
            signal_broker(served, signal.SIGSTOP)
            await report_much(served, "d")

    run(story())


def test_readings_are_heard_again_once_the_broker_is_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            app = await served.app()
            await create(served, "d")
            heard = await Heard().follow(app, "d")
            signal_broker(served, signal.SIGKILL)
            value = 0
            async with asyncio.timeout(PATIENCE):
                while heard.is_quiet:
                    value += 1
                    await report(served, "d", ("n", value))
                    await asyncio.sleep(0.1)
            await app.disconnect()

    run(story())
