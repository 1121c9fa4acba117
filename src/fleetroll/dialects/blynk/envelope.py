"""Failures in Blynk's words: `{"error": {"message": "<text>"}}`.

The vendor documents 400, 403, 404, 429 and 500. The other statuses say what only a registry with preconditions and
limits can say, in HTTP's own terms.
"""

from collections.abc import Mapping

from fleetroll.core.faults import Fault, Kind
from fleetroll.dialects.blynk.shapes import problems
from fleetroll.wire.dialect import STATUSES, Envelope

_STATUSES = STATUSES | {Kind.CONFLICT: 400, Kind.STALE: 400}

_ELSEWHERE = "is not found or you don't have access to it."
_WORDS: Mapping[str, str] = {
    "owner_not_found": "User is not found or you don't have access to him.",
    "template_not_found": "Template is not found.",
    "tag_not_found": "Tag is not found.",
    "home_not_found": f"Organization {_ELSEWHERE}",
    "destination_not_found": f"Destination organization {_ELSEWHERE}",
    "parent_not_found": f"Parent organization {_ELSEWHERE}",
    "target_not_found": "Target organization is not found.",
    "role_not_found": "Role is not found.",
    "wrong_type": "Value doesn't match the Datastream data type.",
    "invalid_pin": "Wrong pin format.",
    "unknown_pin": "No datastream setup for that pin.",
    "owner_exists": "A user with this address already exists.",
    "owner_has_devices": "This user has devices; transfer them first.",
    "same_owner": "Can't transfer to the same owner",
    "event_code_not_found": "Event with provided code is not found.",
    "presence_event": "Event with provided code is not found.",
    "metafield_not_found": "Meta field is not found.",
    "invalid_metafield": "The provided value for metafield is invalid.",
}
# With the number that was asked for.
_OF_NUMBER: Mapping[str, str] = {
    "device_not_found": "Device with identifier {} is not found or belong to another organization.",
    "organization_not_found": "Organization with identifier {} is not found or you don't have access to it.",
    "owner_not_found": "User with identifier {} is not found or belong to another organization.",
    "template_not_found": "Template is not found or you don't have access to it.",
    "unknown_datastream": "Data stream with identifier {} is not found!",
}


def _body(fault: Fault, status: int, request_id: str) -> problems.Failure:
    words = _OF_NUMBER.get(fault.code) if "number" in fault.details else None
    text = words.format(fault.details["number"]) if words else _WORDS.get(fault.code, fault.message)
    return problems.Failure(problems.Message(text))


ENVELOPE = Envelope(
    statuses=_STATUSES,
    body=_body,
    codes={"presence_event": 404, "unknown_datastream": 404},
    challenge='Bearer realm="fleetroll"',
)
