"""Certificate authorities over the `cryptography` package: implements `port.Pki`.

Authorities sign nothing but device certificates, revocation lists and the server's own certificate: their path length
is zero, and the certificates that they issue say what they are good for.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes as PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fleetroll.core import limits
from fleetroll.core.certificates import KeyKind, KeyType, Reason, Revocation
from fleetroll.core.faults import Fault, Kind, invalid
from fleetroll.core.model import Instant
from fleetroll.core.times import SECOND, from_datetime, to_datetime
from fleetroll.pki import anchors, keys, names, requests
from fleetroll.pki.extensions import extension
from fleetroll.pki.port import CertificateAndKey, Description, Issued, Request, Signer, Terms

_HIGHEST_BIT = 126  # of a serial number: always set, so that it is positive and never shorter than 16 bytes
_Builder = x509.CertificateBuilder


class X509:
    """Implements `port.Pki`. `secret` seals the keys of authorities."""

    def __init__(self, secret: bytes) -> None:
        self._sealer = keys.Sealer(secret)
        self._one_key_at_a_time = asyncio.Lock()
        self._due: Counter[int] = Counter()  # keys that are being made or wait to be, by organization

    def make_authority(self, name: str, owner: str, key: bytes, terms: Terms, context: str) -> Signer:
        own = keys.load(key)
        subject = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, owner), x509.NameAttribute(NameOID.COMMON_NAME, name)]
        )
        identifier = x509.SubjectKeyIdentifier.from_public_key(own.public_key())
        builder = (
            _new(subject, terms)
            .issuer_name(subject)
            .public_key(own.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
            .add_extension(identifier, critical=False)
        )
        certificate = builder.sign(own, requests.hash_for(own))
        return Signer(certificate.public_bytes(Encoding.DER), self._sealer.seal(own, context), context)

    def read_request(self, der: bytes) -> Request:
        return requests.read(der)

    def describe(self, der: bytes) -> Description:
        try:
            with requests.quietly():
                return _describe(_load(der))
        except requests.MALFORMED:
            raise _no_certificate() from None

    def describe_authority(self, der: bytes) -> Description:
        info = self.describe(der)
        if not info.is_authority:
            raise invalid("not_an_authority", "This is not the certificate of a certificate authority.", "certificate")
        if not anchors.key_identifier_matches(_load(der)):
            raise invalid(
                "foreign_key_identifier",
                "The subject key identifier of this certificate is not a hash of its key, and may be another's.",
                "certificate",
            )
        return info

    def anchor(self, authority: bytes) -> bytes | None:
        try:
            with requests.quietly():
                return anchors.anchor(_load(authority))
        except requests.MALFORMED:
            return None

    def can_sign(self, signer: Signer) -> bool:
        try:
            self._sealer.open(signer.sealed_key, signer.context)
        except RuntimeError:
            return False
        return True

    def issue(self, signer: Signer, request: Request, terms: Terms) -> Issued:
        csr = requests.load(request.der)
        with requests.quietly():
            purpose = ExtendedKeyUsageOID.CLIENT_AUTH
            builder = _leaf(signer, csr.subject, csr.public_key(), terms, purpose)
        if terms.with_names and (alternatives := requests.alternative_names(csr)) is not None:
            builder = builder.add_extension(alternatives, critical=False)
        return self._signed(signer, builder)

    def issue_for_server(self, signer: Signer, hosts: Sequence[str], terms: Terms, password: str) -> CertificateAndKey:
        key = keys.make(KeyKind())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][: limits.MAX_AUTHORITY_NAME])])
        builder = _leaf(signer, subject, key.public_key(), terms, ExtendedKeyUsageOID.SERVER_AUTH)
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        return CertificateAndKey(self._signed(signer, builder).der, keys.encrypted(key, password))

    def is_issued_by(self, certificate: bytes, authority: bytes) -> bool:
        try:
            _load(certificate).verify_directly_issued_by(_load(authority))
        except (*requests.MALFORMED, InvalidSignature):
            return False
        return True

    def is_same(self, certificate: bytes, other: bytes) -> bool:
        return _load(certificate).tbs_certificate_bytes == _load(other).tbs_certificate_bytes

    def revocation_list(
        self, signer: Signer, revoked: Sequence[Revocation], number: int, at: Instant, until: Instant
    ) -> bytes:
        key = self._sealer.open(signer.sealed_key, signer.context)
        # Given to the constructor: added one by one, each entry would copy all those before it.
        builder = x509.CertificateRevocationListBuilder(
            _load(signer.certificate).subject,
            _datetime(at),
            _datetime(until),
            revoked_certificates=list(map(_entry, revoked)),
        )
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        builder = builder.add_extension(_issuer_key(signer.certificate), critical=False)
        return builder.sign(key, requests.hash_for(key)).public_bytes(Encoding.DER)

    def bundle(self, certificates: Sequence[bytes]) -> bytes:
        return pkcs7.serialize_certificates([_load(der) for der in certificates], Encoding.DER)

    def make_key(self, kind: KeyKind) -> bytes:
        return keys.encoded(keys.make(kind))

    async def make_key_off_loop(self, kind: KeyKind, org: int) -> bytes:
        if kind.type is not KeyType.RSA:
            return self.make_key(kind)
        if self._due.total() >= limits.MAX_KEYS_DUE or self._due[org] >= limits.MAX_OWN_KEYS_DUE:
            raise _too_many_keys()
        self._due[org] += 1
        try:
            async with self._one_key_at_a_time:
                return await asyncio.to_thread(self.make_key, kind)
        finally:
            self._due -= Counter([org])

    def make_request(self, key: bytes, like: Request) -> Request:
        csr = requests.load(like.der)
        with requests.quietly():
            der = requests.make(keys.load(key), csr.subject, requests.alternative_names(csr))
        return requests.read(der)

    def _signed(self, signer: Signer, builder: _Builder) -> Issued:
        key = self._sealer.open(signer.sealed_key, signer.context)
        certificate = builder.sign(key, requests.hash_for(key))
        return Issued(
            _serial(certificate.serial_number),
            certificate.public_bytes(Encoding.DER),
            from_datetime(certificate.not_valid_before_utc),
            from_datetime(certificate.not_valid_after_utc),
        )


def _leaf(signer: Signer, subject: x509.Name, key: PublicKey, terms: Terms, purpose: x509.ObjectIdentifier) -> _Builder:
    """A certificate that certifies nobody else, with the extensions that RFC 5280 asks for."""
    authority = _load(signer.certificate)
    return (
        _new(subject, _within_authority(terms, authority))
        .issuer_name(authority.subject)
        .public_key(key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_issuer_key(signer.certificate), critical=False)
    )


def _new(subject: x509.Name, terms: Terms) -> _Builder:
    number = secrets.randbits(_HIGHEST_BIT) | 1 << _HIGHEST_BIT
    return (
        _Builder()
        .subject_name(subject)
        .serial_number(number)
        .not_valid_before(_datetime(terms.not_before))
        .not_valid_after(_datetime(terms.not_after))
    )


def _too_many_keys() -> Fault:
    message = "The server is already generating as many keys as it can at a time; retry later."
    return Fault(Kind.UNAVAILABLE, "too_many_keys", message, retry_after=limits.KEY_TIME)


@lru_cache(256)
def _load(der: bytes) -> x509.Certificate:
    if len(der) > limits.MAX_CERTIFICATE:
        raise _no_certificate()
    return x509.load_der_x509_certificate(der)


def _describe(certificate: x509.Certificate) -> Description:
    return Description(
        _serial(certificate.serial_number),
        names.read(certificate.subject),
        names.read(certificate.issuer),
        anchors.key_identifier(certificate).hex(),
        _issuer_key_of(certificate),
        keys.kind_of(certificate.public_key()),
        from_datetime(certificate.not_valid_before_utc),
        from_datetime(certificate.not_valid_after_utc),
        _is_authority(certificate),
    )


def _no_certificate() -> Fault:
    return invalid("invalid_certificate", "This is not an X.509 certificate.")


def _issuer_key_of(certificate: x509.Certificate) -> str:
    issuer = extension(certificate, x509.AuthorityKeyIdentifier)
    return issuer.key_identifier.hex() if issuer and issuer.key_identifier else ""


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints = extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


@lru_cache(256)
def _issuer_key(authority: bytes) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(_load(authority).public_key())  # type: ignore[arg-type]


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _within_authority(terms: Terms, authority: x509.Certificate) -> Terms:
    """The terms with times at which the authority is valid too.

    Raises Fault invalid `authority_expired` or `authority_not_yet_valid` if there are none.
    """
    not_before = max(terms.not_before, from_datetime(authority.not_valid_before_utc))
    not_after = min(terms.not_after, from_datetime(authority.not_valid_after_utc))
    if terms.not_after <= not_before:
        since = authority.not_valid_before_utc.date()
        message = f"The certificate authority is not valid before {since}: the clock was ahead when it was made."
        raise invalid("authority_not_yet_valid", message)
    if not_after <= not_before:
        raise invalid("authority_expired", "The certificate authority has expired.")
    return Terms(not_before, not_after, terms.with_names)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _entry(revoked: Revocation) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(int(revoked.serial, 16), _datetime(revoked.at))
    if revoked.reason is not Reason.UNSPECIFIED:  # which is said by leaving the extension out (RFC 5280, 5.3.1)
        builder = builder.add_extension(x509.CRLReason(_REASONS[revoked.reason]), critical=False)
    return builder.build()


_REASONS = {
    Reason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
    Reason.CA_COMPROMISE: x509.ReasonFlags.ca_compromise,
    Reason.AFFILIATION_CHANGED: x509.ReasonFlags.affiliation_changed,
    Reason.SUPERSEDED: x509.ReasonFlags.superseded,
    Reason.CESSATION_OF_OPERATION: x509.ReasonFlags.cessation_of_operation,
    Reason.CERTIFICATE_HOLD: x509.ReasonFlags.certificate_hold,
    Reason.PRIVILEGE_WITHDRAWN: x509.ReasonFlags.privilege_withdrawn,
    Reason.AA_COMPROMISE: x509.ReasonFlags.aa_compromise,
}
if _REASONS.keys() | {Reason.UNSPECIFIED} != set(Reason):
    raise LookupError("every reason of a revocation needs its flag")


def _serial(number: int) -> str:
    text = f"{number:x}"
    return text if len(text) % 2 == 0 else f"0{text}"


def _datetime(at: Instant) -> datetime:
    """To the second, as certificates have it."""
    return to_datetime(at - at % SECOND)
