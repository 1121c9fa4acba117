"""What devices send in chunks."""

import base64

from msgspec import structs

from fleetroll.core.model import Instant
from fleetroll.store.connection import Connection
from fleetroll.store.port import Mailbox
from fleetroll.store.statements import SQL


class Checkins:
    """Implements `port.Checkins`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, org: int, device: int) -> Mailbox:
        row = await self._connection.one(SQL["mailbox_get"], {"org": org, "device": device})
        return Mailbox(*row) if row else Mailbox(org, device)

    async def put(self, box: Mailbox) -> None:
        await self._connection.many(SQL["mailbox_put"], [structs.asdict(box)])

    async def keep(self, org: int, device: int, slot: int, at: Instant, chunk: bytes) -> None:
        data = base64.b64encode(chunk).decode()
        values = {"org": org, "device": device, "slot": slot, "at": at, "data": data}
        await self._connection.many(SQL["chunk_keep"], [values])

    async def kept(self, org: int, device: int) -> list[tuple[Instant, bytes]]:
        found = await self._connection.all(SQL["chunk_kept"], {"org": org, "device": device})
        return [(at, base64.b64decode(data)) for at, _, data in sorted(found)]

    async def move(self, org: int, device: int, to: int) -> None:
        for statement in ("mailbox_move", "chunk_move"):
            await self._connection.many(SQL[statement], [{"org": org, "device": device, "to": to}])

    async def forget(self, org: int, device: int) -> None:
        for statement in ("mailbox_forget", "chunk_forget"):
            await self._connection.many(SQL[statement], [{"org": org, "device": device}])
