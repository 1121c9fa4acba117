"""Versions of software, by type and version."""

from msgspec import structs

from fleetroll.core.model import SoftwareVersion
from fleetroll.store import rows
from fleetroll.store.connection import Connection
from fleetroll.store.statements import SQL


class SoftwareVersions:
    """Implements `port.SoftwareVersions`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, org: int, type: str, version: str) -> SoftwareVersion | None:
        values = {"org": org, "type": type, "version": version}
        row = await self._connection.one(SQL["software_version_get"], values)
        return rows.software_version(row) if row else None

    async def page(self, org: int, after: tuple[str, str], limit: int) -> list[SoftwareVersion]:
        values = {"org": org, "type": after[0], "version": after[1], "limit": limit}
        return [rows.software_version(row) for row in await self._connection.all(SQL["software_version_page"], values)]

    async def insert(self, new: SoftwareVersion) -> SoftwareVersion | None:
        number = await self._connection.added(SQL["software_version_insert"], rows.named_values(new))
        return None if number is None else structs.replace(new, id=number)

    async def delete(self, org: int, record: int) -> bool:
        return await self._connection.changed(SQL["software_version_delete"], {"org": org, "record": record})
