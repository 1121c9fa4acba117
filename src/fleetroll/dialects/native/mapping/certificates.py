"""Certificates: shown, listed, revoked and restored."""

from fleetroll.core import encodings
from fleetroll.core.certificates import Reason
from fleetroll.core.faults import invalid
from fleetroll.core.query import Part
from fleetroll.dialects.native.mapping.authorities import public_key
from fleetroll.dialects.native.mapping.paging import limit, mark, resume
from fleetroll.dialects.native.mapping.times import at, when
from fleetroll.dialects.native.shapes import certificates as shapes
from fleetroll.service import binding, certificates
from fleetroll.wire.request import Request


def certificate(result: certificates.Shown, request: Request) -> shapes.Certificate:
    record, info = result.certificate, result.description
    return shapes.Certificate(
        record.serial,
        record.common_name,
        record.device,
        record.dms,
        result.authority,
        public_key(info.key),
        record.state(result.at),
        at(record.not_before),
        at(record.not_after),
        when(record.revoked_at),
        record.reason.name.lower() if record.reason else None,
        at(record.created_at),
        encodings.pem(record.der),
    )


def one_certificate(request: Request) -> certificates.Named:
    return certificates.Named(request.path["serial"])


def list_certificates(request: Request) -> certificates.Listing:
    query = request.query
    return certificates.Listing(
        limit(request), resume(request) or 0, query.get("authority"), query.get("device"), query.get("serial")
    )


def certificate_page(result: Part[certificates.Shown, int], request: Request) -> shapes.CertificateList:
    certificates = [certificate(record, request) for record in result.records]
    return shapes.CertificateList(certificates, mark(result.next, request))


def reason_of(word: str) -> Reason:
    reasons = {reason.name.lower(): reason for reason in Reason}
    if word not in reasons:
        raise invalid("invalid_reason", f"reason must be one of {', '.join(reasons)}.", "reason")
    return reasons[word]


def revoke_certificate(request: Request) -> binding.Rule:
    return binding.Rule(request.path["serial"], reason_of(request.body.reason))


def restore_certificate(request: Request) -> binding.Rule:
    return binding.Rule(request.path["serial"], None)
