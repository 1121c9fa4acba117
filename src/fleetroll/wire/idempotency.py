"""Idempotency-Key: a request that is sent again gets the same answer again, and nothing happens twice.

The answer is stored in the transaction that did the work, per caller, sealed under the server key: it may hold a
secret that is stored nowhere else. A refusal is stored as well; a failure of ours is not, so that a retry can succeed,
and neither is a stale precondition, which asks for a retry. Nor is a denied permission: a caller that may only read
leaves nothing behind.
"""

import base64
import hashlib
import hmac
import os

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from fleetroll.core import limits, tokens
from fleetroll.core.faults import Fault, Kind, conflict, invalid
from fleetroll.core.model import Instant, Principal
from fleetroll.core.times import SECOND
from fleetroll.store.port import Records, Replay
from fleetroll.wire.answers import Answer

_NONCE = 12
_RETRIABLE = {Kind.STALE, Kind.UNAVAILABLE, Kind.INTERNAL, Kind.RATE_LIMITED, Kind.UNAUTHENTICATED}
_NO_ANSWERS = {"idempotency_key_reused", "permission_denied"}


class Once(Struct, frozen=True):
    """One use of an Idempotency-Key: whose, which, and for which request."""

    org: int
    key: int
    name: str
    fingerprint: str


class Idempotency:
    """Stores and finds answers."""

    def __init__(self, server_key: bytes) -> None:
        self._key = tokens.derive(server_key, "replay-fingerprint")
        self._box = AESGCM(tokens.derive(server_key, "replay-body"))

    def once(self, principal: Principal, name: str, request: tuple[bytes, ...]) -> Once:
        """A use of the key `name`; `request` is all that identifies it. Raises Fault invalid for a bad name."""
        if not (0 < len(name) <= limits.MAX_IDEMPOTENCY_KEY and name.isascii() and name.isprintable()):
            rule = f"Idempotency-Key must be 1 to {limits.MAX_IDEMPOTENCY_KEY} printable ASCII characters."
            raise invalid("invalid_idempotency_key", rule, "Idempotency-Key")
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in request:
            digest.update(len(part).to_bytes(8, "big") + part)
        return Once(principal.org.id, principal.key.id, name, digest.hexdigest())

    async def find(self, records: Records, once: Once, now: Instant) -> Answer | None:
        """The stored answer. Raises Fault conflict `idempotency_key_reused` if it answered another request."""
        stored = await records.replays.get(once.org, once.key, once.name)
        if stored is None or now - stored.at > limits.IDEMPOTENCY_LIFETIME * SECOND:
            return None
        if not hmac.compare_digest(stored.fingerprint, once.fingerprint):
            message = "This Idempotency-Key was used for another request; use a new one."
            raise conflict("idempotency_key_reused", message, "Idempotency-Key")
        headers = msgspec.json.decode(stored.headers, type=tuple[tuple[str, str], ...])
        encoded = tuple((field.encode("latin-1"), value.encode("latin-1")) for field, value in headers)
        return Answer(stored.status, encoded, self._open(stored.body, once))

    async def keep(self, records: Records, once: Once, answer: Answer, now: Instant) -> None:
        """Store an answer, whatever its length: it is about one record, which has bounds."""
        fields = [(field.decode("latin-1"), value.decode("latin-1")) for field, value in answer.headers]
        headers = msgspec.json.encode(fields).decode()
        body = self._seal(answer.body, once)
        await records.replays.put(
            once.org, once.key, once.name, Replay(once.fingerprint, answer.status, headers, body, now)
        )

    def _seal(self, body: bytes, once: Once) -> str:
        nonce = os.urandom(_NONCE)
        return base64.b64encode(nonce + self._box.encrypt(nonce, body, _context(once))).decode()

    def _open(self, sealed: str, once: Once) -> bytes:
        raw = base64.b64decode(sealed)
        return self._box.decrypt(raw[:_NONCE], raw[_NONCE:], _context(once))


def is_kept(fault: Fault) -> bool:
    """Whether a refusal is stored, and so answers every retry too."""
    return fault.kind not in _RETRIABLE and fault.code not in _NO_ANSWERS


def _context(once: Once) -> bytes:
    return f"{once.org}:{once.key}:{once.name}".encode()
