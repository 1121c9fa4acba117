"""From a stream into the store: in batches, each of them whole or not at all, and none of it twice.

The store keeps, in the transaction of the data itself, the place up to which it has everything; the broker keeps no
account of what was read. After trouble of any kind reading begins anew behind that place.
"""

import asyncio
import logging

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus import links, streams
from fleetroll.bus.port import Batch, Message, Registry
from fleetroll.bus.walls import INGEST
from fleetroll.core import limits

logger = logging.getLogger("fleetroll.broker")

_WAIT_SECONDS = 5.0
_PAUSE = 0.5
_TIDY_SECONDS = 5.0
COMMANDS_FAMILY = "commands"


class Ingest:
    """Takes one stream, of one incarnation, into the store."""

    def __init__(self, client: Client, registry: Registry, stream: str, incarnation: str) -> None:
        self._client = client
        self._registry = registry
        self._stream = stream
        self._name = f"{stream} {incarnation}"
        self._tidied = 0.0

    async def run(self) -> None:
        """Until cancelled. Trouble on either side is waited out."""
        while links.goes_on():
            try:
                await self._follow()
            except Exception as problem:  # noqa: BLE001  # of the store or of the broker; neither may end this
                logger.warning("what devices publish waits on the broker: %r", problem)
                await asyncio.sleep(_PAUSE)

    async def _follow(self) -> None:
        place = await self._registry.ingested(self._name)
        await streams.read_from(self._client, self._stream, place + 1)
        pull = await self._client.jetstream().pull_subscribe_bind(
            consumer=streams.STORE, stream=self._stream, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        count = 0
        try:
            while links.goes_on():
                received = await self._fetch(pull)
                places = [_Place(found) for found in received]
                if [one.count for one in places] != list(range(count + 1, count + 1 + len(places))):
                    raise Missed
                if places:
                    count = places[-1].count
                    await self._take(received, places)
        finally:
            await pull.unsubscribe()

    async def _fetch(self, pull: "nats.js.JetStreamContext.PullSubscription") -> list[Msg]:
        try:
            return await pull.fetch(limits.BUS_BATCH, timeout=_WAIT_SECONDS)
        except nats.errors.TimeoutError:
            return []

    async def _take(self, received: list[Msg], places: "list[_Place]") -> None:
        messages = list(map(_message, received, places))
        await self._registry.ingest(Batch(self._name, messages))
        await self._tidy(messages[-1].place)

    async def _tidy(self, place: int) -> None:
        now = asyncio.get_running_loop().time()
        if self._stream == INGEST and now - self._tidied > _TIDY_SECONDS:
            self._tidied = now
            await streams.forget_before(self._client, self._stream, place + 1)


class Missed(Exception):
    """Something was sent to us that has not arrived."""


class _Place:
    """What the reply subject of a message says: where in the stream it is, how many were sent, when it was stored."""

    __slots__ = ("at", "count", "place")

    def __init__(self, found: Msg) -> None:
        parts = found.reply.split(".")
        self.place, self.count, self.at = int(parts[5]), int(parts[6]), int(parts[7]) // 1000


def _message(found: Msg, where: _Place) -> Message:
    subject = found.subject.split(".")
    if subject[0] == "command":
        _, org, env, device, name = subject
        family = COMMANDS_FAMILY
    else:
        _, org, env, family, device, name = subject
    return Message(where.place, where.at, org, env, family, device, name, found.data)
