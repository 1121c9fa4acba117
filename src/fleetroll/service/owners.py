"""Owners: the customers that devices belong to, and giving devices to them."""

from collections.abc import Collection
from typing import Any

from msgspec import Struct, structs

from fleetroll.core import limits
from fleetroll.core.faults import conflict, not_found
from fleetroll.core.model import Owner, OwnerRole
from fleetroll.core.names import owner_key, unique
from fleetroll.core.policy import Action
from fleetroll.core.query import Comparison, Operator, Page, Place, Sort
from fleetroll.service import organizations, reach
from fleetroll.service.named import Noun
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.timeline import device_entry
from fleetroll.store.port import Records

_MOST_RENAMED = 1_000


async def _forget(call: Call, owner: Owner) -> None:
    """Owners with devices stay: a device never names an owner that is not there."""
    if await call.records.devices.page(call.org, owned_by(owner.ref), Sort(), Page(1)):
        raise conflict("owner_has_devices", "This owner has devices; unassign them first.")


noun: Noun[Owner] = Noun(
    "owner",
    "ref",
    lambda records: records.owners,
    Action.OWNERS_READ,
    Action.OWNERS_WRITE,
    forget=_forget,
    spell=owner_key,
)


class Put(Struct, frozen=True):
    """An owner to make, or, with its number, one whose given members are replaced, the reference among them."""

    id: int | None
    ref: str
    change: dict[str, str | None]


class Stored(Struct, frozen=True):
    """An owner after it was put. `created` tells a new one."""

    owner: Owner
    created: bool


class Directory(Struct, frozen=True):
    """Owners by place: the caller's, or all in reach."""

    place: Place
    below: bool = False


class Searching(Struct, frozen=True):
    """The caller's owners whose name or address holds a text, case ignored."""

    text: str
    place: Place


class Within(Struct, frozen=True):
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
    """An owner for another organization, both by number, and what it is to be there."""

    id: int
    organization: int
    role: OwnerRole


class Owned(Struct, frozen=True):
    """An owner with the identifiers of all devices that it owns."""

    owner: Owner
    idents: list[str]


def owned_by(ref: str) -> Comparison:
    return Comparison("owners", Operator.HAS, ref)


def blank(ref: str, name: str | None = None) -> Owner:
    """An owner as a caller describes it; the store numbers it, the service dates it."""
    return Owner(0, 0, ref, name, None, None, 0, 0, 0)


async def ensure(call: Call, refs: Collection[str]) -> list[tuple[Owner, bool]]:
    """The owners of these references, each with whether it was made now, named after the e-mail's first part."""
    found = []
    for ref in refs:
        owner = await call.records.owners.get(call.org, ref)
        made = owner or await noun.insert(call, blank(ref, ref.partition("@")[0]))
        found.append((made, owner is None))
    return found


async def carry(call: Call, there: Call, refs: Collection[str]) -> None:
    """Owners go along with a device to an organization that does not know them: the same people, as they are here."""
    for ref in refs:
        owner = await call.records.owners.get(call.org, ref)
        if owner is not None and await there.records.owners.get(there.org, ref) is None:
            await noun.insert(there, owner)


async def idents_of(call: Call, ref: str, beyond: Records) -> list[str]:
    """The identifiers of all devices of an owner, by id. What follows the first page is read from `beyond`."""
    idents: list[str] = []
    records, after = call.records, None
    while found := await records.devices.page(call.org, owned_by(ref), Sort(), Page(limits.MAX_PAGE, after)):
        idents += [device.ident for device in found]
        if len(found) < limits.MAX_PAGE:
            break
        records, after = beyond, (None, found[-1].id)
    return idents


async def _owned(call: Call, owner: Owner) -> Owned:
    # An owner of very many devices must not hold up the event loop; one of a few need not leave it.
    return Owned(owner, await idents_of(call, owner.ref, call.services.store.bulk))


async def _numbered(call: Call, number: int) -> Owner:
    owner = await call.records.owners.by_id(call.org, number)
    if owner is None:
        raise not_found("owner", number)
    return owner


@operation(Action.OWNERS_READ, Effect.SCAN)
async def by_id(call: Call, wanted: reach.Numbered) -> Owned:
    return await _owned(call, await _numbered(call, wanted.id))


@operation(Action.OWNERS_READ, Effect.SCAN)
async def by_ref(call: Call, ref: str) -> Owned:
    return await _owned(call, await noun.find(call, ref))


@operation(Action.OWNERS_WRITE, Effect.BULK)
async def put(call: Call, wanted: Put) -> Stored:
    """Raises Fault conflict `owner_exists`, with the number of the one that has the reference, and not_found."""
    was = None if wanted.id is None else await _numbered(call, wanted.id)
    holder = await call.records.owners.get(call.org, wanted.ref)
    if holder and (was is None or was.id != holder.id):
        raise conflict("owner_exists", "Another owner has this reference.", "ref", owner=holder.id)
    if was is None:
        name = wanted.ref.partition("@")[0]
        new = structs.replace(blank(wanted.ref, name), **wanted.change)
        return Stored(await noun.insert(call, new), created=True)
    return Stored(await _change(call, was, {**wanted.change, "ref": wanted.ref}), created=False)


