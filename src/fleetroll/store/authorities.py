"""Certificate authorities; whose key is here has it sealed."""

import base64

from fleetroll.core.certificates import Authority
from fleetroll.store import rows
from fleetroll.store.connection import Connection
from fleetroll.store.named import Named
from fleetroll.store.statements import SQL


class Authorities(Named[Authority]):
    """Implements `port.Authorities`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, "authority", rows.authority)

    async def everywhere(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        found = await self._connection.all(SQL["authority_everywhere"], {"after": after, "limit": limit})
        return [(number, base64.b64decode(certificate)) for number, certificate in found]
