"""Who the caller is."""

from fleetroll.core import model
from fleetroll.core.times import iso
from fleetroll.dialects.memfault.shapes import keys as shapes
from fleetroll.wire.request import Request


def me(principal: model.Principal, request: Request) -> shapes.Me:
    key, home = principal.key, principal.home
    made = iso(key.created_at)
    return shapes.Me(key.id, "", key.name, made, made, [shapes.Organization(home.id, home.name, home.slug)])
