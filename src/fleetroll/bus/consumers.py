"""How many consumers of commands devices have, of those that the broker allows for all together.

None has more than its own bound, and no organization more than a part of what others leave, so that there always are
some for the next.
"""

from collections import Counter

from fleetroll.core import limits


class Consumers:
    """Those that we have made and whose end the broker has not reported. They go by the names that the broker knows."""

    def __init__(self) -> None:
        self._owners: dict[str, tuple[str, str]] = {}
        self._counts: Counter[str] = Counter()  # of organizations and of devices

    def add(self, org: str, device: str, name: str) -> bool:
        """Count one that is to be made. Returns whether it may be, or is there."""
        if name in self._owners:
            return True
        own, others = self._counts[org], len(self._owners) - self._counts[org]
        if own >= int(limits.BUS_TENANT_CONSUMERS * (limits.BUS_CONSUMERS - others)):
            return False
        if self._counts[device] >= limits.BUS_DEVICE_CONSUMERS:
            return False
        self._owners[name] = org, device
        self._counts.update((org, device))
        return True

    def remove(self, name: str) -> None:
        for owner in self._owners.pop(name, ()):
            self._counts[owner] -= 1
            if not self._counts[owner]:
                del self._counts[owner]

    def clear(self) -> None:
        self._owners.clear()
        self._counts.clear()

    def __contains__(self, name: str) -> bool:
        return name in self._owners
