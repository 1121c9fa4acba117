"""Rows about saved groups."""

from fleetroll.dialects.native.mapping import groups as mapping
from fleetroll.dialects.native.mapping.devices import page
from fleetroll.dialects.native.routes.named import Bodies, Codec, named
from fleetroll.dialects.native.routes.parameters import LISTING
from fleetroll.dialects.native.shapes import groups as shapes
from fleetroll.dialects.native.shapes.devices import DeviceList
from fleetroll.service import groups
from fleetroll.wire.dialect import Route

ROUTES = (
    *named(
        "groups",
        groups.noun,
        ("a saved group", "saved groups"),
        Bodies(shapes.NewGroup, shapes.GroupChange, shapes.Group, shapes.GroupList),
        Codec(mapping.new_group, mapping.change_group, mapping.group),
    ),
    Route(
        "GET",
        "/v1/groups/{name}/devices",
        groups.members,
        mapping.group_members,
        page,
        "The devices that a saved group finds now",
        reply=DeviceList,
        query=LISTING,
    ),
)
