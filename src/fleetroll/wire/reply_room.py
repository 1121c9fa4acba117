"""Replies that clients have not taken yet, and how much of our memory they may take together.

A reply that is made as a whole waits for its client, which may take its time over it, and a key may have thousands of
connections. When they take too much, those that have waited longest are given up: a client that reads comes last.
"""

from typing import Generic, TypeVar

from fleetroll.core import limits

C = TypeVar("C")


class ReplyRoom(Generic[C]):
    """The bytes of each connection that its client has not taken, as of when it was blocked."""

    def __init__(self) -> None:
        self._held: dict[C, int] = {}  # the first has waited the longest
        self._total = 0

    def hold(self, connection: C, size: int) -> list[C]:
        """Note the size of a connection's unread reply. Returns the connections to give up, and forgets them."""
        self.release(connection)
        self._held[connection] = size
        self._total += size
        given_up: list[C] = []
        while self._total > limits.MAX_UNREAD_REPLIES:
            given_up.append(next(iter(self._held)))
            self.release(given_up[-1])
        return given_up

    def release(self, connection: C) -> None:
        self._total -= self._held.pop(connection, 0)
