"""From the platform's streams into the store: in batches, each of them whole or not at all, and none of it twice.

The store keeps, in the transaction of the data itself, the number of the last message that it has of each stream; the
broker does not keep track of what was read. After any trouble with a stream, reading begins again after that message.

While nothing waits in a stream, one request for its next message stands on the broker, which costs nothing. Once
messages wait, many requests are in flight at a time, because the broker writes all that was published meanwhile before
it delivers what was asked for: with few requests, what waits would grow during a flood, even if the store is as fast as
the broker. The client library's own way to fetch is not used: it costs several times what storing does.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus import links, shares, streams
from fleetroll.bus.intake import Intake, Missed, stream_of
from fleetroll.bus.permissions import COMMANDS, live_subject
from fleetroll.bus.platform_streams import PlatformStreams
from fleetroll.bus.port import Batch, Message, Registry
from fleetroll.bus.shares import Ask, Part
from fleetroll.bus.streams import NANO, Held
from fleetroll.bus.trouble import Trouble
from fleetroll.core import limits
from fleetroll.core.model import Instant, StreamPosition
from fleetroll.core.times import SECOND

logger = logging.getLogger("fleetroll.broker")

_PORTION_SECONDS, _STANDING_SECONDS = 5, 600
_PAUSE = 0.5
_LOOK_SECONDS = 5.0
_PAUSE_FACTOR = 5  # times its duration is the pause after a look, up to `_PAUSE`: looking must not take all the time
_SILENT_SECONDS = 4.0  # after which a request counts as lost: a server of a cluster that dies takes requests with it
_OPENED_AT_ONCE = 64
# Within which what is stored is removed if it is little. It goes at the next look where the stream holds much.
_TIDY_SECONDS = 600.0
_TIDIED_AT_ONCE = 64
_DRAINED_SECONDS = 5.0  # of no new message, after which all that was published before a credential ended is there
_OLD = limits.BUS_INGEST_AGE * SECOND


class _Watch:
    """What earlier looks have seen of a stream. Times are seconds of the event loop's clock."""

    def __init__(self, now: float) -> None:
        self.heard = 0  # the intake's own `heard` at the last look
        self.last = 0  # sequence number of the stream's last message
        self.tidied_at = now
        self.silent_since: float | None = None
        self.drained_since: float | None = None


