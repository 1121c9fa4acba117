"""How long a client may take over each part of a request and of its reply."""

from dataclasses import dataclass

from fleetroll.core import limits


@dataclass(frozen=True, slots=True)
class Deadlines:
    """In seconds; `minimum_rate` in bytes per second. A deadline is an upper bound: the last sweep before it acts."""

    header: float = limits.HEADER_DEADLINE
    keep_alive: float = limits.KEEP_ALIVE
    body_stall: float = limits.BODY_STALL_DEADLINE
    body_grace: float = limits.BODY_STALL_DEADLINE
    minimum_rate: float = limits.BODY_MINIMUM_RATE
    reader_stall: float = limits.READER_STALL_DEADLINE
    linger: float = 2.0
    drain: float = limits.DRAIN_TIME
    drain_settle: float = 0.25

    @property
    def sweep(self) -> float:
        """The pause between two sweeps."""
        shortest = min(self.header, self.keep_alive, self.body_stall, self.body_grace, self.reader_stall, self.linger)
        return min(1.0, shortest / 4)
