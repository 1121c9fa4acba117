"""The tables of the Memfault API, `/api/v0`, by noun: of a project, and of what its devices send."""

from msgspec import structs

from fleetroll.core.secrets import Issuer
from fleetroll.dialects.memfault.envelope import DEVICE_ENVELOPE, ENVELOPE
from fleetroll.dialects.memfault.mapping.devices import newer_page, newer_shown, page, shown
from fleetroll.dialects.memfault.routes import (
    attributes,
    checkin,
    cohorts,
    devices,
    hardware_versions,
    keys,
    metadata_fields,
    projects,
    software_versions,
)
from fleetroll.wire.dialect import API_KEY_HEADER, BASIC, BEARER, CredentialForm, CredentialLocation, Dialect

# In the order of the reference page.
_NOUNS = (
    devices,
    checkin,
    attributes,
    metadata_fields,
    cohorts,
    projects,
    keys,
    hardware_versions,
    software_versions,
)

DIALECT = Dialect(
    name="memfault",
    title="Memfault management API",
    prefixes=("/api/v0/", "/auth/"),
    routes=tuple(route for noun in _NOUNS for route in noun.ROUTES),
    envelope=ENVELOPE,
    credentials=(BEARER, BASIC, API_KEY_HEADER),
    places={
        "organization": "the slug of the organization",
        "project": "the slug of a project, which is an organization below; `default` is the organization itself",
        "device_serial": "the device's serial",
        "cohort": "the slug of the cohort",
        "name": "the name of the hardware version",
        "type": "the type of software",
        "version": "the version of that type",
    },
)

_NEWER = {shown: newer_shown, page: newer_page}
OBJECT_HARDWARE = structs.replace(
    DIALECT,
    routes=tuple(structs.replace(route, encode=_NEWER.get(route.encode, route.encode)) for route in DIALECT.routes),
)
"""As newer clients know the API: a device's hardware version is an object with a name."""

DEVICE = Dialect(
    name="memfault_device",
    title="Memfault check-in API",
    prefixes=tuple(
        f"/api/v0/{path}" for path in ("attributes", "chunks/", "device-config", "events", "queue/", "releases/")
    ),
    routes=(*attributes.REPORTS, *checkin.REPORTS),
    envelope=DEVICE_ENVELOPE,
    credentials=(CredentialForm(CredentialLocation.HEADER, "memfault-project-key", Issuer.PROJECT),),
    places={"device_serial": "the device's serial", "task": "what is at the end of the `queue_url` of a reply"},
    part_of="memfault",
)
