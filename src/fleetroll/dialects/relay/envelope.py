"""Failures as RelayX words them: the operation's own status, and `data` with a message and, for some, a code.

The vendor's clients tell only success from the rest; the codes are for people, and for other clients. `data` is always
an object: the vendor's Python client fails on anything else.
"""

from collections.abc import Callable
from typing import Any

from fleetroll.core.faults import Fault, Kind
from fleetroll.dialects.relay.shapes import Reply
from fleetroll.wire.dialect import STATUSES, Envelope

_CODES = {
    "ident_taken": "DEVICE_IDENT_EXISTS",
    "device_not_found": "INVALID_DEVICE_ID",
    "quota_exceeded": "DEVICE_CREATE_LIMIT_REACHED",
}

_BY_KIND = {
    Kind.INVALID: "INVALID_REQUEST",
    Kind.UNAUTHENTICATED: "UNAUTHENTICATED",
    Kind.FORBIDDEN: "PERMISSION_DENIED",
    Kind.NOT_FOUND: "NOT_FOUND",
    Kind.CONFLICT: "CONFLICT",
    Kind.STALE: "CONFLICT",
    Kind.TOO_LARGE: "REQUEST_TOO_LARGE",
    Kind.RATE_LIMITED: "RATE_LIMITED",
    Kind.UNAVAILABLE: "UNAVAILABLE",
    Kind.INTERNAL: "INTERNAL_ERROR",
}

_STATUSES = STATUSES | {Kind.STALE: 409}


def failure(status: str, *, listed: bool = False) -> Callable[[Fault], Reply]:
    """The refusals of one operation. On `create` the vendor gives a list of messages."""

    def refuse(fault: Fault) -> Reply:
        code = _CODES.get(fault.code) or _BY_KIND[fault.kind]
        data: dict[str, Any] = {"msg": [fault.message] if listed else fault.message, "code": code}
        if fault.code == "quota_exceeded":
            data["data"] = {"limit": fault.details["quota"], "current_count": fault.details["used"]}
        return Reply(status, data)

    return refuse


def _body(fault: Fault, status: int, request_id: str) -> dict[str, Any]:
    return {"status": False, "data": {"code": _BY_KIND[fault.kind], "message": fault.message}}


ENVELOPE = Envelope(statuses=_STATUSES, body=_body, challenge='Bearer realm="fleetroll"')
assert _BY_KIND.keys() == set(Kind)
