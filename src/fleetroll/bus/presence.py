"""Who is connected: by the broker's own events, corrected from its list of connections whenever we reconnect."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus import links
from fleetroll.bus.port import Announcement, Connection, ConnectionChange, Registry
from fleetroll.bus.trouble import Trouble

_GATHER_SECONDS = 0.3
_PAGE = 1024
_OVERLAP = 64
_AT_ONCE = 500
_RETRY_SECONDS = 0.5
_VERBS = frozenset({"CONNECT", "DISCONNECT"})

Announce = Callable[[list[Announcement]], Awaitable[None]]


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


class _List:
    """The connections of one server, as it lists them in the order of their numbers, page by page.

    When a connection ends meanwhile, those after it move up, so each page must begin within the one before.
    """

    def __init__(self) -> None:
        self.connections: dict[int, Connection] = {}
        self._last = 0
        self.is_whole = self.is_broken = False

    def add(self, listing: _Listing, offset: int) -> None:
        page = listing.data
        found = {one.cid: Connection(one.account, _name(listing.server, one.cid)) for one in page.connections}
        self.connections |= found
        self.is_broken = not self.is_whole and offset > 0 and min(found, default=self._last + 1) > self._last
        if not self.is_broken:
            self._last = max([self._last, *found])
            self.is_whole = self.is_whole or offset + _PAGE >= page.total


class Presence:
    """Follows the connections of all accounts, over a connection as the system account.

    Changes that wait to be noted are in one queue, in their order. None in it says that `_stale` or `_ended` was set.
    """

    def __init__(self, client: Client, registry: Registry, announce: Announce) -> None:
        self._client = client
        self._registry = registry
        self._announce = announce
        self._events: asyncio.Queue[ConnectionChange | None] = asyncio.Queue()
        self._stale = True
        self._ended = False
        self._trouble = Trouble("presence is waiting")

    def mark_stale(self) -> None:
        """The broker was away: what it said last may no longer be true."""
        self._stale = True
        self._events.put_nowait(None)

    def end(self) -> None:
        """The one broker has died: nobody is connected, until there is a broker again."""
        self._ended = True
        self._events.put_nowait(None)

    async def run(self) -> None:
        """Follow them until cancelled."""
        await self._client.subscribe("$SYS.ACCOUNT.*.*", cb=self._note)
        while not links.is_cancelled():
            try:
                await self._catch_up()
                self._trouble.end()
                await self._apply()
            except Exception as problem:  # noqa: BLE001  # of the store or of the broker; neither may end this
                self._trouble.report(problem)
                self._begin_anew()
                await asyncio.sleep(_RETRY_SECONDS)

    def _begin_anew(self) -> None:
        """Go by the broker's list again, which covers the queued events; their queue might grow long meanwhile."""
        self._stale = True
        while not self._events.empty():
            self._events.get_nowait()

    async def _catch_up(self) -> None:
        if self._ended:
            await self._announce(await self._registry.reconcile_connections([]))
            self._ended = False
        if self._stale and self._client.is_connected:
            await self._reconcile()

    async def _note(self, message: Msg) -> None:
        # The library keeps the order of one subscription's messages only: with one for each verb, some who had come and
        # gone at once would have gone before they came.
        _, _, account, verb = message.subject.split(".")
        if verb not in _VERBS:
            return
        event = msgspec.json.decode(message.data, type=_Event)
        connection = Connection(account, _name(event.server, event.client.id))
        self._events.put_nowait(ConnectionChange(connection, verb == "CONNECT"))

    async def _apply(self) -> None:
        """Note the next events, as many as have come, up to `_AT_ONCE`."""
        found = [await self._events.get()]
        while not self._events.empty() and len(found) < _AT_ONCE:
            found.append(self._events.get_nowait())
        changes = [event for event in found if event is not None]
        if changes:
            await self._announce(await self._registry.note_connections(changes))

    async def _reconcile(self) -> None:
        connections = await self._listed()
        self._stale = False
        await self._announce(await self._registry.reconcile_connections(connections))

    async def _listed(self) -> list[Connection]:
        lists: defaultdict[str, _List] = defaultdict(_List)
        offset, servers = 0, 0
        while True:
            listings = await self._ask({"auth": True, "limit": _PAGE, "offset": offset}, servers)
            servers = len(listings)
            for listing in listings:
                lists[listing.server.id].add(listing, offset)
            asked = [lists[listing.server.id] for listing in listings]
            if any(one.is_broken for one in asked):
                offset = max(0, offset - _PAGE)
            elif all(one.is_whole for one in asked):
                return [connection for one in lists.values() for connection in one.connections.values()]
            else:
                offset += _PAGE - _OVERLAP

    async def _ask(self, options: dict[str, Any], servers: int) -> list[_Listing]:
        """The replies of all servers of a cluster. Raises TimeoutError if there are none.

        They do not say how many they are, so the first time all of `_GATHER_SECONDS` pass; then the number of `servers`
        is known.
        """
        inbox = self._client.new_inbox()
        replies: list[_Listing] = []
        complete = asyncio.Event()

        async def gather(message: Msg) -> None:
            replies.append(msgspec.json.decode(message.data, type=_Listing))
            if len(replies) == servers:
                complete.set()

        subscription = await self._client.subscribe(inbox, cb=gather)
        await self._client.publish("$SYS.REQ.SERVER.PING.CONNZ", msgspec.json.encode(options), reply=inbox)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(complete.wait(), _GATHER_SECONDS)
        await subscription.unsubscribe()
        if not replies:
            raise TimeoutError("the broker does not list its connections")
        return replies


def _name(server: _Server, client: int) -> str:
    """A server numbers its connections; the server's own name is new at each of its starts."""
    return f"{server.id}:{client}"
