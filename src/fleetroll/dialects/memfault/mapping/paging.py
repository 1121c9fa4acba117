"""Pages by number, and lists that are short enough to be made whole."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from fleetroll.core import ids, limits, names
from fleetroll.core.faults import invalid
from fleetroll.core.query import OffsetPage
from fleetroll.dialects.memfault.shapes.envelopes import Many, Paging
from fleetroll.wire.dialect import LongList
from fleetroll.wire.request import Request

T = TypeVar("T")
_DEFAULT_PAGE = 100


class PageNumber(NamedTuple):
    """The number of a page, from 1, and how many records it may have."""

    number: int
    size: int


def page_number(request: Request) -> PageNumber:
    """The page that is asked for, of at most `limits.MAX_NUMBERED_PAGE` records. Raises Fault invalid."""
    number, size = request.query.get("page"), request.query.get("per_page")
    return PageNumber(
        1 if number is None else names.positive(number, "page", ids.MAX_ID),
        _DEFAULT_PAGE if size is None else min(names.positive(size, "per_page", ids.MAX_ID), limits.MAX_NUMBERED_PAGE),
    )


def offset_page(request: Request) -> OffsetPage:
    """The page that is asked for. One beyond all that can be stored is as empty as any other past the end."""
    number, size = page_number(request)
    return OffsetPage(size, min((number - 1) * size, ids.MAX_ID))


def many(records: Sequence[T], total: int, shape: Callable[[T], Any], request: Request) -> LongList:
    """One page of a list of `total` records, each as `shape` shows it."""
    number, size = page_number(request)
    paging = Paging(len(records), total, number, -(-total // size), size)
    return LongList(records, shape, lambda shown: Many(shown, paging))


def cut(whole: Sequence[T], shape: Callable[[T], Any], request: Request) -> LongList:
    """As `many`, from a list that is short enough to be read whole."""
    number, size = page_number(request)
    return many(whole[(number - 1) * size : number * size], len(whole), shape, request)


def numbered(request: Request) -> None:
    """The input of a list that takes nothing but its page, which is checked before anything is read."""
    page_number(request)


def numbered_by_creation(request: Request) -> None:
    """As `numbered`, for a list that can be sorted by when its records were made."""
    page_number(request)
    check_order(request)


def check_order(request: Request) -> None:
    """Raises Fault invalid `invalid_sort` for an order other than by creation."""
    for key in request.query.all("sort"):
        if key.removeprefix("-") != "created_date":
            raise invalid("invalid_sort", "sort must be created_date, with - for descending.", "sort")


def picked(records: Iterable[T], request: Request, **read: Callable[[T], str | None]) -> list[T]:
    """The records that have, for each member that is asked for, one of the values asked for."""
    conditions = [(read_member, values) for name, read_member in read.items() if (values := request.query.all(name))]
    return [record for record in records if all(read_member(record) in values for read_member, values in conditions)]


def by_creation(records: list[T], request: Request, made: Callable[[T], int]) -> list[T]:
    """The records in the order asked for, which `check_order` has accepted; `made` tells when one was."""
    keys = request.query.all("sort")
    return sorted(records, key=made, reverse=keys[0].startswith("-")) if keys else records
