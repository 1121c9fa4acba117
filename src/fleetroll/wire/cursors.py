"""Paging tokens: opaque, signed, bound to the organization, the route and the query they came from, and short-lived."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import msgspec

from fleetroll.core import limits
from fleetroll.core.faults import Fault, invalid
from fleetroll.core.model import Instant
from fleetroll.core.times import SECOND

_SIGNATURE = 16


class Cursors:
    """Makes and checks cursors under one key."""

    def __init__(self, key: bytes, clock: Callable[[], Instant]) -> None:
        self._key = key
        self._clock = clock

    def seal(self, position: Any, binding: str) -> str:
        """A cursor for `position`, any JSON value, that `open` takes only with the same `binding`."""
        payload = msgspec.json.encode((self._clock() // SECOND, position))
        return _in_base64(self._sign(payload, binding) + payload)

    def open(self, token: str, binding: str) -> Any:
        """The position. Raises Fault invalid `invalid_cursor`, or `cursor_expired` after a day."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except ValueError:  # not base64, or not even ASCII
            raise _refused() from None
        # The same bytes have more than one spelling in base64, and only one of them was given out.
        if not hmac.compare_digest(_in_base64(raw), token):
            raise _refused()
        signature, payload = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if not hmac.compare_digest(signature, self._sign(payload, binding)):
            raise _refused()
        made, position = msgspec.json.decode(payload)
        if self._clock() // SECOND - made > limits.CURSOR_LIFETIME:
            raise invalid("cursor_expired", "This cursor is too old; start again from the first page.", "cursor")
        return position

    def _sign(self, payload: bytes, binding: str) -> bytes:
        text = binding.encode("utf-8", "surrogatepass")
        # BLAKE2 is a keyed hash by itself, and a fraction of the cost of an HMAC on texts as short as these.
        signed = len(text).to_bytes(4, "big") + text + payload
        return hashlib.blake2b(signed, key=self._key, digest_size=_SIGNATURE).digest()


def _in_base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _refused() -> Fault:
    return invalid("invalid_cursor", "This cursor is invalid for this list; start again from the first page.", "cursor")
