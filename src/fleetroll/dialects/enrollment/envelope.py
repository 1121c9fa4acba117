"""Failures of the DMS manager and the CA: `{"err": "<text>"}` under a status that fits."""

from fleetroll.core.faults import Fault, Kind
from fleetroll.dialects.enrollment import shapes
from fleetroll.wire.dialect import Envelope

_STATUSES = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.STALE: 409,
    Kind.TOO_LARGE: 413,
    Kind.RATE_LIMITED: 429,
    Kind.UNAVAILABLE: 503,
    Kind.INTERNAL: 500,
}


def _body(fault: Fault, status: int, request_id: str) -> shapes.Failure:
    return shapes.Failure(fault.message)


ENVELOPE = Envelope(
    statuses=_STATUSES,
    body=_body,
    messages={"device_not_found": "device not found"},
    challenge='Bearer realm="fleetroll"',
)
