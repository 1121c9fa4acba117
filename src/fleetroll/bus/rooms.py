"""Requests over the broker while they wait for their answers, and how much of our memory they may take meanwhile.

Whoever finds no room is told so at once. The client library has bounds for unread messages as well, but beyond those it
drops a request without a word.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

from nats.aio.msg import Msg

from fleetroll.bus.replies import Replies
from fleetroll.core import limits

logger = logging.getLogger("fleetroll.broker")

Answer = Callable[[Msg], Coroutine[Any, Any, None]]
Refusal = tuple[bytes, Mapping[str, str] | None]

TOO_MANY: Final[Refusal] = b"", {"Status": "503", "Description": "Too Many Requests"}
_WARN_SECONDS = 10.0


class Room:
    """Answers requests of one kind, all at the same time. All tenants share the room, and none may have all of it."""

    def __init__(self, kind: str, replies: Replies, refusal: Refusal, tenant: Callable[[Msg], str]) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._kind = kind
        self._replies = replies
        self._refusal = refusal
        self._tenant = tenant
        self._taken: Counter[str] = Counter()
        self._all_taken = 0
        self._warned_at: float | None = None

    async def admit(self, answer: Answer, message: Msg) -> None:
        """Begin to `answer`, or refuse."""
        tenant, size = self._tenant(message), limits.BUS_WAITER + len(message.data)
        if not self._fits(tenant, size):
            self._warn(tenant)
            await self._replies.send(message.reply, *self._refusal)
            return
        self._taken[tenant] += size
        self._all_taken += size
        task = asyncio.ensure_future(answer(message))
        self.tasks.add(task)
        task.add_done_callback(partial(self._end, tenant, size))

    def _fits(self, tenant: str, size: int) -> bool:
        own, of_all = self._taken.get(tenant, 0) + size, self._all_taken + size
        return own <= limits.BUS_TENANT_WAITING and of_all <= limits.BUS_WAITING

    def _end(self, tenant: str, size: int, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self._taken[tenant] -= size
        self._all_taken -= size
        if not self._taken[tenant]:
            del self._taken[tenant]

    def _warn(self, tenant: str) -> None:
        now = asyncio.get_running_loop().time()
        if self._warned_at is None or now - self._warned_at > _WARN_SECONDS:
            self._warned_at = now
            logger.warning("%s over the broker are refused: too many of %s are waiting", self._kind, tenant)
