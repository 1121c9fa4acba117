"""Whoever asks is answered, though the server's own connection to the broker is slow, or breaks meanwhile."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetroll.core import limits
from tests.support.broker import ORG, Registry, address, client, distant, run, with_app
from tests.support.nats_sockets import LEFT
from tests.support.proxy import Wire
from tests.support.waiting import PATIENCE, until

pytestmark = LEFT

LIST = f"api.iot.devices.{ORG}.list"


async def application(served: Any, registry: Registry) -> Any:
    return await client(address(served), await with_app(served, registry))


async def answered_into_the_void(asking: "asyncio.Future[Any]", wire: Wire, done: Callable[[], bool]) -> Any:
    """The answer to a request, after the first one went down with the connection."""
    await until(done)
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
    """The broker's ping waits behind everything else, so it is answered late."""

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
            assert "lost the connection to the broker" not in caplog.text
            await app.close()

    run(story())


def test_a_process_that_speaks_when_it_is_cut_off_is_back_soon(tmp_path: Path) -> None:
    """The client library then fails to close what is lost, and tells nobody."""

    async def story() -> None:
        async with distant(tmp_path / "nats", Registry()) as (served, wire):

            async def speak() -> None:
                while True:
                    await served.share(b"news")
                    await asyncio.sleep(0)

            speaking = asyncio.ensure_future(speak())
            for _ in range(5):
                wire.cut()
                await until(lambda: not served.is_up)
                await until(lambda: served.is_up)
            speaking.cancel()

    run(story())
