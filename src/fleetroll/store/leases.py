"""Leases: which process owns what only one may do."""

from fleetroll.store.connection import Connection
from fleetroll.store.port import Lease
from fleetroll.store.statements import SQL


class Leases:
    """Implements `port.Leases`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, name: str) -> Lease | None:
        row = await self._connection.one(SQL["lease_get"], {"name": name})
        return Lease(row[0], row[1]) if row else None

    async def beat(self, name: str, holder: str, beat: int) -> bool:
        values = {"name": name, "holder": holder, "known": beat, "beat": beat + 1}
        return await self._connection.changed(SQL["lease_beat"], values)
