"""Rows about owners."""

from fleetroll.dialects.native.mapping import owners as mapping
from fleetroll.dialects.native.routes.named import Bodies, Codec, named
from fleetroll.dialects.native.shapes import owners as shapes
from fleetroll.service import owners

ROUTES = named(
    "owners",
    owners.noun,
    ("an owner", "owners"),
    Bodies(shapes.NewOwner, shapes.OwnerChange, shapes.Owner, shapes.OwnerList),
    Codec(mapping.new_owner, mapping.change_owner, mapping.owner),
)
