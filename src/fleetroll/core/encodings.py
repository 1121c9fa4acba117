"""DER as text: PEM, and the base64 of EST. Pure, bounded, and strict about what comes in."""

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from fleetroll.core import limits
from fleetroll.core.faults import invalid

_PEM = re.compile(rb"\s*-----BEGIN ([A-Z0-9 ]{1,40})-----([A-Za-z0-9+/=\s]{1,32768})-----END \1-----\s*")
_CERTIFICATE = "CERTIFICATE"
_BEGINS = f"-----BEGIN {_CERTIFICATE}-----".encode()
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_LONGEST_PEM = 2 * limits.MAX_CERTIFICATE
_EST_WIDTH = 76
_PEM_WIDTH = 64


def pem(der: bytes) -> str:
    """A certificate as one PEM block."""
    lines = _in_lines(der, _PEM_WIDTH, "\n")
    return f"-----BEGIN {_CERTIFICATE}-----\n{lines}-----END {_CERTIFICATE}-----\n"


def certificate(text: str) -> bytes:
    """The DER of the only certificate in PEM, whatever is before it.

    Raises Fault invalid: `invalid_certificate`, or `private_key` for a text that has one.
    """
    raw = text.encode()
    if has_private_key(raw):
        message = "This contains a private key, which is not stored here: send the certificate alone."
        raise invalid("private_key", message, "certificate")
    der = _first(raw) if len(raw) <= _LONGEST_PEM else None
    if der is None:
        message = f"certificate must be a certificate in PEM, of at most {_LONGEST_PEM} bytes."
        raise invalid("invalid_certificate", message, "certificate")
    if raw.count(_BEGINS) > 1:
        message = "certificate must be one certificate: add each authority by itself."
        raise invalid("invalid_certificate", message, "certificate")
    return der


def has_private_key(text: bytes) -> bool:
    """Whether there is a private key in PEM."""
    return _PRIVATE_KEY.search(text) is not None


def _first(text: bytes) -> bytes | None:
    start = text.find(_BEGINS)
    match = _PEM.match(text[start : start + _LONGEST_PEM]) if start >= 0 else None
    return _decoded(match[2]) if match else None


def chain(text: bytes) -> list[bytes]:
    """The DER of every certificate in PEM, in its order. Raises Fault invalid `invalid_certificate`."""
    certificates = [_decoded(block[2]) for block in _PEM.finditer(text) if block[1] == _CERTIFICATE.encode()]
    if not certificates or None in certificates:
        raise invalid("invalid_certificate", "There must be a certificate in PEM.")
    return [der for der in certificates if der]


def est(der: bytes) -> bytes:
    """Base64 in lines of 76 characters that end in CRLF (RFC 7030, 4)."""
    return _in_lines(der, _EST_WIDTH, "\r\n").encode()


def from_est(body: bytes) -> bytes:
    """The DER of a request: base64, in lines or not, and with PEM armour or without.

    Raises Fault invalid: `invalid_request`, or `private_key` for a body that has one.
    """
    if has_private_key(body):
        raise invalid("private_key", "This contains a private key, which is not stored here: send the request alone.")
    match = _PEM.fullmatch(body)
    der = _decoded(match[2] if match else body)
    if not der:
        raise invalid("invalid_request", "The body must be the base64 of a certificate request in DER.")
    return der


def from_header(value: str) -> bytes | None:
    """The certificate that a proxy passes on, percent-encoded PEM or bare base64; None for anything else.

    Of a chain it is the first: proxies that pass on the whole begin with the client's own.
    """
    raw = unquote_to_bytes(value.replace("\t", "\n"))
    return _first(raw) or _decoded(raw)


def _decoded(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        return None


def _in_lines(der: bytes, width: int, end: str) -> str:
    text = base64.b64encode(der).decode()
    return "".join(text[start : start + width] + end for start in range(0, len(text), width))
