"""Whoever asks without end is refused at once when too much of it waits; others are only when all room is taken."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import msgspec
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus.broker import Broker
from fleetroll.bus.port import Request
from fleetroll.core import limits
from tests.support.broker import Registry, address, broker, client, run, with_app, with_device
from tests.support.nats_sockets import LEFT
from tests.support.waiting import PATIENCE

pytestmark = LEFT

ORG, RIVAL = "org_1", "org_2"
DEVICES = {ORG: f"{1:024x}", RIVAL: f"{2:024x}"}
BODY = b"{}"
TWO = 2 * (limits.BUS_WAITER + len(BODY))


class Busy(Registry):
    """Answers once `let` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()

    async def answer(self, request: Request) -> bytes:
        reply = await super().answer(request)
        self.moved.set()
        await self.let.wait()
        return reply


async def app_of(served: Broker, registry: Registry, org: str) -> Client:
    return await client(address(served), await with_app(served, registry, org))


async def device_of(served: Broker, registry: Registry, org: str) -> Client:
    return await client(address(served), await with_device(served, registry, org, DEVICES[org]))


class Listener:
    """A device that hears calls, and answers when it is told."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Msg] = asyncio.Queue()

    async def listen(self, device: Client, org: str) -> None:
        await device.subscribe(f"{org}.production.command.rpc.{DEVICES[org]}.ping", cb=self.heard.put)
        await device.flush()

    async def next(self) -> Msg:
        return await asyncio.wait_for(self.heard.get(), PATIENCE)


def call(app: Client, org: str) -> "asyncio.Future[Any]":
    subject = f"{org}.production.command.rpc.{DEVICES[org]}.ping"
    return asyncio.ensure_future(app.request(subject, BODY, timeout=PATIENCE))


@pytest.mark.parametrize("bound", ["BUS_TENANT_WAITING", "BUS_WAITING"])
def test_calls_that_wait_are_bounded_for_each_tenant_and_in_all(
    bound: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        registry = Registry()
        monkeypatch.setattr(limits, bound, TWO)
        caplog.set_level(logging.WARNING, "fleetroll.broker")
        async with broker(tmp_path / "nats", registry) as served:
            apps = {org: await app_of(served, registry, org) for org in DEVICES}
            devices = {org: await device_of(served, registry, org) for org in DEVICES}
            listeners = {org: Listener() for org in DEVICES}
            for org, listener in listeners.items():
                await listener.listen(devices[org], org)
            waiting = [call(apps[ORG], ORG) for _ in range(2)]
            heard = [await listeners[ORG].next() for _ in waiting]
            with pytest.raises(nats.errors.NoRespondersError):
                await call(apps[ORG], ORG)
            assert f"calls over the broker are refused: too many of {ORG} are waiting" in caplog.text
            others = call(apps[RIVAL], RIVAL)
            if bound == "BUS_WAITING":
                with pytest.raises(nats.errors.NoRespondersError):
                    await others
            else:
                await (await listeners[RIVAL].next()).respond(b"there")
                assert (await others).data == b"there"
            for message in heard:
                await message.respond(b"here")
            assert [(await one).data for one in waiting] == [b"here", b"here"]
            again = call(apps[ORG], ORG)
            await (await listeners[ORG].next()).respond(b"again")
            assert (await again).data == b"again"
            for one in (*apps.values(), *devices.values()):
                await one.close()

    run(story())


def test_a_request_that_finds_no_room_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        registry = Busy()
        monkeypatch.setattr(limits, "BUS_TENANT_WAITING", TWO)
        async with broker(tmp_path / "nats", registry) as served:
            app = await app_of(served, registry, ORG)
            for subject in (f"api.iot.devices.{ORG}.list", "accounts.user.get_http_token"):
                before = len(registry.requests)
                asked = [asyncio.ensure_future(app.request(subject, BODY, timeout=PATIENCE)) for _ in range(2)]
                await registry.until(lambda before=before: len(registry.requests) == before + 2)
                with pytest.raises(nats.errors.NoRespondersError):
                    await app.request(subject, BODY, timeout=PATIENCE)
                registry.let.set()
                assert all([(await one).data for one in asked])
                registry.let.clear()
            await app.close()

    run(story())


def test_a_device_whose_question_finds_no_room_is_told_in_the_brokers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            device = await device_of(served, registry, ORG)
            monkeypatch.setattr(limits, "BUS_TENANT_WAITING", 0)
            for verb in ("INFO", f"STREAM.INFO.{ORG}_command_queue", f"CONSUMER.INFO.{ORG}_command_queue.mine"):
                refusal = msgspec.json.decode((await device.request(f"$JS.API.{verb}", b"")).data)
                assert refusal["error"]["code"] == 503
            await device.close()

    run(story())
