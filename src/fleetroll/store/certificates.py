"""Certificates that were issued, and what became of them."""

import base64
from typing import Any

import msgspec

from fleetroll.core.certificates import Certificate, Reason, Revocation, Tally
from fleetroll.core.model import Instant
from fleetroll.store import rows
from fleetroll.store.connection import Connection, inserted
from fleetroll.store.statements import SQL


class Certificates:
    """Implements `port.Certificates`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, org: int, serial: str) -> Certificate | None:
        row = await self._connection.one(SQL["certificate_get"], {"org": org, "serial": serial})
        return rows.certificate(row) if row else None

    async def page(self, org: int, after: int, limit: int) -> list[Certificate]:
        return await self._page("certificate_page", {"org": org, "after": after, "limit": limit})

    async def of_authority(self, org: int, authority: int, after: int, limit: int) -> list[Certificate]:
        values = {"org": org, "authority": authority, "after": after, "limit": limit}
        return await self._page("certificate_page_of_authority", values)

    async def of_device(self, org: int, device: int, after: int, limit: int) -> list[Certificate]:
        values = {"org": org, "device": device, "after": after, "limit": limit}
        return await self._page("certificate_page_of_device", values)

    async def insert(self, new: Certificate) -> Certificate:
        number = await inserted(self._connection, SQL["certificate_insert"], rows.named_values(new))
        return msgspec.structs.replace(new, id=number)

    async def revoke(self, org: int, serial: str, at: Instant, reason: Reason) -> bool:
        hold = Reason.CERTIFICATE_HOLD.value
        values = {"org": org, "serial": serial, "at": at, "reason": reason.value, "hold": hold}
        return await self._connection.changed(SQL["certificate_revoke"], values)

    async def restore(self, org: int, serial: str) -> bool:
        values = {"org": org, "serial": serial, "reason": Reason.CERTIFICATE_HOLD.value}
        return await self._connection.changed(SQL["certificate_restore"], values)

    async def revoked(self, org: int, authority: int, at: Instant, after: int, limit: int) -> list[Revocation]:
        values = {"org": org, "authority": authority, "at": at, "after": after, "limit": limit}
        return [rows.revocation(row) for row in await self._connection.all(SQL["certificate_revoked"], values)]

    async def revoked_anywhere(self, serial: str) -> list[bytes]:
        found = await self._connection.all(SQL["certificate_revoked_anywhere"], {"serial": serial})
        return [base64.b64decode(der) for (der,) in found]

    async def counts(self, org: int, at: Instant) -> dict[int, Tally]:
        found = await self._connection.all(SQL["certificate_counts"], {"org": org, "at": at})
        return {authority: Tally(*numbers) for authority, *numbers in found}

    async def forget(self, org: int, authority: int) -> None:
        values = [{"org": org, "authority": authority}]
        await self._connection.many(SQL["certificate_remember"], values)
        await self._connection.many(SQL["certificate_forget"], values)

    async def _page(self, statement: str, values: dict[str, Any]) -> list[Certificate]:
        return [rows.certificate(row) for row in await self._connection.all(SQL[statement], values)]
