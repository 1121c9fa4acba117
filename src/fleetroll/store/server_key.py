"""The server key, of which a store has no more than a mark and what was sealed under it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from fleetroll.core import names
from fleetroll.store import rows
from fleetroll.store.connection import Connection, Row
from fleetroll.store.port import Origin
from fleetroll.store.statements import SQL

Admit: TypeAlias = Callable[[Origin], None]
"""Called with the origin of an existing store before anything in it is changed; raises to refuse it."""
EVIDENCE = {
    "server_key": SQL["server_key_mark"],
    "authority": SQL["server_key_sealed"],
    "timeline": SQL["timeline_last"],
}
"""The statements that find an origin, by the table that each needs; they work in every schema that has it."""
ROOT = {"org": names.ABOVE_ROOT, "slug": names.ROOT, "limit": 100}


def origin(found: Mapping[str, Sequence[Row]]) -> Origin:
    """The origin, from what the statements of `EVIDENCE` found."""
    marks, events = found.get("server_key"), found.get("timeline")
    return Origin(
        mark=str(marks[0][0]) if marks else None,
        sealed=[rows.authority(row) for row in found.get("authority", ())],
        is_used=bool(events and events[0][0]),
    )


def admit_any(_: Origin) -> None:
    """Admits every store: for whoever needs nothing that a server key opens."""


class ServerKey:
    """Implements `port.ServerKey`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def leave_mark(self, mark: str) -> bool:
        await self._connection.changed(SQL["server_key_leave"], {"mark": mark})
        row = await self._connection.one(SQL["server_key_mark"], {})
        return row is not None and row[0] == mark
