"""Rate limits: a steady rate with a burst, per key and per organization, and a Retry-After that is true.

The generic cell rate algorithm keeps one number per principal: the time at which its burst is whole again.
"""

import math
from collections.abc import Callable

from msgspec import Struct

from fleetroll.core.faults import Fault, Kind

_SWEEP_ABOVE = 10_000
_ROUNDING = 1e-9


class Rate(Struct, frozen=True):
    """`per_second` requests in the long run, up to `burst` at once; 0 per second is no limit."""

    per_second: float
    burst: int


class Limiter:
    """One rate, held by each principal for itself. `clock` counts seconds and never goes back."""

    def __init__(self, rate: Rate, clock: Callable[[], float], whose: str) -> None:
        self._interval = 1.0 / rate.per_second if rate.per_second else 0.0
        self._tolerance = self._interval * max(1, rate.burst)
        self._clock = clock
        self.whose = whose
        self._whole_at: dict[str | int, float] = {}
        self._room = _SWEEP_ABOVE

    def wait(self, principal: str | int) -> float:
        """Seconds until a request of this principal may pass; 0 or less is now."""
        if not self._interval:
            return 0.0
        now = self._clock()
        wait = max(now, self._whole_at.get(principal, now)) + self._interval - now - self._tolerance
        return wait if wait > _ROUNDING else 0.0

    def count(self, principal: str | int) -> None:
        """One request has passed."""
        if not self._interval:
            return
        now = self._clock()
        self._whole_at[principal] = max(now, self._whole_at.get(principal, now)) + self._interval
        if len(self._whole_at) > self._room:
            self._forget(now)

    def _forget(self, now: float) -> None:
        self._whole_at = {principal: at for principal, at in self._whole_at.items() if at > now}
        # Where most are still counting, the next sweep waits until it is worth its while.
        self._room = max(_SWEEP_ABOVE, 2 * len(self._whole_at))


def admit(*budgets: tuple[Limiter, str | int]) -> None:
    """Count one request on all budgets. Raises Fault rate_limited, and then it has cost nothing on any of them."""
    for limiter, principal in budgets:
        if limiter.wait(principal):
            raise _refusal(budgets)
    for limiter, principal in budgets:
        limiter.count(principal)


def _refusal(budgets: tuple[tuple[Limiter, str | int], ...]) -> Fault:
    # The longest wait of all, so that whoever waits it out is not refused again by the next budget.
    wait, whose = max((limiter.wait(principal), limiter.whose) for limiter, principal in budgets)
    seconds = max(1, math.ceil(wait - _ROUNDING))
    message = f"Too many requests for this {whose}; retry in {seconds} s."
    return Fault(Kind.RATE_LIMITED, "rate_limited", message, retry_after=seconds)
