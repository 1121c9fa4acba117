"""The header fields of a request, except its credential: which must not be repeated, and what some mean."""

from collections.abc import Mapping, Sequence

from fleetroll.core.faults import invalid
from fleetroll.core.guards import UNGUARDED, Guard, parse_tags
from fleetroll.wire import bodies, peers
from fleetroll.wire.dialect import Route
from fleetroll.wire.route_table import Row

_DECISIVE = frozenset(
    b"authorization x-api-key content-type content-encoding idempotency-key if-match if-none-match last-event-id "
    b"fleetroll-organization".split()
) | frozenset(peers.HEADERS)


def refuse_repeated(fields: Sequence[tuple[bytes, bytes]], headers: Mapping[bytes, bytes]) -> None:
    """Refuse a repeated field that decides something: a proxy and this server might each go by a different one.

    `headers` are the same fields by name. Raises Fault invalid `repeated_header`.
    """
    if len(fields) == len(headers):
        return
    names = [name for name, _ in fields if name in _DECISIVE]
    for name in names:
        if names.count(name) > 1:
            raise invalid("repeated_header", f"{name.decode()} must be given once.", name.decode())


def body_encoding(route: Route, headers: Mapping[bytes, bytes]) -> str:
    """The body's content encoding if the route understands it, else ""."""
    if not route.encodings:
        return ""
    given = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    return given if given in route.encodings else ""


def body_media_type(row: Row, headers: Mapping[bytes, bytes]) -> str:
    """The media type of the body. Raises Fault invalid for one, or an encoding, that the row does not take."""
    accepted = row.route.media_types or row.dialect.media_types
    encoding = None if body_encoding(row.route, headers) else headers.get(b"content-encoding")
    return bodies.check_media_type(headers.get(b"content-type"), accepted, encoding)


def preconditions(headers: Mapping[bytes, bytes]) -> Guard:
    """What If-Match and If-None-Match ask for. Raises Fault invalid for what is no list of entity tags."""
    match, none_match = headers.get(b"if-match"), headers.get(b"if-none-match")
    if match is None and none_match is None:
        return UNGUARDED
    return Guard(
        parse_tags(match.decode("latin-1"), "If-Match") if match is not None else None,
        parse_tags(none_match.decode("latin-1"), "If-None-Match") if none_match is not None else None,
    )
