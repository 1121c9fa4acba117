"""Organizations: the tenant tree below the caller, and acting inside it."""

from collections.abc import Collection
from operator import itemgetter
from typing import Any

from msgspec import Struct, structs

from fleetroll.core import limits, names
from fleetroll.core.faults import Fault, conflict, invalid, not_found, stale
from fleetroll.core.guards import UNGUARDED, Guard
from fleetroll.core.model import Organization, OrganizationProfile, Principal
from fleetroll.core.patch import apply_merge_patch
from fleetroll.core.policy import Action
from fleetroll.core.query import OffsetPage, Part, Slice, Sort, cut
from fleetroll.service import cohorts, quotas, reach
from fleetroll.service.operations import Call, Effect, Services, operation
from fleetroll.service.quotas import take
from fleetroll.service.timeline import record
from fleetroll.store.port import Records

_MOST_NAMESAKES = 100
# What is deleted with an organization; its people and templates only by those who delete it by number.
_DELETED_ALONG = {"keys", "tags", "hardware_versions", "software_versions"}
_PEOPLE_AND_TEMPLATES = {"owners", "templates"}
SELF = "self"
DEFAULT_PROJECT = "default"
_RESERVED = {SELF, DEFAULT_PROJECT}  # in paths these stand for the organization above


class Described(Struct, frozen=True):
    """A child organization to make."""

    slug: str
    name: str | None = None
    quotas: dict[str, int] = {}
    profile: OrganizationProfile = OrganizationProfile()


class Named(Struct, frozen=True):
    """An organization by its path from the caller's: slugs joined by dots, or `self`."""

    path: str
    guard: Guard = UNGUARDED


class Change(Struct, frozen=True):
    """Members to replace, and of the quotas and the profile those given.

    A member that is None stays as it is; a quota that is None becomes the default.
    """

    path: str
    name: str | None = None
    disabled: bool | None = None
    quotas: dict[str, int | None] = {}
    profile: dict[str, Any] = {}
    guard: Guard = UNGUARDED


class Listing(Struct, frozen=True):
    """Direct children of the caller's organization."""

    limit: int
    after: str = ""


class Directory(Struct, frozen=True):
    """Organizations by offset: those directly below one, or all in reach whose name holds a text, by id or by name."""

    page: OffsetPage
    organization: int | None = None
    text: str | None = None
    sort: Sort = Sort()


class Below(Struct, frozen=True):
    """An organization to make below one in reach. Its slug is made of its name."""

    name: str
    parent: int | None
    profile: OrganizationProfile = OrganizationProfile()


class Account(Struct, frozen=True):
    """An organization and what it uses of its quotas."""

    organization: Organization
    usage: dict[str, int]


async def descend(records: Records, origin: Organization, path: str) -> Organization:
    """The organization at `path` below `origin`. Raises Fault not_found: what is not below is not there.

    Even `origin` itself is read again, as the caller may have remembered it since a key was checked.
    """
    if path == SELF:
        return _found(await records.organizations.get(origin.id), path)
    found = origin
    for slug in path.split("."):
        found = _found(await records.organizations.child(found.id, slug), path)
    return found


async def acting_in(services: Services, principal: Principal, path: str) -> Principal:
    """The same caller, acting in an organization below its own. Raises Fault not_found."""
    return principal.acting_in(await descend(services.store.read, principal.home, path))


def _found(found: Organization | None, path: str) -> Organization:
    if found is None:
        raise not_found("organization", path)
    return found


@operation(Action.ORGANIZATIONS_READ, Effect.READ)
async def get(call: Call, wanted: Named) -> Account:
    found = await descend(call.records, call.principal.org, wanted.path)
    return Account(found, await call.records.usage.of(found.id))


@operation(Action.ORGANIZATIONS_READ, Effect.SCAN)
async def page(call: Call, wanted: Listing) -> Part[Organization, str]:
    found = await call.records.organizations.children(call.org, wanted.after, wanted.limit + 1)
    return cut(found, wanted.limit, lambda last: last.slug)


@operation(Action.ORGANIZATIONS_WRITE, Effect.WRITE)
async def create(call: Call, new: Described) -> Account:
    parent = call.principal.org
    if len(parent.lineage) >= limits.MAX_ORGANIZATION_DEPTH:
        raise invalid("tree_too_deep", f"Organizations nest in at most {limits.MAX_ORGANIZATION_DEPTH} levels.", "slug")
    if new.slug == SELF:
        raise invalid("invalid_slug", f"The slug {SELF} is reserved; choose another one.", "slug")
    stored = await call.records.organizations.insert(
        Organization(
            id=0,
            parent=parent.id,
            slug=new.slug,
            name=new.name or new.slug,
            lineage=(*parent.lineage, 0),
            disabled=False,
            quotas=new.quotas,
            created_at=call.at,
            updated_at=call.at,
            revision=1,
            profile=new.profile,
        )
    )
    if stored is None:
        raise conflict("organization_exists", "An organization with this slug already exists.", "slug")
    await call.records.cohorts.insert(cohorts.default(stored.id, call.at))
    await take(call, "organizations", 1)
    await record(call, "organization.created", "organization", stored.id, stored.slug)
    return Account(stored, {})


