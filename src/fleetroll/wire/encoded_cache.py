"""A cache of what the records of lists were shown as.

A store that remembers a record gives the same object until it changes; what is shown of it is then the same as well,
and need not be made and encoded again for each reader.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
from msgspec import Raw

from fleetroll.core.bounded_cache import BoundedCache

_MOST_BYTES: Final = 20 << 20
_RECORD: Final = 1_000  # bytes, about, of a record that perhaps only this cache keeps, without what is shown of it

_encode = msgspec.json.Encoder().encode


class Numbered(Protocol):
    @property
    def id(self) -> int: ...


R = TypeVar("R", bound=Numbered)


class EncodedCache(Generic[R]):
    """Shows records by `shape`, which must make the same of a record each time."""

    def __init__(self, shape: Callable[[R], Any], most_bytes: int = _MOST_BYTES) -> None:
        self._shape = shape
        self._known: BoundedCache[int, tuple[R, Raw | None]] = BoundedCache(most_bytes)

    def all(self, records: Sequence[R]) -> list[Any]:
        """Their shapes; or their JSON, each encoded once, if the first of them is the same object as last time.

        So a list that is asked for only once is neither encoded here nor kept.
        """
        if records and self._is_known(records[0]):
            return [self._written(record) for record in records]
        return [self._shape(record) for record in records]

    def _is_known(self, record: R) -> bool:
        known = self._known.get(record.id)
        if known is not None and known[0] is record:
            return True
        self._known.put(record.id, (record, None), _RECORD)
        return False

    def _written(self, record: R) -> Raw:
        known = self._known.get(record.id)
        if known is not None and known[0] is record and known[1] is not None:
            return known[1]
        text = _encode(self._shape(record))
        written = Raw(text)
        self._known.put(record.id, (record, written), _RECORD + 2 * len(text))
        return written
