"""Places in a list: how long a page is, where it begins, and the cursor of the next."""

from typing import Any

from fleetroll.core import limits, names
from fleetroll.wire.request import Request


def limit(request: Request) -> int:
    text = request.query.get("limit")
    return limits.DEFAULT_PAGE if text is None else names.positive(text, "limit", limits.MAX_PAGE)


def resume(request: Request) -> Any:
    token = request.query.get("cursor")
    return "" if token is None else request.resume(token, "")


def mark(after: Any, request: Request) -> str | None:
    return None if after is None else request.mark(after, "")