@operation(Action.ORGANIZATIONS_WRITE, Effect.WRITE, settles=True)
async def update(call: Call, wanted: Change) -> Account:
    was = await _below(call, wanted.path, wanted.guard)
    members = {
        "name": wanted.name,
        "disabled": wanted.disabled,
        "quotas": apply_merge_patch(was.quotas, wanted.quotas),
        "profile": was.profile.changed(wanted.profile),
    }
    given = {name: value for name, value in members.items() if value is not None and value != getattr(was, name)}
    if was.id == call.principal.home.id and (given.keys() - {"name", "profile"}):
        raise invalid("own_organization", "Only an organization above this one may change its quotas or disable it.")
    if given:
        now = structs.replace(was, **given, updated_at=call.at, revision=was.revision + 1)
        if not await call.records.organizations.replace(now):
            raise stale()
        if "disabled" in given:
            await call.records.credentials.note_below(now.id)  # who may connect has changed
        await record(call, "organization.updated", "organization", now.id, now.slug, {"changed": sorted(given)})
        was = now
    return Account(was, await call.records.usage.of(was.id))


@operation(Action.ORGANIZATIONS_WRITE, Effect.WRITE, settles=True, relieves=True)
async def delete(call: Call, wanted: Named) -> None:
    """Remove an empty organization below the caller's, with its keys, tags and versions.

    Raises Fault conflict if it holds anything else.
    """
    await _remove(call, await _below(call, wanted.path, wanted.guard))


async def _remove(call: Call, found: Organization, along: Collection[str] = ()) -> None:
    if found.id == call.org or found.parent is None:
        raise undeletable()
    used = {noun: count for noun, count in (await call.records.usage.of(found.id)).items() if count}
    if used.keys() - _DELETED_ALONG - {*along}:
        raise conflict("organization_not_empty", "The organization is not empty; delete what it has first.", usage=used)
    await call.records.credentials.note_below(found.id)
    await call.records.organizations.delete(found.id)
    await call.records.usage.add(found.parent, "organizations", -1, limits.DEFAULT_QUOTAS["organizations"])
    await record(call, "organization.deleted", "organization", found.id, found.slug)


def undeletable() -> Fault:
    """An organization is deleted from above, so nobody can delete their own, or the root."""
    return conflict("own_organization", "An organization cannot delete itself.")


async def _below(call: Call, path: str, guard: Guard) -> Organization:
    found = await descend(call.records, call.principal.org, path)
    guard.check(found)
    return found


# --- by number -------------------------------------------------------------------------------------------------------


@operation(Action.ORGANIZATIONS_READ, Effect.READ)
async def by_number(call: Call, number: int | None) -> Organization:
    """An organization in reach; None is the caller's."""
    return (await reach.organization(call, number)).principal.org


@operation(Action.ORGANIZATIONS_READ, Effect.SCAN)
async def directory(call: Call, wanted: Directory) -> Slice[Organization]:
    there = await reach.organization(call, wanted.organization)
    records, page = call.records.organizations, wanted.page
    if wanted.text is None:
        children = await records.children_at(there.org, page.limit, page.offset)
        return Slice(children, await quotas.used(there, "organizations"))
    text = wanted.text.casefold()
    known = ((name.casefold(), number) for number, name in await records.names_below(there.org))
    found = [(name, number) for name, number in known if text in name]
    if wanted.sort.field == "name":
        found.sort(key=itemgetter(0))
    shown, total = page.cut(found[::-1] if wanted.sort.descending else found)
    return Slice([one for _, number in shown if (one := await records.get(number))], total)


@operation(Action.ORGANIZATIONS_WRITE, Effect.WRITE)
async def create_below(call: Call, new: Below) -> Organization:
    there = await reach.organization(call, new.parent, noun="parent")
    slug = await _free_slug(there, names.slugify(new.name))
    return (await create.run(there, Described(slug, new.name, profile=new.profile))).organization


async def _free_slug(call: Call, slug: str) -> str:
    for candidate in (slug, *(f"{slug}-{number}" for number in range(2, _MOST_NAMESAKES))):
        if candidate not in _RESERVED and await call.records.organizations.child(call.org, candidate) is None:
            return candidate
    raise conflict("organization_exists", "Too many organizations have this name; choose another one.", "name")


@operation(Action.ORGANIZATIONS_WRITE, Effect.WRITE, settles=True, relieves=True)
async def delete_by_number(call: Call, number: int) -> None:
    """As `delete`, but its people and templates go along."""
    await _remove(call, (await reach.organization(call, number)).principal.org, _PEOPLE_AND_TEMPLATES)
