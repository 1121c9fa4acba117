"""Who presents a secret: checked against the store, then remembered until a key or an organization changes.

Remembering saves most of the cost of a small request. Nothing stale is ever used: every operation that may change a
key or an organization empties the ring before it answers, so the next request with a revoked key is refused. Other
processes over the same store hear of it with the commit; one that cannot hear remembers nothing.
"""

import hashlib
from functools import lru_cache, partial

from msgspec import structs

from fleetroll.core import limits, tokens
from fleetroll.core.dms import label as dms_label
from fleetroll.core.dms import parse_label
from fleetroll.core.faults import Fault, Kind, invalid, not_found
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import Key, KeyKind, Organization, Principal
from fleetroll.core.names import ABOVE_ROOT, ROOT
from fleetroll.core.policy import VISITING, Role
from fleetroll.core.secrets import Issuer, Presented
from fleetroll.core.tokens import Grant, Token
from fleetroll.service.read_cache import ReadCache
from fleetroll.store.port import Identity, Records, Store

_NOBODY = "0" * 64


class Keyring:
    """Checks secrets against `store`."""

    def __init__(self, store: Store, server_key: bytes) -> None:
        self._store = store
        self._server_key = server_key
        self._principals: ReadCache[bytes, Principal] = ReadCache(store, limits.MAX_REMEMBERED)
        self._organizations: ReadCache[int, Organization] = ReadCache(store, limits.MAX_REMEMBERED)
        self.epoch = 0

    def forget(self) -> None:
        """Forget all callers: a key or an organization may have changed."""
        self._principals.clear()
        self._organizations.clear()
        self.epoch += 1

    def is_unchanged(self, presented: Presented | None, epoch: int) -> bool:
        """Whether a caller identified in `epoch` is certainly still the same; emptying the ring begins a new epoch."""
        may_change_alone = presented is not None and presented.issuer is Issuer.DEVICE
        return epoch == self.epoch and self._store.receives_news and not may_change_alone

    def recall(self, presented: Presented | None, now: int) -> Principal | None:
        """What `identify` would return, without waiting, for an API key that is remembered; None for any other."""
        if presented is None or presented.issuer is not Issuer.KEY or len(presented.text) > limits.MAX_CREDENTIAL:
            return None
        known = self._principals.get(_cache_key(presented.text))
        return None if known is None else _unexpired(known, now)

    async def identify(self, presented: Presented | None, now: int) -> Principal:
        """Raises Fault unauthenticated, in the same words whatever is wrong, or forbidden `organization_disabled`."""
        if presented is not None and presented.issuer is Issuer.ENROLLEE:
            return await self._enrollee(presented.text)
        if presented is None or not presented.text:
            raise unauthenticated(presented=False)
        if len(presented.text) > limits.MAX_CREDENTIAL:
            raise unauthenticated()
        if presented.issuer is Issuer.DEVICE:
            return await self._device(presented.text)
        if presented.issuer is Issuer.PROJECT:
            return await self._project(presented.text)
        if presented.issuer is Issuer.BROKER:
            return await self._user(presented.text, now)
        if presented.issuer is Issuer.CLIENT and tokens.is_grant(presented.text):
            raise unauthenticated()  # or whoever has an access token could have the next one, and so on forever
        return await self._key(presented.text, now)

    async def _key(self, secret: str, now: int) -> Principal:
        cache_key = _cache_key(secret)
        known = self._principals.get(cache_key)
        return _unexpired(known or await self._principals.load(cache_key, partial(self._check, secret)), now)

    async def _device(self, text: str) -> Principal:
        """Not remembered: a device may be rotated, moved or deleted at any time, and looking it up is cheap."""
        records = self._store.read
        device = tokens.parse_device_token(text)
        found = await records.devices.token(device) if device is not None else None
        if device is None or found is None:
            raise unauthenticated()
        org, version, status = found
        if status is Status.DECOMMISSIONED or not tokens.is_device_token(self._server_key, text, device, version):
            raise unauthenticated()
        return await self._derived(org, Role.DEVICE, f"device:{device}", device)

    async def _project(self, text: str) -> Principal:
        org = tokens.parse_project_key(text)
        if org is None:
            raise unauthenticated()
        found = self._organizations.get(org) or await self._store.read.organizations.get(org)
        if found is None or not tokens.is_project_key(self._server_key, text, found.id, found.key_version):
            raise unauthenticated()
        return await self._derived(found.id, Role.PROJECT, f"project:{found.id}", None)

    async def _enrollee(self, label: str) -> Principal:
        """Whoever asks at a DMS acts in the DMS's organization, and may do no more than ask."""
        if not label:
            raise invalid("label_required", "The path must name a DMS, as in /.well-known/est/line-1/cacerts.")
        records = self._store.read
        path, name = parse_label(label)
        org = await records.organizations.child(ABOVE_ROOT, ROOT)
        for slug in path.split(".") if path else ():
            org = await records.organizations.child(org.id, slug) if org else None
        if org is None or await records.dms.get(org.id, name) is None:
            raise not_found("dms", label)
        return await self._derived(org.id, Role.ENROLLEE, f"dms:{dms_label(path, name)}", None)

    async def _user(self, user: str, now: int) -> Principal:
        """The caller that has proved to the broker that it has the secret half of this key."""
        cache_key = b"user " + user.encode("utf-8", "surrogatepass")
        if known := self._principals.get(cache_key):
            return _unexpired(known, now)
        credential = await self._store.read.credentials.identify(user)
        if credential is not None:  # not remembered, as in `_device`
            return await self._derived(credential.org, Role.DEVICE, f"device:{credential.device}", credential.device)
        return _unexpired(await self._principals.load(cache_key, partial(self._holder, user)), now)

    async def _holder(self, user: str) -> Principal:
        """The caller whose API key the broker knows by this public key."""
        identity = await self._store.read.keys.identify(user)
        if identity is None or identity.key.kind is not KeyKind.NATS or identity.key.revoked_at is not None:
            raise unauthenticated()
        await _require_enabled(self._store.read, identity.org)
        return Principal(identity.key, identity.org, identity.org, f"key:{identity.key.id}")

    async def _derived(self, org: int, role: Role, actor: str, device: int | None) -> Principal:
        """The caller that shows a derived credential, which has no key: it gets one that exists nowhere else."""
        found = self._organizations.get(org) or await self._organizations.load(
            org, partial(self._enabled_organization, org)
        )
        return Principal(_derived_key(org, actor, role), found, found, actor, device)

    async def _enabled_organization(self, org: int) -> Organization:
        """The organization: it is there, and neither it nor any above it is disabled."""
        found = await self._store.read.organizations.get(org)
        if found is None:
            raise unauthenticated()
        await _require_enabled(self._store.read, found)
        return found

    async def _granted(self, secret: str) -> Principal:
        """The caller with an access token, which is good until it or its key expires, or the key is revoked.

        That of an application on the broker is good for nothing but reading: all applications with the same rights see
        each other's replies, and with it one whose key expires could make itself a key that does not.
        """
        records = self._store.read
        claimed = tokens.parse_grant(Grant.ACCESS, secret)
        digest = tokens.digest(self._server_key, secret)
        org = await records.organizations.get(claimed[0]) if claimed else None
        key = await records.keys.get(*claimed) if claimed else None
        until = await records.tokens.get(*claimed, digest) if claimed else None
        if org is None or key is None or until is None or key.revoked_at is not None:
            raise unauthenticated()
        expires_at = until if key.expires_at is None else min(until, key.expires_at)
        scopes = VISITING if key.kind is KeyKind.NATS else key.scopes
        return Principal(structs.replace(key, expires_at=expires_at, scopes=scopes), org, org, f"key:{key.id}")

    async def _check(self, secret: str) -> Principal:
        principal = await (self._granted(secret) if tokens.is_grant(secret) else self._issued(secret))
        await _require_enabled(self._store.read, principal.org)
        return principal

    async def _issued(self, secret: str) -> Principal:
        token = tokens.parse(self._server_key, secret)
        if token is None:
            raise unauthenticated()
        return self._verified(token, await self._store.read.keys.identify(token.prefix))

    def _verified(self, token: Token, identity: Identity | None) -> Principal:
        # An unknown prefix is compared as well, so that it costs nearly as much as a known one.
        genuine = tokens.is_genuine(self._server_key, token.text, identity.digest if identity else _NOBODY)
        if identity is None or not genuine or identity.key.revoked_at is not None:
            raise unauthenticated()
        return Principal(identity.key, identity.org, identity.org, f"key:{identity.key.id}")


@lru_cache(maxsize=limits.MAX_REMEMBERED)
def _derived_key(org: int, actor: str, role: Role) -> Key:
    return Key(0, org, actor, KeyKind.API, role, (), created_at=0)


def _cache_key(secret: str) -> bytes:
    # Only a digest is kept in memory; looking it up tells nothing about any secret but the one presented.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _unexpired(principal: Principal, now: int) -> Principal:
    expires_at = principal.key.expires_at
    if expires_at is not None and expires_at <= now:
        raise unauthenticated()
    return principal


async def is_enabled(records: Records, org: Organization) -> bool:
    """Whether neither the organization nor any above it is disabled."""
    disabled = org.disabled
    for ancestor in org.lineage[:-1]:
        above = await records.organizations.get(ancestor)
        disabled = disabled or above is None or above.disabled
    return not disabled


async def _require_enabled(records: Records, org: Organization) -> None:
    if not await is_enabled(records, org):
        raise Fault(Kind.FORBIDDEN, "organization_disabled", "This organization is disabled.")


def unauthenticated(*, presented: bool = True) -> Fault:
    message = "Invalid or missing API key."
    return Fault(Kind.UNAUTHENTICATED, "unauthenticated", message, details={} if presented else {"missing": True})
