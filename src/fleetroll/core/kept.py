"""What is kept because it may be asked for again, in so much room."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Values by key, whose sizes add up to `room` at most: what was kept the longest ago goes first."""

    def __init__(self, room: int) -> None:
        self._values: OrderedDict[K, V] = OrderedDict()
        self._sizes: dict[K, int] = {}
        self._room = room
        self.get = self._values.get

    def keep(self, key: K, value: V, size: int) -> None:
        """Keep a value in place of the one before it; not at all if it is larger than the room."""
        self._room += self._sizes.get(key, 0) - size
        self._sizes[key] = size
        self._values[key] = value
        self._values.move_to_end(key)
        while self._room < 0:
            oldest, _ = self._values.popitem(last=False)
            self._room += self._sizes.pop(oldest)
