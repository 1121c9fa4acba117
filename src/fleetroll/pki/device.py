"""What a device does for its certificate: make a key, ask for one, and ask again in the names that it has."""

from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from fleetroll.core.certificates import KeyKind
from fleetroll.pki import keys, requests


class KeyAndRequest(NamedTuple):
    """A new private key in PEM, and a certificate request for it in DER."""

    key: bytes
    request: bytes


def new_request(common_name: str) -> KeyAndRequest:
    """A new key, and a request for that name. Raises ValueError for what can be no common name."""
    if not common_name:
        raise ValueError("a device has a name")
    with requests.quietly():
        # Identifiers may be longer than X.520 allows common names to be, and the server takes them.
        return _with_new_key(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name, _validate=False)]))


def renewal_request(certificate: Path) -> KeyAndRequest:
    """As `new_request`, in all the names of a certificate (RFC 7030, 4.2.2). Raises ValueError if there is none."""
    with requests.quietly():
        present = x509.load_pem_x509_certificate(certificate.read_bytes())
        return _with_new_key(present.subject, requests.alternative_names(present))


def _with_new_key(subject: x509.Name, alternatives: x509.SubjectAlternativeName | None = None) -> KeyAndRequest:
    key = keys.make(KeyKind())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyAndRequest(pem, requests.make(key, subject, alternatives))
