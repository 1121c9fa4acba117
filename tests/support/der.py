"""Certificate requests built byte by byte, so that they can be wrong in every way. A tag, a length, a value."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SEQUENCE, SET, INTEGER, BITS, OCTETS, UTF8, TRUE = 0x30, 0x31, 0x02, 0x03, 0x04, 0x0C, b"\x01\x01\xff"
COMMON_NAME = b"\x06\x03\x55\x04\x03"
ORGANIZATION = b"\x06\x03\x55\x04\x0a"
_EXTENSION_REQUEST = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e"
ALTERNATIVE_NAMES = b"\x06\x03\x55\x1d\x11"
ECDSA_SHA256 = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
KEY = ec.generate_private_key(ec.SECP256R1())
SPKI = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def tlv(tag: int, *parts: bytes) -> bytes:
    value = b"".join(parts)
    if len(value) < 128:
        return bytes((tag, len(value))) + value
    size = len(value).to_bytes((len(value).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + value


def part(oid: bytes, value: bytes) -> bytes:
    """One part of a name."""
    return tlv(SET, tlv(SEQUENCE, oid, tlv(UTF8, value)))


def name(*parts: bytes) -> bytes:
    return tlv(SEQUENCE, *parts)


def extension(oid: bytes, value: bytes) -> bytes:
    return tlv(SEQUENCE, oid, tlv(OCTETS, value))


def alternatives(*names: bytes) -> bytes:
    return extension(ALTERNATIVE_NAMES, tlv(SEQUENCE, *names))


def request(
    subject: bytes,
    *extensions: bytes,
    version: int = 0,
    spki: bytes = SPKI,
    algorithm: bytes = ECDSA_SHA256,
    signature: bytes | None = None,
) -> bytes:
    """A request over these parts, signed by `KEY` whatever they are."""
    asked = tlv(SEQUENCE, _EXTENSION_REQUEST, tlv(SET, tlv(SEQUENCE, *extensions))) if extensions else b""
    info = tlv(SEQUENCE, tlv(INTEGER, bytes((version,))), subject, spki, tlv(0xA0, asked))
    made = KEY.sign(info, ec.ECDSA(hashes.SHA256())) if signature is None else signature
    return tlv(SEQUENCE, info, algorithm, tlv(BITS, b"\x00", made))


def device(common_name: str, *extensions: bytes) -> bytes:
    return request(name(part(COMMON_NAME, common_name.encode())), *extensions)
