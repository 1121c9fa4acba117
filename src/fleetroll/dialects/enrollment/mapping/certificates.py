"""Certificates, as the CA shows and counts them, and their revocation."""

import base64
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from fleetroll.core import encodings
from fleetroll.core.certificates import KeyKind, KeyType, Reason, Tally
from fleetroll.core.faults import invalid
from fleetroll.core.identity import Windows
from fleetroll.core.query import Part
from fleetroll.core.times import to_datetime
from fleetroll.dialects.enrollment import shapes
from fleetroll.dialects.enrollment.mapping.durations import canonical
from fleetroll.dialects.enrollment.mapping.paging import bookmark, requested
from fleetroll.pki.port import Description
from fleetroll.pki.port import Name as DistinguishedName
from fleetroll.service import binding, certificates
from fleetroll.wire.request import Request

_NEVER = datetime(1, 1, 1, tzinfo=UTC)
_FILTER = re.compile(r"([a-z_.]+)\[([a-z_]+)\][:=]?(.*)", re.IGNORECASE)
_SERIAL = "serial_number"
_EQUALS = frozenset({"eq", "equal", "equals", "eq_ic", "equal_ignorecase"})
_REASONS = {
    Reason.UNSPECIFIED: "Unspecified",
    Reason.KEY_COMPROMISE: "KeyCompromise",
    Reason.CA_COMPROMISE: "CACompromise",
    Reason.AFFILIATION_CHANGED: "AffiliationChanged",
    Reason.SUPERSEDED: "Superseded",
    Reason.CESSATION_OF_OPERATION: "CessationOfOperation",
    Reason.CERTIFICATE_HOLD: "CertificateHold",
    Reason.PRIVILEGE_WITHDRAWN: "PrivilegeWithdrawn",
    Reason.AA_COMPROMISE: "AACompromise",
}
assert _REASONS.keys() == set(Reason)
_STRONG = {KeyType.RSA: 3072, KeyType.EC: 256, KeyType.ED25519: 256}


def _subject(name: DistinguishedName) -> shapes.Subject:
    return shapes.Subject(
        name.common_name, name.organization, name.organization_unit, name.country, name.state, name.locality
    )


def key_type(kind: KeyKind) -> str:
    return "ECDSA" if kind.type is KeyType.EC else kind.type.value


def _strength(kind: KeyKind) -> shapes.KeyStrength:
    return shapes.KeyStrength(key_type(kind), kind.bits, "HIGH" if kind.bits >= _STRONG[kind.type] else "MEDIUM")


def described(description: Description, der: bytes, issuer: shapes.Issuer, **members: Any) -> shapes.Certificate:
    """A certificate as the vendor shows it. `members` are its `status`, and others that differ from the usual."""
    plain = {
        "metadata": {},
        "revocation_timestamp": _NEVER,
        "revocation_reason": _REASONS[Reason.UNSPECIFIED],
        "type": "EXTERNAL",
        "engine_id": "",
        "is_ca": description.is_authority,
    }
    return shapes.Certificate(
        serial_number=description.serial,
        subject_key_id=description.subject_key,
        authority_key_id=description.issuer_key,
        certificate=base64.b64encode(encodings.pem(der).encode()).decode(),
        key_metadata=_strength(description.key),
        subject=_subject(description.subject),
        issuer=_subject(description.issuer),
        valid_from=to_datetime(description.not_before),
        issuer_metadata=issuer,
        valid_to=to_datetime(description.not_after),
        **{**plain, **members},
    )


def certificate(result: certificates.Shown, request: Request) -> shapes.Certificate:
    record = result.certificate
    revoked: dict[str, Any] = {}
    if record.revoked_at is not None:
        revoked["revocation_timestamp"] = to_datetime(record.revoked_at)
    if record.reason is not None:
        revoked["revocation_reason"] = _REASONS[record.reason]
    return described(
        result.description,
        record.der,
        shapes.Issuer(result.authority_serial, result.authority, 0),
        status=record.state(result.at).value,
        metadata={} if result.slot is None else _attached(result, result.slot.windows),
        **revoked,
    )


def _attached(result: certificates.Shown, windows: Windows) -> dict[str, Any]:
    """What the vendor keeps with the certificate of a slot: when it is due, and whose it is."""
    record = result.certificate
    deltas = {"Preventive": windows.preventive, "Critical": windows.critical}
    return {
        "lamassu.io/ca/expiration-deltas": [
            {"delta": canonical(delta), "name": name, "triggered": result.at >= record.not_after - delta}
            for name, delta in deltas.items()
        ],
        "lamassu.io/ra/attached-to": {"authorized_by": {"ra_id": record.dms or ""}, "device_id": record.common_name},
    }


def one_certificate(request: Request) -> certificates.Named:
    return certificates.Named(request.path["sn"])


def certificate_page(result: Part[certificates.Shown, int], request: Request) -> shapes.CertificateList:
    certificates = [certificate(record, request) for record in result.records]
    return shapes.CertificateList(bookmark(result.next, request), certificates)


def change_status(request: Request) -> binding.Rule:
    body = request.body
    if body.status not in {"REVOKED", "ACTIVE"}:
        raise invalid("invalid_status", "status must be REVOKED or ACTIVE.", "status")
    if body.status == "ACTIVE":
        return binding.Rule(request.path["sn"], None)
    known = {word.lower(): reason for reason, word in _REASONS.items()} | {"": Reason.UNSPECIFIED}
    if body.revocation_reason.lower() not in known:
        raise invalid("invalid_reason", "unsupported revocation code", "revocation_reason")
    return binding.Rule(request.path["sn"], known[body.revocation_reason.lower()])


def list_certificates(request: Request) -> certificates.Listing:
    """Of the vendor's filters, only the one by serial number is known. Another is refused rather than ignored."""
    serial = None
    for text in request.query.all("filter"):
        found = _FILTER.fullmatch(text)
        if found is None or found[1] != _SERIAL or found[2].lower() not in _EQUALS:
            raise invalid("unsupported_filter", "Certificates can be filtered by serial_number[eq] only.", "filter")
        serial = found[3]
    page = requested(request)
    return certificates.Listing(page.size, page.after or 0, authority=request.path.get("id"), serial=serial)


def stats(result: certificates.Stats, request: Request) -> shapes.Stats:
    total, expired = len(result.authorities), result.expired_authorities
    issued = {name: tally.issued for name, tally in result.authorities.items()}
    by_status = {"ACTIVE": total - expired, "EXPIRED": expired, "REVOKED": 0}
    return shapes.Stats(
        shapes.AuthorityStats(total, {}, by_status),
        shapes.CertificateStats(sum(issued.values()), issued, _by_status(result.authorities.values())),
    )


def _by_status(tallies: Iterable[Tally]) -> dict[str, int]:
    tallies = list(tallies)
    revoked, expired = sum(tally.revoked for tally in tallies), sum(tally.expired for tally in tallies)
    return {
        "ACTIVE": sum(tally.issued for tally in tallies) - revoked - expired,
        "EXPIRED": expired,
        "REVOKED": revoked,
    }
