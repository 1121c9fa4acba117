"""API keys: making them (their secret leaves the server once), listing, revoking. See `keyring` for checks."""

from msgspec import Struct

from fleetroll.bus.port import Minted
from fleetroll.core import policy, tokens
from fleetroll.core.faults import Fault, Kind, conflict, invalid, not_found
from fleetroll.core.ids import broker_groups, broker_org
from fleetroll.core.model import Instant, Key, KeyKind, Organization
from fleetroll.core.policy import Action, Role
from fleetroll.core.query import Part, cut
from fleetroll.service import reach
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.portions import portions
from fleetroll.service.quotas import release, take
from fleetroll.service.reach import Numbered
from fleetroll.service.timeline import record


class NewKey(Struct, frozen=True):
    """A key to make. With `expires_at` None it expires with the one that makes it."""

    name: str
    role: Role
    kind: KeyKind = KeyKind.API
    scopes: tuple[str, ...] = ()
    expires_at: Instant | None = None


class NewClient(Struct, frozen=True):
    """An OAuth2 client to create, with its creator's permissions, in an organization in reach; None is the caller's."""

    name: str
    organization: int | None = None


class Issued(Struct, frozen=True):
    """A new key with its token, or the two halves that the broker wants: stored nowhere, and never shown again."""

    key: Key
    token: str
    minted: Minted | None = None

    @property
    def client(self) -> tuple[str, str]:
        """The token as an OAuth2 client's id and secret."""
        return tokens.halves(self.token)


class Caller(Struct, frozen=True):
    """A key, its own organization and the one it acts in, and whether it may read more of them than their names."""

    key: Key
    home: Organization
    organization: Organization
    reads_organizations: bool


class Listing(Struct, frozen=True):
    """Keys with an id above `after`."""

    limit: int
    after: int = 0


@operation(Action.KEYS_WRITE, Effect.WRITE, settles=True)
async def create(call: Call, new: NewKey) -> Issued:
    asker = call.principal.key
    if not policy.outranks(asker.role, new.role) or not _narrower(new.scopes, asker.scopes):
        raise Fault(Kind.FORBIDDEN, "permission_denied", "A key cannot create one with more permissions than its own.")
    if new.expires_at is not None and new.expires_at <= call.at:
        raise invalid("invalid_expiry", "expires_at must be in the future.", "expires_at")
    until = await _expiry(call, new.expires_at)
    described = Key(0, call.org, new.name, new.kind, new.role, _scopes(new), call.at, until)
    issued = await (_mint(call, described) if new.kind is KeyKind.NATS else _issue(call, described))
    await take(call, "keys", 1)
    key = issued.key
    await record(call, "key.created", "key", key.id, key.name, {"role": key.role.value})
    return issued


@operation(Action.KEYS_WRITE, Effect.WRITE)
async def create_client(call: Call, new: NewClient) -> Issued:
    there, asker = await reach.organization(call, new.organization), call.principal.key
    return await create.run(there, NewKey(new.name, asker.role, KeyKind.OAUTH, asker.scopes))


async def _expiry(call: Call, wanted: Instant | None) -> Instant | None:
    """When a new key expires: otherwise whoever has one that expires could have the next one, and so on forever."""
    principal = call.principal
    asker = await call.records.keys.get(principal.home.id, principal.key.id)  # an access token expires before its key
    latest = principal.key.expires_at if asker is None else asker.expires_at
    if wanted is not None and latest is not None and wanted > latest:
        message = "A key that expires cannot create one that expires later."
        raise Fault(Kind.FORBIDDEN, "permission_denied", message, "expires_at")
    return latest if wanted is None else wanted


async def _issue(call: Call, described: Key) -> Issued:
    prefix = call.services.random_text(tokens.PREFIX_LENGTH)
    token = tokens.assemble(described.kind, prefix, call.services.random_text(tokens.SECRET_LENGTH))
    key = await call.records.keys.insert(described, prefix, tokens.digest(call.services.server_key, token))
    return Issued(key, token)


async def _mint(call: Call, described: Key) -> Issued:
    """A key for the broker, which will verify it: only its public half is stored."""
    may_command = policy.allows(described.role, described.scopes, Action.DEVICES_WRITE)
    minted = call.services.bus.mint_app(
        broker_org(call.org), described.role.value, described.scopes, commands=may_command, until=described.expires_at
    )
    key = await call.records.keys.insert(described, minted.user, "")
    await _note_for_broker(call, key)
    return Issued(key, "", minted)


async def _note_for_broker(call: Call, key: Key) -> None:
    """Note that who may connect has changed."""
    for account in broker_groups(key.role.value, key.scopes):
        await call.records.credentials.note(call.org, account)


def _scopes(new: NewKey) -> tuple[str, ...]:
    """Getting tokens is what an OAuth2 client is for, and a token can do nothing that the client cannot."""
    if new.kind is KeyKind.OAUTH and new.scopes:
        return tuple(sorted({*new.scopes, Action.TOKENS_ISSUE.value}))
    return new.scopes


def _narrower(wanted: tuple[str, ...], held: tuple[str, ...]) -> bool:
    return not held or (bool(wanted) and set(wanted) <= set(held))


@operation(Action.KEYS_READ, Effect.READ)
async def get(call: Call, wanted: Numbered) -> Key:
    return await _find(call, wanted.id)


@operation(Action.KEYS_READ, Effect.SCAN)
async def page(call: Call, wanted: Listing) -> Part[Key, int]:
    found = await call.records.keys.page(call.org, wanted.after, wanted.limit + 1)
    return cut(found, wanted.limit, lambda last: last.id)


@operation(Action.KEY_SELF, Effect.READ)
async def caller(call: Call, _: None) -> Caller:
    principal, key = call.principal, call.principal.key
    may_read = policy.allows(key.role, key.scopes, Action.ORGANIZATIONS_READ)
    return Caller(key, principal.home, principal.org, may_read)


@operation(Action.KEYS_WRITE, Effect.WRITE, settles=True, relieves=True)
async def revoke(call: Call, wanted: Numbered) -> Key:
    """Revoke at once; revoking again changes nothing. Raises Fault conflict `last_admin_key`."""
    key = await _find(call, wanted.id)
    await _require_another(call, key)
    if await call.records.keys.revoke(call.org, wanted.id, call.at):
        if key.kind is KeyKind.NATS:
            await _note_for_broker(call, key)
        await call.records.tokens.end(call.org, key.id)
        await release(call, "keys")
        await record(call, "key.revoked", "key", key.id, key.name)
    return await _find(call, wanted.id)


async def _require_another(call: Call, key: Key) -> None:
    """Raises Fault conflict for the root's last admin key: to make another would take access to the machine."""
    if call.principal.org.parent is not None or not _may_do_all(key, call.at):
        return
    page = call.records.keys.page
    async for some in portions(lambda after, limit: page(call.org, after, limit), lambda last: last.id, 0):
        if any(one.id != key.id and _may_do_all(one, call.at) for one in some):
            return
    raise conflict("last_admin_key", "This is the last unrestricted admin key; create another one first.")


def _may_do_all(key: Key, at: Instant) -> bool:
    ended = key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= at)
    return key.role is Role.ADMIN and key.kind is not KeyKind.NATS and not key.scopes and not ended


async def _find(call: Call, number: int) -> Key:
    key = await call.records.keys.get(call.org, number)
    if key is None:
        raise not_found("key", number)
    return key
