"""How the streams of organizations share the broker's disk, so that not even all of them together can fill it."""

from msgspec import Struct

from fleetroll.core import limits


class Disk(Struct, frozen=True):
    """A disk with so many bytes free, besides those that its streams hold together; so many `streams` share it."""

    free: int
    held: int
    streams: int

    def bound(self, held: int) -> int:
        """How much a stream that holds so much may hold: at most its share of the whole, and of what is left for all.

        However much the others hold, each may have an equal part of what is kept for that.
        """
        whole = self.free + self.held
        left = max(0, self.free - int(whole * (1 - limits.BUS_INGEST_TOTAL)))
        own, equal = int(whole * limits.BUS_INGEST_SHARE), int(whole * limits.BUS_INGEST_LAST) // max(1, self.streams)
        return max(1, equal, min(own, held + left // 4))  # to the broker, 0 is no bound

    def is_right(self, bound: int, held: int) -> bool:
        """Whether a bound lets a stream that holds so much take about as much more as it may: half, or twice."""
        more = max(0, self.bound(held) - held)
        return more // 2 <= max(0, bound - held) <= 2 * more
