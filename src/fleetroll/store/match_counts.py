"""How many devices have a text in what they are searched by: counted once, and kept in step with what is committed."""

from collections import deque
from collections.abc import Sequence

from fleetroll.core.bounded_cache import BoundedCache
from fleetroll.store.connection import Indexed

_MOST_COUNTS = 1_000
_MOST_CHANGES = 2_000


class MatchCounts:
    """Counts by organization and text, each exact as of a version of the substring index.

    The version is in the store, so each snapshot has its own. The writer notes what a version changes before it commits
    that, from a thread of its own: whatever version is seen, its changes are here or known to be forgotten.
    """

    def __init__(self) -> None:
        self._counts: BoundedCache[tuple[int, str], tuple[int, int]] = BoundedCache(_MOST_COUNTS)
        self._changes: deque[tuple[int, Indexed]] = deque()
        self._forgotten = 0  # the last version of which not all changes are here

    def note(self, version: int, changes: Sequence[Indexed]) -> None:
        """Note what is about to be committed as that version, in place of what was noted before a failed commit."""
        while self._changes and self._changes[-1][0] >= version:
            self._changes.pop()
        self._changes.extend((version, change) for change in changes)
        if (excess := len(self._changes) - _MOST_CHANGES) > 0:
            # Before they go, or another thread would take the rest for all.
            self._forgotten = self._changes[excess - 1][0]
        for _ in range(excess):
            self._changes.popleft()

    def get(self, org: int, text: str, version: int) -> int | None:
        """How many devices have the text as of that version, if that can be told."""
        since, devices = self._counts.get((org, text)) or (-1, 0)
        changes = list(self._changes)
        if not self._forgotten <= since <= version:
            return None
        for changed, (tenant, _, old, new) in changes:
            if since < changed <= version and tenant == org:
                devices += (new is not None and text in new) - (old is not None and text in old)
        return devices

    def put(self, org: int, text: str, version: int, devices: int) -> None:
        self._counts.put((org, text), (version, devices), 1)
