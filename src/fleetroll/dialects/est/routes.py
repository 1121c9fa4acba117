"""The table of EST. A path names a DMS by its label: whoever asks there shows a client certificate, or nothing."""

from msgspec import structs

from fleetroll.core.secrets import Issuer
from fleetroll.dialects.est import mapping, shapes
from fleetroll.dialects.est.envelope import DOCUMENTED, UPSTREAM
from fleetroll.service import enrollment
from fleetroll.wire.dialect import Dialect, Form, Place, Route

_AT = "/.well-known/est/{aps}"


def _asking(verb: str, operation: object, encode: object, about: str) -> Route:
    """A row that takes a certificate request."""
    return Route(
        "POST",
        f"{_AT}/{verb}",
        operation,  # type: ignore[arg-type]  # of any of the three
        mapping.ask,
        encode,  # type: ignore[arg-type]
        about,
        body=bytes,
        media_types=(shapes.REQUEST,),
        reply=bytes,
        secret=True,
        peer=True,
    )


_ROUTES = (
    Route(
        "GET",
        f"{_AT}/cacerts",
        enrollment.trusted,
        mapping.named,
        mapping.trusted,
        "The authorities that devices of a DMS should trust",
        reply=bytes,
        peer=True,
    ),
    Route(
        "GET",
        f"{_AT}/crl",
        enrollment.revocation_list,
        mapping.named,
        mapping.revocation_list,
        "What the authority of a DMS has revoked, as a CRL in DER",
        reply=bytes,
    ),
    _asking("simpleenroll", enrollment.enroll, mapping.answer, "Enrol: a certificate for a request"),
    _asking("simplereenroll", enrollment.renew, mapping.answer, "Renew the certificate that the client shows"),
    _asking("serverkeygen", enrollment.generate, mapping.with_key, "Enrol with a key that the server makes"),
)

DIALECT = Dialect(
    name="est",
    title="EST (RFC 7030)",
    prefixes=("/.well-known/est/",),
    routes=_ROUTES,
    envelope=DOCUMENTED,
    credentials=(Form(Place.PATH, "aps", Issuer.ENROLLEE),),
    media_types=(),
)
UPSTREAM_DIALECT = structs.replace(DIALECT, envelope=UPSTREAM)
