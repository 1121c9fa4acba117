"""Failures as Telemetron words them: `{"error": "<text>"}`, and for two of them what the caller needs to go on.

The vendor documents 400, 401, 404, 409 and 500. The other statuses say what only a registry with roles, quotas and
limits can say, in HTTP's own terms; a precondition that failed is the vendor's conflict.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fleetroll.core.faults import Fault, Kind
from fleetroll.core.ids import prefixed
from fleetroll.dialects.telemetron.mapping import CUSTOMER
from fleetroll.wire.dialect import STATUSES, Envelope

_STATUSES = STATUSES | {Kind.STALE: 409}

_MESSAGES = {
    "unauthenticated": "Invalid or missing API key",
    "internal": "Internal server error",
    # Every member is loosely typed, so this is a body that is no object at all.
    "invalid_body": "Invalid JSON payload",
    "invalid_email": "Invalid email format",
    "kind_required": "type is required when creating a new device",
    "owner_exists": "Customer already exists with this email. Specify telemetronCustomerId to update fields.",
    "not_assigned": "Device is not assigned to this customer",
}


def _customer_to_update(details: Mapping[str, Any]) -> dict[str, Any]:
    return {"telemetronCustomerId": prefixed(CUSTOMER, details["owner"])}


def _devices_assigned(details: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "customerId": prefixed(CUSTOMER, details["owner"]),
        "deviceIdentifier": details["ident"],
        "currentDevices": details["devices"],
    }


_FURTHER: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "owner_exists": _customer_to_update,
    "not_assigned": _devices_assigned,
}


def _body(fault: Fault, status: int, request_id: str) -> dict[str, Any]:
    further = _FURTHER.get(fault.code)
    return {"error": fault.message, **(further(fault.details) if further else {})}


ENVELOPE = Envelope(
    statuses=_STATUSES,
    body=_body,
    codes={"not_assigned": 400, "unsupported_media_type": 400},
    messages=_MESSAGES,
    challenge='Bearer realm="fleetroll"',
)
