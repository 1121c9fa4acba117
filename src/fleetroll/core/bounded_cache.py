"""A cache of bounded size."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Values by key, whose sizes add up to `room` at most: the one stored longest ago is evicted first."""

    def __init__(self, room: int) -> None:
        self._values: OrderedDict[K, V] = OrderedDict()
        self._sizes: dict[K, int] = {}
        self._room = room
        self.get = self._values.get

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value in place of the key's former one. One larger than the room is lost, and empties the cache."""
        self._room += self._sizes.get(key, 0) - size
        self._sizes[key] = size
        self._values[key] = value
        self._values.move_to_end(key)
        while self._room < 0:
            oldest, _ = self._values.popitem(last=False)
            self._room += self._sizes.pop(oldest)
