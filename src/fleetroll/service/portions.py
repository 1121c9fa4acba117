"""Lists that are needed whole, read in portions: all of a long one at a time would keep everybody else waiting."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from fleetroll.core import limits

R = TypeVar("R")
K = TypeVar("K")


async def portions(
    page: Callable[[K, int], Awaitable[list[R]]], key: Callable[[R], K], start: K, most: int | None = None
) -> AsyncIterator[list[R]]:
    """All records after `start`. `page` reads those after a key, up to a limit; `key` is the key of a record."""
    after, most = start, most or limits.MAX_PAGE
    while found := await page(after, most):
        yield found
        if len(found) < most:
            return
        after = key(found[-1])


async def whole(
    page: Callable[[K, int], Awaitable[list[R]]], key: Callable[[R], K], start: K, most: int | None = None
) -> list[R]:
    """As `portions`, in one list."""
    return [record async for found in portions(page, key, start, most) for record in found]
