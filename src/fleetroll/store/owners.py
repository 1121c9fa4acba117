"""Owners, who may be in several organizations under the same reference."""

from fleetroll.core.model import Owner
from fleetroll.store import rows
from fleetroll.store.connection import Connection
from fleetroll.store.named import Reachable
from fleetroll.store.statements import SQL


class Owners(Reachable[Owner]):
    """Implements `port.Owners`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, "owner", rows.owner)

    async def homes(self, org: int, ref: str) -> list[int]:
        return [home for (home,) in await self._connection.all(SQL["owner_homes"], {"org": org, "name": ref})]
