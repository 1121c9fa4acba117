"""Whose turn it is where few statements can run at a time, and each may take seconds.

No tenant gets all the slots, however many statements or organizations it has, and those that wait take turns.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable

from fleetroll.core import limits
from fleetroll.core.bounded_cache import BoundedCache
from fleetroll.store.port import Organizations

TenantOf = Callable[[int | None], Awaitable[int | None]]


async def own_tenant(org: int | None) -> int | None:
    """Where each organization is a tenant of its own."""
    return org


class Tenants:
    """The tenants of organizations, by number."""

    def __init__(self, organizations: Organizations) -> None:
        self._organizations = organizations
        self._known: BoundedCache[int, int] = BoundedCache(limits.MAX_REMEMBERED)

    async def of(self, org: int | None) -> int | None:
        """An organization stays where it was made, so what is known of it is good for ever."""
        if org is None:
            return None
        if (known := self._known.get(org)) is not None:
            return known
        found = await self._organizations.get(org)
        if found is None:
            return org
        self._known.put(org, found.tenant, 1)
        return found.tenant


class Turns:
    """A number of `slots`, of which one tenant can have all but one."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._most = max(1, slots - 1)
        self._running: Counter[int | None] = Counter()
        self._waiting: dict[int | None, deque[asyncio.Future[None]]] = {}

    async def take(self, tenant: int | None) -> None:
        """Wait for a slot, to be given back. Statements of no organization count as of a tenant of their own: None."""
        if self._may_run(tenant):
            self._begin(tenant)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(tenant)  # the turn had come, and is passed on
            raise

    def give(self, tenant: int | None) -> None:
        self._free += 1
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        while ready := [one for one in self._waiting if self._may_run(one)]:
            self._let(ready[0])

    def _let(self, tenant: int | None) -> None:
        """Begin the next statement of a tenant, which then goes to the end of the queue."""
        waiting = self._waiting.pop(tenant)
        turn = waiting.popleft()
        if waiting:
            self._waiting[tenant] = waiting
        if not turn.done():
            self._begin(tenant)
            turn.set_result(None)

    def _may_run(self, tenant: int | None) -> bool:
        return self._free > 0 and self._running[tenant] < self._most

    def _begin(self, tenant: int | None) -> None:
        self._free -= 1
        self._running[tenant] += 1
