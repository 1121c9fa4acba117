"""How far the broker's streams are read."""

from fleetroll.store.connection import Connection
from fleetroll.store.statements import SQL

_OF_ALL = 0  # in the place of an organization


class Progress:
    """Implements `port.Progress`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, name: str) -> int:
        row = await self._connection.one(SQL["progress_get"], {"org": _OF_ALL, "name": name})
        return int(row[0]) if row else 0

    async def put(self, name: str, place: int) -> None:
        await self._connection.all(SQL["progress_put"], {"org": _OF_ALL, "name": name, "place": place})
