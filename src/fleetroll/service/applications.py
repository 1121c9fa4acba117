"""Shows readings that came over HTTPS to the applications that follow devices over the broker.

What devices publish on the broker itself is shown there by its ingest. Storing never waits for applications: only so
many readings wait to be shown, the newest of each organization; applications find the others in the history.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from fleetroll.bus.port import Bus, Shown
from fleetroll.core import limits, policy
from fleetroll.core.ids import broker_org, device_hex
from fleetroll.core.messages import DEFAULT_ENVIRONMENT, Content, shown
from fleetroll.core.model import Device, Instant, Reading
from fleetroll.core.policy import Action
from fleetroll.service.read_cache import ReadCache
from fleetroll.store.port import Store


class Applications:
    """The applications of all organizations."""

    def __init__(self, store: Store, bus: Bus, clock: Callable[[], Instant]) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._followed: ReadCache[int, bool] = ReadCache(store, limits.MAX_REMEMBERED)
        # With the device's public id, not the device: its documents would take far more room than all that waits.
        self._waiting: dict[int, deque[tuple[str, Reading]]] = {}
        self._count = 0
        self._changed = asyncio.Event()

    def tell(self, device: Device, readings: Sequence[Reading]) -> None:
        """Tell the applications of a device's organization of readings that were committed."""
        if not self._bus.is_up or self._followed.get(device.org) is False or self._count >= limits.ALL_SHOWN_READINGS:
            return
        waiting = self._waiting.setdefault(device.org, deque(maxlen=limits.SHOWN_READINGS))
        before, public_id = len(waiting), device_hex(device.created_at, device.id)
        waiting.extend((public_id, one) for one in readings)
        self._count += len(waiting) - before
        self._changed.set()

    def forget(self) -> None:
        """Forget who has applications: a key or an organization may have changed."""
        self._followed.clear()

    async def run(self) -> None:
        """Show what waits, until cancelled; some of each organization in turn, so that a flood holds up no other."""
        while True:
            while self._waiting:
                for org in list(self._waiting):
                    await self._show_some(org)
                    await asyncio.sleep(0)  # without a broker nothing above waits, and there may be a hundred thousand
            self._changed.clear()
            await self._changed.wait()

    async def _show_some(self, org: int) -> None:
        some = self._take(org)
        if await self._is_followed(org):
            await self._bus.show([_shown(org, public_id, reading) for public_id, reading in some])

    def _take(self, org: int) -> list[tuple[str, Reading]]:
        waiting = self._waiting[org]
        some = [waiting.popleft() for _ in range(min(len(waiting), limits.LIVE_BATCH))]
        self._count -= len(some)
        if not waiting:
            del self._waiting[org]
        return some

    async def _is_followed(self, org: int) -> bool:
        known = self._followed.get(org)
        return await self._followed.load(org, partial(self._has_followers, org)) if known is None else known

    async def _has_followers(self, org: int) -> bool:
        """Whether an application of the organization may be on the broker, and may read what devices say."""
        groups = await self._store.read.keys.valid_groups(org, self._clock())
        return any(policy.allows(one.role, one.scopes, Action.DEVICES_READ) for one in groups)


def _shown(org: int, public_id: str, reading: Reading) -> Shown:
    """As the device's own SDK would have published it."""
    body = shown(Content(reading.value, reading.at), reading.at)
    return Shown(broker_org(org), DEFAULT_ENVIRONMENT, public_id, reading.metric, body)
