"""Failures of the DMS manager and the CA: `{"err": "<text>"}` under a status that fits."""

from fleetroll.core.faults import Fault, Kind
from fleetroll.dialects.enrollment import shapes
from fleetroll.wire.dialect import STATUSES, Envelope

_STATUSES = STATUSES | {Kind.STALE: 409}
_MESSAGES = {
    "device_not_found": "device not found",
    "invalid_cursor": "This bookmark is invalid for this list; start again from the first page.",
    "cursor_expired": "This bookmark is too old; start again from the first page.",
}


def _body(fault: Fault, status: int, request_id: str) -> shapes.Failure:
    return shapes.Failure(fault.message)


ENVELOPE = Envelope(
    statuses=_STATUSES,
    body=_body,
    codes={"patch_test_failed": 400},
    messages=_MESSAGES,
    challenge='Bearer realm="fleetroll"',
)
