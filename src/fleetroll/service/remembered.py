"""What was read of the store and is asked for again and again, kept until somebody may have changed it."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from fleetroll.store.port import Store

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Answers by key. Nothing is kept that was read before the last `forget`, or while news cannot be heard."""

    def __init__(self, store: Store, most: int) -> None:
        self._store = store
        self._most = most
        self._answers: dict[K, V] = {}
        self._generation = 0

    def get(self, key: K) -> V | None:
        return self._answers.get(key)

    async def learn(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """What `read` returns, kept unless something may have changed meanwhile."""
        generation = self._generation
        answer = await read()
        if generation == self._generation and self._store.hears:
            if len(self._answers) >= self._most:
                self._answers.clear()
            self._answers[key] = answer
        return answer

    def forget(self) -> None:
        self._answers.clear()
        self._generation += 1
