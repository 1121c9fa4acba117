"""Owners by number, those of the caller's organization and of all below it as one directory."""

from typing import Any

from msgspec import Struct, structs

from fleetroll.core.model import Owner, OwnerRole
from fleetroll.core.policy import Action
from fleetroll.core.query import OffsetPage, Slice
from fleetroll.service import organizations, owners, reach
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.portions import portions


class Directory(Struct, frozen=True):
    """Owners by offset: the caller's, or all in reach."""

    page: OffsetPage
    below: bool = False


class Searching(Struct, frozen=True):
    """The caller's owners whose name or address holds a text, case ignored."""

    text: str
    page: OffsetPage


class New(Struct, frozen=True):
    """An owner to make in an organization in reach; None is the caller's. Without a name it has that of the address."""

    owner: Owner
    organization: int | None = None


class Edit(Struct, frozen=True):
    """Members to replace in an owner in reach."""

    id: int
    change: dict[str, Any]


class Founder(Struct, frozen=True):
    """An owner to make together with the organization that it is the first one of."""

    owner: Owner
    organization: organizations.Below


class Transfer(Struct, frozen=True):
    """An owner to give to another organization, both by number, and its role there."""

    id: int
    organization: int
    role: OwnerRole


async def reached(call: Call, number: int) -> tuple[Call, Owner]:
    """An owner in reach, and the call acting where it is. Raises Fault not_found `owner_not_found`."""
    return await reach.record(call, lambda records: records.owners, "owner", number)


async def homes(call: Call, ref: str) -> list[Call]:
    """The call acting in each organization in reach that has an owner with this reference, by id."""
    return [await reach.organization(call, home) for home in await call.records.owners.homes(call.org, ref)]


@operation(Action.OWNERS_READ, Effect.SCAN)
async def directory(call: Call, wanted: Directory) -> Slice[Owner]:
    """By reference; those of several organizations by the number of the organization first."""
    counts = await reach.used(call, "owners", below=wanted.below)

    async def take(org: int, page: OffsetPage) -> list[Owner]:
        return await call.records.owners.page(org, "", page.limit, page.offset)

    return Slice(await reach.across(counts, wanted.page, take), sum(counts.values()))


@operation(Action.OWNERS_READ, Effect.SCAN)
async def search(call: Call, wanted: Searching) -> Slice[Owner]:
    text, page, read = wanted.text.casefold(), wanted.page, call.records.owners.page
    found: list[Owner] = []
    total = 0
    async for some in portions(lambda after, limit: read(call.org, after, limit), lambda last: last.ref, ""):
        matching = [one for one in some if text in one.ref.casefold() or text in (one.name or "").casefold()]
        begin = max(0, page.offset - total)  # of a million, only those of the page are kept
        found += matching[begin : begin + page.limit - len(found)]
        total += len(matching)
    return Slice(found, total)


@operation(Action.OWNERS_READ, Effect.SCAN)
async def by_number(call: Call, number: int) -> Owner:
    return (await reached(call, number))[1]


@operation(Action.OWNERS_WRITE, Effect.WRITE)
async def create_within(call: Call, new: New) -> Owner:
    """Raises Fault conflict `owner_exists`."""
    there = await reach.organization(call, new.organization)
    owner = new.owner
    return await owners.noun.insert(there, structs.replace(owner, name=owner.name or owners.first_part(owner.ref)))


@operation(Action.ORGANIZATIONS_WRITE, Effect.WRITE)
async def create_with_organization(call: Call, new: Founder) -> Owner:
    """Make an organization below the caller's, and an owner in it."""
    made = await organizations.create_below.run(call, new.organization)
    return await create_within.run(call, New(new.owner, made.id))


@operation(Action.OWNERS_WRITE, Effect.WRITE)
async def transfer(call: Call, wanted: Transfer) -> Owner:
    """Give an owner to another organization in reach, where it has a new number.

    Raises Fault conflict `owner_has_devices`, which do not go along, and `owner_exists`.
    """
    there, owner = await reached(call, wanted.id)
    target = await reach.organization(call, wanted.organization, noun="target")
    if target.org == owner.org:
        return await owners.noun.rewrite(there, owner, {"role": wanted.role})
    await owners.noun.remove(there, owner)
    return await create_within.run(target, New(structs.replace(owner, role=wanted.role)))


@operation(Action.OWNERS_WRITE, Effect.WRITE)
async def edit_by_number(call: Call, wanted: Edit) -> Owner:
    there, was = await reached(call, wanted.id)
    return await owners.noun.rewrite(there, was, wanted.change)
