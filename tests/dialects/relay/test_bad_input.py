"""Whatever is sent through the broker, every request has its answer, and every listener hears the message after it."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import nats.js.errors
import pytest
from nats.aio.client import Client

from fleetroll.bus.port import Minted
from fleetroll.core import limits
from tests.access.test_subjects import ROWS
from tests.hostile.test_random_messages import junk
from tests.hostile.test_random_requests import SEED, VALUES
from tests.support.broker import client
from tests.support.nats_sockets import LEFT
from tests.support.relay import Vendor, device, run, vendor
from tests.support.waiting import PATIENCE

pytestmark = LEFT

MESSAGES = 200
SCHEMA = {"t": {"type": "number"}}
HUGE = [b"[" * (1 << 20), b'{"ident": "' + b"a" * (7 << 20) + b'"}', b"\xdd\xff\xff\xff\xff", b"0" * (1 << 20)]


async def raw(served: Vendor, creds: dict[str, str]) -> Client:
    return await client(await served.point(), Minted("", "", creds["api_key"], creds["secret"]))


async def together(one: Callable[[Any], Awaitable[None]], many: list[Any]) -> None:
    for first in range(0, len(many), 20):
        await asyncio.gather(*map(one, many[first : first + 20]))


def test_every_request_has_its_answer(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            chance = random.Random(SEED)
            app = await served.app()
            made = await app.device.create({"ident": "known", "schema": SCHEMA, "config": {}})
            clients = {"app": await raw(served, await served.key()), "device": await raw(served, made["creds"])}
            parts = {"$id": made["id"], "$ident": "known", "$new": "new"}
            for name, row in ROWS.items():
                asks = clients["device" if row.least == "device" else "app"]
                subject = name.replace("{org}", made["org_id"])
                sample = {
                    key: parts.get(value, value) if isinstance(value, str) else value for key, value in row.body.items()
                }

                async def ask(body: bytes, asks: Client = asks, subject: str = subject) -> None:
                    answer = json.loads((await asks.request(subject, body, timeout=PATIENCE)).data)
                    assert isinstance(answer["status"], str), body
                    assert isinstance(answer["data"], dict), body

                # What deletes the device is sent last, and whole.
                spared = {} if name.endswith(".delete") else sample
                await together(ask, [*HUGE, *(junk(chance, spared) for _ in range(MESSAGES))])
            whole = json.dumps({"ident": "known"}).encode()
            reply = await clients["app"].request(f"api.iot.devices.{made['org_id']}.delete", whole, timeout=PATIENCE)
            assert json.loads(reply.data)["status"] == "DEVICE_DELETE_SUCCESS"
            for one in clients.values():
                await one.close()
            await app.disconnect()

    run(story())


def test_every_listener_hears_the_message_after_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            chance = random.Random(SEED)
            app = await served.app()
            made = await app.device.create({"ident": "known", "schema": SCHEMA, "config": {}})
            sensor = await device(made["creds"])
            by_app, by_device = await raw(served, await served.key()), await raw(served, made["creds"])
            bodies = [junk(chance, {"value": chance.choice(VALUES), "timestamp": 1}) for _ in range(MESSAGES)]
            small = [body for body in bodies if len(body) <= limits.MAX_BUS_MESSAGE]
            org, number = made["org_id"], made["id"]
            heard: asyncio.Queue[Any] = asyncio.Queue()
            await app.telemetry.stream({"device_ident": "known", "metric": "*", "callback": heard.put_nowait})

            for family in ("telemetry", "events", "logs"):
                subject = f"{org}.production.{family}.{number}.t"

                async def publish(body: bytes, subject: str = subject) -> None:
                    assert await by_device.jetstream().publish(subject, body, timeout=PATIENCE)

                await together(publish, small)
                with pytest.raises(nats.js.errors.APIError, match="maximum"):
                    await by_device.jetstream().publish(subject, b"0" * (limits.MAX_BUS_MESSAGE + 1), timeout=PATIENCE)
                await publish(msgspec.msgpack.encode({"value": 21, "timestamp": 1_750_000_000_000}))
            path = "/v1/devices/known/telemetry?metric=t&from=2025-01-01T00:00:00Z&limit=1000"
            await served.until(lambda found: 21 in [one["value"] for one in found["readings"]], "GET", path)
            path = "/v1/devices/known/timeline?limit=1000"
            await served.until(
                lambda found: [one["data"].get("value") for one in found["events"]].count(21) == 2, "GET", path
            )
            while (await asyncio.wait_for(heard.get(), PATIENCE))["data"] != {
                "value": 21,
                "timestamp": 1_750_000_000_000,
            }:
                pass

            # The device's own side, and the requests by which it listens.
            create = f"$JS.API.CONSUMER.CREATE.{org}_command_queue.x.{org}.production.command.queue.{number}.move"
            config = {"stream_name": f"{org}_command_queue", "config": {"deliver_subject": "_INBOX.a", "name": "x"}}

            async def ask(body: bytes) -> None:
                answer = await by_device.request(create, body, timeout=PATIENCE)
                assert isinstance(json.loads(answer.data), dict), body

            deep = b'{"config": {"a": ' + b"[" * 100_000
            await together(ask, [*HUGE[:1], deep, *(junk(chance, config) for _ in range(MESSAGES))])
            await sensor.command.listen("move", heard.put_nowait)

            async def answer(request: Any) -> None:
                await request.respond(request.payload)

            await sensor.rpc.listen("echo", answer)

            async def command(body: bytes) -> None:
                subject = f"{org}.production.command.queue.{number}.move"
                assert await by_app.jetstream().publish(subject, body, timeout=PATIENCE)
                await by_app.publish(f"{org}.production.command.rpc.{number}.echo", body, reply="_INBOX.nobody")

            await together(command, small)
            assert await app.command.send({"name": "move", "device_ident": ["known"], "data": "last"}) == {
                "known": {"sent": True}
            }
            told: Any = None
            while not (isinstance(told, dict) and told.get("value") == "last"):
                told = (await asyncio.wait_for(heard.get(), PATIENCE)).payload
            assert await app.rpc.call({"device_ident": "known", "name": "echo", "data": 1}) == {
                "status": "ok",
                "data": 1,
            }
            for one in (by_app, by_device):
                await one.close()
            await sensor.disconnect()
            await app.disconnect()

    run(story())


def test_an_application_hears_what_is_published_without_an_sdk_and_whatever_comes_after_it(tmp_path: Path) -> None:
    """The vendor's SDK has a message that it cannot read sent again, and after a thousand of them it hears nothing."""

    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            app = await served.app()
            made = [await app.device.create({"ident": name, "schema": {}, "config": {}}) for name in ("plain", "other")]
            plain, other = await raw(served, made[0]["creds"]), await device(made[1]["creds"])
            readings: asyncio.Queue[Any] = asyncio.Queue()
            events: asyncio.Queue[Any] = asyncio.Queue()
            await app.telemetry.stream({"device_ident": "plain", "metric": "*", "callback": readings.put_nowait})
            await app.events.stream({"name": "door", "device_ident": "*", "callback": events.put_nowait})
            own = f"{made[0]['org_id']}.production.{{}}.{made[0]['id']}.{{}}"

            for body in (b"5", b"not this", b'{"value": {"a": [1]}, "timestamp": 1750000000000}', b"\x81\x01\x02"):
                assert await plain.jetstream().publish(own.format("telemetry", "t"), body)
            heard = [(await asyncio.wait_for(readings.get(), PATIENCE)) for _ in range(3)]
            assert [one["metric"] for one in heard] == ["t"] * 3
            assert heard[0]["data"]["value"] == 5
            assert heard[1]["data"] == {"value": {"a": [1]}, "timestamp": 1_750_000_000_000}

            for _ in range(1_100):
                await plain.publish(own.format("events", "door"), b"neither of them")
            await plain.publish(own.format("events", "door"), b'"open"')
            await plain.flush()
            assert (await asyncio.wait_for(events.get(), PATIENCE))["plain"]["value"] == "open"
            assert await other.event.send("door", {"shut": True})
            assert (await asyncio.wait_for(events.get(), PATIENCE))["other"]["value"] == {"shut": True}
            await plain.close()
            await other.disconnect()
            await app.disconnect()

    run(story())
