"""OAuth2: temporary tokens, issued for an API key to whoever has its secret. See `keyring` for checks.

A token can do what its key can, or only read if it was issued over the broker, and ends with the key. Only digests are
stored; a refresh token is good once.
"""

from msgspec import Struct

from fleetroll.core import limits, tokens
from fleetroll.core.faults import Fault, Kind, invalid
from fleetroll.core.policy import Action
from fleetroll.core.times import SECOND
from fleetroll.core.tokens import Grant
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.timeline import record


class Wanted(Struct, frozen=True):
    """Tokens for the caller's own secret, or for a refresh token that it has from before."""

    refresh: str | None = None


class Tokens(Struct, frozen=True):
    """An access token, its lifetime in seconds, and the token to refresh it with; only their digests are stored."""

    access: str
    lifetime: int
    refresh: str


@operation(Action.TOKENS_ISSUE, Effect.WRITE)
async def issue(call: Call, wanted: Wanted) -> Tokens:
    """Raises Fault invalid `invalid_grant`, and rate_limited `too_many_tokens`."""
    key = call.principal.key
    if wanted.refresh is not None:
        await _use_up(call, wanted.refresh)
    await _make_room(call)
    lifetime = _capped_lifetime(call, limits.ACCESS_TOKEN_LIFETIME)
    access = await _make(call, Grant.ACCESS, lifetime)
    refresh = await _make(call, Grant.REFRESH, _capped_lifetime(call, limits.REFRESH_TOKEN_LIFETIME))
    await record(call, "key.token_issued", "key", key.id, key.name)
    return Tokens(access, lifetime, refresh)


@operation(Action.DEVICES_READ, Effect.WRITE)
async def visit(call: Call, _: None) -> str:
    """An access token alone, for a caller who shows its key to the broker and would ask something over HTTP."""
    key = call.principal.key
    await _make_room(call)
    access = await _make(call, Grant.ACCESS, _capped_lifetime(call, limits.ACCESS_TOKEN_LIFETIME))
    await record(call, "key.token_issued", "key", key.id, key.name)
    return access


def _capped_lifetime(call: Call, lifetime: int) -> int:
    """A lifetime in whole seconds, and no longer than that of the key."""
    until = call.principal.key.expires_at
    return lifetime if until is None else min(lifetime, (until - call.at) // SECOND)


async def _make_room(call: Call) -> None:
    key = call.principal.key
    if await call.records.tokens.purge(call.org, key.id, call.at) > limits.MAX_GRANTS:
        message = f"This client already has {limits.MAX_GRANTS} valid tokens; use one of those."
        raise Fault(Kind.RATE_LIMITED, "too_many_tokens", message, retry_after=limits.ACCESS_TOKEN_LIFETIME)


async def _make(call: Call, grant: Grant, lifetime: int) -> str:
    secret = call.services.random_text(tokens.SECRET_LENGTH)
    text = tokens.assemble_grant(grant, call.org, call.principal.key.id, secret)
    digest = tokens.digest(call.services.server_key, text)
    until = call.at + lifetime * SECOND
    await call.records.tokens.insert(call.org, call.principal.key.id, digest, until, refreshes=grant is Grant.REFRESH)
    return text


async def _use_up(call: Call, refresh: str) -> None:
    digest = tokens.digest(call.services.server_key, refresh)
    until = await call.records.tokens.take(call.org, call.principal.key.id, digest)
    if until is None or until <= call.at:
        raise invalid("invalid_grant", "The refresh token is unknown, expired or already used.", "refresh_token")
