"""Failures as RFC 6749 and its clients want them: 400 for whatever the client did wrong, its secret included."""

from fleetroll.core.faults import Fault, Kind
from fleetroll.dialects.oauth2 import shapes
from fleetroll.wire.dialect import STATUSES, Envelope

_STATUSES = STATUSES | {Kind.UNAUTHENTICATED: 400, Kind.FORBIDDEN: 400, Kind.CONFLICT: 400, Kind.STALE: 400}
_BY_CODE = frozenset({"invalid_grant", "unsupported_grant_type"})
_BY_KIND = {
    Kind.UNAUTHENTICATED: "invalid_client",
    Kind.FORBIDDEN: "unauthorized_client",
    Kind.RATE_LIMITED: "temporarily_unavailable",
    Kind.UNAVAILABLE: "temporarily_unavailable",
    Kind.INTERNAL: "server_error",
}


def _body(fault: Fault, status: int, request_id: str) -> shapes.Error:
    code = fault.code if fault.code in _BY_CODE else _BY_KIND.get(fault.kind, "invalid_request")
    return shapes.Error(code, fault.message)


ENVELOPE = Envelope(
    statuses=_STATUSES,
    body=_body,
    messages={"unauthenticated": "The client's id or secret is missing or wrong."},
)
