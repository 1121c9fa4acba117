"""Whoever asks is answered, though the server's own connection to the broker is slow, or breaks meanwhile."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from fleetroll.bus.port import AppAccount
from fleetroll.core import limits
from tests.support.broker import PATIENCE, Registry, address, client, distant, run
from tests.support.nats_sockets import LEFT
from tests.support.proxy import Wire

pytestmark = LEFT

ORG = "org_1"
LIST = f"api.iot.devices.{ORG}.list"


async def application(served: Any, registry: Registry) -> Any:
    minted = served.mint_app(ORG, "operator", commands=True)
    registry.want(minted.account, AppAccount(ORG, "operator", True))
    await served.settle()
    return await client(address(served), minted)


async def answered_into_the_void(asking: "asyncio.Future[Any]", wire: Wire, done: Any) -> Any:
    """The answer to a request, after the first one went down with the connection."""
    async with asyncio.timeout(PATIENCE):
        while not done():  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    assert not asking.done()
    wire.loses = False
    wire.cut()
    return await asking


def test_a_reply_that_went_down_with_the_connection_is_said_again(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with distant(tmp_path / "nats", registry) as (served, wire):
            app = await application(served, registry)
            assert (await app.request(LIST, b"{}", timeout=PATIENCE)).data
            wire.loses = True
            asking = asyncio.ensure_future(app.request(LIST, b"{}", timeout=PATIENCE))
            reply = await answered_into_the_void(asking, wire, lambda: len(registry.requests) == 2)
            assert LIST.encode() in reply.data
            assert len(registry.requests) == 2
            await app.close()

    run(story())


def test_a_connection_is_not_given_up_while_what_it_carries_is_slow_to_arrive(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker asks whether somebody is there behind all that waits, and the answer comes late."""

    async def story() -> None:
        registry = Registry()
        async with distant(tmp_path / "nats", registry) as (served, wire):
            app = await application(served, registry)
            caplog.set_level(logging.WARNING, "fleetroll.broker")
            wire.hears.clear()
            asking = asyncio.ensure_future(app.request(LIST, b"{}", timeout=PATIENCE))
            await asyncio.sleep(2 * limits.BUS_SILENCE)
            assert not asking.done()
            wire.hears.set()
            assert (await asking).data
            assert "the broker is away" not in caplog.text
            await app.close()

    run(story())
