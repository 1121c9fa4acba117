"""The row of what happened to a device."""

from fleetroll.dialects.native.mapping import timeline as mapping
from fleetroll.dialects.native.routes.parameters import PAGE
from fleetroll.dialects.native.shapes import timeline as shapes
from fleetroll.service import timeline
from fleetroll.wire.dialect import Route

ROUTES = (
    Route(
        "GET",
        "/v1/devices/{ident}/timeline",
        timeline.of_device,
        mapping.history,
        mapping.event_page,
        "What happened to a device, newest first",
        reply=shapes.EventList,
        query=PAGE,
    ),
)
