"""The single handler: every request of every dialect goes through `Kernel`, in the same order.

Route, credential, rate limit, body, decode, permission and operation in one transaction, encode. Failures of any step
leave in the dialect's own envelope. The order matters: no body is read for an unknown caller, except a short form that
may hold the credential, and nothing is decoded that was not counted first.
"""

import asyncio
import contextlib
import logging
import os
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import count, repeat
from typing import Any, TypeVar

from fleetroll.core import limits, policy, tokens
from fleetroll.core.faults import Fault, Kind, brief, invalid, stale
from fleetroll.core.guards import ANY, UNGUARDED
from fleetroll.core.model import Instant, Principal
from fleetroll.core.secrets import Presented
from fleetroll.service import organizations, projects
from fleetroll.service.operations import Call, Effect, Services
from fleetroll.store.port import Records
from fleetroll.wire import bodies, peers, row_bodies, streams
from fleetroll.wire.answers import Answer, encoded_list, refusal, success, worded
from fleetroll.wire.bodies import ClientGone
from fleetroll.wire.body_room import BodyRoom, Share
from fleetroll.wire.cursors import Cursors
from fleetroll.wire.dialect import Dialect, LongList, Route, Stream
from fleetroll.wire.header_fields import body_encoding, body_media_type, preconditions, refuse_repeated
from fleetroll.wire.http_cycle import WHOLE
from fleetroll.wire.http_refusals import Refusal
from fleetroll.wire.idempotency import Idempotency, Once, is_kept
from fleetroll.wire.log import Access, AccessLog
from fleetroll.wire.metrics import Metrics
from fleetroll.wire.rate_limits import Budget, Limiter, LocalLimitState, admit, limiting
from fleetroll.wire.request import NO_QUERY, Query, Request, parse_query
from fleetroll.wire.route_table import Row, table
from fleetroll.wire.router import Router
from fleetroll.wire.settings import Settings

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = bodies.Receive
T = TypeVar("T")

