"""The stored answers to idempotent requests."""

from fleetroll.core.model import Instant
from fleetroll.store.connection import Connection
from fleetroll.store.port import Replay
from fleetroll.store.statements import SQL


class Replays:
    """Implements `port.Replays`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, org: int, key: int, name: str) -> Replay | None:
        row = await self._connection.one(SQL["replay_get"], {"org": org, "key": key, "name": name})
        return Replay(*row) if row else None

    async def put(self, org: int, key: int, name: str, replay: Replay) -> None:
        values = {
            "org": org,
            "key": key,
            "name": name,
            "fingerprint": replay.fingerprint,
            "status": replay.status,
            "headers": replay.headers,
            "body": replay.body,
            "at": replay.at,
        }
        await self._connection.all(SQL["replay_put"], values)

    async def purge(self, before: Instant, most: int) -> bool:
        purged = await self._connection.all(SQL["replay_purge"], {"before": before, "limit": most})
        return len(purged) == most
