"""The table of our own API, `/v1`, by noun: the superset that the other dialects are views of."""

from fleetroll.dialects.native.envelope import ENVELOPE
from fleetroll.dialects.native.routes import (
    authorities,
    binding,
    certificates,
    checkin,
    cohorts,
    commands,
    credentials,
    devices,
    dms,
    event_codes,
    events,
    fleet,
    groups,
    hardware_versions,
    keys,
    metadata_fields,
    organizations,
    owners,
    server,
    software_versions,
    telemetry,
    templates,
    timeline,
)
from fleetroll.wire.dialect import API_KEY_HEADER, BASIC, BEARER, Dialect

# In the order of the reference page.
_NOUNS = (
    devices,
    event_codes,
    commands,
    credentials,
    checkin,
    timeline,
    telemetry,
    fleet,
    organizations,
    keys,
    events,
    server,
    owners,
    groups,
    metadata_fields,
    cohorts,
    hardware_versions,
    software_versions,
    templates,
    dms,
    authorities,
    certificates,
    binding,
)

DIALECT = Dialect(
    name="native",
    title="Fleetroll",
    prefixes=("/v1/",),
    routes=tuple(route for noun in _NOUNS for route in noun.ROUTES),
    envelope=ENVELOPE,
    credentials=(BEARER, API_KEY_HEADER, BASIC),
    strict=True,
    acts_in_header="fleetroll-organization",
)
