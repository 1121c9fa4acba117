"""Trust anchors for a TLS listener that tenants share, made so that no authority gets in the way of another.

OpenSSL takes for the issuer of a client's certificate the first authority that it knows by that name and key
identifier, and refuses the client if that one has another key, or says anything that does not suit. So a listener is
given anchors: an authority's name and key, and nothing else that its certificate says. And a key identifier must be a
hash of the key.
"""

import functools
import hashlib
import itertools
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fleetroll.pki.extensions import extension

_HASHES = ("sha1", "sha256", "sha384", "sha512")
_LEAST_IDENTIFIER = 16  # bytes; for a shorter one somebody could find another key
_SERIAL_BITS = 159  # a positive number in 20 bytes (RFC 5280, 4.1.2.2)
_NOT_BEFORE = datetime(2000, 1, 1, tzinfo=UTC)
_NOT_AFTER = _NOT_BEFORE + timedelta(days=365 * 7_000)


def anchor(authority: x509.Certificate) -> bytes:
    """A certificate in DER with the authority's name, key and key identifier.

    It also has the authority's issuer and serial number, since clients' certificates may name it by these.
    Nobody looks at its signature and its times: the listener trusts the key.
    """
    key, serial = authority.public_key(), authority.serial_number
    declared = key_identifier(authority)
    identifier = x509.SubjectKeyIdentifier(declared) if declared else x509.SubjectKeyIdentifier.from_public_key(key)
    is_valid_serial = 0 < serial < 1 << _SERIAL_BITS
    builder = (
        x509.CertificateBuilder()
        .subject_name(authority.subject)
        .issuer_name(authority.issuer)
        .serial_number(serial if is_valid_serial else x509.random_serial_number())
        .public_key(key)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(identifier, critical=False)
    )
    return builder.sign(_signing_key(), SHA256()).public_bytes(Encoding.DER)


@functools.cache
def _signing_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_identifier(certificate: x509.Certificate) -> bytes:
    """The certificate's own subject key identifier; empty if it has none."""
    identifier = extension(certificate, x509.SubjectKeyIdentifier)
    return b"" if identifier is None else identifier.digest


def key_identifier_matches(certificate: x509.Certificate) -> bool:
    """Whether its key identifier, if it has one, is a hash of its key by RFC 5280, 4.2.1.2 or RFC 7093.

    Some servers write the hash as hexadecimal text, which counts too.
    """
    identifier = key_identifier(certificate)
    if len(identifier) < _LEAST_IDENTIFIER:
        return not identifier
    key = certificate.public_key()
    with_algorithm = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for encoded, name in itertools.product((_bare_key(key), with_algorithm), _HASHES):
        digest = hashlib.new(name, encoded).digest()
        if digest.startswith(identifier) or digest.hex().encode().startswith(identifier):
            return True
    return False


def _bare_key(key: CertificatePublicKeyTypes) -> bytes:
    """What RFC 5280 hashes: the key in its subjectPublicKey, without the algorithm."""
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
