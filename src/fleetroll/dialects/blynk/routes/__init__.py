"""The table of the Blynk organization API, `/api/v1/organization`: devices, and what a page of them needs besides."""

from fleetroll.dialects.blynk.envelope import ENVELOPE
from fleetroll.dialects.blynk.routes import (
    datastreams,
    event_codes,
    keys,
    metafields,
    numbered_devices,
    numbered_owners,
    organizations,
    tags,
    templates,
    timeline,
)
from fleetroll.wire.dialect import API_KEY_HEADER, BASIC, BEARER, Dialect

# In the order of the reference page.
_ROUTES = (
    *numbered_devices.ROUTES,
    *timeline.ROUTES,
    *numbered_devices.HANDOVERS,
    *event_codes.ROUTES,
    *numbered_devices.SELECTIONS,
    *metafields.ROUTES,
    *datastreams.ROUTES,
    *organizations.ROUTES,
    *keys.ROUTES,
    *numbered_owners.ROUTES,
    *templates.ROUTES,
    *tags.ROUTES,
)

DIALECT = Dialect(
    name="blynk",
    title="Blynk organization API",
    prefixes=("/api/v1/organization",),
    routes=_ROUTES,
    envelope=ENVELOPE,
    credentials=(BEARER, API_KEY_HEADER, BASIC),
    media_types=(),
    per_minute=10_000,
)
