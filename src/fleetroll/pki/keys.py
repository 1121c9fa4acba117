"""Keys: which are strong enough to be certified, how they are made, and how they are sealed at rest."""

import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from fleetroll.core.certificates import KeyKind, KeyType, check_generated
from fleetroll.core.faults import Fault, invalid

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
_NONCE = 12  # bytes, as is recommended for AES-GCM (NIST SP 800-38D, 5.2.1.1)
_MOST_OPENED = 1_000
_CURVES: dict[int, ec.EllipticCurve] = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}
_CURVE_NAMES = {curve.name for curve in _CURVES.values()}
# Larger keys cost the verifier more than they give anybody; below 2048 bits an RSA key can be broken.
_RSA_BITS = range(2048, 8193)
_EXPONENTS = range(65537, 1 << 33)


def kind_of(key: Any) -> KeyKind:
    """The kind of a public key. Raises Fault invalid `weak_key` for one that must not be certified."""
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVE_NAMES:
        return KeyKind(KeyType.EC, key.curve.key_size)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return KeyKind(KeyType.ED25519, 256)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS:
        exponent = key.public_numbers().e
        if exponent in _EXPONENTS and exponent % 2:
            return KeyKind(KeyType.RSA, key.key_size)
    raise _weak()


def _weak() -> Fault:
    return invalid("weak_key", "The key must be RSA of 2048 to 8192 bits, EC on P-256, P-384 or P-521, or Ed25519.")


def make(kind: KeyKind) -> PrivateKey:
    """A new private key. Raises Fault invalid `invalid_key_kind`."""
    check_generated(kind)
    if kind.type is KeyType.EC:
        return ec.generate_private_key(_CURVES[kind.bits])
    if kind.type is KeyType.RSA:
        return rsa.generate_private_key(65537, kind.bits)
    return ed25519.Ed25519PrivateKey.generate()


def encoded(key: PrivateKey) -> bytes:
    """PKCS#8 in DER, not encrypted."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def encrypted(key: PrivateKey, password: str) -> str:
    """PKCS#8 in PEM under a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())).decode()


def load(der: bytes) -> PrivateKey:
    """A key that was made here, so it is not validated: to validate an RSA key takes as long as to make one."""
    key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey)
    return key


class Sealer:
    """Seals private keys under a key derived from the server's, and opens each of them once.

    A seal is bound to its context: copied to another record, it does not open.
    """

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(secret)
        self._opened: dict[tuple[bytes, str], PrivateKey] = {}

    def seal(self, key: PrivateKey, context: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, encoded(key), context.encode())

    def open(self, sealed: bytes, context: str) -> PrivateKey:
        """The key. Raises RuntimeError where it was sealed under another server key or for another context."""
        key = self._opened.get((sealed, context))
        if key is None:
            if len(self._opened) >= _MOST_OPENED:
                self._opened.clear()
            key = self._opened[sealed, context] = self._unseal(sealed, context)
        return key

    def _unseal(self, sealed: bytes, context: str) -> PrivateKey:
        try:
            return load(self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], context.encode()))
        except InvalidTag:
            raise RuntimeError("an authority's key was sealed under another server key") from None
