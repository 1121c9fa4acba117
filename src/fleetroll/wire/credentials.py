"""Where a request carries its credential, in every HTTP form that vendors' clients use. The service checks it."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence

from fleetroll.core import tokens
from fleetroll.wire.dialect import Form

Headers = Mapping[bytes, bytes]


def extract(forms: Sequence[Form], headers: Headers) -> str | None:
    """The secret that the request presents in one of `forms`, or None."""
    for form in forms:
        secret = _READERS[form](headers)
        if secret is not None:
            return secret
    return None


def _api_key(headers: Headers) -> str | None:
    value = headers.get(b"x-api-key")
    return value.decode("latin-1").strip() if value else None


def _bearer(headers: Headers) -> str | None:
    return _after_scheme(headers, b"bearer ")


def _basic(headers: Headers) -> str | None:
    encoded = _after_scheme(headers, b"basic ")
    if encoded is None:
        return None
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    if user.startswith("flr_o_") and password:
        return tokens.join(user, password)
    return password or user


def _after_scheme(headers: Headers, scheme: bytes) -> str | None:
    value = headers.get(b"authorization")
    if value is None or value[: len(scheme)].lower() != scheme:
        return None
    return value[len(scheme) :].decode("latin-1").strip()


_READERS: dict[Form, Callable[[Headers], str | None]] = {
    Form.API_KEY_HEADER: _api_key,
    Form.BEARER: _bearer,
    Form.BASIC: _basic,
}
assert _READERS.keys() == set(Form)
