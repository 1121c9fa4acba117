"""Lists: pages of a size, and bookmarks that keep filters and order."""

from typing import Any

import msgspec
from msgspec import Struct, structs

from fleetroll.core.bracketed import page_size
from fleetroll.wire.request import Request


class Bookmark(Struct, frozen=True, array_like=True):
    """All that a list depends on. It is signed, so what it holds was checked when it was made."""

    size: int
    sort_by: str
    sort_mode: str
    filters: list[str]
    after: Any = None


def requested(request: Request) -> Bookmark:
    """The page that is asked for. With a bookmark, all else is as it was for the page before."""
    query = request.query
    token = query.get("bookmark")
    if token:
        return msgspec.convert(request.resume(token, ""), Bookmark)
    sort_by, sort_mode = (_last(query.all(name)) for name in ("sort_by", "sort_mode"))
    return Bookmark(page_size(query.all("page_size")), sort_by.strip(), sort_mode, query.all("filter"))


def _last(values: list[str]) -> str:
    return values[-1] if values else ""


def bookmark(after: Any, request: Request) -> str:
    """What continues this list after that; empty where nothing follows."""
    return "" if after is None else request.mark(structs.replace(requested(request), after=after), "")
