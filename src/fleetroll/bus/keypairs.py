"""NATS key pairs, and the JSON web tokens (v2) that operator and accounts sign.

The key pairs of the operator and of the server's own accounts are derived from the server key, so that every process
has the same ones after every restart and none is stored. Key pairs of credentials are random, and forgotten once handed
out.
"""

import base64
import enum
import hashlib
from typing import Any

import msgspec
import nkeys

from fleetroll.core import tokens

_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}


class Kind(enum.Enum):
    """What a key pair is for; the first letter of its public key says so."""

    OPERATOR = nkeys.PREFIX_BYTE_OPERATOR
    ACCOUNT = nkeys.PREFIX_BYTE_ACCOUNT
    USER = nkeys.PREFIX_BYTE_USER


class Pair:
    """One key pair. `seed` is its secret half in NATS's own text form."""

    __slots__ = ("_pair", "public", "seed")

    def __init__(self, kind: Kind, secret: bytes) -> None:
        self.seed: str = nkeys.encode_seed(secret, kind.value).decode()
        self._pair = nkeys.from_seed(bytearray(self.seed, "ascii"))
        self.public: str = self._pair.public_key.decode()

    def sign(self, text: bytes) -> bytes:
        signature: bytes = self._pair.sign(text)
        return signature


def derive(kind: Kind, server_key: bytes, purpose: str) -> Pair:
    """The pair for one of the server's own purposes, always the same."""
    return Pair(kind, tokens.derive(server_key, f"nats {kind.name.lower()} {purpose}"))


def token(
    claims: dict[str, Any],
    subject: str,
    name: str,
    signer: Pair,
    at: int,
    expiry: int | None = None,
    nonce: bytes = b"",
) -> str:
    """A token in which `signer` makes `claims` about `subject`, from `at` until `expiry`, both in Unix seconds.

    With another `nonce`, the same claims make another token.
    """
    payload = {"iat": at, "iss": signer.public, "name": name, "sub": subject, "nats": {**claims, "version": 2}}
    if expiry is not None:
        payload["exp"] = expiry
    digest = hashlib.sha256(msgspec.json.encode(payload) + nonce).digest()
    payload["jti"] = base64.b32encode(digest).decode().rstrip("=")
    text = b".".join(_base64(msgspec.json.encode(part)) for part in (_HEADER, payload))
    return (text + b"." + _base64(signer.sign(text))).decode()


def _base64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
