"""Complete replies, made from what a route encodes or from a refusal in the dialect's envelope."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from fleetroll.core.faults import Fault, stale
from fleetroll.core.guards import ANY, Guard, names_revision
from fleetroll.wire.dialect import Envelope, LongList, Reply, Route

_encode = msgspec.json.Encoder().encode
_NO_BODY = (204, 304)
_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")
_TURN: Final = 0.005  # seconds on the event loop before others get a turn

Headers = tuple[tuple[bytes, bytes], ...]


class Answer(Struct, frozen=True, gc=False):
    """A finished reply: what is sent, and what is stored to be sent again."""

    status: int
    headers: Headers
    body: bytes

    def head(self, request_id: str) -> list[tuple[bytes, bytes]]:
        """All header fields, with those that belong to this one sending."""
        head = [*self.headers, (b"x-request-id", request_id.encode())]
        if self.status not in _NO_BODY:
            head.append((b"content-length", b"%d" % len(self.body)))
        return head

    def guarded(self, guard: Guard) -> "Answer":
        """The answer to a read under preconditions: 304 if the client already has it. Raises Fault stale."""
        tag = dict(self.headers).get(b"etag")
        if tag is None:
            return self
        known = tag.decode()
        if guard.match is not None and not names_revision(guard.match, known):
            raise stale()
        if guard.none_match is not None and {ANY, known, f"W/{known}"} & set(guard.none_match):
            return Answer(304, ((b"etag", tag),), b"")
        return self


def success(route: Route, encoded: Any) -> Answer:
    """What a route has encoded, as a reply."""
    reply = encoded if isinstance(encoded, Reply) else Reply(encoded)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    if reply.etag is not None:
        headers.append((b"etag", reply.etag.encode()))
    if reply.location is not None:
        headers.append((b"location", reply.location.encode()))
    if route.secret:
        headers.append(_NO_STORE)
    status = reply.status or route.status
    if reply.body is None:
        return Answer(status, tuple(headers), b"")
    if isinstance(reply.body, bytes):
        headers.append((b"content-type", reply.media_type.encode()))
        return Answer(status, tuple(headers), reply.body)
    headers.append(_JSON)
    return Answer(status, tuple(headers), _encode(reply.body))


async def encoded_list(long: LongList) -> Any:
    """What a long list is shown as, its records encoded as JSON, with turns for others in between."""
    shown = []
    late = time.monotonic() + _TURN
    for record in long.records:
        shown.append(Raw(_encode(long.shape(record))))
        if time.monotonic() > late:
            await asyncio.sleep(0)
            late = time.monotonic() + _TURN
    return long.around(shown)


def refusal(envelope: Envelope, fault: Fault, route: Route | None, request_id: str) -> Answer:
    """A fault in a dialect's own form, with the vendor's words for it where `route` has some."""
    status = (route.codes.get(fault.code) if route else None) or envelope.status(fault)
    words = (route.messages.get(fault.code) if route else None) or envelope.messages.get(fault.code)
    shown = fault if words is None else _reworded(fault, words)
    media_type, body = worded(envelope, shown, status, request_id)
    headers = {"content-type": media_type}
    if fault.retry_after is not None:
        headers["retry-after"] = str(int(fault.retry_after))
    if status == 401 and envelope.challenge:
        headers["www-authenticate"] = envelope.challenge
    if "allowed" in fault.details:
        headers["allow"] = str(fault.details["allowed"])
    return Answer(status, _encoded(headers), body)


def worded(envelope: Envelope, fault: Fault, status: int, request_id: str) -> tuple[str, bytes]:
    """The media type and the body of a fault in a dialect's own form."""
    return envelope.media_type, _encode(envelope.body(fault, status, request_id))


def _reworded(fault: Fault, words: str) -> Fault:
    return Fault(
        fault.kind,
        fault.code,
        words,
        fault.field,
        details=fault.details,
        retry_after=fault.retry_after,
        named=fault.named,
    )


def _encoded(headers: Mapping[str, str]) -> Headers:
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items())
