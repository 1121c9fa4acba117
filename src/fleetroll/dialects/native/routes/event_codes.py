"""The row that logs an event of a template."""

from fleetroll.dialects.native.mapping import event_codes as mapping
from fleetroll.dialects.native.shapes import event_codes as shapes
from fleetroll.service import event_codes
from fleetroll.wire.dialect import Route, nothing

ROUTES = (
    Route(
        "POST",
        "/v1/devices/{ident}:log-event",
        event_codes.trigger,
        mapping.occurrence,
        nothing,
        "Log an event of the device's template on its behalf",
        status=204,
        body=shapes.Occurrence,
        idempotent=True,
    ),
)
