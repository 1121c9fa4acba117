"""Who the caller is."""

from fleetroll.core.times import iso
from fleetroll.dialects.memfault.shapes import keys as shapes
from fleetroll.service import keys
from fleetroll.wire.request import Request


def me(caller: keys.Caller, request: Request) -> shapes.Me:
    key, home = caller.key, caller.home
    made = iso(key.created_at)
    return shapes.Me(key.id, "", key.name, made, made, [shapes.Organization(home.id, home.name, home.slug)])
