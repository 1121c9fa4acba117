"""Rows about what a device logged, and what was done to it."""

from fleetroll.dialects.blynk.mapping import timeline as mapping
from fleetroll.dialects.blynk.routes.parameters import DEVICE, PLACE, row
from fleetroll.dialects.blynk.shapes import timeline as shapes
from fleetroll.dialects.blynk.shapes.words import EVENTS
from fleetroll.service import event_codes, timeline
from fleetroll.wire.dialect import Parameter

ROUTES = (
    row(
        "GET",
        "/device/timeline",
        event_codes.past,
        mapping.past,
        mapping.timeline,
        "What a device logged, and when it went online or offline, newest first",
        DEVICE,
        Parameter(
            "eventType",
            "ONLINE, OFFLINE, INFORMATION, WARNING, CRITICAL, CONTENT, INACTIVE, LIFECYCLE or NOTE",
            choices=tuple(EVENTS),
        ),
        *PLACE,
        reply=shapes.TimelinePage,
    ),
    row(
        "GET",
        "/device/logs",
        timeline.actions,
        mapping.actions,
        mapping.logs,
        "What was done to a device by clients with a key, newest first",
        DEVICE,
        *PLACE,
        reply=shapes.ActionLogPage,
    ),
)
