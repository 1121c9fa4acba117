"""Rate limits per key and per organization, with a truthful Retry-After: a steady rate with a burst, or a window.

Either keeps one number per principal, the time after which it may be forgotten: for the generic cell rate algorithm,
when its burst is whole again; for a window, when it ends. Several processes of one server keep these numbers in shared
memory, so that a limit is the same for all of them.
"""

import fcntl
import functools
import hashlib
import math
import mmap
import os
import struct
from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from fleetroll.core.faults import Fault, Kind

_SWEEP_ABOVE = 10_000
_ROUNDING = 1e-9
_TICKS = 64  # per second; a window ends at one
_REQUESTS = 1 << 20  # parts of a tick, each of which counts a request: more than any window has


class Rate(Struct, frozen=True):
    """`per_second` requests in the long run, up to `burst` at once; 0 per second is no limit."""

    per_second: float
    burst: int


class LimitState(Protocol):
    """The time kept for each principal. While the context is entered, nobody else changes it."""

    def get(self, scope: str, principal: str | int) -> float | None: ...

    def put(self, times: Mapping[tuple[str, str | int], float], now: float) -> None: ...

    def __enter__(self) -> "LimitState": ...

    def __exit__(self, *_: object) -> None: ...


class LocalLimitState:
    """Kept by one process for itself."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str | int], float] = {}
        self._room = _SWEEP_ABOVE

    def get(self, scope: str, principal: str | int) -> float | None:
        return self._times.get((scope, principal))

    def put(self, times: Mapping[tuple[str, str | int], float], now: float) -> None:
        self._times.update(times)
        if len(self._times) > self._room:
            self._forget(now)

    def _forget(self, now: float) -> None:
        self._times = {principal: at for principal, at in self._times.items() if at > now}
        # If most are still needed, the next sweep waits until it is worthwhile.
        self._room = max(_SWEEP_ABOVE, 2 * len(self._times))

    def __enter__(self) -> LimitState:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class SharedLimitState:
    """Kept in memory that a process shares with its forks.

    A hash table of fixed size. If all slots near the one that a principal's digest names are taken, the principal
    whose time ends first is forgotten. The lock is the kernel's, which releases it when a process dies.
    """

    def __init__(self) -> None:
        self._file = os.memfd_create("fleetroll-rate-limits")
        os.ftruncate(self._file, _SLOTS * _SLOT.size)
        self._memory = mmap.mmap(self._file, _SLOTS * _SLOT.size)

    def get(self, scope: str, principal: str | int) -> float | None:
        name, offsets = _offsets(scope, principal)
        for offset in offsets:
            known, at = _SLOT.unpack_from(self._memory, offset)
            if known == name:
                return float(at)
        return None

    def put(self, times: Mapping[tuple[str, str | int], float], now: float) -> None:
        for (scope, principal), at in times.items():
            self._put(scope, principal, at)

    def _put(self, scope: str, principal: str | int, at: float) -> None:
        name, offsets = _offsets(scope, principal)
        taken = [(_SLOT.unpack_from(self._memory, offset), offset) for offset in offsets]
        own = [offset for (known, _), offset in taken if known == name]
        _, soonest = min((ends_at, offset) for (_, ends_at), offset in taken)
        _SLOT.pack_into(self._memory, own[0] if own else soonest, name, at)

    def __enter__(self) -> LimitState:
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)


_SLOT = struct.Struct("=Qd")
_SLOTS, _PROBES = 1 << 16, 8


@functools.lru_cache(maxsize=_SWEEP_ABOVE)
def _offsets(scope: str, principal: str | int) -> tuple[int, list[int]]:
    """The digest of a principal, and the offsets where it may be found."""
    digest = int.from_bytes(hashlib.blake2b(f"{scope} {principal}".encode(), digest_size=8).digest(), "big") | 1
    return digest, [(digest + step) % _SLOTS * _SLOT.size for step in range(_PROBES)]


class Limiter(Protocol):
    """A limit on the requests of each principal for itself. `clock` counts seconds and never goes back."""

    clock: Callable[[], float]
    scope: str
    state: LimitState

    def charge(self, principal: str | int, now: float) -> tuple[float, float]:
        """What to keep of this principal after one more request, and the seconds that it must wait, if above 0."""


class SteadyLimiter:
    """A limiter by a steady rate with a burst: the generic cell rate algorithm."""

    __slots__ = ("clock", "interval", "scope", "state", "tolerance")

    def __init__(self, rate: Rate, clock: Callable[[], float], scope: str, state: LimitState | None = None) -> None:
        self.interval = 1.0 / rate.per_second if rate.per_second else 0.0
        self.tolerance = self.interval * max(1, rate.burst) + _ROUNDING
        self.clock = clock
        self.scope = scope
        self.state: LimitState = state or LocalLimitState()

    def charge(self, principal: str | int, now: float) -> tuple[float, float]:
        whole_at = self.state.get(self.scope, principal)
        at = self.interval + (now if whole_at is None or whole_at < now else whole_at)
        return at, at - now - self.tolerance


class Window:
    """A limiter by a number of requests in each window, which begins with the first of them, as vendors count them.

    One number is kept: its whole ticks are when the window ends, its fraction of a tick counts the requests so far.
    """

    __slots__ = ("clock", "full", "scope", "seconds", "state")

    def __init__(
        self, requests: int, seconds: int, clock: Callable[[], float], scope: str, state: LimitState | None = None
    ) -> None:
        self.seconds = seconds
        self.full = requests / _REQUESTS
        self.clock = clock
        self.scope = scope
        self.state: LimitState = state or LocalLimitState()

    def charge(self, principal: str | int, now: float) -> tuple[float, float]:
        ticks = (self.state.get(self.scope, principal) or 0.0) * _TICKS
        end = math.floor(ticks)
        if end <= now * _TICKS:
            ticks = end = math.floor(now * _TICKS) + self.seconds * _TICKS
        wait = end / _TICKS - now if ticks - end >= self.full else 0.0
        return (ticks + 1 / _REQUESTS) / _TICKS, wait


def limiting(rate: Rate, clock: Callable[[], float], scope: str, state: LimitState) -> tuple[Limiter, ...]:
    """The limiter of a rate, or none where there is no limit."""
    return (SteadyLimiter(rate, clock, scope, state),) if rate.per_second else ()


Budget = tuple[Limiter, str | int]


def admit(*budgets: Budget) -> None:
    """Count one request on all budgets, which must share their `state`.

    Raises Fault rate_limited, and then the request has cost nothing on any of them.
    """
    first = budgets[0][0]
    now = first.clock()
    with first.state as state:
        passed: dict[tuple[str, str | int], float] = {}
        for limiter, principal in budgets:
            at, wait = limiter.charge(principal, now)
            if wait > 0:
                raise _refusal(budgets, now)
            passed[limiter.scope, principal] = at
        state.put(passed, now)


def _refusal(budgets: tuple[Budget, ...], now: float) -> Fault:
    # The longest wait of all, so that whoever waits it out is not refused again by the next budget.
    wait, scope = max((limiter.charge(principal, now)[1], limiter.scope) for limiter, principal in budgets)
    seconds = max(1, math.ceil(wait))
    message = f"Too many requests for this {scope}; retry in {seconds} s."
    return Fault(Kind.RATE_LIMITED, "rate_limited", message, retry_after=seconds)
