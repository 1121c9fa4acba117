"""Places in a list: how long a page is, where it begins, and the cursor of the next."""

from typing import Any

from fleetroll.core import limits, names
from fleetroll.wire.request import Request


def limit(request: Request) -> int:
    """How many records a page may have. Raises Fault invalid."""
    text = request.query.get("limit")
    return limits.DEFAULT_PAGE if text is None else names.positive(text, "limit", limits.MAX_PAGE)


def resume(request: Request, *parameters: str) -> Any:
    """The position after which the page begins; None for the first page.

    `parameters` are those of the query on which the list depends: a cursor of one filter or order is no good for
    another. Raises Fault invalid.
    """
    token = request.query.get("cursor")
    return None if token is None else request.resume(token, _binding(request, parameters))


def mark(after: Any, request: Request, *parameters: str) -> str | None:
    """The cursor of the next page, with the same `parameters` as for `resume`; None if nothing follows."""
    return None if after is None else request.mark(after, _binding(request, parameters))


def _binding(request: Request, parameters: tuple[str, ...]) -> str:
    return repr(sorted(pair for pair in request.query.pairs if pair[0] in parameters)) if parameters else ""
