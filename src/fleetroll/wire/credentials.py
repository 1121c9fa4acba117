"""Where a request carries its credential, in every HTTP form that vendors' clients use. The service checks it."""

import base64
from collections.abc import Callable, Mapping, Sequence

from fleetroll.core import tokens
from fleetroll.core.secrets import Presented
from fleetroll.wire.dialect import CredentialForm, CredentialLocation
from fleetroll.wire.request import Query

Headers = Mapping[bytes, bytes]
Path = Mapping[str, str]
Reader = Callable[[Headers, Query, Path], str | None]


class Credentials:
    """The forms that a route takes, in their order."""

    __slots__ = ("_readers",)

    def __init__(self, forms: Sequence[CredentialForm]) -> None:
        self._readers = [(form.issuer, _READERS[form.location](form.name)) for form in forms]

    def extract(self, headers: Headers, query: Query, path: Path) -> Presented | None:
        """The secret that the request presents in the first form that it has, or None."""
        for issuer, read in self._readers:
            secret = read(headers, query, path)
            if secret is not None:
                return Presented(issuer, secret)
        return None


def _header(name: str) -> Reader:
    key = name.encode()

    def read(headers: Headers, _: Query, __: Path) -> str | None:
        value = headers.get(key)
        return value.decode("latin-1").strip() if value else None

    return read


def _scheme(name: str) -> Reader:
    scheme = name.encode() + b" "
    length = len(scheme)

    def read(headers: Headers, _: Query, __: Path) -> str | None:
        value = headers.get(b"authorization")
        if value is None or value[:length].lower() != scheme:
            return None
        return value[length:].decode("latin-1").strip()

    return read


def _basic(name: str) -> Reader:
    after_scheme = _scheme(name)

    def read(headers: Headers, query: Query, path: Path) -> str | None:
        encoded = after_scheme(headers, query, path)
        return None if encoded is None else _password(encoded)

    return read


def _parameter(name: str) -> Reader:
    return lambda _, query, __: query.get(name)


def _client(name: str) -> Reader:
    return lambda _, query, __: _joined(query.get(name) or "", query.get("client_secret"))


def _segment(name: str) -> Reader:
    return lambda _, __, path: path.get(name, "")


def _password(encoded: str) -> str | None:
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # not base64, or not UTF-8
        return ""
    return _joined(user, password)


def _joined(user: str, password: str | None) -> str | None:
    """The secret in a name and password: an OAuth2 client's are its two halves, else one of the two is all of it."""
    if password and tokens.is_client_id(user):
        return tokens.join(user, password)
    return None if password is None else password or user


_READERS: dict[CredentialLocation, Callable[[str], Reader]] = {
    CredentialLocation.HEADER: _header,
    CredentialLocation.AUTHORIZATION: _scheme,
    CredentialLocation.BASIC: _basic,
    CredentialLocation.QUERY: _parameter,
    CredentialLocation.CLIENT: _client,
    CredentialLocation.PATH: _segment,
}
assert _READERS.keys() == set(CredentialLocation)
