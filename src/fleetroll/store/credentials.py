"""Devices' credentials on the broker, and what the broker is still to be told of them."""

from collections.abc import Collection

from msgspec import structs

from fleetroll.core.ids import broker_groups
from fleetroll.core.model import Credential, KeyKind, Protocol
from fleetroll.store.connection import Connection, Row, inserted
from fleetroll.store.port import AccountChange
from fleetroll.store.rows import strings
from fleetroll.store.statements import SQL


class Credentials:
    """Implements `port.Credentials`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def identify(self, user: str) -> Credential | None:
        return _credential(await self._connection.one(SQL["credential_identify"], {"user": user}))

    async def of_account(self, account: str) -> Credential | None:
        return _credential(await self._connection.one(SQL["credential_of_account"], {"account": account}))

    async def all(self, after: int, limit: int) -> list[Credential]:
        rows = await self._connection.all(SQL["credential_all"], {"after": after, "limit": limit})
        return [_record(row) for row in rows]

    async def of_device(self, org: int, device: int) -> list[Credential]:
        rows = await self._connection.all(SQL["credential_of_device"], {"org": org, "device": device})
        return [_record(row) for row in rows]

    async def insert(self, new: Credential) -> Credential:
        values = {
            "org": new.org,
            "device": new.device,
            "account": new.account,
            "user": new.user,
            "public_id": new.public_id,
            "created_at": new.created_at,
            "kind": new.kind.value,
        }
        number = await inserted(self._connection, SQL["credential_insert"], values)
        await self.note(new.org, new.account)
        return structs.replace(new, id=number)

    async def delete(self, org: int, device: int, credential: int) -> bool:
        values = {"org": org, "device": device, "credential": credential}
        return bool(await self._removed("credential_delete", org, values))

    async def forget(self, org: int, device: int) -> int:
        return await self._removed("credential_forget", org, {"org": org, "device": device})

    async def _removed(self, statement: str, org: int, values: dict[str, int]) -> int:
        rows = await self._connection.all(SQL[statement], values)
        for row in rows:
            await self.note(org, row[0])
        return len(rows)

    async def note(self, org: int, account: str) -> None:
        await self._connection.all(SQL["account_change_insert"], {"org": org, "account": account})

    async def note_below(self, org: int) -> None:
        await self._enter_below(org)
        await self._connection.all(SQL["account_change_insert_devices"], {"org": org})
        values = {"org": org, "kind": KeyKind.NATS.value}
        groups = await self._connection.all(SQL["account_change_applications"], values)
        accounts = {(one, name) for one, role, scopes in groups for name in broker_groups(role, strings(scopes))}
        noted = [{"org": one, "account": name} for one, name in sorted(accounts)]
        await self._connection.many(SQL["account_change_insert"], noted)

    async def _enter_below(self, org: int) -> None:
        """Let nobody else write there, nor below what others have made there meanwhile: that needs one more look."""
        entered: set[int] = set()
        while True:
            rows = await self._connection.all(SQL["organization_names_below"], {"org": org})
            found = {row[0] for row in rows}
            if found <= entered:
                return
            await self._connection.enter(found)
            entered = found

    async def changes(self, after: int, limit: int) -> list[AccountChange]:
        rows = await self._connection.all(SQL["account_changes"], {"after": after, "limit": limit})
        return [AccountChange(*row) for row in rows]

    async def has_any(self, org: int) -> bool:
        return await self._connection.one(SQL["credential_of_org"], {"org": org}) is not None

    async def settle(self, numbers: Collection[int]) -> None:
        await self._connection.many(SQL["account_changes_settle"], [{"number": number} for number in numbers])


def _credential(row: Row | None) -> Credential | None:
    return _record(row) if row else None


def _record(row: Row) -> Credential:
    number, org, device, account, user, public_id, created_at, kind = row
    return Credential(number, org, device, account, user, public_id, created_at, Protocol(kind))
