"""Failures of the device manager: `{"err": "<text>"}` under a status that fits, or under the server's own."""

from fleetroll.core.faults import Fault
from fleetroll.dialects.lamassu import shapes
from fleetroll.wire.dialect import STATUSES, Envelope

_MESSAGES = {
    "device_not_found": "device not found",
    "ident_taken": "device already exists",
    "group_not_found": "device group not found",
    "group_exists": "device group already exists",
    "circular_parent": "circular parent reference detected",
    "grouped_by_status": "struct validation error",
    "status_forbids": "device status does not allow this operation",
    "invalid_cursor": "This bookmark is invalid for this list; start again from the first page.",
    "cursor_expired": "This bookmark is too old; start again from the first page.",
}


def _body(fault: Fault, status: int, request_id: str) -> shapes.Failure:
    return shapes.Failure(fault.message)


def envelope(codes: dict[str, int]) -> Envelope:
    """`codes` are the statuses in which a profile differs."""
    return Envelope(
        statuses=STATUSES,
        body=_body,
        codes={"status_forbids": 422, "patch_test_failed": 400, **codes},
        messages=_MESSAGES,
        challenge='Bearer realm="fleetroll"',
    )
