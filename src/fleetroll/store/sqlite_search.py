"""Keeps SQLite's substring index in proportion to the devices that it finds.

What a device was found by stays in the index, beside a note that it is no longer valid, until a merge reaches the
oldest segment. SQLite itself merges that one less and less often: the index of a fleet whose devices keep being renamed
or replaced would grow with every change.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import apsw

from fleetroll.store.connection import Row
from fleetroll.store.port import Records
from fleetroll.store.sqlite_writer import Writer
from fleetroll.store.statements import SQL

_SMALL_PAGES: Final = 256  # an index up to here, 1 MiB, is left alone
# What a merge writes within some ten milliseconds, in which nobody else does. What a trigram finds is merged in one
# portion: for one that a million devices have in common that takes some thirty.
_PORTION_PAGES: Final = 16
_PAUSE_SECONDS: Final = 0.05
_FEWEST_CHANGES: Final = 2  # of a merge that did something: SQLite counts the statement itself as one


async def tend(segments: Sequence[Row], writer: Writer, connection: apsw.Connection) -> None:
    """Merge the index if most of it may be no longer valid, in portions between which others write.

    The largest of its segments, of which the pages are given, has most of what is valid. A merge left unfinished is
    taken up the next time.
    """
    pages = [int(row[0]) for row in segments]
    if sum(pages) < max(_SMALL_PAGES, 2 * max(pages, default=0)):
        return
    # Each time that it is asked, SQLite may find more to merge, as long as others write.
    for portion in range(sum(pages) // _PORTION_PAGES + 2):
        if not await _merge(writer, connection, begins=portion == 0):
            return
        await asyncio.sleep(_PAUSE_SECONDS)


async def _merge(writer: Writer, connection: apsw.Connection, *, begins: bool) -> bool:
    """Merge one portion; False if there is nothing left to merge."""
    pages = -_PORTION_PAGES if begins else _PORTION_PAGES  # below zero: all segments, however few there are

    async def work(_: Records) -> bool:
        before = connection.total_changes()
        connection.execute(SQL["sqlite_index_merge"], {"pages": pages})
        return connection.total_changes() - before >= _FEWEST_CHANGES

    return await writer.write(work, bulk=True, relieves=False)
