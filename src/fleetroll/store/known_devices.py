"""A cache of devices, for lists that are asked for again and again, as by everybody who watches a fleet.

Most devices do not change from one time to the next. So such a list first asks for the marks of what it finds, and
reads in full only the devices whose marks are not known here. A list that is asked for once is read as a whole, and so
is one most of whose devices change each time, as where a fleet speaks every second.
"""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final

from fleetroll.core.bounded_cache import BoundedCache
from fleetroll.core.model import Device
from fleetroll.store import rows
from fleetroll.store.connection import Row

# What tells two readings of a device apart: its revision, and the columns that presence writes without a new one.
MARK: Final = ("id", "revision", "connected", "last_seen", "activated_at", "spoke_at")
_MOST_LISTS: Final = 4_096
_MOST_BYTES: Final = 20 << 20
_REST: Final = 1_000  # about the bytes of a device besides its documents

# What is known of a list: how many more times it is read as a whole; at `_UNTRIED` or less, its marks are asked for.
_UNTRIED: Final = 0
_TRIED: Final = -1
_RESTLESS: Final = 8

_mark = itemgetter(*map(rows.DEVICE.index, MARK))
_documents = itemgetter(*map(rows.DEVICE.index, (*rows.DESCRIBED, "software", "identity", "metadata_times")))


class KnownDevices:
    """Devices by id, each with its mark; a device that has not changed is the same object. For the event loop alone."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._lists: BoundedCache[int, int] = BoundedCache(_MOST_LISTS)
        self._devices: BoundedCache[int, tuple[Row, Device]] = BoundedCache(most_bytes)

    def asks_for_marks(self, statement: str, values: dict[str, Any]) -> int | None:
        """A key of this list, for `learn`; None if it is to be read as a whole, as the first time."""
        list_key = hash((statement, *values.values()))  # a collision costs time, and nothing else
        left = self._lists.get(list_key)
        if left is not None and left <= _UNTRIED:
            return list_key
        self._lists.put(list_key, left - 1 if left else _UNTRIED, 1)
        return None

    def learn(self, list_key: int, marks: int, others: int) -> None:
        """Of so many `marks` in a list, `others` were not known. The first time none are, which says nothing yet."""
        is_restless = self._lists.get(list_key) == _TRIED and others * 2 > marks
        self._lists.put(list_key, _RESTLESS if is_restless else _TRIED, 1)

    def find(self, marks: Sequence[Row]) -> tuple[list[Device], list[int]]:
        """The devices that are known under these marks, in their order, and the ids of the others."""
        known = self._devices.get
        found, others = [], []
        for mark in marks:
            entry = known(mark[0])
            if entry is not None and entry[0] == mark:
                found.append(entry[1])
            else:
                others.append(mark[0])
        return found, others

    def put(self, read: Iterable[Row]) -> None:
        """Remember devices as they were read."""
        for row in read:
            size = _REST + sum(map(len, filter(None, _documents(row))))
            self._devices.put(row[0], (_mark(row), rows.device(row)), size)
