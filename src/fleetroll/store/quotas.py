"""How much of their quotas organizations use, and how much of each day's a device."""

from fleetroll.store.connection import Connection
from fleetroll.store.statements import SQL


class Usage:
    """Implements `port.Usage`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, org: int, noun: str, count: int, quota: int) -> bool:
        if count > quota:
            return False  # the statement below sees a quota only where a counter exists already
        values = {"org": org, "noun": noun, "count": count, "quota": quota}
        return await self._connection.changed(SQL["usage_add"], values)

    async def of(self, org: int) -> dict[str, int]:
        return dict(await self._connection.all(SQL["usage_of"], {"org": org}))

    async def below(self, org: int, noun: str) -> dict[int, int]:
        return dict(await self._connection.all(SQL["usage_below"], {"org": org, "noun": noun}))

    async def add_today(self, org: int, device: int, noun: str, day: int, most: int) -> bool:
        values = {"org": org, "device": device, "noun": noun, "day": day, "most": most}
        return most > 0 and await self._connection.changed(SQL["daily_use_add"], values)

    async def move(self, org: int, device: int, to: int) -> None:
        await self._connection.all(SQL["daily_use_move"], {"org": org, "device": device, "to": to})

    async def forget(self, org: int, device: int) -> None:
        await self._connection.all(SQL["daily_use_forget"], {"org": org, "device": device})
