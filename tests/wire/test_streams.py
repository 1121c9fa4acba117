"""Replies that are sent in parts, which may be long in coming."""

import asyncio
import gc
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from fleetroll.wire import streams
from fleetroll.wire.bodies import ClientGone

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("prompt", [b"", b"a row\n"])
async def test_a_client_that_leaves_while_a_part_is_awaited_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, prompt: bytes
) -> None:
    """As where an export waits for its turn behind many others."""
    monkeypatch.setattr(streams, "_LOOK_SECONDS", 0.01)
    ended, said = [], []

    async def parts() -> AsyncGenerator[bytes, None]:
        try:
            yield prompt
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message["body"])

    async with asyncio.timeout(10):
        with pytest.raises(ClientGone):
            await streams.copy(streams.until_gone(parts(), asyncio.Event()), receive, send, duplex=False)
    assert (ended, said) == ([True], [prompt] if prompt else [])


async def test_what_is_wrong_from_the_start_comes_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long that takes to find out: the status of a reply goes by its first part."""
    monkeypatch.setattr(streams, "_LOOK_SECONDS", 0.01)

    async def parts() -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(0.05)
        raise LookupError
        yield b""

    with pytest.raises(LookupError):
        await anext(streams.until_gone(parts(), asyncio.Event()))


async def test_what_goes_wrong_while_a_part_is_given_up_is_nobodys_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the database goes away just as the client has left: asyncio would tell of an error of nobody's."""
    monkeypatch.setattr(streams, "_LOOK_SECONDS", 0.01)
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def parts() -> AsyncGenerator[bytes, None]:
        yield b"a row\n"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise LookupError from None

    awaited = streams.until_gone(parts(), asyncio.Event())
    assert [await anext(awaited), await anext(awaited)] == [b"a row\n", b""]
    await awaited.aclose()
    del awaited
    gc.collect()
    assert told == []
