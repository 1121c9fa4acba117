"""Failures as problem documents (RFC 9457)."""

from http import HTTPStatus

from fleetroll.core.faults import Fault
from fleetroll.dialects.native.shapes.problems import Problem
from fleetroll.wire.dialect import STATUSES, Envelope


def _body(fault: Fault, status: int, request_id: str) -> Problem:
    details = {name: value for name, value in fault.details.items() if name not in {"allowed", "missing"}}
    return Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=fault.message,
        code=fault.code,
        request_id=request_id,
        field=fault.field,
        errors=details,
    )


ENVELOPE = Envelope(
    statuses=STATUSES,
    body=_body,
    media_type="application/problem+json",
    codes={"idempotency_key_reused": 422, "query_too_costly": 422, "cursor_expired": 410, "unknown_event": 410},
    challenge='Bearer realm="fleetroll"',
)
