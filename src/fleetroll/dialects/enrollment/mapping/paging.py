"""Pages of a size, and the bookmarks between them."""

import re
from typing import Any

from fleetroll.core import limits
from fleetroll.wire.request import Request

_DEFAULT_PAGE = 25
_NUMBER = re.compile(r"-?\d+", re.ASCII)


def page_size(request: Request) -> int:
    """The last one counts; what is no number is not there."""
    given = [text for text in request.query.all("page_size") if _NUMBER.fullmatch(text)]
    wanted = int(given[-1][:6]) if given else _DEFAULT_PAGE
    return min(wanted, limits.MAX_PAGE) if wanted > 0 else _DEFAULT_PAGE


def resume(request: Request) -> Any:
    token = request.query.get("bookmark")
    return request.resume(token, "") if token else None


def bookmark(place: Any, request: Request) -> str:
    return "" if place is None else request.mark(place, "")