logger = logging.getLogger("fleetroll.wire")
_READS = frozenset({"GET", "HEAD"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


class _Exchange:
    """What is known of one request so far, for its reply, its log line and its metrics."""

    path: dict[str, str]
    row: Row | None = None
    principal: Principal | None = None
    secret: Presented | None = None
    keyring_epoch = 0  # the keyring's `epoch` when it was asked who this is
    query = NO_QUERY
    code: str | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.id = ""

    def binding(self) -> str:
        """What every cursor of this request is good for: one tenant's one list."""
        principal, row = self.principal, self.row
        assert principal is not None
        assert row is not None
        return f"{principal.org.id}:{row.dialect.name}:{row.route.path}:{sorted(self.path.items())}"


class Kernel:
    """An ASGI application over the dialects' route tables. `fallback` is the dialect in whose form unknown paths fail.

    `pages` are paths that the server itself answers, by GET and HEAD.
    """

    def __init__(
        self,
        services: Services,
        dialects: Iterable[Dialect],
        fallback: Dialect,
        settings: Settings,
        metrics: Metrics,
        access: AccessLog,
        pages: frozenset[str] = frozenset(),
    ) -> None:
        self.services = services
        self._dialects = tuple(dialects)
        self._fallback = fallback
        self._metrics = metrics
        self._access = access
        self.cursors = Cursors(tokens.derive(services.server_key, "cursors"), services.clock)
        self._idempotency = Idempotency(services.server_key)
        state = settings.limit_state or LocalLimitState()
        self._caller_limits = limiting(settings.key_rate, time.monotonic, "key", state)
        self._organization_limits = limiting(settings.organization_rate, time.monotonic, "organization", state)
        self._router = Router(table(self._dialects, self._caller_limits, self._organization_limits, settings, state))
        self._pages = pages
        self._peers = peers.Peers(settings.trusted_proxies)
        self._public_url = settings.public_url
        self._request_prefix = os.urandom(5).hex()
        self._request_numbers = count(1)
        self._last_used: dict[int, Instant] = {}
        self._body_room = BodyRoom()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        exchange = _Exchange(scope, receive, send)
        exchange.id = self.request_id(exchange.headers)
        try:
            status = await self._respond(exchange)
        except (ClientGone, asyncio.CancelledError):  # the client has left, or the server has waited long enough
            status = 499
        self.record(
            scope["method"],
            scope["path"],
            exchange.row.label if exchange.row else "none",
            exchange.principal,
            status,
            exchange.code,
            exchange.id,
            time.perf_counter() - started,
        )

    def take_last_used(self) -> Mapping[int, Instant]:
        """When each key was last used since this was last asked."""
        taken, self._last_used = self._last_used, {}
        return taken

    def admit(
        self,
        principal: Principal,
        caller_limits: Iterable[Limiter] | None = None,
        organization_limits: Iterable[Limiter] | None = None,
    ) -> None:
        """Count a request on these limits, or on those of all routes. Raises Fault rate_limited.

        Requests of strangers do not count on the rate of the organization that they ask.
        """
        of_caller = self._caller_limits if caller_limits is None else caller_limits
        of_organization = self._organization_limits if organization_limits is None else organization_limits
        budgets: list[Budget] = [*zip(of_caller, repeat(principal.actor))]
        if not principal.is_stranger:
            budgets += zip(of_organization, repeat(principal.org.id))
        if budgets:
            admit(*budgets)

    def note_use(self, principal: Principal, at: Instant) -> None:
        """Remember when a key was used. The derived credentials of devices and projects have no records."""
        if principal.key.id:
            self._last_used[principal.key.id] = at

    def record(
        self,
        method: str,
        path: str,
        operation: str,
        principal: Principal | None,
        status: int,
        code: str | None,
        request_id: str,
        seconds: float,
    ) -> None:
        """Log and measure a request. `code` is that of the fault, if it failed."""
        self._metrics.count(operation, status, code, seconds)
        self._access.write(
            Access(
                at=datetime.now(UTC),
                method=method,
                path=path,
                status=status,
                ms=int(seconds * 1_000_000) / 1000,
                request=request_id,
                operation=operation,
                key=principal.key.id if principal else None,
                org=principal.org.id if principal else None,
                code=code,
            )
        )

    def wording(self, unread: Refusal, target: bytes, request_id: str) -> tuple[str, bytes]:
        """The media type and body of a refusal given before the kernel, in the form of the dialect it was meant for."""
        envelope = self._dialect_of(target.decode("latin-1")).envelope
        return worded(envelope, unread.fault(), unread.status, request_id)

    # --- the steps of a request --------------------------------------------------------------------------------------

    async def _respond(self, exchange: _Exchange) -> int:
        try:
            refuse_repeated(exchange.scope["headers"], exchange.headers)
            row = exchange.row = self._route(exchange)
            if raw_query := exchange.scope["query_string"]:
                exchange.query = parse_query(raw_query)
            if row.route.form:
                exchange.query = await self._with_form(exchange)
            exchange.principal = await self._authenticate(exchange, row)
            principal = exchange.principal
            self.admit(principal, row.caller_limits, row.organization_limits)
            request = self._request_of(exchange, row)
            body = await self._read(exchange, row, request) if row.has_body else b""
            if row.route.stream is not None:
                with self._body_room.share(exchange.principal) as share:
                    return await self._stream(exchange, row, request, share)
            answer = await self._perform(exchange, row, request, body)
        except Fault as fault:
            answer = self._refuse(exchange, fault)
        except ClientGone:
            raise
        except Exception:
            logger.exception("request %s failed", exchange.id)
            answer = self._refuse(exchange, Fault(Kind.INTERNAL, "internal", "The server failed; it has been logged."))
        await send_whole(exchange.scope, exchange.send, answer.status, answer.head(exchange.id), answer.body)
        return answer.status

    def _route(self, exchange: _Exchange) -> Row:
        match = self._router.match(exchange.scope["method"], exchange.scope["raw_path"])
        if match is None and exchange.scope["path"] not in self._pages:
            raise Fault(Kind.NOT_FOUND, "unknown_path", "There is nothing at this path.")
        if match is None or match.target is None:
            allowed = ", ".join(match.allowed if match else ("GET", "HEAD"))
            raise invalid("method_not_allowed", f"This path allows {allowed}.", allowed=allowed)
        exchange.path = match.path
        return match.target

    async def _with_form(self, exchange: _Exchange) -> Query:
        """The query with the parameters of a form body added."""
        body = await bodies.read(exchange.receive, limits.MAX_FORM)
        if not body:
            return exchange.query
        headers = exchange.headers
        bodies.check_media_type(headers.get(b"content-type"), (bodies.FORM,), headers.get(b"content-encoding"))
        return Query([*exchange.query.pairs, *parse_query(body).pairs])

    async def _authenticate(self, exchange: _Exchange, row: Row) -> Principal:
        exchange.secret = row.credentials.extract(exchange.headers, exchange.query, exchange.path)
        now = self.services.clock()
        keyring = self.services.keyring
        exchange.keyring_epoch = keyring.epoch
        principal = keyring.recall(exchange.secret, now) or await keyring.identify(exchange.secret, now)
        self.note_use(principal, now)
        if row.route.organization is not None:
            return await projects.enter(self.services, principal, *row.route.organization(exchange.path))
        path = exchange.headers.get(row.acts_in) if row.acts_in else None
        if path is None:
            return principal
        return await organizations.acting_in(self.services, principal, path.decode("latin-1"))

    def _request_of(self, exchange: _Exchange, row: Row) -> Request:
        """The request without its body."""
        route, headers, query = row.route, exchange.headers, exchange.query
        if row.parameters is not None and query is not NO_QUERY:
            _refuse_unknown(query, row.parameters)
        request = Request(exchange.path, query, self.cursors, exchange.binding)
        request.guard = preconditions(headers)
        if request.guard.match is not None and not route.guarded and exchange.scope["method"] not in _READS:
            _refuse_unmatched(request.guard.match, route, exchange.principal)
        request.scheme, request.host = exchange.scope.get("scheme", "http"), headers.get(b"host", b"")
        request.public_url = self._public_url
        if route.peer:
            request.peer = self._peers.of(exchange.scope, headers)
            request.accept = headers.get(b"accept", b"").decode("latin-1")
        if route.stream is Stream.EVENTS and (last := headers.get(b"last-event-id")):
            request.last_event_id = last.decode("latin-1")
        return request

    async def _read(self, exchange: _Exchange, row: Row, request: Request) -> bytes:
        """Set the request's decoded body. Returns the body as it came."""
        route, headers = row.route, exchange.headers
        assert exchange.principal is not None
        with self._body_room.share(exchange.principal) as share:
            body = await bodies.read(exchange.receive, row.dialect.max_body, share.take)
        keyring = self.services.keyring
        if not keyring.is_unchanged(exchange.secret, exchange.keyring_epoch):  # a body may take its time
            await keyring.identify(exchange.secret, self.services.clock())
        if body and route.body is not None:
            request.encoding = body_encoding(route, headers)
            request.media_type = body_media_type(row, headers)
        if body or route.body_required:
            request.body = body if row.decode is None else row.decode(body)
        return body

    async def _perform(self, exchange: _Exchange, row: Row, request: Request, body: bytes) -> Answer:
        route, principal = row.route, exchange.principal
        assert principal is not None
        value = route.decode(request)

        def finish(result: Any) -> Any:
            encoded = route.encode(result, request)
            return encoded if isinstance(encoded, LongList) else success(route, encoded)

        if route.idempotent and (once := self._once(exchange, body)) is not None:
            return await self._perform_once(exchange, row, value, finish, once)
        try:
            answer: Answer = await self.services.perform(route.operation, principal, value, exchange.id, finish)
        except Fault as fault:
            if not await self._follow_transfer(exchange, fault):
                raise
            return await self._perform(exchange, row, request, body)
        if isinstance(answer, LongList):
            answer = success(route, await encoded_list(answer))
        reads = request.guard is not UNGUARDED and exchange.scope["method"] in _READS
        return answer.guarded(request.guard) if reads else answer

    async def _follow_transfer(self, exchange: _Exchange, fault: Fault) -> bool:
        """If it failed because its device was transferred after the token was verified, act in the new organization.

        The token is as good there. Returns whether that was the reason.
        """
        before = exchange.principal
        if fault.kind is not Kind.UNAUTHENTICATED or before is None or before.device is None:
            return False
        exchange.principal = await self.services.keyring.identify(exchange.secret, self.services.clock())
        return exchange.principal.org.id != before.org.id

    # --- idempotency -------------------------------------------------------------------------------------------------

    def _once(self, exchange: _Exchange, body: bytes) -> Once | None:
        name = exchange.headers.get(b"idempotency-key")
        if name is None:
            return None
        scope, principal = exchange.scope, exchange.principal
        assert principal is not None
        identity = (scope["method"].encode(), scope["raw_path"], scope["query_string"], body)
        return self._idempotency.once(principal, name.decode("latin-1"), identity)

    async def _perform_once(
        self, exchange: _Exchange, row: Row, value: Any, finish: Callable[[Any], Answer], once: Once
    ) -> Answer:
        """As `_perform`, unless the same request was answered before; the answer is stored with the work."""
        operation, principal = row.route.operation, exchange.principal
        assert principal is not None

        async def first(records: Records) -> Answer | None:
            return await self._replayed(records, once)

        async def last(records: Records, answer: Answer) -> None:
            await self._idempotency.keep(records, once, answer, self.services.clock())

        try:
            return await self.services.perform(operation, principal, value, exchange.id, finish, first, last)
        except Fault as fault:
            if is_kept(fault) and (given := await self._keep_refusal(exchange, once, fault)) is not None:
                return given
            raise

    async def _replayed(self, records: Records, once: Once) -> Answer | None:
        stored = await self._idempotency.find(records, once, self.services.clock())
        if stored is None:
            return None
        return Answer(stored.status, (*stored.headers, (b"idempotency-replayed", b"true")), stored.body)

    async def _keep_refusal(self, exchange: _Exchange, once: Once, fault: Fault) -> Answer | None:
        """Store a refusal, unless the same request was answered since it was looked for: then that is the answer."""
        row = exchange.row
        assert row is not None
        answer = refusal(row.dialect.envelope, fault, row.route, exchange.id)

        async def work(records: Records) -> Answer | None:
            if given := await self._replayed(records, once):
                return given
            await self._idempotency.keep(records, once, answer, self.services.clock())
            return None

        return await self.services.store.write(work)

    # --- replies -----------------------------------------------------------------------------------------------------

    def _refuse(self, exchange: _Exchange, fault: Fault) -> Answer:
        row = exchange.row
        exchange.code = fault.code
        envelope = (row.dialect if row else self._dialect_of(exchange.scope["path"])).envelope
        return refusal(envelope, fault, row.route if row else None, exchange.id)

    async def _stream(self, exchange: _Exchange, row: Row, request: Request, share: Share) -> int:
        route, principal = row.route, exchange.principal
        assert principal is not None
        assert route.operation.effect in {Effect.STREAM, Effect.BATCHES}

        if route.lines is not None:
            media_type = body_media_type(row, exchange.headers)
            rows = row_bodies.rows(exchange.receive, route.lines, media_type, share.hold)
            request.rows = self._rows_while_valid(exchange, rows)
        value = route.decode(request)
        items = await self.services.perform(route.operation, principal, value, exchange.id, lambda items: items)
        writer = self._while_valid(exchange, route, streams.writer(route, request, exchange.headers, items))
        # The first part is made before the reply begins, so that what is wrong from the start is a proper refusal.
        first = await anext(writer, b"")
        headers = [
            (b"content-type", streams.content_type(route, request, exchange.headers).encode()),
            (b"x-request-id", exchange.id.encode()),
            (b"cache-control", b"no-store"),
            *streams.headers(route, items),
        ]
        if route.lines is None:
            parts = streams.prefixed(first, writer)
        else:
            is_whole = streams.is_forwarded(exchange.scope, exchange.headers)
            parts = streams.spooled(first, writer, is_whole=is_whole)
            await anext(parts)  # comes when the reply may begin
        await exchange.send({"type": "http.response.start", "status": route.status, "headers": headers})
        if exchange.scope["method"] == "HEAD":
            await streams.leave_out(writer, exchange.send)
        else:
            await self._copy(exchange, route, parts)
        return route.status

    async def _copy(self, exchange: _Exchange, route: Route, parts: AsyncGenerator[bytes, None]) -> None:
        """Send the body of a reply that has begun. Raises ClientGone: the client sees that the reply is incomplete."""
        try:
            await streams.copy(parts, exchange.receive, exchange.send, duplex=route.lines is not None)
        except Exception as problem:
            if not isinstance(problem, ClientGone):
                logger.exception("request %s failed after its reply had begun", exchange.id)
            raise ClientGone from None

    def _while_valid(
        self, exchange: _Exchange, route: Route, writer: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """The same parts, for as long as the caller may have them. A file of bytes is sent to its end."""
        if route.stream is Stream.EVENTS:
            return self._events_while_valid(exchange, writer)
        if route.stream is Stream.BYTES:
            return writer
        if route.lines is None:  # otherwise the rows of the request tell that the client has left
            writer = streams.until_gone(writer, _client_ended(exchange))
        return self._rows_while_valid(exchange, writer)

    async def _events_while_valid(
        self, exchange: _Exchange, writer: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """An endless stream, until its credential is no longer valid, its organization is gone or the server drains.

        It also ends for a client that has closed its own half: one that has left looks the same as long as nothing is
        sent, and would take up a stream's place.
        """
        state = exchange.scope.get("state", {})
        draining: asyncio.Event = state.get("draining") or asyncio.Event()
        client_ended = _client_ended(exchange)
        async with contextlib.aclosing(writer):
            async for part in writer:
                if not await self._is_still_valid(exchange) or draining.is_set():
                    return
                yield part
                if client_ended.is_set():
                    return

    async def _is_still_valid(self, exchange: _Exchange) -> bool:
        """Whether the credential of a stream is still valid, and its organization still there."""
        try:
            await self.services.keyring.identify(exchange.secret, self.services.clock())
            await self._require_organization(exchange)
        except Fault:
            return False
        return True

    async def _rows_while_valid(self, exchange: _Exchange, parts: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Rows, in or out, for as long as the credential is valid. Raises Fault as the keyring does."""
        async with contextlib.aclosing(parts):
            async for part in parts:
                await self.services.keyring.identify(exchange.secret, self.services.clock())
                yield part

    async def _require_organization(self, exchange: _Exchange) -> None:
        """Raises Fault not_found if the caller acts in an organization below its own, and that was deleted."""
        principal = exchange.principal
        assert principal is not None
        if principal.org is not principal.home:
            call = Call(principal, self.services.clock(), exchange.id, self.services.store.read, self.services)
            await call.require_organization()

    # --- dialects and request ids ------------------------------------------------------------------------------------

    def _dialect_of(self, path: str) -> Dialect:
        for dialect in self._dialects:
            if path.startswith(dialect.prefixes):
                return dialect
        return self._fallback

    def request_id(self, headers: Mapping[bytes, bytes]) -> str:
        """The id that the client gave, if it is well-formed, or a new one."""
        given = headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given.decode()
        return f"{self._request_prefix}-{next(self._request_numbers)}"


def _client_ended(exchange: _Exchange) -> asyncio.Event:
    """Set once the client of a request sends no more, and may have left altogether."""
    ended: asyncio.Event | None = exchange.scope.get("state", {}).get("client_ended")
    return ended or asyncio.Event()


def _refuse_unknown(query: Query, known: frozenset[str]) -> None:
    for name, _ in query.pairs:
        if name not in known:
            raise invalid("unknown_parameter", f"Unknown query parameter {brief(name)}.", brief(name))


def _refuse_unmatched(tags: tuple[str, ...], route: Route, principal: Principal | None) -> None:
    """Refuse what depends on an entity tag where there is none, so that none matches (RFC 9110, 13.1.1)."""
    assert principal is not None
    policy.require(principal.key.role, principal.key.scopes, route.operation.action)  # preconditions come after that
    if ANY not in tags:
        raise stale("This request does not act on one version of a record, so no tag in If-Match can match.")


def send_whole(
    scope: Scope, send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> Awaitable[None]:
    """Send a reply of known length, in one message where the server takes that."""
    if WHOLE in scope.get("extensions", ()):
        return send({"type": WHOLE, "status": status, "headers": headers, "body": body})
    return _send_in_two(send, status, headers, body)


async def _send_in_two(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
