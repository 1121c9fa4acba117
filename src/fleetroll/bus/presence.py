"""Who is connected: by the broker's own events, set right from its list of connections whenever we meet it anew."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus.port import Announcement, Connection, Registry

logger = logging.getLogger("fleetroll.broker")

_GATHER_SECONDS = 0.3
_PAGE = 1024
_AT_ONCE = 500
_PAUSE = 0.5

Announce = Callable[[list[Announcement]], Awaitable[None]]
_Mark = tuple[str, int]
"""A connection: the server it is on, and its number there."""


class _Server(msgspec.Struct, frozen=True):
    id: str = ""


class _Client(msgspec.Struct, frozen=True):
    id: int = 0


class _Event(msgspec.Struct, frozen=True):
    server: _Server = _Server()
    client: _Client = _Client()


class _Open(msgspec.Struct, frozen=True):
    cid: int
    account: str = ""


class _Page(msgspec.Struct, frozen=True):
    connections: list[_Open] = []
    total: int = 0


class _Listing(msgspec.Struct, frozen=True):
    server: _Server = _Server()
    data: _Page = _Page()


class Presence:
    """Follows the connections of all accounts, over a connection as the system account."""

    def __init__(self, client: Client, registry: Registry, announce: Announce) -> None:
        self._client = client
        self._registry = registry
        self._announce = announce
        self._open: dict[str, set[_Mark]] = {}
        self._events: asyncio.Queue[tuple[str, _Mark, bool]] = asyncio.Queue()
        self._stale = True

    def doubt(self) -> None:
        """The broker was away: what it said last may no longer be true."""
        self._stale = True
        self._events.put_nowait(("", ("", 0), False))

    async def run(self) -> None:
        """Until cancelled."""
        for verb in ("CONNECT", "DISCONNECT"):
            await self._client.subscribe(f"$SYS.ACCOUNT.*.{verb}", cb=self._note)
        while True:
            try:
                if self._stale:
                    await self._correct()
                await self._apply()
            except Exception as problem:  # noqa: BLE001  # of the store or of the broker; neither may end this
                logger.warning("presence waits on the broker: %r", problem)
                self._stale = True
                await asyncio.sleep(_PAUSE)

    async def _note(self, message: Msg) -> None:
        _, _, account, verb = message.subject.split(".")
        event = msgspec.json.decode(message.data, type=_Event)
        self._events.put_nowait((account, (event.server.id, event.client.id), verb == "CONNECT"))

    async def _apply(self) -> None:
        """The next events, as many as have come."""
        found = [await self._events.get()]
        while not self._events.empty() and len(found) < _AT_ONCE:
            found.append(self._events.get_nowait())
        changes = [change for event in found if (change := self._count(*event)) is not None]
        if changes:
            await self._announce(await self._registry.present(changes))

    def _count(self, account: str, mark: _Mark, come: bool) -> Connection | None:
        """What an event changes: a device may have several connections at once while it makes a new one."""
        marks = self._open.setdefault(account, set()) if come else self._open.get(account, set())
        before = bool(marks)
        (marks.add if come else marks.discard)(mark)
        if not marks:
            self._open.pop(account, None)
        return None if before == bool(marks) else Connection(account, come, _now())

    async def _correct(self) -> None:
        self._open = await self._listed()
        self._stale = False
        await self._announce(await self._registry.connected(list(self._open), _now()))

    async def _listed(self) -> dict[str, set[_Mark]]:
        found: dict[str, set[_Mark]] = {}
        offset = 0
        while True:
            most = 0
            for listing in await self._ask({"auth": True, "limit": _PAGE, "offset": offset}):
                for one in listing.data.connections:
                    found.setdefault(one.account, set()).add((listing.server.id, one.cid))
                most = max(most, listing.data.total)
            offset += _PAGE
            if offset >= most:
                return found

    async def _ask(self, options: dict[str, Any]) -> list[_Listing]:
        """The replies of all servers of a cluster; they do not say how many there are."""
        inbox = self._client.new_inbox()
        replies: list[_Listing] = []

        async def gather(message: Msg) -> None:
            replies.append(msgspec.json.decode(message.data, type=_Listing))

        subscription = await self._client.subscribe(inbox, cb=gather)
        await self._client.publish("$SYS.REQ.SERVER.PING.CONNZ", msgspec.json.encode(options), reply=inbox)
        await asyncio.sleep(_GATHER_SECONDS)
        await subscription.unsubscribe()
        if not replies:
            raise TimeoutError("the broker does not list its connections")
        return replies


def _now() -> int:
    return time.time_ns() // 1000
