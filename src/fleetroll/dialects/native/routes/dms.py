"""Rows about DMS."""

from fleetroll.dialects.native.mapping import dms as mapping
from fleetroll.dialects.native.routes.named import Bodies, Codec, named
from fleetroll.dialects.native.shapes import dms as shapes
from fleetroll.service import dms

ROUTES = named(
    "dms",
    dms.noun,
    ("a DMS, the policy by which devices enrol", "DMS"),
    Bodies(shapes.NewDms, shapes.DmsChange, shapes.Dms, shapes.DmsList),
    Codec(mapping.new_dms, mapping.change_dms, mapping.dms),
)
