"""Waiting for what another process, a thread or a library is about to do, and nothing tells of."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 30.0  # seconds, after which what is waited for does not come any more
_PAUSE = 0.001  # short, since some tests act upon the very moment
_LONGER_PAUSE = 0.05  # between questions to a broker or a server


async def until(holds: Callable[[], object]) -> None:
    """Wait until this is true, and let the event loop go on meanwhile."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110  # there is nothing else to wait for
            await asyncio.sleep(_PAUSE)


def wait_until(holds: Callable[[], T], seconds: float = PATIENCE) -> T:
    """What it is once it is true, which it must be within so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(_PAUSE)
    return found


async def eventually(ask: Callable[[], Awaitable[T]], *not_yet: type[Exception]) -> T:
    """What `ask` answers, once that is true; until then it may raise any of `not_yet`."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(*not_yet):
                if answer := await ask():
                    return answer
            await asyncio.sleep(_LONGER_PAUSE)
