"""Certificate requests (PKCS#10) from strangers: everything is checked, cheapest first, before anything is signed."""

import warnings
from contextlib import AbstractContextManager

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import PublicKeyAlgorithmOID

from fleetroll.core import limits
from fleetroll.core.certificates import KeyKind
from fleetroll.core.faults import Fault, Kind, invalid
from fleetroll.pki import keys, names
from fleetroll.pki.extensions import extension
from fleetroll.pki.keys import PrivateKey
from fleetroll.pki.port import Request

_HASHES = {"sha256", "sha384", "sha512"}
# What the parser raises for bytes that are not a request; it parses parts only when they are first asked for.
MALFORMED = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def read(der: bytes) -> Request:
    """The request, checked. Raises Fault invalid, or too_large `request_too_large`."""
    if len(der) > limits.MAX_CERTIFICATE_REQUEST:
        longest = limits.MAX_CERTIFICATE_REQUEST
        raise Fault(Kind.TOO_LARGE, "request_too_large", f"The certificate request is larger than {longest} bytes.")
    try:
        with quietly():
            return _checked(der)
    except MALFORMED:
        raise invalid("invalid_request", "This is not a certificate request (PKCS#10).") from None


def _checked(der: bytes) -> Request:
    request = load(der)
    kind = _kind(request)
    names.check_subject(request.subject)
    if (alternatives := alternative_names(request)) is not None:
        names.check_alternatives(alternatives)
    _check_signature(request)
    return Request(names.read(request.subject), kind, der)


def _kind(request: x509.CertificateSigningRequest) -> KeyKind:
    # The parser takes such a key for plain RSA, and no client could use it with a certificate for plain RSA.
    algorithm = request.public_key_algorithm_oid  # type: ignore[attr-defined]  # missing from the stub
    if algorithm == PublicKeyAlgorithmOID.RSASSA_PSS:
        raise invalid("unsupported_key", "A key for RSASSA-PSS alone is not supported; use a plain RSA key.")
    return keys.kind_of(request.public_key())


def quietly() -> AbstractContextManager[object]:
    """Silences the parser, which warns at each access of names longer than X.520 allows; ours have other bounds."""
    return warnings.catch_warnings(action="ignore")


def load(der: bytes) -> x509.CertificateSigningRequest:
    """The request as it is, unchecked. Raises any of `MALFORMED`, as may later access to its parts."""
    return x509.load_der_x509_csr(der)


def alternative_names(holder: x509.CertificateSigningRequest | x509.Certificate) -> x509.SubjectAlternativeName | None:
    """The subject alternative names (RFC 5280, 4.2.1.6) of a request or a certificate; None if it has none."""
    return extension(holder, x509.SubjectAlternativeName)


def _check_signature(request: x509.CertificateSigningRequest) -> None:
    algorithm = request.signature_hash_algorithm
    if algorithm is None:  # Ed25519 hashes by itself (RFC 8032)
        is_strong = isinstance(request.public_key(), ed25519.Ed25519PublicKey)
    else:
        is_strong = algorithm.name in _HASHES
    if not is_strong:
        raise invalid("weak_signature", "The request must be signed with SHA-256, SHA-384 or SHA-512.")
    if not request.is_signature_valid:
        raise invalid("invalid_signature", "The request is not signed with the key that it contains.")


def make(key: PrivateKey, subject: x509.Name, alternatives: x509.SubjectAlternativeName | None = None) -> bytes:
    """A request for `subject`, in DER."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(key, hash_for(key)).public_bytes(Encoding.DER)


def hash_for(key: PrivateKey) -> hashes.SHA256 | None:
    """The hash that this key signs; None for Ed25519, which brings its own."""
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