async def _change(call: Call, was: Owner, change: dict[str, str | None]) -> Owner:
    """Replace members. A new reference is carried to the owner's devices in the same transaction."""
    now = await noun.rewrite(call, was, change)
    if now.ref != was.ref:
        await _rename(call, was.ref, now.ref)
    return now


async def _rename(call: Call, old: str, new: str) -> None:
    devices = await call.records.devices.page(call.org, owned_by(old), Sort(), Page(_MOST_RENAMED + 1))
    if len(devices) > _MOST_RENAMED:
        raise conflict("too_many_devices", f"An owner of more than {_MOST_RENAMED} devices cannot be renamed.", "ref")
    for device in devices:
        refs = unique([new if ref == old else ref for ref in device.owners], limits.MAX_OWNERS_PER_DEVICE, "owners")
        at = max(call.at, device.updated_at)
        now = structs.replace(device, owners=refs, revision=device.revision + 1, updated_at=at)
        await call.records.devices.replace(device, now)
        await call.records.timeline.append([device_entry(call, "device.updated", now, {"changed": ["owners"]})])


# --- in reach --------------------------------------------------------------------------------------------------------


async def reached(call: Call, number: int) -> tuple[Call, Owner]:
    """An owner in reach, and the call acting where it is. Raises Fault not_found `user_not_found`."""
    found = await reach.first(call, lambda records, org: records.owners.by_id(org, number))
    if found is None:
        raise reach.missing("user", number)
    return found


async def with_email(call: Call, email: str) -> tuple[Call, Owner] | None:
    """The owner in reach with this address, and the call acting where it is."""
    return await reach.first(call, lambda records, org: records.owners.get(org, email))


@operation(Action.OWNERS_READ, Effect.SCAN)
async def directory(call: Call, wanted: Directory) -> tuple[list[Owner], int]:
    """By reference; those of several organizations by the number of the organization first."""
    counts = await reach.used(call, "owners", below=wanted.below)

    async def take(org: int, place: Place) -> list[Owner]:
        return await call.records.owners.page(org, "", place.limit, place.offset)

    return await reach.across(counts, wanted.place, take), sum(counts.values())


@operation(Action.OWNERS_READ, Effect.SCAN)
async def search(call: Call, wanted: Searching) -> tuple[list[Owner], int]:
    text, after = wanted.text.casefold(), ""
    found: list[Owner] = []
    while some := await call.records.owners.page(call.org, after, limits.MAX_PAGE):
        found += [one for one in some if text in one.ref.casefold() or text in (one.name or "").casefold()]
        after = some[-1].ref
    return wanted.place.cut(found)


@operation(Action.OWNERS_READ, Effect.SCAN)
async def by_number(call: Call, number: int) -> Owner:
    return (await reached(call, number))[1]


@operation(Action.OWNERS_WRITE, Effect.WRITE)
async def create_within(call: Call, new: Within) -> Owner:
    """Raises Fault conflict `owner_exists`."""
    there = await reach.organization(call, new.organization)
    owner = new.owner
    if await there.records.owners.get(there.org, owner.ref):
        raise conflict("owner_exists", "There is a user with this address already.", "email")
    return await noun.insert(there, structs.replace(owner, name=owner.name or owner.ref.partition("@")[0]))


@operation(Action.ORGANIZATIONS_WRITE, Effect.WRITE)
async def create_with_organization(call: Call, new: Founder) -> Owner:
    """Make an organization below the caller's, and an owner in it."""
    made = await organizations.create_below.run(call, new.organization)
    return await create_within.run(call, Within(new.owner, made.id))


@operation(Action.OWNERS_WRITE, Effect.WRITE)
async def transfer(call: Call, wanted: Transfer) -> Owner:
    """Give an owner to another organization in reach, where it has a new number.

    Raises Fault conflict `owner_has_devices`, which do not go along, and `owner_exists`.
    """
    there, owner = await reached(call, wanted.id)
    target = await reach.organization(call, wanted.organization, noun="destination")
    if target.org == owner.org:
        return await noun.rewrite(there, owner, {"role": wanted.role})
    await noun.remove(there, owner)
    return await create_within.run(target, Within(structs.replace(owner, role=wanted.role)))


@operation(Action.OWNERS_WRITE, Effect.WRITE)
async def edit_by_number(call: Call, wanted: Edit) -> Owner:
    there, was = await reached(call, wanted.id)
    return await noun.rewrite(there, was, wanted.change)
