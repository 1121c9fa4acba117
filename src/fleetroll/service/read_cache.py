"""A cache of what was read from the store, kept until somebody may have changed it."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from fleetroll.store.port import Store

K = TypeVar("K")
V = TypeVar("V")


class ReadCache(Generic[K, V]):
    """At most `most` answers by key; one more drops all others.

    Nothing is kept that was read before the last `clear`, or while news of other processes cannot be heard.
    """

    def __init__(self, store: Store, most: int) -> None:
        self._store = store
        self._most = most
        self._answers: dict[K, V] = {}
        self._generation = 0

    def get(self, key: K) -> V | None:
        return self._answers.get(key)

    async def load(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """What `read` returns, kept unless something may have changed meanwhile."""
        generation = self._generation
        answer = await read()
        if generation == self._generation and self._store.receives_news:
            if len(self._answers) >= self._most:
                self._answers.clear()
            self._answers[key] = answer
        return answer

    def clear(self) -> None:
        self._answers.clear()
        self._generation += 1
