"""The row of who the caller is."""

from fleetroll.dialects.memfault.mapping import keys as mapping
from fleetroll.dialects.memfault.shapes import keys as shapes
from fleetroll.service import keys
from fleetroll.wire.dialect import Route, no_input

ROUTES = (Route("GET", "/auth/me", keys.caller, no_input, mapping.me, "The presented key, as a user", reply=shapes.Me),)
