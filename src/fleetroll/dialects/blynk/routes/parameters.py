"""What the rows of several nouns have in common: their form, and query parameters."""

from typing import Any

from fleetroll.core import ids, limits
from fleetroll.dialects.blynk.mapping.parameters import HIGHEST_PAGE
from fleetroll.service.operations import Effect
from fleetroll.wire.dialect import AnyOperation, Decode, Encode, Parameter, Route

NUMBERS = (1, ids.MAX_ID)
"""Those that a record may have."""
DEVICE = Parameter("deviceId", "the number of the device", "integer", required=True, bounds=NUMBERS)
ORG = (
    Parameter("orgId", "an organization in reach; the caller's if left out", "integer", bounds=NUMBERS),
    Parameter("organizationId", "the same as orgId", "integer", bounds=NUMBERS),
)
PLACE = (
    Parameter("page", "number of the page, from 0", "integer", bounds=(0, HIGHEST_PAGE)),
    Parameter(
        "size",
        "maximum number of records per page, 1 to 1000; 50 if left out",
        "integer",
        bounds=(1, limits.MAX_PAGE),
    ),
)
QUERY = Parameter("query", "a part of the name, case ignored", required=True)


def row(
    method: str,
    path: str,
    operation: AnyOperation,
    decode: Decode,
    encode: Encode,
    about: str,
    *query: Parameter,
    **more: Any,
) -> Route:
    """A row of this API. A POST takes an Idempotency-Key, unless its operation is no single transaction."""
    idempotent = method == "POST" and operation.effect is not Effect.BATCHES
    path = f"/api/v1/organization{path}"
    return Route(method, path, operation, decode, encode, about, query=query, idempotent=idempotent, **more)
