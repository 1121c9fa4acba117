"""Access and refresh tokens, stored without their secrets."""

from fleetroll.core.model import Instant
from fleetroll.store.connection import Connection
from fleetroll.store.statements import SQL


class Tokens:
    """Implements `port.Tokens`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, org: int, key: int, digest: str) -> Instant | None:
        return await self._instant("token_get", org, key, digest)

    async def insert(self, org: int, key: int, digest: str, expires_at: Instant, *, refreshes: bool) -> None:
        values = {"org": org, "key": key, "digest": digest, "refreshes": refreshes, "expires_at": expires_at}
        await self._connection.all(SQL["token_insert"], values)

    async def take(self, org: int, key: int, digest: str) -> Instant | None:
        return await self._instant("token_take", org, key, digest)

    async def purge(self, org: int, key: int, before: Instant) -> int:
        await self._connection.all(SQL["token_purge"], {"org": org, "key": key, "before": before})
        row = await self._connection.one(SQL["token_count"], {"org": org, "key": key})
        return int(row[0]) if row else 0

    async def end(self, org: int, key: int) -> None:
        await self._connection.all(SQL["token_end"], {"org": org, "key": key})

    async def _instant(self, statement: str, org: int, key: int, digest: str) -> Instant | None:
        row = await self._connection.one(SQL[statement], {"org": org, "key": key, "digest": digest})
        return int(row[0]) if row else None
