"""Failures in Blynk's words: `{"error": {"message": "<text>"}}`, and nearly always 400, even for a wrong token."""

from collections.abc import Mapping

from fleetroll.core.faults import Fault, Kind
from fleetroll.core.limits import MAX_READINGS
from fleetroll.dialects.blynk_device import shapes
from fleetroll.wire.dialect import STATUSES, Envelope

_STATUSES = STATUSES | {Kind.UNAUTHENTICATED: 400, Kind.STALE: 409}

_MISMATCH = "Value doesn't match the Datastream data type."
_NO_STREAM = "No datastream setup for that pin."
_NO_EVENT = "Can't find Event with this code in Product template"
_WORDS: Mapping[str, str] = {
    "unauthenticated": "Invalid token.",
    "invalid_pin": "Wrong pin format.",
    "invalid_datastream": "Wrong dataStreamId format.",
    "wrong_type": _MISMATCH,
    "invalid_number": _MISMATCH,
    "reading_too_large": _MISMATCH,
    "unknown_pin": _NO_STREAM,
    "unknown_metric": _NO_STREAM,
    "event_code_required": "Event code is not provided.",
    "event_code_not_found": _NO_EVENT,
    "presence_event": _NO_EVENT,
    "invalid_metafield_id": "Wrong metaField format",
    "metafield_not_found": "MetaField doesn't exist",
    "invalid_metafield": "Wrong value",
    "unsupported_media_type": "Unknown content type.",
    "too_many_readings": f"Too much data in batch. Maximum batch size is {MAX_READINGS} points.",
    "no_data": "No data",
}
_OTHERWISE = "Request with incorrect parameters"


def _body(fault: Fault, status: int, request_id: str) -> shapes.Failure:
    return shapes.Failure(shapes.Message(_words(fault)))


def _words(fault: Fault) -> str:
    if "missing" in fault.details:
        return "No token provided."
    if fault.code == "unknown_datastream":
        return f"Requested dataStream doesn't exist in the product {fault.details['template']}"
    return _WORDS.get(fault.code) or (_OTHERWISE if fault.kind is Kind.INVALID else fault.message)


ENVELOPE = Envelope(
    statuses=_STATUSES,
    body=_body,
    codes={"event_code_not_found": 400, "metafield_not_found": 400, "unsupported_media_type": 400},
)
