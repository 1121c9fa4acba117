"""How the streams of organizations share the broker's disk, so that not even all of them together can fill it.

The broker refuses what exceeds a stream's bound, but we see what is held, and set bounds anew, only every few seconds.
What all streams may take until then must be there, however many of them take it at the same moment.
"""

from msgspec import Struct

from fleetroll.core import limits


class Disk(Struct, frozen=True):
    """A disk with so many bytes free, besides those that its streams hold together.

    So many `streams` share it, of which some are `busy`: they hold much, or did and still take in messages.
    """

    free: int
    held: int
    streams: int
    busy: int = 0

    def is_much(self, held: int) -> bool:
        """Whether a stream that holds so much needs more than its equal part soon."""
        return 2 * held >= self._equal

    def bound(self, held: int, *, is_busy: bool) -> int:
        """How much a stream that holds so much may hold: at most its share of the whole, and of what is left for all.

        However much the others hold, each may have an equal part of what is kept for that.
        """
        own = int(self._whole * limits.BUS_INGEST_SHARE)
        return max(1, self._equal, min(own, held + self._more(is_busy=is_busy)))  # to the broker, 0 is no bound

    def is_right(self, bound: int, held: int, *, is_busy: bool) -> bool:
        """Whether a bound lets a stream that holds so much take about as much more as it may: half, or twice."""
        more = max(0, self.bound(held, is_busy=is_busy) - held)
        return more // 2 <= max(0, bound - held) <= 2 * more

    def _more(self, *, is_busy: bool) -> int:
        """What a stream may take until we look again: a quarter of what is left.

        If all together could take what is left, busy ones have half of it in equal parts, so that they cannot have more
        than all of it by bounds twice as high as they should be; others have only what is kept for them.
        """
        left = max(0, self.free - int(self._whole * (1 - limits.BUS_INGEST_TOTAL)))
        unreachable = min(left // 4, max(0, left - limits.BUS_LOOK_BYTES))
        return max(unreachable, left // (2 * max(2, self.busy))) if is_busy else unreachable

    @property
    def _whole(self) -> int:
        return self.free + self.held

    @property
    def _equal(self) -> int:
        return int(self._whole * limits.BUS_INGEST_LAST) // max(1, self.streams)
