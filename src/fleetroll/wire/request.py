"""A request as decoders see it: parsed, bounded and checked, with nothing left to await."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from fleetroll.core import limits
from fleetroll.core.faults import Fault, invalid
from fleetroll.core.guards import UNGUARDED, Guard
from fleetroll.service.enrollment import STRANGER
from fleetroll.wire.cursors import Cursors

_PERCENT = ord("%")
_HOST = re.compile(r"[A-Za-z0-9._\[\]:-]{1,255}")
_HOST_NAME = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d+)?(?:/|\Z)")


class Request:
    """One request to one route. `path` holds the template's parameters, decoded; `body` the decoded shape.

    `encoding` and `media_type` are those of the body; `rows` are set, in place of `body`, for routes with `lines`.
    `peer` and `accept` are set only for routes that ask for the `peer`.
    """

    guard: Guard = UNGUARDED
    body: Any = None
    encoding = ""
    media_type = ""
    rows: AsyncIterator[list[Any]] | None = None
    accept = ""
    peer = STRANGER
    last_event_id: str | None = None
    scheme, host = "http", b""
    public_url: str | None = None
    origin = ""  # this server's URL over HTTP, for replies over the broker that name it

    def __init__(self, path: dict[str, str], query: "Query", cursors: Cursors, binding: Callable[[], str]) -> None:
        self.path = path
        self.query = query
        self._cursors = cursors
        self._binding = binding

    def url(self, path: str) -> str:
        """The URL of a path here: by the operator's public URL, or the host that this client named; else the path."""
        if self.public_url:
            return self.public_url + path
        host = self.host.decode("latin-1")
        return f"{self.scheme}://{host}{path}" if _HOST.fullmatch(host) else path

    def host_name(self) -> str | None:
        """The host of `url`: a name or an address, IPv6 in brackets. None if this client named no proper one."""
        found = _HOST_NAME.match(self.url(""))
        return found[1] if found else None

    def resume(self, token: str, binding: str) -> Any:
        """The position that a cursor names. `binding`: what the list depends on in the query. Raises Fault invalid."""
        return self._cursors.open(token, f"{self._binding()}?{binding}")

    def mark(self, position: Any, binding: str) -> str:
        """A cursor for `position`, good only for the same tenant, route and `binding`."""
        return self._cursors.seal(position, f"{self._binding()}?{binding}")


class Query:
    """The query string's pairs, in order."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def get(self, name: str) -> str | None:
        """The one value of a parameter. Raises Fault invalid if it is given more than once."""
        values = self.all(name)
        if len(values) > 1:
            raise invalid("repeated_parameter", f"{name} must be given once.", name)
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name] if self.pairs else []

    def flag(self, name: str) -> bool:
        """`true` or `false`, in any case, since Python clients send `True`; absent is false. Raises Fault invalid."""
        value = self.get(name)
        if value is not None and value.lower() not in {"true", "false"}:
            raise invalid("invalid_parameter", f"{name} must be true or false.", name)
        return value is not None and value.lower() == "true"


NO_QUERY = Query([])


def parse_query(raw: bytes) -> Query:
    """The pairs of a query string or form. Raises Fault invalid for too many, bad UTF-8 and control characters."""
    if not raw:
        return NO_QUERY
    fields = raw.split(b"&")
    if len(fields) > limits.MAX_QUERY_PARAMETERS:
        raise invalid("too_many_parameters", f"There are more than {limits.MAX_QUERY_PARAMETERS} query parameters.")
    pairs = (field.partition(b"=") for field in fields if field)
    return Query([(text(name.replace(b"+", b" ")), text(value.replace(b"+", b" "))) for name, _, value in pairs])


def segment(raw: str) -> str:
    """As `text`, for a segment of a path that was decoded as Latin-1 to be split."""
    return raw if raw.isascii() and raw.isprintable() and "%" not in raw else text(raw.encode("latin-1"))


def text(raw: bytes) -> str:
    """Percent-decoded text. Raises Fault invalid for what is not UTF-8, and for U+0000 and other controls."""
    plain = unquote_to_bytes(raw) if _PERCENT in raw else raw
    try:
        decoded = plain.decode()
    except UnicodeDecodeError:
        raise _garbled() from None
    if not decoded.isprintable() and any(_is_control(character) for character in decoded):
        raise _garbled()
    return decoded


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f"


def _garbled() -> Fault:
    return invalid("invalid_text", "The path or query is not valid UTF-8 text without control characters.")
