"""The timeline as its followers see it. It is the outbox: nothing is announced that is not committed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from fleetroll.core import limits, policy
from fleetroll.core.faults import invalid
from fleetroll.core.model import SERVER, Event, Instant
from fleetroll.core.policy import Action
from fleetroll.core.query import Filter, matches
from fleetroll.service.live_readings import Feed, LiveReading
from fleetroll.service.operations import Call, Effect, operation

_CHECK_SECONDS = 1.0
_encode = msgspec.json.Encoder().encode

READING, MISSED = "device.telemetry", "device.telemetry_missed"
"""Types of what is told but stored nowhere: a reading, and how many readings were too many for the follower."""

UNNUMBERED = 0
"""The number of what is not stored."""


class Follow(Struct, frozen=True):
    """Events after number `after` (None: from now on) that the filter finds; with `readings`, live readings as well."""

    after: int | None
    filter: Filter | None
    readings: bool = False


@operation(Action.TIMELINE_READ, Effect.STREAM)
async def follow(call: Call, wanted: Follow) -> AsyncIterator[list[Event]]:
    """Events as they are committed. About every second an empty batch comes: the caller may have lost its right."""
    if wanted.readings:
        policy.require(call.principal.key.role, call.principal.key.scopes, Action.DEVICES_READ)
    return _follow(call, await _beginning(call, wanted.after), wanted)


async def _beginning(call: Call, after: int | None) -> int:
    """The number to begin after. Raises Fault invalid `unknown_event` for one that no event has had.

    A follower has such a number after an earlier backup was restored, and would wait until it is given again. Otherwise
    the newest number of all tenants together never falls: whatever removes events writes a newer one.
    """
    timeline = call.services.store.read.timeline
    if after is None:
        return await timeline.last(call.org)
    if after > await timeline.last():
        raise invalid(
            "unknown_event",
            f"No event has number {after}, as after a backup was restored; start again without a number, or after 0.",
            "after",
        )
    return after


async def _follow(call: Call, after: int, wanted: Follow) -> AsyncIterator[list[Event]]:
    store, filter = call.services.store, wanted.filter
    with call.services.publisher.following(call.principal.home) as changed, _readings(call, wanted, changed) as feed:
        while True:
            changed.clear()
            readings = _live(call, feed)
            events = await store.scan.timeline.since(call.org, after, limits.EVENT_BATCH)
            if events or readings:
                after = events[-1].id if events else after
                yield [event for event in (*events, *readings) if filter is None or matches(filter, _reader(event))]
                continue
            yield []
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _CHECK_SECONDS)


def _readings(call: Call, wanted: Follow, changed: asyncio.Event) -> contextlib.AbstractContextManager[Feed | None]:
    return call.services.live.following(call.org, changed) if wanted.readings else contextlib.nullcontext()


def _live(call: Call, feed: Feed | None) -> list[Event]:
    """What the feed has, as events that have no number: nobody can come back to them."""
    if feed is None:
        return []
    readings, missed = feed.take()
    events = [_event(call.org, one.at, READING, one.device, one.ident, _data(one)) for one in readings]
    if missed:
        events.insert(0, _event(call.org, call.services.clock(), MISSED, 0, "", {"count": missed}))
    return events


def _event(org: int, at: Instant, type: str, device: int, ident: str, data: dict[str, Any]) -> Event:
    actor = f"device:{device}" if device else SERVER
    return Event(UNNUMBERED, org, at, type, "device", device, ident, actor, "", Raw(_encode(data)))


def _data(reading: LiveReading) -> dict[str, Any]:
    return {"metric": reading.metric, "value": reading.value}


def _reader(event: Event) -> Callable[[str, tuple[str, ...]], object]:
    return lambda field, path: getattr(event, field)
