"""Waiting for what another process, a thread or a library is about to do, and nothing tells of."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 30.0  # seconds, after which what is waited for does not come any more
_PAUSE = 0.001  # short, since some tests act upon the very moment


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
