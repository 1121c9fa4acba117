"""The routes of all dialects as the handler walks them: each with all that can be prepared before the first request."""

import functools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from fleetroll.service.operations import WRITES
from fleetroll.wire import bodies
from fleetroll.wire.credentials import Credentials
from fleetroll.wire.dialect import Dialect, Route
from fleetroll.wire.loose_names import LooseDecoder
from fleetroll.wire.rate_limits import Limiter, LimitState, Rate, SteadyLimiter, Window
from fleetroll.wire.settings import Settings


class Row:
    """A route with all that can be prepared before the first request."""

    __slots__ = (
        "acts_in",
        "caller_limits",
        "credentials",
        "decode",
        "dialect",
        "has_body",
        "label",
        "organization_limits",
        "parameters",
        "route",
    )

    def __init__(
        self,
        dialect: Dialect,
        route: Route,
        caller_limits: tuple[Limiter, ...],
        organization_limits: tuple[Limiter, ...],
    ) -> None:
        self.dialect = dialect
        self.route = route
        self.caller_limits = caller_limits
        self.organization_limits = organization_limits
        self.label = f"{dialect.name}.{route.operation.name}"
        self.credentials = _credentials(dialect.credentials)
        refuses_body = dialect.strict and route.method != "GET" and route.body is None and route.stream is None
        self.has_body = route.body is not None or refuses_body
        self.decode = bodies.require_none if refuses_body else _decoder(route.body, dialect.loose_names)
        self.acts_in = dialect.acts_in_header.encode() if dialect.acts_in_header else None
        self.parameters = frozenset(parameter.name for parameter in route.query) if dialect.strict else None


def table(
    dialects: Iterable[Dialect],
    caller_limits: tuple[Limiter, ...],
    organization_limits: tuple[Limiter, ...],
    settings: Settings,
    limit_state: LimitState,
) -> Iterator[tuple[str, str, Row]]:
    """Each route with its methods and path. The limiters given are those of all dialects."""
    for dialect in dialects:
        shared = organization_limits + _per_organization(dialect, settings, limit_state)
        for route in dialect.routes:
            row = Row(dialect, route, caller_limits + _per_caller(dialect, route, settings, limit_state), shared)
            for method in _methods(route):
                yield method, route.path, row


def _methods(route: Route) -> tuple[str, ...]:
    """The methods of a route. HEAD changes nothing, so it does not lead to a GET that writes, as some vendors' do."""
    reads = route.method == "GET" and route.operation.effect not in WRITES
    return (route.method, "HEAD") if reads else (route.method,)


_credentials = functools.cache(Credentials)  # hundreds of routes take the same few forms


@functools.cache
def _decoder(shape: Any, loose: bool) -> Callable[[bytes], Any] | None:
    """What decodes a body; None where it stays as it is, or is not read."""
    if shape is None or shape is bytes:
        return None
    return LooseDecoder(shape).decode if loose else functools.partial(bodies.decode, msgspec.json.Decoder(shape))


def _per_organization(dialect: Dialect, settings: Settings, limit_state: LimitState) -> tuple[Limiter, ...]:
    """The dialect's own limit, unless limits per organization are switched off."""
    if dialect.per_minute is None or not settings.organization_rate.per_second:
        return ()
    return (Window(dialect.per_minute, 60, time.monotonic, f"organization in {dialect.name}", limit_state),)


def _per_caller(dialect: Dialect, route: Route, settings: Settings, limit_state: LimitState) -> tuple[Limiter, ...]:
    """The dialect's and the route's limits for each caller, unless limits per key are switched off."""
    if not settings.key_rate.per_second:
        return ()
    return tuple(
        SteadyLimiter(
            Rate(one.requests / one.seconds, one.requests),
            time.monotonic,
            f"caller in {dialect.name} in {one.seconds} s",
            limit_state,
        )
        for one in (*dialect.allowances, *route.allowances)
    )
