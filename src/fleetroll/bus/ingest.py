"""From a stream into the store: in batches, each of them whole or not at all, and none of it twice.

The store keeps, in the transaction of the data itself, the number of the last message that it has; the broker does not
keep track of what was read. After any trouble, reading begins again after that message.

Many requests are in flight at a time, each for a batch. The broker first writes all that has been published meanwhile,
then it delivers as much as was asked for. With few requests, what waits would grow during a flood, even if the store is
as fast as the broker. The client library's own way to fetch is not used: it costs several times what storing does.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus import links, streams
from fleetroll.bus.permissions import INGEST
from fleetroll.bus.port import Batch, Message, Registry
from fleetroll.bus.trouble import Trouble
from fleetroll.core import limits

logger = logging.getLogger("fleetroll.broker")

_WAIT_SECONDS = 5.0
_PATIENCE_SECONDS = 8.0  # a server of a cluster that dies takes requests with it
_PAUSE = 0.5
_TIDY_SECONDS = 5.0
COMMANDS_FAMILY = "commands"
_UNSENT = "Nats-Pending-Messages"  # header at the end of a request: how many messages it still lacked


class Missed(Exception):
    """The broker has sent something that did not arrive."""


class Ingest:
    """Takes one stream, of one incarnation, into the store."""

    def __init__(self, client: Client, registry: Registry, stream: str, incarnation: str) -> None:
        self._client = client
        self._registry = registry
        self._stream = stream
        self._name = f"{stream} {incarnation}"
        self._consumer = f"store_{secrets.token_hex(16)}"  # a device that knew the name could ask for its messages
        self._tidied = 0.0
        self._arrived: list[Msg] = []
        self._wake = asyncio.Event()
        self._due = 0
        self._is_stale = False
        self._trouble = Trouble(f"published messages are waiting on the broker, in stream {stream}")

    def mark_stale(self) -> None:
        """The broker was away: what it was asked for will not come."""
        self._is_stale = True
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled. Trouble on either side is waited out. Raises streams.StreamLost."""
        while links.not_cancelled():
            try:
                await self._follow()
            except streams.StreamLost:
                raise
            except Exception as problem:  # noqa: BLE001  # of the store or of the broker; neither may end this
                self._trouble.report(problem)
                await asyncio.sleep(_PAUSE)

    async def _follow(self) -> None:
        self._is_stale = False
        await self._begin()
        self._arrived, self._due = [], 0
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox, cb=self._note, pending_msgs_limit=-1, pending_bytes_limit=-1)
        count = 0
        try:
            while links.not_cancelled():
                await self._ask(inbox)
                count = await self._store(count)
                self._trouble.end()
        finally:
            await subscription.unsubscribe()

    async def _begin(self) -> None:
        """Read on after the message up to which the store has everything. Raises streams.StreamLost."""
        reached = await self._registry.ingested(self._name)
        if not await streams.has_fallen_back(self._client, self._stream, reached):
            await streams.read_from(self._client, self._stream, self._consumer, reached.sequence + 1)
            return
        logger.error("the broker lost part of stream %s; the registry has it", self._stream)
        # Messages with numbers that the store knows are new; only their times tell.
        sequence = await streams.read_after(self._client, self._stream, self._consumer, reached.at)
        await self._registry.rewind(self._name, sequence)

    async def _note(self, message: Msg) -> None:
        if message.reply:
            self._arrived.append(message)
            self._due -= 1
        else:  # a request has ended, with or without all that it asked for
            self._due -= int((message.headers or {}).get(_UNSENT, limits.BUS_BATCH))
        self._wake.set()

    async def _ask(self, inbox: str) -> None:
        """Keep as many requests in flight as what waits for the store leaves room for.

        Each ends where the next message is beyond its bytes, or in time.
        """
        waiting = self._batches_waiting()
        while waiting + self._due / limits.BUS_BATCH <= limits.BUS_BATCHES - 1:
            self._due = max(0, self._due) + limits.BUS_BATCH
            wanted = {
                "batch": limits.BUS_BATCH,
                "max_bytes": limits.BUS_BATCH_BYTES,
                "expires": int(_WAIT_SECONDS * 1e9),
            }
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
            await self._client.publish(subject, msgspec.json.encode(wanted), reply=inbox)

    def _batches_waiting(self) -> float:
        """How many batches the messages amount to that have arrived and are not stored, by number or by size."""
        size = sum(len(message.data) for message in self._arrived)
        return max(len(self._arrived) / limits.BUS_BATCH, size / limits.BUS_BATCH_BYTES)

    async def _store(self, count: int) -> int:
        """Store what has arrived. Returns how many messages were sent so far. Raises Missed."""
        self._wake.clear()
        if not self._arrived and not self._is_stale:
            await asyncio.wait_for(self._wake.wait(), _PATIENCE_SECONDS)  # a request ends by then at the latest
        if self._is_stale:
            raise Missed
        received, self._arrived = self._arrived[: limits.BUS_BATCH], self._arrived[limits.BUS_BATCH :]
        deliveries = [_Delivery(found) for found in received]
        if [one.count for one in deliveries] != list(range(count + 1, count + 1 + len(deliveries))):
            raise Missed
        if not deliveries:
            return count
        messages = list(map(_message, received, deliveries))
        await self._show(await self._registry.ingest(Batch(self._name, messages)))
        await self._tidy(messages[-1].sequence)
        return deliveries[-1].count

    async def _show(self, messages: Sequence[Message]) -> None:
        """Tell applications. Those that are not connected now find it in the store."""
        shown = ((f"live.{one.org}.{one.env}.{one.family}.{one.device}.{one.name}", one.body) for one in messages)
        await links.publish_all(self._client, shown)

    async def _tidy(self, stored: int) -> None:
        now = asyncio.get_running_loop().time()
        if self._stream == INGEST and now - self._tidied > _TIDY_SECONDS:
            self._tidied = now
            await streams.forget_before(self._client, self._stream, stored + 1)


class _Delivery:
    """What the reply subject of a message says: its number in the stream, how many were sent, when it was stored."""

    __slots__ = ("at", "count", "sequence")

    def __init__(self, found: Msg) -> None:
        parts = found.reply.split(".")
        self.sequence, self.count, self.at = int(parts[5]), int(parts[6]), int(parts[7]) // 1000


def _message(found: Msg, delivery: _Delivery) -> Message:
    subject = found.subject.split(".")
    if subject[0] == "command":
        _, org, env, device, name = subject
        family = COMMANDS_FAMILY
    else:
        _, org, env, family, device, name = subject
    return Message(delivery.sequence, delivery.at, org, env, family, device, name, found.data)
