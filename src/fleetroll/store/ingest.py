"""How far the broker's streams are read."""

from fleetroll.core.model import StreamPosition
from fleetroll.store.connection import Connection
from fleetroll.store.statements import SQL

_OF_ALL = 0  # in the place of an organization


class Progress:
    """Implements `port.Progress`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, stream: str) -> StreamPosition:
        row = await self._connection.one(SQL["progress_get"], {"org": _OF_ALL, "name": stream})
        return StreamPosition(*row) if row else StreamPosition()

    async def put(self, stream: str, reached: StreamPosition) -> None:
        values = {"org": _OF_ALL, "name": stream, "place": reached.sequence, "at": reached.at}
        await self._connection.all(SQL["progress_put"], values)
