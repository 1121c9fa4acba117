"""How long events and readings are kept, where that is not forever. What is older is removed little by little.

What says how things are now stays, however old it is: the newest reading of each metric, the events of which
`device_lives` are made, and the newest event of each organization, by which its followers know how far it has come.
"""

from msgspec import Struct

from fleetroll.core import limits
from fleetroll.core.model import Instant, Span
from fleetroll.core.times import DAY
from fleetroll.service.operations import Services
from fleetroll.store.port import Purged, Records


class Retention(Struct, frozen=True):
    """How long each is kept, in microseconds; None is forever."""

    events: int | None = None
    readings: int | None = None


FOR_EVER = Retention()


class Purger:
    """Removes what has been kept for long enough. One process of a server runs it.

    Removing cannot be undone, so the clock is not trusted at once: only what was old enough by the previous look at it
    goes. A clock that is put right before the next look has done no harm.
    """

    def __init__(self, services: Services, retention: Retention) -> None:
        self._services = services
        self._retention = retention
        self._known: Instant | None = None
        self._passed = 0  # up to this event, only those are left that stay
        self._began: Instant = 0  # when the first event was looked at

    async def purge(self) -> None:
        at, known = self._services.clock(), self._known
        self._known = at
        if known is None:
            return
        trusted = min(at, known)
        if not self._began <= at < self._began + DAY:
            # An event may no longer be its organization's newest, and one with a wrong time may be old by now.
            self._passed, self._began = 0, at
        if self._retention.events is not None:
            await self._purge_events(Span(trusted - self._retention.events, at + DAY))
        if self._retention.readings is not None:
            await self._purge_readings(trusted - self._retention.readings)

    async def _purge_events(self, kept: Span) -> None:
        """Go through the events in order, up to the first young one. Those from after `kept` had a wrong clock."""
        after = self._passed

        async def work(records: Records) -> Purged | None:
            return await records.timeline.purge(kept, after, limits.BULK_BATCH)

        while (purged := await self._services.store.write(work, bulk=True)) is not None and not purged.is_current:
            self._passed = after = purged.reached

    async def _purge_readings(self, before: Instant) -> None:
        after: int | None = 0

        async def work(records: Records) -> int | None:
            assert after is not None
            return await records.telemetry.purge(before, after, limits.FORGOTTEN_BATCH)

        while after is not None:
            after = await self._services.store.write(work, bulk=True)
