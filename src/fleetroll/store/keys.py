"""API keys, stored without their secrets."""

from collections.abc import Iterable, Mapping

import msgspec

from fleetroll.core.model import Instant, Key, KeyKind
from fleetroll.core.policy import Role
from fleetroll.store import rows
from fleetroll.store.connection import Connection, Row, inserted
from fleetroll.store.port import Identity, KeyGroup, KeyUser
from fleetroll.store.statements import SQL


class Keys:
    """Implements `port.Keys`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def identify(self, prefix: str) -> Identity | None:
        row = await self._connection.one(SQL["key_identify"], {"prefix": prefix})
        return Identity(rows.key(row[:10]), row[10], rows.organization(row[11:])) if row else None

    async def get(self, org: int, key: int) -> Key | None:
        row = await self._connection.one(SQL["key_get"], {"org": org, "key": key})
        return rows.key(row) if row else None

    async def page(self, org: int, after: int, limit: int) -> list[Key]:
        values = {"org": org, "after": after, "limit": limit}
        return [rows.key(row) for row in await self._connection.all(SQL["key_page"], values)]

    async def insert(self, new: Key, prefix: str, digest: str) -> Key:
        values = {**rows.key_values(new), "prefix": prefix, "digest": digest}
        number = await inserted(self._connection, SQL["key_insert"], values)
        return msgspec.structs.replace(new, id=number)

    async def revoke(self, org: int, key: int, at: Instant) -> bool:
        values = {"org": org, "key": key, "at": at}
        return await self._connection.changed(SQL["key_revoke"], values)

    async def users(self, org: int, role: Role) -> list[KeyUser]:
        values = {"org": org, "role": role.value, "kind": KeyKind.NATS.value}
        return [KeyUser(*row) for row in await self._connection.all(SQL["key_users"], values)]

    async def valid_groups(self, org: int, at: Instant) -> list[KeyGroup]:
        values = {"org": org, "kind": KeyKind.NATS.value, "at": at}
        return _groups(await self._connection.all(SQL["key_valid_groups"], values))

    async def groups_of_users(self) -> list[KeyGroup]:
        return _groups(await self._connection.all(SQL["key_groups_of_users"], {"kind": KeyKind.NATS.value}))

    async def touch(self, used: Mapping[int, Instant]) -> None:
        # No lock of an organization keeps processes apart here; as all go in one order, nobody waits in a circle.
        values = [{"key": key, "at": at} for key, at in sorted(used.items())]
        await self._connection.many(SQL["key_touch"], values)


def _groups(found: Iterable[Row]) -> list[KeyGroup]:
    return [KeyGroup(org, Role(role), rows.strings(scopes)) for org, role, scopes in dict.fromkeys(found)]
