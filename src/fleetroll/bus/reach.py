"""The broker as each process of ours reaches it, whichever of them keeps it."""

import asyncio
import contextlib
import random
from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus import links
from fleetroll.bus.commands import unavailable
from fleetroll.bus.keypairs import Pair
from fleetroll.core import limits

SETTLE, REFRESH = "keeper.settle", "keeper.refresh"
"""What the others ask of the process that keeps the broker: to publish accounts, and to have it reload its files."""

_SHARED = "processes"
_LOOK_SECONDS = 0.2
_KEEPER_SECONDS = limits.BUS_SETTLE + 1.0  # it answers after `BUS_SETTLE` at the latest
_REFRESH_SECONDS = 10.0


class Reach:
    """A connection as the platform, which is made again wherever the broker is by then."""

    def __init__(self, urls: Callable[[], list[str]], platform: Pair) -> None:
        self._urls = urls
        self._platform = platform
        self._told: list[str] = []  # servers of a cluster that it has told of
        self._client: Client | None = None
        self.on_shared: Callable[[bytes], None] | None = None
        self.up = asyncio.Event()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while not links.is_cancelled():
            with contextlib.suppress(*links.TROUBLE):
                await self._connected()
            await asyncio.sleep(_LOOK_SECONDS)

    def urls(self) -> list[str]:
        """Where the broker may be: of a cluster, also where nobody has said that it is but the cluster.

        What it tells of comes last: it may have no route from here, and each such server would take seconds.
        """
        named = self._urls()
        return [*random.sample(named, len(named)), *self._told]

    @property
    def client(self) -> Client:
        """The connection. Raises Fault unavailable."""
        if self._client is None or not self._client.is_connected:
            raise unavailable()
        return self._client

    @property
    def is_up(self) -> bool:
        return links.is_connected(self._client)

    async def share(self, body: bytes) -> None:
        """Tell the other processes something, which they get by `on_shared`."""
        await self.client.publish(_SHARED, body)

    async def _receive(self, message: Msg) -> None:
        if self.on_shared is not None:
            self.on_shared(message.data)

    async def settle(self) -> None:
        await self.client.request(SETTLE, b"", timeout=limits.BUS_SETTLE)

    async def refresh(self) -> None:
        """Have the broker reload its files. Returns when it has, or was restarted. Raises Fault unavailable."""
        try:
            await self.client.request(REFRESH, b"", timeout=_REFRESH_SECONDS)
        except links.TROUBLE:
            await self._back()

    async def _back(self) -> None:
        try:
            await asyncio.wait_for(self.up.wait(), _REFRESH_SECONDS)
        except TimeoutError:
            raise unavailable() from None

    async def _connected(self) -> None:
        """Be connected for as long as the connection lasts."""
        known = self._urls()
        client = await links.connect(self.urls(), self._platform, "process", patience=None)
        try:
            self._told = [url for url in links.servers(client) if url not in known]
            # Without a process that keeps the broker, the connection is of no use; only such a process answers this.
            await client.request(SETTLE, b"", timeout=_KEEPER_SECONDS)
            await client.subscribe(_SHARED, cb=self._receive)
            self._client = client
            self.up.set()
            # The library does not report the loss of a connection if closing it fails.
            while client.is_connected and not links.is_cancelled():  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            self.up.clear()
            self._client = None
            await links.close(client)
