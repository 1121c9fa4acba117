"""The first organization and its first key, made once, before anybody can ask; and another key where all are lost."""

from fleetroll.core import tokens
from fleetroll.core.ids import MAX_ID
from fleetroll.core.model import SERVER, Key, KeyKind, NewEvent, Organization
from fleetroll.core.names import ABOVE_ROOT, ROOT
from fleetroll.core.policy import Role
from fleetroll.service import cohorts
from fleetroll.service.operations import Services
from fleetroll.store.port import Records


async def first_start(services: Services, preset: str | None) -> str | None:
    """Create organization `default` and an admin key; returns the key's token, which is stored nowhere.

    Returns None, and creates nothing, where another process over the same store has just done so.
    """
    token = preset or _token(services)
    prefix = _prefix(services, token)

    async def work(records: Records) -> bool:
        now = services.clock()
        root = Organization(
            id=0,
            parent=None,
            slug=ROOT,
            name="Default",
            lineage=(0,),
            disabled=False,
            quotas={},
            created_at=now,
            updated_at=now,
            revision=1,
        )
        org = await records.organizations.insert(root)
        if org is None:
            return False
        await records.cohorts.insert(cohorts.default(org.id, now))
        event = NewEvent(org.id, now, "organization.created", "organization", org.id, org.slug, SERVER, "first-start")
        await records.timeline.append([event])
        key = Key(0, org.id, "first admin", KeyKind.API, Role.ADMIN, (), created_at=now)
        await _store(records, key, prefix, tokens.digest(services.server_key, token), "first-start")
        return True

    return token if await services.store.write(work) else None


async def recover(services: Services) -> str:
    """Create one more admin key of the root organization, whatever its quota; returns its token."""
    token = _token(services)
    prefix = _prefix(services, token)

    async def work(records: Records) -> None:
        root = await records.organizations.child(ABOVE_ROOT, ROOT)
        assert root is not None, "the registry has begun"
        now = services.clock()
        key = Key(0, root.id, "recovered admin", KeyKind.API, Role.ADMIN, (), created_at=now)
        await _store(records, key, prefix, tokens.digest(services.server_key, token), "recovery")

    await services.store.write(work)
    return token


def _token(services: Services) -> str:
    return tokens.assemble(
        KeyKind.API, services.random_text(tokens.PREFIX_LENGTH), services.random_text(tokens.SECRET_LENGTH)
    )


def _prefix(services: Services, token: str) -> str:
    parsed = tokens.parse(services.server_key, token)
    if parsed is None:
        raise ValueError("a preset admin key that looks like a Fleetroll key must be one, with its checksum")
    return parsed.prefix


async def _store(records: Records, described: Key, prefix: str, digest: str, request: str) -> None:
    """A key with its event."""
    key = await records.keys.insert(described, prefix, digest)
    await records.usage.add(key.org, "keys", 1, MAX_ID)
    event = NewEvent(key.org, key.created_at, "key.created", "key", key.id, key.name, SERVER, request)
    await records.timeline.append([event])
