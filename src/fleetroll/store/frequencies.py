"""Roughly how many devices a condition finds, which tells which condition of a filter leads to the fewest."""

import time

from fleetroll.core.query import Comparison

MOST = 10_000  # devices that are counted; what has more is frequent
_REMEMBERED_SECONDS = 60.0
_MOST_KEPT = 10_000


class Frequencies:
    """Counts by organization and condition, each kept for a minute: one that is wrong costs time, and nothing else."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[int, float]] = {}  # by a hash of both, as a condition may be long

    def get(self, org: int, part: Comparison) -> int | None:
        devices, until = self._found.get(hash((org, part)), (0, 0.0))
        return devices if time.monotonic() < until else None

    def put(self, org: int, part: Comparison, devices: int) -> None:
        if len(self._found) >= _MOST_KEPT:
            self._found.clear()
        self._found[hash((org, part))] = devices, time.monotonic() + _REMEMBERED_SECONDS
