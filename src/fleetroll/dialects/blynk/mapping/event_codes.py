"""The types of events, and one that is logged in the name of a device."""

from fleetroll.core import names
from fleetroll.core.faults import invalid
from fleetroll.dialects.blynk.shapes.event_codes import LONGEST_EVENT
from fleetroll.service import event_codes
from fleetroll.wire.request import Request


def occurrence(request: Request) -> event_codes.Occurrence:
    body = request.body
    description = body.event_description
    if description is not None:
        names.paragraph(description, "eventDescription")
    if len(body.event_code) + len(description or "") > LONGEST_EVENT:
        message = f"eventCode and eventDescription have at most {LONGEST_EVENT} characters."
        raise invalid("invalid_text", message, "eventDescription")
    return event_codes.Occurrence(body.device_id, body.event_code, description)
