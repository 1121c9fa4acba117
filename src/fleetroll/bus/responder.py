"""Requests of applications and devices: each is passed on with the name of its sender, and gets exactly one reply."""

import asyncio
import logging

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus.port import Registry, Request
from fleetroll.bus.replies import Replies
from fleetroll.core import limits

logger = logging.getLogger("fleetroll.broker")

SUBJECTS = ("api.iot.>", "accounts.user.get_http_token")
_SENDER = "Nats-Request-Info"
_GROUP = "fleetroll"


class _Sender(msgspec.Struct, frozen=True):
    """What the broker says of whoever asks through a wall."""

    user: str = ""


class Responder:
    """Answers over a connection as the platform."""

    def __init__(self, client: Client, registry: Registry, replies: Replies) -> None:
        self._client = client
        self._replies = replies
        self._registry = registry
        self._slots = asyncio.Semaphore(limits.BUS_REQUESTS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        for subject in SUBJECTS:
            await self._client.subscribe(subject, _GROUP, cb=self._begin)

    async def finish(self) -> None:
        """Let the requests that have been received have their replies."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=limits.DRAIN_TIME)

    async def _begin(self, message: Msg) -> None:
        await self._slots.acquire()
        task = asyncio.ensure_future(self._respond(message))
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()

    async def _respond(self, message: Msg) -> None:
        try:
            reply = await self._registry.answer(Request(message.subject, _sender(message), message.data))
            await self._replies.say(message.reply, reply)
        except Exception:
            logger.exception("a request on the broker failed")


def _sender(message: Msg) -> str:
    """Empty for what did not come through a wall: that is nobody."""
    try:
        return msgspec.json.decode((message.headers or {}).get(_SENDER, "{}"), type=_Sender).user
    except msgspec.MsgspecError:
        return ""