class Ingest:
    """Takes all of the platform's streams into the store."""

    def __init__(self, client: Client, registry: Registry, platform: PlatformStreams) -> None:
        self._client = client
        self._registry = registry
        self._platform = platform
        self._intakes: dict[str, Intake] = {}  # by stream
        self._open: dict[str, Intake] = {}  # by consumer
        self._active: dict[Intake, None] = {}  # where something has changed, in turns
        self._gone: set[str] = set()  # incarnations in whose place others have come
        self._watches: dict[str, _Watch] = {}  # by stream
        self._inbox = client.new_inbox()
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._look_soon = platform.changed
        self._storing = asyncio.Lock()
        self._parts: Sequence[Part] = ()  # what is being stored
        self._met = 0  # how often the connection to the broker was made again
        self._has_forgotten = False
        self._trouble = Trouble("published messages are waiting on the broker")
        self._look_trouble = Trouble("looking after the broker's streams failed and is retried")
        self._opening = Trouble("a stream of the broker's cannot be read")

    @property
    def waiting_since(self) -> Instant | None:
        """When the oldest message was published that has arrived and is not stored."""
        arrived = [one.arrived[0].at for one in self._active if one.arrived]
        return min([*arrived, *(part.messages[0].at for part in self._parts)], default=None)

    def mark_stale(self) -> None:
        """The broker was away: what it was asked for will not come."""
        self._met += 1
        for intake in self._intakes.values():
            self._close(intake)

    async def run(self) -> None:
        """Until cancelled. Trouble on either side is waited out."""
        subscription = await self._client.subscribe(
            f"{self._inbox}.*", cb=self._note, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look_after())
                group.create_task(self._ask_for_all())
                group.create_task(self._store_all())
        finally:
            await subscription.unsubscribe()

    # --- what arrives ------------------------------------------------------------------------------------------------

    async def _note(self, message: Msg) -> None:
        # A message has the reply subject `$JS.ACK.<stream>.<consumer>.…`; the end of a request has none, and comes to
        # the subject that the request named.
        consumer = message.reply.split(".", 4)[3] if message.reply else message.subject.rpartition(".")[2]
        intake = self._open.get(consumer)
        if intake is None:  # it was asked for before the stream was opened again
            return
        try:
            if message.reply:
                intake.take_in(message)
            else:
                intake.end_request(message.headers)
        except Missed:
            self._close(intake)
        self._note_change(intake)

    def _note_change(self, intake: Intake) -> None:
        self._active[intake] = None
        self._arrived.set()
        self._room.set()

    async def _ask_for_all(self) -> None:
        """Ask for more of the streams where something has changed, as far as there is room, in turns."""
        while not links.is_cancelled():
            await self._room.wait()
            self._room.clear()
            asks = list(shares.asks(list(self._active), len(self._intakes)))
            for one in asks:
                del self._active[one.intake]
                self._active[one.intake] = None
            for intake in [one for one in self._active if one.is_waiting]:
                del self._active[intake]
            lines = [(_next(one.intake), _request(one), f"{self._inbox}.{one.intake.consumer}") for one in asks]
            with contextlib.suppress(*links.TROUBLE):  # the connection is lost; then all are opened anew
                await links.request_all(self._client, lines)

    async def _store_all(self) -> None:
        while not links.is_cancelled():
            await self._arrived.wait()
            self._arrived.clear()
            async with self._storing:
                self._parts = parts = shares.batch(self._active)
                left = await self._store(parts) if parts else []
                self._put_back(left)
                self._parts = ()
            if parts:
                self._arrived.set()
                self._room.set()
            if left:
                await asyncio.sleep(_PAUSE)

    async def _store(self, parts: Sequence[Part]) -> Sequence[Part]:
        """Store a batch. Returns what could not be stored: the part of one stream alone, if only that makes it fail."""
        if await self._try_to_store(parts):
            self._trouble.end()
            return []
        left: list[Part] = []
        for number, part in enumerate(parts):
            if len(parts) == 1 or not await self._try_to_store([part]):
                left.append(part)
            if len(left) > 1:  # the store is away
                return [*left, *parts[number + 1 :]]
        return left

    async def _try_to_store(self, parts: Sequence[Part]) -> bool:
        try:
            told = await self._registry.ingest([Batch(one.intake.name, one.messages) for one in parts])
        except Exception as problem:  # noqa: BLE001  # the store's troubles are waited out
            self._trouble.report(problem)
            return False
        for one in parts:
            if one.intake.is_open:
                one.intake.stored = one.messages[-1].sequence
        with contextlib.suppress(*links.TROUBLE):
            await self._show(told)
        return True

    def _put_back(self, parts: Sequence[Part]) -> None:
        for one in parts:
            if one.intake.is_open:  # otherwise it is read again
                one.intake.put_back(one.messages)
                self._note_change(one.intake)

    async def _show(self, messages: Sequence[Message]) -> None:
        """Tell applications. Those that are not connected now find it in the store."""
        shown = ((live_subject(one.org, one.env, one.family, one.device, one.name), one.body) for one in messages)
        await links.publish_all(self._client, shown)

    # --- what is there -----------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        while not links.is_cancelled():
            self._look_soon.clear()
            began = time.monotonic()
            if self._client.is_connected:
                try:
                    await self._look()
                    self._look_trouble.end()
                except Exception as problem:  # noqa: BLE001  # of the store or of the broker; neither may end this
                    self._look_trouble.report(problem)
                    self._try_again()
            await asyncio.sleep(min(_PAUSE, _PAUSE_FACTOR * (time.monotonic() - began)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._look_soon.wait()

    def _try_again(self) -> None:
        asyncio.get_running_loop().call_later(_PAUSE, self._look_soon.set)

    async def _look(self) -> None:
        """Read all streams that there are, from where the store has them, and remove what it does not need any more."""
        met, now = self._met, asyncio.get_running_loop().time()
        open_before = set(self._open.values())
        found = await self._platform.look()
        self._follow(found, now)
        await self._open_closed(found, met, open_before)
        self._watch(found, now)
        await self._tidy(found, now)
        await self._drop_drained(found, now)

    def _follow(self, found: Mapping[str, Held], now: float) -> None:
        for name, held in found.items():
            known = self._intakes.get(name)
            if known is not None and known.incarnation == held.created:
                continue
            if known is not None:
                self._gone.add(self._let_go(known))
            self._intakes[name] = Intake(name, held.created)
            self._watches[name] = _Watch(now)

    def _let_go(self, intake: Intake) -> str:
        """Read a stream's incarnation no more. Returns its name."""
        self._close(intake)
        self._active.pop(intake, None)
        del self._intakes[intake.stream], self._watches[intake.stream]
        return intake.name

    def _close(self, intake: Intake) -> None:
        """Read it again after what is stored."""
        self._open.pop(intake.consumer, None)
        intake.close()
        self._look_soon.set()

    async def _open_closed(self, found: Mapping[str, Held], met: int, open_before: Collection[Intake]) -> None:
        """Open what is closed, except those that were still open before the look.

        Of these the store may have more than the look has found, which would be taken for a loss.
        """
        intakes = [one for one in self._intakes.values() if one.stream in found and one not in open_before]
        closed = [one for one in intakes if not one.is_open]
        if not closed:
            self._opening.end()
            return
        async with self._storing:  # a batch under way is stored first; after it, nothing of a closed stream is
            reached = await self._registry.ingested()
        stored = _by_stream(reached)
        for first in range(0, len(closed), _OPENED_AT_ONCE):
            some = closed[first : first + _OPENED_AT_ONCE]
            begun = (self._begin(one, found[one.stream], stored.get(one.stream, {}), met) for one in some)
            await asyncio.gather(*begun)
        await self._forget_gone()
        await self._forget_old(reached)

    async def _begin(self, intake: Intake, held: Held, stored: Mapping[str, StreamPosition], met: int) -> None:
        """Read on after the message up to which the store has everything."""
        consumer = f"store_{secrets.token_hex(16)}"  # a device that knew the name could ask for its messages
        try:
            reached = await self._reached(intake, held, stored)
            after = await self._read(intake, held, reached, consumer)
        except (*links.FAILURE, streams.StreamLost) as problem:
            self._opening.report(problem)
            self._try_again()
            return
        if met != self._met:  # what was found is no longer true
            self._look_soon.set()
            return
        intake.open(consumer, after, max(0, held.state.last_seq - max(after, held.state.first_seq - 1)))
        self._open[consumer] = intake
        self._note_change(intake)

    async def _reached(self, intake: Intake, held: Held, stored: Mapping[str, StreamPosition]) -> StreamPosition:
        """How much of a stream's incarnation is in the store, which has so much of each one there was.

        A broker that is killed while it configures a stream anew does not know the stream when it comes back. Once made
        again, that is another incarnation, with the same messages.
        """
        if intake.name in stored:
            return stored[intake.name]
        for former, reached in stored.items():
            if await streams.has(self._client, held, reached):
                logger.warning("what was in stream %s is found again", intake.stream)
                await self._registry.go_on(intake.name, former)
                return reached
        return StreamPosition()

    async def _read(self, intake: Intake, held: Held, reached: StreamPosition, consumer: str) -> int:
        """Make the consumer. Returns the number before the first message that it reads."""
        if not await streams.has_fallen_back(self._client, held, reached):
            return await streams.read_from(self._client, intake.stream, consumer, reached.sequence + 1)
        logger.error("the broker lost part of stream %s; the registry has it", intake.stream)
        # The numbers begin again at an older one, so new messages may have numbers that the store has: times must tell.
        after = await streams.read_after(self._client, intake.stream, consumer, reached.at)
        await self._registry.rewind(intake.name, after)
        return after

    async def _forget_gone(self) -> None:
        """Forget incarnations whose successors are being read: those have gone on from them, or never will."""
        over = [name for name in self._gone if (one := self._intakes.get(stream_of(name))) is not None and one.is_open]
        await self._registry.forget_streams(over)
        self._gone.difference_update(over)

    async def _forget_old(self, reached: Mapping[str, StreamPosition]) -> None:
        """Once, forget streams that this broker does not have, if they are so old that they can hold nothing any more.

        Younger ones may come back with another broker, and must not be stored twice.
        """
        if self._has_forgotten:
            return
        oldest = time.time_ns() // 1000 - _OLD
        known = {one.name for one in self._intakes.values()}
        old = [name for name, one in reached.items() if name not in known and 0 < one.at < oldest]
        await self._registry.forget_streams(old)
        self._has_forgotten = True

    def _watch(self, found: Mapping[str, Held], now: float) -> None:
        """Open a stream again if messages wait on the broker, but none of those that were asked for come."""
        for intake, held, watch in self._seen(found):
            if intake.arrived or not held.state.messages or held.state.last_seq <= intake.read:
                watch.silent_since = None
            elif watch.silent_since is None or intake.heard != watch.heard:
                watch.silent_since = now
            elif now - watch.silent_since > _SILENT_SECONDS:
                watch.silent_since = None
                self._close(intake)
            watch.heard = intake.heard

    async def _tidy(self, found: Mapping[str, Held], now: float) -> None:
        """Remove what the store has from the broker."""
        due: list[Awaitable[None]] = []
        for intake, held, watch in self._seen(found):
            stored = intake.stored - held.state.first_seq + 1
            is_urgent = held.is_heavy or now - watch.tidied_at > _TIDY_SECONDS
            is_due = stored >= limits.BUS_BATCH or (stored > 0 and is_urgent)
            if intake.stream != COMMANDS and held.state.messages and is_due and len(due) < _TIDIED_AT_ONCE:
                watch.tidied_at = now
                due.append(streams.forget_before(self._client, intake.stream, intake.stored + 1))
        await asyncio.gather(*due)

    async def _drop_drained(self, found: Mapping[str, Held], now: float) -> None:
        """Remove streams that nobody publishes to any more, once all that is in them is stored."""
        for intake, held, watch in list(self._seen(found)):
            is_drained = intake.is_at_end and (not held.state.messages or intake.stored >= held.state.last_seq)
            if self._platform.is_wanted(intake.stream) or not is_drained:
                watch.drained_since = None
            elif watch.drained_since is None or held.state.last_seq != watch.last:
                watch.drained_since = now
            elif now - watch.drained_since > _DRAINED_SECONDS and await self._platform.drop(intake.stream):
                await self._registry.forget_streams([self._let_go(intake)])
            watch.last = held.state.last_seq

    def _seen(self, found: Mapping[str, Held]) -> Iterable[tuple[Intake, Held, _Watch]]:
        """The streams that are being read, with what was found of each."""
        for name, held in found.items():
            if (intake := self._intakes.get(name)) is not None and intake.is_open:
                yield intake, held, self._watches[name]


def _by_stream(reached: Mapping[str, StreamPosition]) -> dict[str, dict[str, StreamPosition]]:
    """How much is in the store of each incarnation of each stream."""
    found: dict[str, dict[str, StreamPosition]] = {}
    for name, one in reached.items():
        found.setdefault(stream_of(name), {})[name] = one
    return found


def _next(intake: Intake) -> str:
    return f"$JS.API.CONSUMER.MSG.NEXT.{intake.stream}.{intake.consumer}"


def _request(ask: Ask) -> bytes:
    seconds = _STANDING_SECONDS if ask.is_standing else _PORTION_SECONDS
    return msgspec.json.encode({"batch": ask.count, "max_bytes": ask.size, "expires": seconds * NANO})
