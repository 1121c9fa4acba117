"""Publishing the timeline to those who follow it. It is the outbox: nothing is announced that is not committed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

from msgspec import Struct

from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.model import Event
from fleetroll.core.policy import Action
from fleetroll.core.query import Filter, matches
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.store.port import Store

_CHECK_SECONDS = 1.0


class Follow(Struct, frozen=True):
    """Events after number `after` (None: from now on) that the filter finds."""

    after: int | None
    filter: Filter | None


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


@operation(Action.TIMELINE_READ, Effect.STREAM)
async def follow(call: Call, wanted: Follow) -> AsyncIterator[list[Event]]:
    """Events as they are committed. About every second an empty batch comes: the caller may have lost its right."""
    store = call.services.store
    after = await store.read.timeline.last(call.org) if wanted.after is None else wanted.after
    return _follow(call, after, wanted.filter)


async def _follow(call: Call, after: int, filter: Filter | None) -> AsyncIterator[list[Event]]:
    store = call.services.store
    with call.services.publisher.following() as changed:
        while True:
            changed.clear()
            events = await store.scan.timeline.since(call.org, after, limits.EVENT_BATCH)
            if events:
                after = events[-1].id
                yield [event for event in events if filter is None or matches(filter, _reader(event))]
                continue
            yield []
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _CHECK_SECONDS)


def _reader(event: Event) -> Callable[[str, tuple[str, ...]], object]:
    return lambda field, path: getattr(event, field)
