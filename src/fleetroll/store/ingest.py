"""How far the broker's streams are read."""

from collections.abc import Collection, Mapping

from fleetroll.core.model import StreamPosition
from fleetroll.store.connection import Connection
from fleetroll.store.statements import SQL

_OF_ALL = 0  # in the place of an organization
_FEW = 8  # streams that are looked up one by one; all of them are one small page


class Progress:
    """Implements `port.Progress`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def all(self) -> dict[str, StreamPosition]:
        rows = await self._connection.all(SQL["progress_all"], {"org": _OF_ALL})
        return {name: StreamPosition(place, at) for name, place, at in rows}

    async def of(self, streams: Collection[str]) -> dict[str, StreamPosition]:
        if len(streams) > _FEW:
            found = await self.all()
            return {stream: found.get(stream, StreamPosition()) for stream in streams}
        return {stream: await self._one(stream) for stream in streams}

    async def _one(self, stream: str) -> StreamPosition:
        row = await self._connection.one(SQL["progress_get"], {"org": _OF_ALL, "name": stream})
        return StreamPosition(*row) if row else StreamPosition()

    async def put(self, reached: Mapping[str, StreamPosition]) -> None:
        values = [
            {"org": _OF_ALL, "name": stream, "place": one.sequence, "at": one.at} for stream, one in reached.items()
        ]
        await self._connection.many(SQL["progress_put"], values)

    async def forget(self, streams: Collection[str]) -> None:
        values = [{"org": _OF_ALL, "name": stream} for stream in streams]
        await self._connection.many(SQL["progress_forget"], values)
