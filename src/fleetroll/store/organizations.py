"""Organizations and how much of their quotas they use."""

from fleetroll.core.model import Organization
from fleetroll.store import rows
from fleetroll.store.connection import Connection
from fleetroll.store.statements import SQL


class Organizations:
    """Implements `port.Organizations`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, org: int) -> Organization | None:
        row = await self._connection.one(SQL["organization_get"], {"org": org})
        return rows.organization(row) if row else None

    async def child(self, org: int, slug: str) -> Organization | None:
        row = await self._connection.one(SQL["organization_child"], {"org": org, "slug": slug})
        return rows.organization(row) if row else None

    async def children(self, org: int, after: str, limit: int) -> list[Organization]:
        values = {"org": org, "after": after, "limit": limit}
        return [rows.organization(row) for row in await self._connection.all(SQL["organization_children"], values)]

    async def below(self, org: int) -> list[Organization]:
        return [rows.organization(row) for row in await self._connection.all(SQL["organization_below"], {"org": org})]

    async def insert(self, new: Organization) -> Organization | None:
        org = await self._connection.added(SQL["organization_insert"], rows.organization_values(new))
        return None if org is None else await self.get(org)

    async def replace(self, changed: Organization) -> bool:
        return await self._connection.changed(SQL["organization_replace"], rows.organization_values(changed))

    async def delete(self, org: int) -> None:
        for statement in _FORGET:
            await self._connection.all(SQL[statement], {"org": org})


_FORGET = (
    "timeline_forget_all",
    "usage_forget",
    "token_forget",
    "key_forget",
    "cohort_forget",
    "tag_forget",
    "hardware_version_forget",
    "software_version_forget",
    "organization_delete",
)


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
