"""How many devices a walk passes at a time: about as many as take a quarter of a second, whatever is asked of each.

Nobody can foretell how many those are: it depends on the filter, on the documents, and on what is in the disk's cache.
So each stride goes by how long those before it took.
"""

FIRST, GROWTH = 10, 10
_LONGEST = 100_000
_SECONDS = 0.25
_MOST_SECONDS = 1.0
_PORTIONS = 2
_LEAST = 1e-9


class Stride:
    """How many devices a walk looks at before it lets others go on, those included that its filter does not find.

    Some of a stride's time is the same however short it is, as for looking up a text that no device has. It is told
    apart from the time for each device and does not make strides shorter: the devices of a stride may take as long
    again, up to a second. Where much is found, a stride finds about two portions: to get a few devices out of a long
    stride, PostgreSQL might join and sort all of it.
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
            self._resize(min(affordable, useful))
        return self._devices

    def took(self, seconds: float, found: int) -> None:
        """Note that a portion of this stride took so long, and found so many devices."""
        self._took = (self._took or 0.0) + seconds
        self._found += found

    def shorten(self) -> bool:
        """Note that this stride took too long to be finished. Returns whether the next one will be shorter."""
        could = self._devices > 1
        self._begin_again()
        self._resize(self._devices / GROWTH)
        return could

    def _tell_apart(self, took: float) -> None:
        """Estimate the time that any stride takes, from two of clearly different lengths."""
        devices, seconds = self._before or (self._devices, 0.0)
        if self._devices >= 2 * devices or 2 * self._devices <= devices:
            each = max((took - seconds) / (self._devices - devices), 0.0)
            self._fixed = max(took - each * self._devices, 0.0)

    def _resize(self, devices: float) -> None:
        least, most = self._devices / GROWTH, self._devices * GROWTH
        self._devices = int(max(1, min(max(least, devices), most, _LONGEST)))
