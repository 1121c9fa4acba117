"""Tells followers of readings as they are stored. Storing never waits for a follower.

Nothing is kept for those who come later: that is what the store is for. Processes over one store tell each other over
the broker; without a broker, followers hear only of what their own process has stored.
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


class LiveReading(Struct, frozen=True, gc=False, array_like=True):
    """A reading that was stored, with the identifier that its device had then."""

    org: int
    device: int
    ident: str
    metric: str
    at: Instant
    value: Any


_decode = msgspec.msgpack.Decoder(list[LiveReading]).decode


class Feed:
    """What one follower has yet to take: the newest readings, and how many older ones were dropped for want of room."""

    def __init__(self, changed: asyncio.Event) -> None:
        self._changed = changed
        self._waiting: deque[LiveReading] = deque(maxlen=limits.LIVE_READINGS)
        self._missed = 0

    def put(self, readings: Sequence[LiveReading]) -> None:
        self._missed += max(0, len(self._waiting) + len(readings) - limits.LIVE_READINGS)
        self._waiting.extend(readings)
        self._changed.set()

    def take(self) -> tuple[list[LiveReading], int]:
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
        bus.on_shared(self._receive)

    def wants(self, org: int) -> bool:
        """Whether anybody may follow an organization's readings. If not, they need not be told."""
        return org in self._feeds or self._bus.is_shared

    async def publish(self, readings: Sequence[LiveReading]) -> None:
        """Tell followers, here and in other processes, of readings that were committed."""
        if not readings:
            return
        self._deliver(readings)
        if self._bus.is_shared:
            for first in range(0, len(readings), limits.LIVE_BATCH):
                await self._bus.share(_encode(readings[first : first + limits.LIVE_BATCH]))

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

    def _receive(self, body: bytes) -> None:
        with contextlib.suppress(msgspec.MsgspecError):  # from a process of another release
            self._deliver(_decode(body))

    def _deliver(self, readings: Sequence[LiveReading]) -> None:
        for org in {one.org for one in readings} & self._feeds.keys():
            of_org = [one for one in readings if one.org == org]
            for feed in self._feeds[org]:
                feed.put(of_org)
