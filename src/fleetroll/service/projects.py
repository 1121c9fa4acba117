"""Projects: an organization and those directly below it, as an API sees them that names both in its paths.

The project `default` of an organization is the organization itself.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct, structs

from fleetroll.core import tokens
from fleetroll.core.faults import conflict, not_found, stale
from fleetroll.core.model import Organization, Principal
from fleetroll.core.policy import Action, allows
from fleetroll.core.query import OffsetPage, Slice
from fleetroll.service import organizations
from fleetroll.service.named import random_slug
from fleetroll.service.operations import Call, Effect, Services, operation
from fleetroll.service.portions import whole
from fleetroll.service.timeline import record

DEFAULT = organizations.DEFAULT_PROJECT


class Project(Struct, frozen=True):
    """An organization with its devices counted. `key` is that of its devices, for those who may read keys."""

    organization: Organization
    slug: str
    devices: int
    key: str | None


class Listing(Struct, frozen=True):
    """A page of what `choose` takes of all projects, in its order."""

    choose: Callable[[Sequence[Organization]], list[Organization]]
    page: OffsetPage


class Edit(Struct, frozen=True):
    """What to change of a project; None stays, and so does what `profile` leaves out."""

    slug: str
    name: str | None
    profile: dict[str, Any]


async def enter(services: Services, principal: Principal, organization: str, project: str) -> Principal:
    """The same caller, acting in a project. Raises Fault not_found for one that is out of reach.

    The organization is the caller's own, one below it, or, for the caller of a project, the one above.
    """
    home, records = principal.home, services.store.read
    if organization == home.slug:
        found: Organization | None = home
    else:
        found = await records.organizations.child(home.id, organization)
    if found is not None and project != DEFAULT:
        found = await records.organizations.child(found.id, project)
    if found is None and project == home.slug and home.parent is not None:
        above = await records.organizations.get(home.parent)
        found = home if above is not None and above.slug == organization else None
    if found is None:
        raise not_found("organization", organization) if project == DEFAULT else not_found("project", project)
    return principal if found.id == principal.org.id else principal.acting_in(found)


@operation(Action.ORGANIZATIONS_READ, Effect.READ)
async def get(call: Call, slug: str) -> Project:
    return await _project(call, call.principal.org, slug)


@operation(Action.ORGANIZATIONS_READ, Effect.SCAN)
async def page(call: Call, wanted: Listing) -> Slice[Project]:
    """The default project and those of the organizations directly below, by slug.

    One below that is called `default` as well is left out: no path leads to it.
    """
    own, children = call.principal.org, call.records.organizations.children
    below = await whole(lambda after, limit: children(own.id, after, limit), lambda last: last.slug, "")
    there = wanted.choose([own, *(child for child in below if child.slug != DEFAULT)])
    found, total = wanted.page.cut(there)
    return Slice([await _project(call, one, DEFAULT if one is own else one.slug) for one in found], total)


@operation(Action.ORGANIZATIONS_WRITE, Effect.WRITE)
async def create(call: Call, new: organizations.Described) -> Project:
    if new.slug == DEFAULT:
        raise conflict("organization_exists", "Every organization already has a project named default.", "slug")
    slug = new.slug or random_slug(call)
    made = await organizations.create.run(call, structs.replace(new, slug=slug))
    return await _project(call, made.organization, slug)


@operation(Action.ORGANIZATIONS_WRITE, Effect.WRITE)
async def edit(call: Call, wanted: Edit) -> Project:
    change = organizations.Change(organizations.SELF, wanted.name, profile=wanted.profile)
    account = await organizations.update.run(call, change)
    return await _project(call, account.organization, wanted.slug)


@operation(Action.ORGANIZATIONS_WRITE, Effect.WRITE, settles=True, relieves=True)
async def delete(call: Call, _: None) -> None:
    org = call.principal.org
    above = await call.records.organizations.get(org.parent) if org.parent is not None else None
    if above is None or org.id == call.principal.home.id:
        raise organizations.undeletable()
    await organizations.delete.run(call.beside(above), organizations.Named(org.slug))


@operation(Action.KEYS_READ, Effect.READ)
async def key(call: Call, _: None) -> str:
    """The key with which the project's devices report."""
    return _key(call, call.principal.org)


@operation(Action.KEYS_WRITE, Effect.WRITE, relieves=True)
async def rotate(call: Call, _: None) -> str:
    """A new key; the previous one is no longer good."""
    was = await call.records.organizations.get(call.org)
    if was is None:
        raise stale()
    now = structs.replace(was, key_version=was.key_version + 1, updated_at=call.at, revision=was.revision + 1)
    if not await call.records.organizations.replace(now):
        raise stale()
    await record(call, "organization.updated", "organization", now.id, now.slug, {"changed": ["project_key"]})
    return _key(call, now)


def _key(call: Call, org: Organization) -> str:
    return tokens.project_key(call.services.server_key, org.id, org.key_version)


async def _project(call: Call, org: Organization, slug: str) -> Project:
    devices = (await call.records.usage.of(org.id)).get("devices", 0)
    asker = call.principal.key
    return Project(org, slug, devices, _key(call, org) if allows(asker.role, asker.scopes, Action.KEYS_READ) else None)
