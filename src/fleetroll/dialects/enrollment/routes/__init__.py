"""The tables of Lamassu's DMS manager, `/api/dmsmanager`, and of the part of its CA that interfaces need, `/api/ca`."""

from fleetroll.dialects.enrollment.envelope import ENVELOPE
from fleetroll.dialects.enrollment.routes import authorities, binding, certificates, dms
from fleetroll.wire.dialect import API_KEY_HEADER, BASIC, BEARER, Dialect

_NOUNS = (dms, binding, authorities, certificates)  # as the reference page shows them

DIALECT = Dialect(
    name="enrollment",
    title="Lamassu DMS manager and CA",
    prefixes=("/api/dmsmanager/", "/api/ca/"),
    routes=tuple(route for noun in _NOUNS for route in noun.ROUTES),
    envelope=ENVELOPE,
    credentials=(BEARER, API_KEY_HEADER, BASIC),
    media_types=(),
    acts_in_header="fleetroll-organization",
    loose_names=True,
    part_of="lamassu",
)
