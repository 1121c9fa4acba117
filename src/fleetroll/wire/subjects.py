"""Requests over the broker, handled in the same order and by the same parts as `serve` handles those over HTTP.

The broker has verified the caller, and its accounts (`bus.permissions`) let through only subjects of the caller's own
organization; both are checked here again, since it costs nothing and a table may have a mistake.
"""

import logging
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from fleetroll.bus.port import Request as Message
from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.ids import broker_org
from fleetroll.core.model import Principal
from fleetroll.core.secrets import Issuer, Presented
from fleetroll.wire import bodies
from fleetroll.wire.dialect import Dialect, Subject
from fleetroll.wire.request import NO_QUERY, Request
from fleetroll.wire.serve import Kernel

logger = logging.getLogger("fleetroll.wire")

_encode = msgspec.json.Encoder().encode
_ORG = "{org}"
_STATUS = {Kind.INTERNAL: 500, Kind.UNAVAILABLE: 503}  # as HTTP would say it, for the log and the metrics


class _Row:
    """A subject with all that can be prepared before the first request."""

    __slots__ = ("decoder", "label", "subject")

    def __init__(self, dialect: Dialect, subject: Subject) -> None:
        self.subject = subject
        self.label = f"{dialect.name}.{subject.operation.name}"
        self.decoder = msgspec.json.Decoder(subject.body)


class Subjects:
    """Answers whatever comes to a subject of the dialects' tables, on behalf of `kernel`."""

    def __init__(self, kernel: Kernel, dialects: Iterable[Dialect]) -> None:
        self._kernel = kernel
        self.origin = ""
        self._rows = {row.subject: _Row(dialect, row) for dialect in dialects for row in dialect.subjects}

    async def answer(self, message: Message) -> bytes:
        """The reply. An unknown subject gets one too, since somebody waits for it."""
        started = time.perf_counter()
        template, org = _template(message.subject)
        row = self._rows.get(template)
        if row is None:
            return _encode({"status": "NOT_FOUND", "data": {"msg": "There is nothing at this subject."}})
        request_id = self._kernel.request_id({})
        principal, fault = None, None
        try:
            principal = await self._authenticate(message.user, org)
            reply = await self._perform(row, principal, message.body, request_id)
        except Fault as problem:
            fault, reply = problem, _encode(row.subject.refuse(problem))
        except Exception:
            logger.exception("request %s failed", request_id)
            fault = Fault(Kind.INTERNAL, "internal", "The server failed; it has been logged.")
            reply = _encode(row.subject.refuse(fault))
        status, code = (200, None) if fault is None else (_STATUS.get(fault.kind, 400), fault.code)
        seconds = time.perf_counter() - started
        self._kernel.record("REQUEST", template, row.label, principal, status, code, request_id, seconds)
        return reply

    async def _authenticate(self, user: str, org: str | None) -> Principal:
        services = self._kernel.services
        now = services.clock()
        principal = await services.keyring.identify(Presented(Issuer.BROKER, user), now)
        self._kernel.note_use(principal, now)
        if org is not None and org != broker_org(principal.org.id):
            raise Fault(Kind.NOT_FOUND, "organization_not_found", "There is no such organization.")
        self._kernel.admit(principal)
        return principal

    async def _perform(self, row: _Row, principal: Principal, body: bytes, request_id: str) -> bytes:
        subject = row.subject
        if len(body) > limits.MAX_BODY:
            raise bodies.too_large(limits.MAX_BODY)
        request = Request({}, NO_QUERY, self._kernel.cursors, lambda: "")
        request.origin = self.origin
        request.body = bodies.decode(row.decoder, body)

        def finish(result: Any) -> bytes:
            return _encode(subject.encode(result, request))

        return await self._kernel.services.perform(
            subject.operation, principal, subject.decode(request), request_id, finish
        )


def _template(subject: str) -> tuple[str, str | None]:
    """The row's name for a subject, and the organization in it, if any: its fourth word."""
    words = subject.split(".")
    if words[0] != "api" or len(words) < 5:
        return subject, None
    org, words[3] = words[3], _ORG
    return ".".join(words), org
