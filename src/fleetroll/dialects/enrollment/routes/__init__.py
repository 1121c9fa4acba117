"""The tables of Lamassu's DMS manager, `/api/dmsmanager`, and of the part of its CA that interfaces need, `/api/ca`.

There are two profiles, which differ in the names of two statuses: as they are documented, and as the vendor's server
answers.
"""

from msgspec import structs

from fleetroll.core.spelling import DOCUMENTED, UPSTREAM, Spelling
from fleetroll.dialects.enrollment.envelope import ENVELOPE
from fleetroll.dialects.enrollment.routes import authorities, binding, certificates, dms
from fleetroll.wire.dialect import API_KEY_HEADER, BASIC, BEARER, Dialect, Route


def _routes(spelling: Spelling) -> tuple[Route, ...]:
    """The rows in the order of the reference page."""
    return (*dms.ROUTES, *binding.routes(spelling), *authorities.ROUTES, *certificates.ROUTES)


DIALECT = Dialect(
    name="enrollment",
    title="Lamassu DMS manager and CA",
    prefixes=("/api/dmsmanager/", "/api/ca/"),
    routes=_routes(DOCUMENTED),
    envelope=ENVELOPE,
    credentials=(BEARER, API_KEY_HEADER, BASIC),
    places={"id": "the id of the DMS or the CA", "sn": "the certificate's serial number, in hexadecimal"},
    media_types=(),
    acts_in_header="fleetroll-organization",
    loose_names=True,
    part_of="lamassu",
)
UPSTREAM_DIALECT = structs.replace(DIALECT, routes=_routes(UPSTREAM))
