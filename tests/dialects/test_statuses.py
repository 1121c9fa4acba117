"""The HTTP status of every kind of fault in every dialect, as its vendor has it."""

import pytest

from fleetroll.application import DIALECTS
from fleetroll.core.faults import Fault, Kind
from fleetroll.dialects.est.routes import UPSTREAM_DIALECT
from fleetroll.wire.dialect import Dialect

KINDS = (
    Kind.INVALID, Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.NOT_FOUND, Kind.CONFLICT,
    Kind.STALE, Kind.TOO_LARGE, Kind.RATE_LIMITED, Kind.UNAVAILABLE, Kind.INTERNAL,
)  # fmt: skip
GOLDEN = {
    "native": (400, 401, 403, 404, 409, 412, 413, 429, 503, 500),
    "telemetron": (400, 401, 403, 404, 409, 409, 413, 429, 503, 500),
    "memfault_device": (400, 403, 403, 404, 409, 409, 413, 429, 503, 500),
    "memfault": (400, 401, 403, 404, 409, 409, 400, 429, 503, 500),
    "blynk": (400, 401, 403, 404, 400, 400, 413, 429, 503, 500),
    "blynk_device": (400, 400, 403, 404, 409, 409, 413, 429, 503, 500),
    "relay": (400, 401, 403, 404, 409, 409, 413, 429, 503, 500),
    "lamassu": (400, 401, 403, 404, 409, 412, 413, 429, 503, 500),
    "enrollment": (400, 401, 403, 404, 409, 409, 413, 429, 503, 500),
    "est": (400, 401, 403, 404, 409, 409, 413, 429, 503, 500),
    "oauth2": (400, 400, 400, 404, 400, 400, 413, 429, 503, 500),
}
# Lamassu's EST answers 500 to all but a body that it cannot read.
UPSTREAM = (400, 500, 500, 500, 500, 500, 413, 429, 503, 500)


def statuses(dialect: Dialect) -> tuple[int, ...]:
    return tuple(dialect.envelope.status(Fault(kind, "any_code", "What went wrong.")) for kind in KINDS)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_kind_of_fault_has_the_vendors_status(dialect: Dialect) -> None:
    assert set(KINDS) == set(Kind)
    assert statuses(dialect) == GOLDEN[dialect.name]


def test_est_fails_as_upstream_does_where_that_is_asked_for() -> None:
    assert statuses(UPSTREAM_DIALECT) == UPSTREAM
