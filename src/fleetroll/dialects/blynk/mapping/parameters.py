"""What requests of several nouns share: whom they mean, the page and its order, and one of several words."""

from collections.abc import Mapping
from typing import Any

from fleetroll.core import ids, limits, names
from fleetroll.core.faults import invalid
from fleetroll.core.query import OffsetPage, Sort
from fleetroll.wire.request import Request

_LONGEST_SEARCH = 255
HIGHEST_PAGE = 1 << 31
ORDERS = {"ASC": False, "DESC": True}
"""Whether each of the vendor's words for an order is the descending one."""


def required(request: Request, field: str) -> str:
    """The parameter of the query, which may be empty. Raises Fault invalid `parameter_required`."""
    text = request.query.get(field)
    if text is None:
        raise invalid("parameter_required", f"{field} is required.", field)
    return text


def number(request: Request, field: str) -> int:
    return names.positive(required(request, field), field, ids.MAX_ID)


def _optional(request: Request, *fields: str) -> int | None:
    for field in fields:
        if (text := request.query.get(field)) is not None:
            return names.positive(text, field, ids.MAX_ID)
    return None


def organization_number(request: Request) -> int | None:
    return _optional(request, "orgId", "organizationId")


def home(request: Request) -> int | None:
    """The organization in which something is to be made, from the body or else the query."""
    body = request.body
    return body.org_id or body.organization_id or organization_number(request)


def device_number(request: Request) -> int:
    return number(request, "deviceId")


def offset_page(request: Request) -> OffsetPage:
    number, size = request.query.get("page"), request.query.get("size")
    page = 0 if number is None else names.whole(number, "page", 0, HIGHEST_PAGE)
    limit = limits.DEFAULT_PAGE if size is None else names.positive(size, "size", limits.MAX_PAGE)
    return OffsetPage(limit, page * limit)


def choice(choices: Mapping[str, Any], text: str, field: str) -> Any:
    """What a word of the vendor's stands for. Raises Fault invalid `invalid_parameter`."""
    if text not in choices:
        raise invalid("invalid_parameter", f"{field} must be one of {', '.join(choices)}.", field)
    return choices[text]


def sort(request: Request, fields: Mapping[str, str]) -> Sort:
    """The order asked for; that of the numbers if nothing is said."""
    query = request.query
    descending = choice(ORDERS, query.get("sortOrder") or "ASC", "sortOrder")
    field = query.get("sortBy")
    return Sort("id" if field is None else choice(fields, field, "sortBy"), descending=descending)


def searched(request: Request) -> str:
    """The text to search for, which must not be empty. Raises Fault invalid."""
    text = request.query.get("query")
    if not text:
        raise invalid("parameter_required", "query is required.", "query")
    return names.line(text, "query", _LONGEST_SEARCH)


def line(text: str | None, field: str) -> str | None:
    return None if text is None else names.line(text, field)
