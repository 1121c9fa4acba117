"""The requests that all nouns with a unique name share."""

from msgspec import structs

from fleetroll.core import limits
from fleetroll.dialects.native.mapping.members import texts
from fleetroll.dialects.native.mapping.paging import limit, resume
from fleetroll.service import named
from fleetroll.wire.request import Request


def list_named(request: Request) -> named.Listing:
    return named.Listing(limit(request), resume(request))


def one_named(request: Request) -> named.Named:
    return named.Named(request.path["name"], request.guard)


def change_named(request: Request) -> named.Edit:
    change = texts(structs.asdict(request.body).items(), limits.MAX_TEXT)
    return named.Edit(request.path["name"], change, request.guard)
