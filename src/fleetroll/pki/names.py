"""Distinguished names and alternative names: reading them, and refusing those that no device should have."""

import ipaddress
import re

from cryptography import x509
from cryptography.x509.oid import NameOID

from fleetroll.core import limits
from fleetroll.core.faults import Fault, invalid
from fleetroll.pki.port import Name

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+")
_MAIL = re.compile(r"[\x21-\x3f\x41-\x7e]+@[A-Za-z0-9.-]+")
_PATTERNS: dict[type[x509.GeneralName], re.Pattern[str]] = {
    x509.DNSName: _HOST,
    x509.UniformResourceIdentifier: _URI,
    x509.RFC822Name: _MAIL,
}


def read(name: x509.Name) -> Name:
    """The usual parts of a name; of a part that is there twice, the first."""
    return Name(
        _first(name, NameOID.COMMON_NAME),
        _first(name, NameOID.ORGANIZATION_NAME),
        _first(name, NameOID.ORGANIZATIONAL_UNIT_NAME),
        _first(name, NameOID.COUNTRY_NAME),
        _first(name, NameOID.STATE_OR_PROVINCE_NAME),
        _first(name, NameOID.LOCALITY_NAME),
        name.public_bytes(),
    )


def _first(name: x509.Name, part: x509.ObjectIdentifier) -> str:
    attributes = name.get_attributes_for_oid(part)
    return str(attributes[0].value) if attributes else ""


def check_subject(name: x509.Name) -> None:
    """Raises Fault invalid `invalid_subject` unless it names one thing, briefly and in printable text."""
    parts = list(name)
    if len(parts) > limits.MAX_SUBJECT_PARTS:
        raise _bad_subject(f"has more than {limits.MAX_SUBJECT_PARTS} parts")
    if len(name.get_attributes_for_oid(NameOID.COMMON_NAME)) != 1:
        raise _bad_subject("must have one common name (CN)")
    for part in parts:
        value = part.value
        if not isinstance(value, str) or not value or not value.isprintable():
            raise _bad_subject("has a part that is not printable text")
        if len(value.encode()) > limits.MAX_SUBJECT_TEXT:
            raise _bad_subject(f"has a part of more than {limits.MAX_SUBJECT_TEXT} bytes")


def _bad_subject(what: str) -> Fault:
    return invalid("invalid_subject", f"The subject of the certificate request {what}.", "subject")


def check_alternatives(names: x509.SubjectAlternativeName) -> None:
    """Raises Fault invalid `invalid_alternative_name`: hosts, addresses, URIs and mailboxes, no wildcard, not many."""
    if not len(names):
        raise _bad_alternative("there are none")
    if len(names) > limits.MAX_ALTERNATIVE_NAMES:
        raise _bad_alternative(f"there are more than {limits.MAX_ALTERNATIVE_NAMES} of them")
    for name in names:
        if not _is_plain(name):
            raise _bad_alternative("one is not a plain host name, address, URI or mailbox")


def _is_plain(name: x509.GeneralName) -> bool:
    if isinstance(name, x509.IPAddress):
        return isinstance(name.value, ipaddress.IPv4Address | ipaddress.IPv6Address)
    pattern = _PATTERNS.get(type(name))
    return pattern is not None and len(name.value) <= limits.MAX_SUBJECT_TEXT and bool(pattern.fullmatch(name.value))


def _bad_alternative(what: str) -> Fault:
    return invalid(
        "invalid_alternative_name", f"The request's alternative names are not valid: {what}.", "subjectAltName"
    )
