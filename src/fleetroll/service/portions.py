"""Lists that are read in portions: all of a long one at a time would keep everybody else waiting, and take memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from fleetroll.core import limits
from fleetroll.core.query import Part, cut

R = TypeVar("R")
K = TypeVar("K")


async def portions(
    page: Callable[[K, int], Awaitable[list[R]]], key: Callable[[R], K], start: K, most: int | None = None
) -> AsyncIterator[list[R]]:
    """All records after `start`. `page` reads those after a key, up to a limit; `key` is the key of a record.

    `most` is how many there are in a portion, by default as many as in a page.
    """
    after, most = start, most or limits.MAX_PAGE
    while found := await page(after, most):
        yield found
        if len(found) < most:
            return
        after = key(found[-1])


async def whole(page: Callable[[K, int], Awaitable[list[R]]], key: Callable[[R], K], start: K) -> list[R]:
    """As `portions`, in one list."""
    return [record async for found in portions(page, key, start) for record in found]


async def part(
    page: Callable[[K, int], Awaitable[list[R]]],
    key: Callable[[R], K],
    start: K,
    limit: int,
    *,
    weight: Callable[[R], int],
    room: int,
    most: int,
) -> Part[R, K]:
    """The first `limit` records that follow `start`. Of large ones it has fewer, and the next page has the rest.

    They are read `most` at a time, until there is no `room` for more of their weight.
    """
    found: list[R] = []
    async for some in portions(page, key, start, min(most, limit + 1)):
        found += some
        room -= sum(map(weight, some))
        if len(found) > limit or (room < 0 and len(found) > 1):
            break
    return cut(found, limit if room >= 0 else min(limit, max(len(found) - 1, 1)), key)
