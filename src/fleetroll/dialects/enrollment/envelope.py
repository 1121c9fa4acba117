"""Failures of the DMS manager and the CA: `{"err": "<text>"}` under a status that fits."""

from fleetroll.core.faults import Fault, Kind
from fleetroll.dialects.enrollment import shapes
from fleetroll.wire.dialect import STATUSES, Envelope

_STATUSES = STATUSES | {Kind.STALE: 409}


def _body(fault: Fault, status: int, request_id: str) -> shapes.Failure:
    return shapes.Failure(fault.message)


ENVELOPE = Envelope(
    statuses=_STATUSES,
    body=_body,
    codes={"patch_test_failed": 400},
    messages={"device_not_found": "device not found"},
    challenge='Bearer realm="fleetroll"',
)
