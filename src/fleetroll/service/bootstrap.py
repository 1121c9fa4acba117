"""The first organization and its first key, made once, before anybody can ask for anything."""

from fleetroll.core import tokens
from fleetroll.core.model import Key, KeyKind, NewEvent, Organization
from fleetroll.core.names import ROOT
from fleetroll.core.policy import Role
from fleetroll.service import cohorts
from fleetroll.service.operations import Services
from fleetroll.store.port import Records


async def first_start(services: Services, preset: str | None) -> str:
    """Make organization `default` and an admin key; answers its token, which is stored nowhere."""
    token = preset or tokens.assemble(
        KeyKind.API, services.random_text(tokens.PREFIX_LENGTH), services.random_text(tokens.SECRET_LENGTH)
    )
    parsed = tokens.parse(services.server_key, token)
    if parsed is None:
        raise ValueError("a preset admin key that looks like a Fleetroll key must be one, with its checksum")
    prefix = parsed.prefix

    async def work(records: Records) -> None:
        now = services.clock()
        org = await records.organizations.insert(Organization(0, None, ROOT, "Default", (0,), False, {}, now, now, 1))
        assert org is not None, "the store is new"
        await records.cohorts.insert(cohorts.default(org.id, now))
        key = await records.keys.insert(
            Key(0, org.id, "first admin", KeyKind.API, Role.ADMIN, (), now, None, None, None),
            prefix,
            tokens.digest(services.server_key, token),
        )
        await records.usage.add(org.id, "keys", 1, 1)
        events = [("organization.created", "organization", org.id, org.slug), ("key.created", "key", key.id, key.name)]
        await records.timeline.append([NewEvent(org.id, now, *event, "server", "first-start") for event in events])

    await services.store.write(work)
    return token
