"""Rate limits: a steady rate with a burst, per key and per organization, and a Retry-After that is true.

The generic cell rate algorithm keeps one number per principal: the time at which its burst is whole again.
"""

import math
from collections.abc import Callable

from msgspec import Struct

from fleetroll.core.faults import Fault, Kind

_SWEEP_ABOVE = 10_000


class Rate(Struct, frozen=True):
    """`per_second` requests in the long run, up to `burst` at once; 0 per second is no limit."""

    per_second: float
    burst: int


class Limiter:
    """One rate, held by each principal for itself. `clock` counts seconds and never goes back."""

    def __init__(self, rate: Rate, clock: Callable[[], float], whose: str) -> None:
        self._interval = 1.0 / rate.per_second if rate.per_second else 0.0
        self._tolerance = self._interval * rate.burst
        self._clock = clock
        self._whose = whose
        self._whole_at: dict[int, float] = {}

    def admit(self, principal: int) -> None:
        """Count one request. Raises Fault rate_limited; a refused request costs nothing."""
        if not self._interval:
            return
        now = self._clock()
        whole_at = max(now, self._whole_at.get(principal, now)) + self._interval
        wait = whole_at - now - self._tolerance
        if wait > 1e-9:
            raise self._refusal(wait)
        self._whole_at[principal] = whole_at
        if len(self._whole_at) > _SWEEP_ABOVE:
            self._forget(now)

    def _forget(self, now: float) -> None:
        self._whole_at = {principal: at for principal, at in self._whole_at.items() if at > now}

    def _refusal(self, wait: float) -> Fault:
        seconds = max(1, math.ceil(wait))
        message = f"Too many requests for this {self._whose}; retry in {seconds} s."
        return Fault(Kind.RATE_LIMITED, "rate_limited", message, retry_after=seconds)
