"""Waking those who follow the timeline, after each commit."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator

from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.model import Organization
from fleetroll.store.port import Store


class Publisher:
    """Wakes followers after commits. Each reads the timeline from its own position, so a slow one misses nothing."""

    def __init__(self, store: Store) -> None:
        self._waiting: set[asyncio.Event] = set()
        self._held: Counter[int] = Counter()  # streams by organization: of its own keys, and of those below it
        store.on_commit(self._wake)

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()

    @property
    def followers(self) -> int:
        return len(self._waiting)

    @contextlib.contextmanager
    def following(self, home: Organization) -> Iterator[asyncio.Event]:
        """What is set after each commit, for a caller whose key is of `home`. Raises Fault where too many follow."""
        tenants = home.lineage[1:]
        self._require_room(tenants)
        changed = asyncio.Event()
        self._waiting.add(changed)
        self._held.update(tenants)
        try:
            yield changed
        finally:
            self._waiting.discard(changed)
            self._held -= Counter(tenants)

    def _require_room(self, tenants: tuple[int, ...]) -> None:
        if len(self._waiting) >= limits.MAX_EVENT_STREAMS:
            raise Fault(Kind.UNAVAILABLE, "too_many_streams", "Too many event streams are open.", retry_after=10)
        if any(self._held[tenant] >= limits.MAX_TENANT_STREAMS for tenant in tenants):
            message = f"An organization may have {limits.MAX_TENANT_STREAMS} event streams open, with all below it."
            raise Fault(Kind.RATE_LIMITED, "too_many_streams", message, retry_after=10)
