"""Records with a name that is unique in their organization, as those of owners, groups and templates are.

One class for all.
"""

from collections.abc import Callable
from typing import Generic

import msgspec

from fleetroll.store import rows
from fleetroll.store.connection import Connection, Row
from fleetroll.store.port import R
from fleetroll.store.statements import SQL


class Named(Generic[R]):
    """Implements `port.Named` over the statements `<noun>_get`, `<noun>_page` and so on."""

    def __init__(self, connection: Connection, noun: str, record: Callable[[Row], R]) -> None:
        self._connection = connection
        self._noun = noun
        self._record = record

    async def get(self, org: int, name: str) -> R | None:
        return await self._one("get", {"org": org, "name": name})

    async def page(self, org: int, after: str, limit: int, skip: int = 0) -> list[R]:
        values = {"org": org, "after": after, "limit": limit, "skip": skip}
        return [self._record(row) for row in await self._connection.all(SQL[f"{self._noun}_page"], values)]

    async def insert(self, new: R) -> R | None:
        record = await self._connection.added(SQL[f"{self._noun}_insert"], rows.named_values(new))
        return None if record is None else msgspec.structs.replace(new, id=record)

    async def replace(self, changed: R) -> bool:
        return await self._connection.changed(SQL[f"{self._noun}_replace"], rows.named_values(changed))

    async def delete(self, org: int, record: int) -> bool:
        values = {"org": org, "record": record}
        return await self._connection.changed(SQL[f"{self._noun}_delete"], values)

    async def _one(self, verb: str, values: dict[str, object]) -> R | None:
        row = await self._connection.one(SQL[f"{self._noun}_{verb}"], values)
        return self._record(row) if row else None


class Numbered(Named[R]):
    """Implements `port.Numbered` over the statement `<noun>_by_id` as well."""

    async def by_id(self, org: int, record: int) -> R | None:
        return await self._one("by_id", {"org": org, "record": record})


class Reachable(Numbered[R]):
    """Implements `port.Reachable` over the statement `<noun>_home` as well."""

    async def home(self, org: int, record: int) -> int | None:
        row = await self._connection.one(SQL[f"{self._noun}_home"], {"org": org, "record": record})
        return row[0] if row else None
