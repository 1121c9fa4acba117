"""Organizations."""

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

    async def children_at(self, org: int, limit: int, skip: int) -> list[Organization]:
        values = {"org": org, "limit": limit, "skip": skip}
        return [rows.organization(row) for row in await self._connection.all(SQL["organization_children_at"], values)]

    async def names_below(self, org: int) -> list[tuple[int, str]]:
        rows = await self._connection.all(SQL["organization_names_below"], {"org": org})
        return [(number, name) for number, name in rows]

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
    "owner_forget",
    "template_forget",
    "organization_delete",
)
