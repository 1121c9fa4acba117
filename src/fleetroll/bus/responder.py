"""Requests of applications and devices: each is passed on with the name of its sender, and gets exactly one reply."""

import asyncio
import logging
from functools import partial

from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus import links
from fleetroll.bus.port import Registry, Request
from fleetroll.bus.replies import Replies
from fleetroll.bus.rooms import TOO_MANY, Room
from fleetroll.core import limits

logger = logging.getLogger("fleetroll.broker")

SUBJECTS = ("api.iot.>", "accounts.user.get_http_token")
_GROUP = "fleetroll"


class Responder:
    """Answers over a connection as the platform."""

    def __init__(self, client: Client, registry: Registry, replies: Replies) -> None:
        self._client = client
        self._replies = replies
        self._registry = registry
        self._slots = asyncio.Semaphore(limits.BUS_REQUESTS)
        self._room = Room("requests", replies, TOO_MANY, _tenant)

    async def start(self) -> None:
        for subject in SUBJECTS:
            await self._client.subscribe(subject, _GROUP, cb=partial(self._room.admit, self._respond))

    async def finish(self) -> None:
        """Wait until all requests received have their replies."""
        if self._room.tasks:
            await asyncio.wait(self._room.tasks, timeout=limits.DRAIN_TIME)

    async def _respond(self, message: Msg) -> None:
        try:
            async with self._slots:
                reply = await self._registry.answer(Request(message.subject, links.sender(message).user, message.data))
            await self._replies.send(message.reply, reply)
        except Exception:
            logger.exception("a request on the broker failed")


def _tenant(message: Msg) -> str:
    """The organization of a request, or its sender where the subject names none."""
    words = message.subject.split(".")
    return words[3] if words[0] == "api" else links.sender(message).user
