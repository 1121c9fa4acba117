"""Failures as Memfault words them: `{"error": {"code", "http_code", "message", "type"}}`, always all four.

The vendor documents a list of statuses without 412, 422 and their like; what has none of its own is a 400, a 409 or a
503. Its codes 1000 and 1003 are known; the others are ours, and the table below is all of them.
"""

import re
from typing import Any

from msgspec import structs

from fleetroll.core.faults import Fault, Kind
from fleetroll.wire.dialect import STATUSES, Envelope

_STATUSES = STATUSES | {Kind.STALE: 409, Kind.TOO_LARGE: 400}

_CODES = {
    "unknown_cohort": 404,
    "unsupported_media_type": 400,
    "storage_full": 503,
}

NUMBERS = {
    400: (1000, "InvalidUsageError"),
    401: (1001, "UnauthorizedError"),
    403: (1002, "ForbiddenError"),
    404: (1003, "NotFoundError"),
    405: (1005, "MethodNotAllowedError"),
    409: (1004, "ConflictError"),
    411: (1006, "LengthRequiredError"),
    413: (1007, "RequestTooLargeError"),
    415: (1008, "UnsupportedMediaTypeError"),
    429: (1009, "RateLimitedError"),
    500: (1010, "InternalError"),
    503: (1011, "UnavailableError"),
}
"""The code and the type of each status. All other statuses, which only HTTP's own limits have, get those of 400."""

_NAMED = {
    "device_not_found": "Device with device_serial",
    "hardware_version_not_found": "HardwareVersion with name",
    "cohort_not_found": "Cohort with slug",
    "unknown_cohort": "Cohort with slug",
    "organization_not_found": "Organization with slug",
    "project_not_found": "Project with slug",
    "software_version_not_found": "SoftwareVersion with version",
}
_OF_BODIES = frozenset({"invalid_body", "invalid_slug", "invalid_text", "read_only", "too_many_devices"})
"""What can be wrong with a member of a body. Parameters of a query have other codes."""

_STEP = re.compile(r"[^.\[\]]+")


def _body(fault: Fault, status: int, request_id: str) -> dict[str, Any]:
    code, kind = NUMBERS.get(status, NUMBERS[400])
    return {"error": {"code": code, "http_code": status, "message": _message(fault), "type": kind}}


def _message(fault: Fault) -> Any:
    """A text, or for a misshapen body an object that leads to the member by list index and name."""
    if fault.code in _NAMED and fault.named is not None:
        return f"{_NAMED[fault.code]} `{fault.named}` not found"
    if fault.code not in _OF_BODIES or not fault.field:
        return fault.message.removeprefix("metadata.")
    steps = _STEP.findall(fault.field)
    text = fault.message.removeprefix(f"{fault.field}: ").replace(f"{fault.field} ", f"{steps[-1]} ", 1)
    found: Any = [text]
    for step in reversed(steps):
        found = {step: found}
    return found


ENVELOPE = Envelope(
    statuses=_STATUSES,
    body=_body,
    codes=_CODES,
    messages={"ident_taken": "A Device with this device_serial already exists."},
    challenge='Basic realm="fleetroll"',
)

DEVICE_ENVELOPE = structs.replace(
    ENVELOPE,
    # Where devices report, a bad project key is forbidden, and HTTP's own words for a body are documented.
    statuses={**_STATUSES, Kind.UNAUTHENTICATED: 403, Kind.TOO_LARGE: 413},
    codes={**_CODES, "length_required": 411, "too_many_chunks": 413, "unsupported_media_type": 415},
)
