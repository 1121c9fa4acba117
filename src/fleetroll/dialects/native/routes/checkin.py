"""The row of what came in chunks."""

from fleetroll.dialects.native.mapping import checkin as mapping
from fleetroll.dialects.native.mapping.devices import one_device
from fleetroll.dialects.native.shapes import checkin as shapes
from fleetroll.service import checkin
from fleetroll.wire.dialect import Route

ROUTES = (
    Route(
        "GET",
        "/v1/devices/{ident}/chunks",
        checkin.received,
        one_device,
        mapping.received_chunks,
        "The chunks of a device: how many it sent, how many could not be decoded, and the last few as they came",
        reply=shapes.Chunks,
    ),
)
