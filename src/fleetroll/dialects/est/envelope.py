"""Failures of EST: `{"err": "<text>"}`, under the statuses of RFC 7030 or, upstream, the vendor's.

Upstream also answers 500 to a caller without proof or permission, and to what is missing or in conflict.
"""

from collections.abc import Mapping

from fleetroll.core.faults import Fault, Kind
from fleetroll.dialects.est import shapes
from fleetroll.wire.dialect import STATUSES, Envelope

_DOCUMENTED = STATUSES | {Kind.STALE: 409}
_REFUSED = (Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.NOT_FOUND, Kind.CONFLICT, Kind.STALE)
_UPSTREAM = _DOCUMENTED | dict.fromkeys(_REFUSED, 500)


def _body(fault: Fault, status: int, request_id: str) -> shapes.Failure:
    return shapes.Failure(fault.message)


def _envelope(statuses: Mapping[Kind, int]) -> Envelope:
    return Envelope(
        statuses=statuses,
        body=_body,
        codes={"unsupported_media_type": 400, "unknown_path": 404, "method_not_allowed": 405},
        challenge='Bearer realm="fleetroll"',
    )


DOCUMENTED = _envelope(_DOCUMENTED)
UPSTREAM = _envelope(_UPSTREAM)
