"""The requests that all nouns with a unique name share."""

from collections.abc import Callable
from typing import Any

from msgspec import UNSET, structs

from fleetroll.core.query import Part
from fleetroll.dialects.native.mapping.paging import limit, mark, resume
from fleetroll.dialects.native.mapping.paths import path_of
from fleetroll.service import named
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request


def list_named(request: Request) -> named.Listing:
    return named.Listing(limit(request), resume(request) or "")


def one_named(request: Request) -> named.Named:
    return named.Named(request.path["name"], request.guard)


def made(nouns: str, label: str, one: Callable[[Any, Request], Reply]) -> Callable[[Any, Request], Reply]:
    """As `one`, with the location of the new record. `label` is the member that names it in a path."""

    def encode(result: Any, request: Request) -> Reply:
        reply = one(result, request)
        return structs.replace(reply, location=path_of(nouns, getattr(reply.body, label)))

    return encode


def listed(page: Callable[[list[Any], str | None], Any], one: Callable[[Any, Request], Reply]) -> Callable[..., Any]:
    """A page of records, each as `one` shows it."""

    def encode(result: Part[Any, str], request: Request) -> Any:
        return page([one(record, request).body for record in result.records], mark(result.next, request))

    return encode


def change_named(request: Request, **read: Callable[[Any], Any]) -> named.Edit:
    """The given members, each checked by its `read`, as it was when the record was made."""
    members = {name: value for name, value in structs.asdict(request.body).items() if value is not UNSET}
    return named.Edit(request.path["name"], {name: read[name](value) for name, value in members.items()}, request.guard)
