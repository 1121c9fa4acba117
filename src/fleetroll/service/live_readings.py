"""Readings as they are stored, told to those who follow them at that moment. Nobody waits for a follower.

Nothing is kept for those who come later: that is what the store is for. Processes over one store tell each other by the
broker; without one, a follower hears of what its own process has stored.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from fleetroll.bus.port import Bus
from fleetroll.core import limits
from fleetroll.core.model import Instant

_encode = msgspec.msgpack.Encoder().encode


class Told(Struct, frozen=True, gc=False, array_like=True):
    """A reading that was stored, with the identifier that its device had then."""

    org: int
    device: int
    ident: str
    metric: str
    at: Instant
    value: Any


_decode = msgspec.msgpack.Decoder(list[Told]).decode


class Feed:
    """What one follower has yet to take: the newest of it, and a count of what was left out for being too much."""

    def __init__(self, changed: asyncio.Event) -> None:
        self._changed = changed
        self._waiting: deque[Told] = deque(maxlen=limits.LIVE_READINGS)
        self._missed = 0

    def put(self, told: Sequence[Told]) -> None:
        self._missed += max(0, len(self._waiting) + len(told) - limits.LIVE_READINGS)
        self._waiting.extend(told)
        self._changed.set()

    def take(self) -> tuple[list[Told], int]:
        """All that waits, oldest first, and how many before it were missed."""
        taken, missed = list(self._waiting), self._missed
        self._waiting.clear()
        self._missed = 0
        return taken, missed


class Live:
    """Who follows readings in this process. `bus` passes them on to the others."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._feeds: dict[int, set[Feed]] = {}
        bus.on_shared(self._hear)

    def wants(self, org: int) -> bool:
        """Whether anybody may follow an organization's readings. If not, they need not be told."""
        return org in self._feeds or self._bus.is_shared

    async def tell(self, told: Sequence[Told]) -> None:
        """Tell followers of readings that were committed."""
        if not told:
            return
        self._deliver(told)
        if self._bus.is_shared:
            for first in range(0, len(told), limits.LIVE_BATCH):
                await self._bus.share(_encode(told[first : first + limits.LIVE_BATCH]))

    @contextlib.contextmanager
    def following(self, org: int, changed: asyncio.Event) -> Iterator[Feed]:
        """A feed of an organization's readings from now on; `changed` is set when there are any."""
        feed = Feed(changed)
        self._feeds.setdefault(org, set()).add(feed)
        try:
            yield feed
        finally:
            self._feeds[org].discard(feed)
            if not self._feeds[org]:
                del self._feeds[org]

    def _hear(self, body: bytes) -> None:
        with contextlib.suppress(msgspec.MsgspecError):  # from a process of another release
            self._deliver(_decode(body))

    def _deliver(self, told: Sequence[Told]) -> None:
        for org in {one.org for one in told} & self._feeds.keys():
            of_org = [one for one in told if one.org == org]
            for feed in self._feeds[org]:
                feed.put(of_org)
