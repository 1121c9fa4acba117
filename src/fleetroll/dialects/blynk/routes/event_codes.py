"""The row that logs an event of a template."""

from fleetroll.dialects.blynk.mapping import event_codes as mapping
from fleetroll.dialects.blynk.routes.parameters import row
from fleetroll.dialects.blynk.shapes import event_codes as shapes
from fleetroll.service import event_codes
from fleetroll.wire.dialect import nothing

ROUTES = (
    row(
        "POST",
        "/device/trigger-event",
        event_codes.trigger,
        mapping.occurrence,
        nothing,
        "Log an event on behalf of a device",
        body=shapes.TriggerEvent,
        status=204,
    ),
)
