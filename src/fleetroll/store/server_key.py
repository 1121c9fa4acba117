"""The server key, of which a store has no more than a mark."""

from fleetroll.store.connection import Connection
from fleetroll.store.statements import SQL


class ServerKey:
    """Implements `port.ServerKey`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def mark(self) -> str | None:
        row = await self._connection.one(SQL["server_key_mark"], {})
        return str(row[0]) if row else None

    async def leave_mark(self, mark: str) -> bool:
        await self._connection.changed(SQL["server_key_leave"], {"mark": mark})
        return await self.mark() == mark
