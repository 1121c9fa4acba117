"""Waking those who follow the timeline, after each commit."""

import asyncio
import contextlib
from collections.abc import Iterator

from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.store.port import Store


class Publisher:
    """Wakes followers after commits. Each reads the timeline from its own place, so a slow one misses nothing."""

    def __init__(self, store: Store) -> None:
        self._waiting: set[asyncio.Event] = set()
        store.on_commit(self._wake)

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()

    @property
    def followers(self) -> int:
        return len(self._waiting)

    @contextlib.contextmanager
    def following(self) -> Iterator[asyncio.Event]:
        if len(self._waiting) >= limits.MAX_EVENT_STREAMS:
            raise Fault(Kind.UNAVAILABLE, "too_many_streams", "Too many event streams are open.", retry_after=10)
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            yield changed
        finally:
            self._waiting.discard(changed)
