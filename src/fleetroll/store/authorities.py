"""Certificate authorities; keys that are held here are stored sealed."""

import base64

import msgspec

from fleetroll.core.certificates import Authority, Edition
from fleetroll.store import rows
from fleetroll.store.connection import Connection
from fleetroll.store.named import Numbered
from fleetroll.store.port import AuthorityCertificate
from fleetroll.store.statements import SQL

_ROOT = 1


class Authorities(Numbered[Authority]):
    """Implements `port.Authorities`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, "authority", rows.authority)

    async def insert(self, new: Authority) -> Authority | None:
        # In turn, as if each wrote for the root organization, so that whoever follows them by number misses none.
        values = {**rows.named_values(new), "parent": _ROOT}
        number = await self._connection.added(SQL["authority_insert"], values)
        return None if number is None else msgspec.structs.replace(new, id=number)

    async def edition(self, org: int, authority: int) -> Edition | None:
        row = await self._connection.one(SQL["authority_edition"], {"org": org, "authority": authority})
        return Edition(*row) if row else None

    async def publish(self, org: int, authority: int, last: Edition, new: Edition) -> bool:
        values = {"org": org, "authority": authority, "last": last.number, **msgspec.structs.asdict(new)}
        return await self._connection.changed(SQL["authority_publish"], values)

    async def everywhere(self, after: int, limit: int) -> list[AuthorityCertificate]:
        found = await self._connection.all(SQL["authority_everywhere"], {"after": after, "limit": limit})
        return [AuthorityCertificate(number, base64.b64decode(certificate)) for number, certificate in found]
