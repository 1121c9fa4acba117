"""Bodies that have not fully arrived yet, and how much of our memory they may take meanwhile.

A client may take its time over a body, and a key may have thousands of connections. Whoever finds no room is told so at
once. A body that came in one piece waits for nothing, and is not counted. Of a body that is read row by row, only the
unfinished row counts.
"""

from collections import Counter

from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.model import Principal

_STRANGERS = 0  # which no organization has as its number


class BodyRoom:
    """The bytes held of unfinished bodies. All tenants share the room, and only the root may take all of it."""

    def __init__(self) -> None:
        self._taken: Counter[int] = Counter()

    def share(self, principal: Principal) -> "Share":
        """What one request takes: a context that gives it back on exit.

        Strangers have a share of their own, wherever they ask: they take nothing of a tenant's.
        """
        org = principal.org
        tenant = _STRANGERS if principal.is_stranger else org.tenant
        return Share(self._taken, tenant, limits.MAX_BODIES if tenant == org.lineage[0] else limits.MAX_TENANT_BODIES)


class Share:
    """The part of the room that one request has."""

    def __init__(self, taken: Counter[int], tenant: int, most: int) -> None:
        self._taken = taken
        self._tenant = tenant
        self._most = most
        self._size = 0

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._size:
            return
        self._taken[self._tenant] -= self._size
        if not self._taken[self._tenant]:
            del self._taken[self._tenant]

    def hold(self, size: int) -> None:
        """Hold so many bytes in place of those held before. Raises as `take`."""
        self.take(size - self._size)

    def take(self, size: int) -> None:
        """Hold so many more bytes. Raises Fault unavailable `too_many_bodies`."""
        own, of_all = self._taken[self._tenant] + size, self._taken.total() + size
        if own > self._most or of_all > limits.MAX_BODIES:
            raise Fault(Kind.UNAVAILABLE, "too_many_bodies", "Too many request bodies are arriving now.", retry_after=1)
        self._taken[self._tenant] += size
        self._size += size
