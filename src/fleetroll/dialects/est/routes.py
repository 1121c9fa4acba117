"""The table of EST. A path names a DMS by its label: whoever asks there shows a client certificate, or nothing."""

from msgspec import structs

from fleetroll.core import limits
from fleetroll.core.secrets import Issuer
from fleetroll.dialects.est import mapping, shapes
from fleetroll.dialects.est.envelope import DOCUMENTED, UPSTREAM
from fleetroll.service import enrollment
from fleetroll.wire.dialect import AnyOperation, CredentialForm, CredentialLocation, Dialect, Encode, Route
from fleetroll.wire.revocation import REVOCATION_LIST, revocation_list

_BASE_PATHS = ("/.well-known/est", "/api/dmsmanager/.well-known/est")
"""RFC 7030's own, and that of Lamassu's gateway."""
_LABEL = "aps"
_CERTIFICATES = (shapes.BUNDLE, shapes.PEM)


def _asking(
    at: str, verb: str, operation: AnyOperation, encode: Encode, about: str, produces: tuple[str, ...] = _CERTIFICATES
) -> Route:
    """A row that takes a certificate request."""
    return Route(
        "POST",
        f"{at}/{verb}",
        operation,
        mapping.enrollment_request,
        encode,
        about,
        body=bytes,
        media_types=(shapes.REQUEST,),
        reply=bytes,
        produces=produces,
        secret=True,
        peer=True,
    )


def _rows(at: str) -> tuple[Route, ...]:
    return (
        Route(
            "GET",
            f"{at}/cacerts",
            enrollment.trusted,
            mapping.named,
            mapping.trusted,
            "The authorities that devices of a DMS should trust",
            reply=bytes,
            produces=_CERTIFICATES,
            peer=True,
        ),
        Route(
            "GET",
            f"{at}/crl",
            enrollment.revocation_list,
            mapping.named,
            revocation_list,
            "What the authority of a DMS has revoked, as a CRL in DER",
            reply=bytes,
            reply_headers=("ETag", "Last-Modified"),
            produces=(REVOCATION_LIST,),
        ),
        _asking(at, "simpleenroll", enrollment.enroll, mapping.answer, "Enrol: get a certificate for a request"),
        _asking(at, "simplereenroll", enrollment.renew, mapping.answer, "Renew the certificate that the client uses"),
        _asking(
            at,
            "serverkeygen",
            enrollment.generate,
            mapping.with_key,
            "Enrol with a key that the server generates",
            (shapes.PARTS,),
        ),
    )


_LABELLED = tuple(row for base in _BASE_PATHS for row in _rows(f"{base}/{{{_LABEL}}}"))
# Without a label, RFC 7030 leaves the choice to the server. No choice would be right, so it is refused.
_UNLABELLED = tuple(structs.replace(row, refused=True) for base in _BASE_PATHS for row in _rows(base))
DIALECT = Dialect(
    name="est",
    title="EST (RFC 7030)",
    prefixes=tuple(f"{base}/" for base in _BASE_PATHS),
    routes=(*_LABELLED, *_UNLABELLED),
    envelope=DOCUMENTED,
    credentials=(CredentialForm(CredentialLocation.PATH, _LABEL, Issuer.ENROLLEE),),
    places={_LABEL: "the name of the DMS"},
    media_types=(),
    max_body=limits.MAX_ENROLLMENT_BODY,
)
UPSTREAM_DIALECT = structs.replace(DIALECT, envelope=UPSTREAM)
