"""Whose turn it is where few statements can run at a time, and each may take seconds.

No organization gets all the slots, however many statements it has, and those that wait take turns.
"""

import asyncio
from collections import Counter, deque


class Turns:
    """A number of `slots`, of which one organization can have all but one."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._most = max(1, slots - 1)
        self._running: Counter[int | None] = Counter()
        self._waiting: dict[int | None, deque[asyncio.Future[None]]] = {}

    async def take(self, org: int | None) -> None:
        """Wait for a slot, to be given back. Statements of no organization count as one of their own: None."""
        if self._may_run(org):
            self._begin(org)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(org, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(org)  # the turn had come, and is passed on
            raise

    def give(self, org: int | None) -> None:
        self._free += 1
        self._running[org] -= 1
        if not self._running[org]:
            del self._running[org]
        while ready := [one for one in self._waiting if self._may_run(one)]:
            self._let(ready[0])

    def _let(self, org: int | None) -> None:
        """Begin the next statement of an organization, which then goes to the end of the queue."""
        waiting = self._waiting.pop(org)
        turn = waiting.popleft()
        if waiting:
            self._waiting[org] = waiting
        if not turn.done():
            self._begin(org)
            turn.set_result(None)

    def _may_run(self, org: int | None) -> bool:
        return self._free > 0 and self._running[org] < self._most

    def _begin(self, org: int | None) -> None:
        self._free -= 1
        self._running[org] += 1
