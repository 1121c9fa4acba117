"""All that is answered over one connection as the platform: requests, calls, and questions about commands."""

from collections.abc import Collection

from nats.aio.client import Client

from fleetroll.bus import links
from fleetroll.bus.permissions import Authority
from fleetroll.bus.port import Registry
from fleetroll.bus.queues import Queues
from fleetroll.bus.replies import Replies
from fleetroll.bus.responder import Responder


class Endpoint:
    """Owns its connection, which is made again whenever it is lost."""

    def __init__(self, client: Client, authority: Authority, registry: Registry) -> None:
        self._client = client
        self._replies = Replies(client)
        self._queues = Queues(client, authority, registry, self._replies)
        self._responder = Responder(client, registry, self._replies)

    async def start(self) -> None:
        await self._queues.start()
        await self._responder.start()

    async def end(self, accounts: Collection[str]) -> None:
        """End what these accounts, which are gone, have left. Raises links.FAILURE."""
        await self._queues.end(accounts)

    async def reconnected(self) -> None:
        """The connection was made again."""
        self._queues.forget_consumers()
        await self._replies.resend()

    async def finish(self) -> None:
        await self._responder.finish()
        self._replies.finish()
        await links.close(self._client)
