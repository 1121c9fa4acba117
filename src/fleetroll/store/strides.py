"""How far a walk over devices goes at a time: about as far as takes a moment, whatever is asked of each of them.

Nobody can foretell that: it depends on the filter, on the documents, and on what the disk has in its cache.
"""

FIRST, GROWTH = 10, 10
_LONGEST = 100_000
_SECONDS = 0.25
_MOST_SECONDS = 1.0
_PORTIONS = 2
_LEAST = 1e-9


class Stride:
    """How many devices a walk looks at before it lets others go on, those included that its filter does not find.

    What a stride costs however short it is, such as looking up a text that is not to be found, is told apart from what
    each device costs: it is worth up to a second more, and strides do not get shorter for it. Where much is found, a
    stride has some two portions of it: for a few out of a long one, PostgreSQL might join and sort all of it.
    """

    def __init__(self) -> None:
        self._devices = FIRST
        self._begin_again()

    def _begin_again(self) -> None:
        self._took: float | None = None
        self._fixed, self._found = 0.0, 0
        self._before: tuple[int, float] | None = None

    def next(self, portion: int) -> int:
        """How many devices the next stride passes, by what the last ones took and found."""
        if self._took is not None:
            self._tell_apart(self._took)
            each = max(self._took - self._fixed, _LEAST) / self._devices
            affordable = min(max(_SECONDS, self._fixed), _MOST_SECONDS) / each
            useful = _PORTIONS * portion * self._devices / max(self._found, _LEAST)
            self._before, self._took, self._found = (self._devices, self._took), None, 0
            self._go(min(affordable, useful))
        return self._devices

    def took(self, seconds: float, found: int) -> None:
        """A portion of this stride took so long, and has so many devices."""
        self._took = (self._took or 0.0) + seconds
        self._found += found

    def shorten(self) -> bool:
        """This stride took too long to be finished. Returns whether it could be shorter, as the next one is."""
        could = self._devices > 1
        self._begin_again()
        self._go(self._devices / GROWTH)
        return could

    def _tell_apart(self, took: float) -> None:
        """Estimate what any stride costs, by two of clearly different lengths."""
        devices, seconds = self._before or (self._devices, 0.0)
        if self._devices >= 2 * devices or 2 * self._devices <= devices:
            each = max((took - seconds) / (self._devices - devices), 0.0)
            self._fixed = max(took - each * self._devices, 0.0)

    def _go(self, devices: float) -> None:
        least, most = self._devices / GROWTH, self._devices * GROWTH
        self._devices = int(max(1, min(max(least, devices), most, _LONGEST)))
