"""Failures of the device manager: `{"err": "<text>"}` under a status that fits, or under the server's own."""

from fleetroll.core.faults import Fault, Kind
from fleetroll.dialects.lamassu import shapes
from fleetroll.wire.dialect import Envelope

_STATUSES = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.STALE: 412,
    Kind.TOO_LARGE: 413,
    Kind.RATE_LIMITED: 429,
    Kind.UNAVAILABLE: 503,
    Kind.INTERNAL: 500,
}
_MESSAGES = {
    "device_not_found": "device not found",
    "ident_taken": "device already exists",
    "group_not_found": "device group not found",
    "group_exists": "device group already exists",
    "circular_parent": "circular parent reference detected",
    "grouped_by_status": "struct validation error",
    "status_forbids": "device status does not allow this operation",
}


def _body(fault: Fault, status: int, request_id: str) -> shapes.Failure:
    return shapes.Failure(fault.message)


def envelope(codes: dict[str, int]) -> Envelope:
    """`codes` are the statuses in which a profile differs."""
    return Envelope(
        statuses=_STATUSES,
        body=_body,
        codes={"status_forbids": 422, **codes},
        messages=_MESSAGES,
        challenge='Bearer realm="fleetroll"',
    )
