"""The platform's streams: one for what each organization's devices publish until it is in the store, one for commands.

The broker writes a stream one message after the other, and syncs each. A device that floods fills the queue of its own
organization's stream, and delays no other. An earlier version had one stream for all, `INGEST`: what is in it is read,
and its subjects are taken over a few organizations at a time, so that none is without a stream for long.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from msgspec.structs import replace
from nats.aio.client import Client

from fleetroll.bus import streams
from fleetroll.bus.disk_shares import Disk
from fleetroll.bus.links import FAILURE
from fleetroll.bus.permissions import COMMANDS, INGEST, ingest_stream, ingest_subjects
from fleetroll.bus.streams import NANO, Held
from fleetroll.bus.trouble import Trouble
from fleetroll.core import limits

logger = logging.getLogger("fleetroll.broker")

_MADE_AT_ONCE = 32
# The broker drops a message whose id (`Nats-Msg-Id`) another one in the stream has had, of whatever device, and still
# acknowledges it. This is the shortest time that it can be told to remember ids.
_IDS = {"duplicate_window": NANO // 10}
_BOUND = "max_bytes"
_OF_AN_ORG = ingest_stream("")


class PlatformStreams:
    """Looks after them over one connection as the platform.

    For a broker that we run, `room` tells how many bytes are free on its disk, and `kept` the names of the streams that
    are there.
    """

    def __init__(
        self,
        client: Client,
        room: Callable[[], int] | None,
        replicas: int | None,
        kept: Callable[[], set[str]] = set,
    ) -> None:
        self._client = client
        self._room = room
        self._kept = kept
        self._replicas = replicas
        self._orgs: set[str] | None = None  # whose devices may publish
        self._there: dict[str, Held] = {}  # by name, as the broker said last
        self._away: set[str] = set()  # names of those on servers of a cluster that do not answer
        self._listed: set[str] = set()  # names of all, whoever has made them
        self._disk: Disk | None = None  # as it was then
        self._busy: set[str] = set()  # names of streams that hold much, or did and still take in messages
        self.changed = asyncio.Event()  # set when one was made, or more bounds are to be corrected
        self._changing = asyncio.Lock()
        self._trouble = Trouble("devices of an organization cannot publish")

    async def meet(self, orgs: Collection[str]) -> None:
        """Make the streams of these organizations, whatever the broker has; drop others once they are drained."""
        async with self._changing:
            self._orgs = set(orgs)
            missing = await self._list()
            missing |= self._unread(await asyncio.to_thread(self._kept))
            await self._make([name for name in self._wanted() & self._there.keys() if self._differs(name)])
            await self._take_over(missing)

    def _unread(self, kept: set[str]) -> set[str]:
        """Streams of ours that the broker could not read at its start, as it had ended while it configured them anew.

        Once they are made, it finds what is in them.
        """
        return {name for name in kept - self._listed if name == INGEST or name.startswith(_OF_AN_ORG)}

    async def require(self, orgs: Collection[str]) -> None:
        """Make the streams of these organizations too."""
        names = set(map(ingest_stream, orgs))
        if self._orgs is not None and self._orgs.issuperset(orgs) and names <= self._there.keys():
            return  # whoever looks at the streams at the moment, which may take seconds, removes none of these
        async with self._changing:
            assert self._orgs is not None
            self._orgs.update(orgs)
            await self._take_over(names - self._there.keys() - self._away)

    def release(self, orgs: Iterable[str]) -> None:
        """No device of these organizations can publish any more."""
        if self._orgs is not None:
            self._orgs.difference_update(orgs)

    async def look(self) -> dict[str, Held]:
        """What is there; what should be and is not has been made anew, and bounds follow the room on the disk."""
        async with self._changing:
            await self._take_over(await self._list())
            await self._keep_bounds()
            return dict(self._there)

    async def _list(self) -> set[str]:
        """Note what is there. Returns what is missing."""
        listing = await streams.listed(self._client)
        wanted = self._wanted()
        held = {name: one for name, one in listing.held.items() if name in wanted or _is_ours(name, one)}
        for name in sorted(self._there.keys() - held.keys() - listing.away):
            logger.error("the broker has lost stream %s, with what had not been read", name)
        before, self._there, self._away = self._there, held, listing.away
        self._listed = listing.held.keys() | listing.away
        if self._room is not None:
            self._note_disk(self._room(), before)
        return wanted - held.keys() - listing.away

    def _note_disk(self, free: int, before: Mapping[str, Held]) -> None:
        ours = {name: one.state for name, one in self._there.items() if name != COMMANDS}
        disk = Disk(free, sum(one.bytes for one in ours.values()), len(self._orgs or ()))
        # What a busy stream held may just have been removed, as it was stored.
        moving = {name for name in self._busy & before.keys() & ours.keys() if before[name].state != ours[name]}
        self._busy = moving | {name for name, one in ours.items() if disk.is_much(one.bytes)}
        self._disk = replace(disk, busy=len(self._busy))

    def is_wanted(self, name: str) -> bool:
        return self._orgs is None or name == COMMANDS or name.removeprefix(_OF_AN_ORG) in self._orgs

    async def drop(self, name: str) -> bool:
        """Remove a stream that nobody publishes to, unless somebody may again."""
        async with self._changing:
            if self.is_wanted(name):
                return False
            await streams.remove(self._client, name)
            self._there.pop(name, None)
            return True

    def _wanted(self) -> set[str]:
        return {COMMANDS, *map(ingest_stream, self._orgs or ())}

    async def _take_over(self, names: Collection[str]) -> None:
        """Make these streams, a few at a time, each few once the one stream of an earlier version lets go of them."""
        waiting = sorted(names)
        while waiting or self._overlaps():
            some, waiting = waiting[:_MADE_AT_ONCE], waiting[_MADE_AT_ONCE:]
            await self._narrow(waiting)
            await self._make(some)

    def _overlaps(self) -> bool:
        return INGEST in self._there and self._there[INGEST].config["subjects"] != [INGEST]

    async def _narrow(self, waiting: Iterable[str]) -> None:
        """Leave the one stream of an earlier version only the subjects of streams that are still to be made."""
        if self._overlaps():
            orgs = [name.removeprefix(_OF_AN_ORG) for name in waiting if name != COMMANDS]
            subjects = ingest_subjects(orgs) or [INGEST]
            config = {**self._there[INGEST].config, "subjects": subjects}
            self._there[INGEST] = await streams.update(self._client, config)

    async def _keep_bounds(self) -> None:
        """Correct bounds that do not fit the disk, first those of streams that hold most: they leave little room."""
        if self._disk is None or self._disk.free < limits.BUS_LEAST_ROOM:
            return  # on a full disk, the broker cannot change anything
        wrong = [name for name in self._there.keys() & self._wanted() - {COMMANDS} if not self._is_bound_right(name)]
        wrong.sort(key=self._held, reverse=True)
        if await self._make(wrong[:_MADE_AT_ONCE]) and wrong[_MADE_AT_ONCE:]:
            self.changed.set()

    async def _make(self, names: Iterable[str]) -> bool:
        """Whether all could be made. What fails holds up nobody else; whoever looks next tries again."""
        made = await asyncio.gather(*map(self._make_one, names))
        if all(made):
            self._trouble.end()
        return all(made)

    async def _make_one(self, name: str) -> bool:
        is_new = name not in self._there
        try:
            self._there[name] = await streams.make(self._client, self._config(name))
        except FAILURE as problem:
            self._trouble.report(problem)
            return False
        if is_new:
            self.changed.set()
        return True

    def _config(self, name: str) -> dict[str, Any]:
        # If more is there than the bound, that stays: the broker takes no more.
        room = {} if self._disk is None else {_BOUND: self._bound(name, self._disk), "discard": "new"}
        return streams.configured(
            name, self._replicas, **_IDS, **_config(name), max_msg_size=limits.MAX_BUS_MESSAGE, **room
        )

    def _bound(self, name: str, disk: Disk) -> int:
        if name == COMMANDS:
            return self._held(name) + max(limits.BUS_LEAST_ROOM, int(disk.free * limits.BUS_COMMANDS_SHARE))
        return disk.bound(self._held(name), is_busy=name in self._busy)

    def _is_bound_right(self, name: str) -> bool:
        """Whether a stream's bound is about right."""
        if self._disk is None:
            return True
        has = int(self._there[name].config.get(_BOUND, 0))
        if name == COMMANDS:
            wanted = self._bound(name, self._disk)
            return wanted // 2 <= has <= 2 * wanted
        return self._disk.is_right(has, self._held(name), is_busy=name in self._busy)

    def _held(self, name: str) -> int:
        return self._there[name].state.bytes if name in self._there else 0

    def _differs(self, name: str) -> bool:
        """Whether a stream is not as it should be."""
        has, wanted = self._there[name].config, self._config(name)
        wanted.pop(_BOUND, None)
        return not self._is_bound_right(name) or any(has.get(option) != value for option, value in wanted.items())


def _is_ours(name: str, held: Held) -> bool:
    """Others may have made streams in the same account."""
    return name in {INGEST, COMMANDS} or held.config.get("subjects") == ingest_subjects([name.removeprefix(_OF_AN_ORG)])


def _config(name: str) -> dict[str, Any]:
    """The part of a stream's configuration that says what it holds, and for how long."""
    if name == COMMANDS:
        return {
            "subjects": ["command.*.*.*.*"],
            "max_age": limits.BUS_COMMAND_AGE * NANO,
            "max_msgs_per_subject": limits.BUS_QUEUED_COMMANDS,
        }
    orgs = [] if name == INGEST else [name.removeprefix(_OF_AN_ORG)]
    return {
        "subjects": ingest_subjects(orgs) or [INGEST],
        "max_age": limits.BUS_INGEST_AGE * NANO,
    }
