"""Publishing accounts to the broker's resolver, and taking them away again, which closes their connections."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable

import msgspec
from nats.aio.client import Client

from fleetroll.bus.links import Rejected
from fleetroll.bus.permissions import Authority
from fleetroll.bus.port import Account

logger = logging.getLogger("fleetroll.broker")

_REPLY_SECONDS = 5.0
_AT_ONCE = 64
_DELETED_AT_ONCE = 1_000


class _Outcome(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = ""
    description: str = ""


class _Reply(msgspec.Struct, frozen=True):
    data: _Outcome | None = None
    error: _Outcome | None = None


class _Names(msgspec.Struct, frozen=True):
    data: list[str] = []


class Accounts:
    """The accounts of one broker, over a connection as its system account. Raises links.Rejected where it refuses."""

    def __init__(self, client: Client, authority: Authority, seconds: Callable[[], int]) -> None:
        self._client = client
        self._authority = authority
        self._seconds = seconds

    async def names(self) -> set[str]:
        """All accounts that the broker knows, except the server's own."""
        reply = await self._client.request("$SYS.REQ.CLAIMS.LIST", b"", timeout=_REPLY_SECONDS)
        known = msgspec.json.decode(reply.data, type=_Names).data
        return set(known) - {self._authority.system.public, self._authority.platform.public}

    async def publish(self, accounts: Iterable[Account]) -> list[Account]:
        """Make the broker know these accounts as they are now, whether or not it knew them.

        Returns those that are too large for a message. These hold up no others, but the broker is made to forget them:
        it would go on letting in keys that were revoked since it last heard of them.
        """
        waiting, too_large = list(accounts), list[Account]()
        for first in range(0, len(waiting), _AT_ONCE):
            some = waiting[first : first + _AT_ONCE]
            published = await asyncio.gather(*map(self._publish, some))
            too_large += [one for one, is_published in zip(some, published, strict=True) if not is_published]
        if too_large:
            logger.error(
                "accounts with too many revoked keys are closed: of %s", ", ".join(one.org for one in too_large)
            )
            await self.remove(map(self._authority.public, too_large))
        return too_large

    async def remove(self, names: Iterable[str]) -> None:
        """Make the broker forget these accounts; whoever is connected through them is cut off."""
        waiting = list(names)
        for first in range(0, len(waiting), _DELETED_AT_ONCE):
            token = self._authority.deletion(waiting[first : first + _DELETED_AT_ONCE], self._seconds())
            await self._ask("$SYS.REQ.CLAIMS.DELETE", token)

    async def _publish(self, account: Account) -> bool:
        """False if the account, with all that is revoked of it, does not fit into a message."""
        token = self._authority.account_token(account, self._seconds(), secrets.token_bytes(16))
        if len(token) > self._client.max_payload:
            return False
        await self._ask("$SYS.REQ.CLAIMS.UPDATE", token)
        return True

    async def _ask(self, subject: str, token: str) -> None:
        reply = await self._client.request(subject, token.encode(), timeout=_REPLY_SECONDS)
        parsed = msgspec.json.decode(reply.data, type=_Reply)
        if parsed.error is not None or parsed.data is None or parsed.data.code != 200:
            raise Rejected(parsed.error.description if parsed.error else str(parsed.data))
