"""Pages of a size, and bookmarks that keep it."""

from typing import Any

import msgspec
from msgspec import Struct

from fleetroll.core.bracketed import page_size
from fleetroll.service import named
from fleetroll.wire.request import Request

_SIZED = "size and place"


class Bookmark(Struct, frozen=True, array_like=True):
    """All that a list depends on besides its path. It is signed, so what it holds was checked when it was made."""

    size: int
    after: Any = None


def requested(request: Request) -> Bookmark:
    """The page that is asked for. With a bookmark, its size is that of the page before."""
    token = request.query.get("bookmark")
    if token:
        return msgspec.convert(request.resume(token, _SIZED), Bookmark)
    return Bookmark(page_size(request.query.all("page_size")))


def listing(request: Request) -> named.Listing:
    page = requested(request)
    return named.Listing(page.size, page.after or "")


def bookmark(after: Any, request: Request) -> str:
    return "" if after is None else request.mark(Bookmark(requested(request).size, after), _SIZED)
