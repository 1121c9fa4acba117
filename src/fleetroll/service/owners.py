"""Owners: the customers that devices belong to. A device that names them creates them; a rename reaches all that do."""

from collections.abc import Collection

from msgspec import Struct, structs

from fleetroll.core import limits
from fleetroll.core.faults import Fault, conflict, not_found, stale
from fleetroll.core.model import Owner, unstored
from fleetroll.core.names import owner_key, unique
from fleetroll.core.policy import Action
from fleetroll.core.query import Comparison, Operator, Page, Sort
from fleetroll.service import reach
from fleetroll.service.cascades import cascade
from fleetroll.service.named import Noun, devices_have
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.quotas import release
from fleetroll.service.timeline import record
from fleetroll.store.port import Records


async def _check(call: Call, owner: Owner) -> None:
    """An owner that stands in for another until that is renamed changes with it, not by itself."""
    if _stands_in(owner) and owner.revision > 1:
        raise _being_renamed()


def _stands_in(owner: Owner) -> bool:
    return owner.twin is not None and owner.twin < owner.id


def _being_renamed() -> Fault:
    return conflict("owner_being_renamed", "This owner is being renamed; repeat the rename first.", "ref")


async def _require_unused(call: Call, owner: Owner) -> None:
    """Owners with devices stay: a device never names an owner that is not there."""
    if owner.twin is not None:
        raise _being_renamed()
    if await devices_have(call.records, call.org, owned_by(owner.ref)):
        raise conflict("owner_has_devices", "This owner has devices; unassign them first.")


noun: Noun[Owner] = Noun(
    "owner",
    "ref",
    lambda records: records.owners,
    Action.OWNERS_READ,
    Action.OWNERS_WRITE,
    check=_check,
    forget=_require_unused,
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


class Owned(Struct, frozen=True):
    """An owner with the identifiers of all devices that it owns."""

    owner: Owner
    idents: list[str]


def owned_by(ref: str) -> Comparison:
    return Comparison("owners", Operator.HAS, ref)


def blank(ref: str, name: str | None = None) -> Owner:
    """An owner as a caller describes it; the store numbers it, the service dates it."""
    return unstored(Owner, ref=ref, name=name, phone=None, address=None)


async def ensure(call: Call, refs: Collection[str]) -> list[tuple[Owner, bool]]:
    """The owners of these references, created if missing, each with whether it was."""
    found = []
    for ref in refs:
        owner = await call.records.owners.get(call.org, ref)
        found.append((owner or await make(call, ref), owner is None))
    return found


async def missing(call: Call, refs: Collection[str]) -> list[str]:
    """Those of these references that no owner has."""
    return [ref for ref in refs if await call.records.owners.get(call.org, ref) is None]


async def make(call: Call, ref: str) -> Owner:
    """An owner of whom nothing but the reference is known."""
    return await noun.insert(call, blank(ref, first_part(ref)))


def first_part(ref: str) -> str:
    """What an owner is called who has no other name: what stands before the `@` of the e-mail address."""
    return ref.partition("@")[0]


async def copy_to(call: Call, there: Call, refs: Collection[str]) -> None:
    """Copy owners, as they are here, to the organization that their device goes to, unless it knows them."""
    for ref in refs:
        owner = await call.records.owners.get(call.org, ref)
        if owner is not None and await there.records.owners.get(there.org, ref) is None:
            await noun.insert(there, structs.replace(owner, twin=None))


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


async def _rename_most(call: Call, wanted: Put) -> Put:
    """Write a new reference to devices until so few are left that one transaction can take them.

    Meanwhile two owners stand for the one, so that each device names one that exists. The second is stored with the
    first devices, and neither can be removed: whoever asks for the same again, after a failure, goes on from there.
    """
    was = None if wanted.id is None else await call.records.owners.by_id(call.org, wanted.id)
    if was is None or was.ref == wanted.ref:
        return wanted
    store = call.services.store
    if was.twin is None and await store.scan.devices.count(call.org, owned_by(was.ref)) <= limits.BULK_BATCH:
        return wanted

    async def work(records: Records) -> bool:
        return await _rename_some(call.within(records), was.id, wanted.ref)

    while await store.write(work, bulk=True):
        pass
    return wanted


async def _rename_some(call: Call, number: int, ref: str) -> bool:
    """Write the reference to a batch of devices. Returns whether there may be more."""
    was = await _numbered(call, number)
    if was.ref == ref:  # somebody else has asked for the same
        return False
    await _begin(call, was, ref)
    return await _rename_in_devices(call, was.ref, ref, limits.RENAME_BATCH) == limits.RENAME_BATCH


async def _begin(call: Call, was: Owner, ref: str) -> None:
    """Ensure that there is a stand-in with the new reference. Raises Fault conflict where there can be none."""
    holder = await call.records.owners.get(call.org, ref)
    if holder is None and was.twin is None:
        made = await noun.insert(call, structs.replace(was, ref=ref, twin=was.id))
        paired = structs.replace(was, twin=made.id, updated_at=call.at, revision=was.revision + 1)
        if not await call.records.owners.replace(paired):
            raise stale()
        await record(call, "owner.updated", "owner", was.id, was.ref, {"changed": []})
    elif holder is None or _stands_in(was):
        raise _being_renamed()
    elif holder.id != was.twin:
        raise _exists(holder)


def _exists(holder: Owner) -> Fault:
    return conflict("owner_exists", "Another owner already has this reference.", "ref", owner=holder.id)


@operation(Action.OWNERS_WRITE, Effect.BULK, prepare=_rename_most)
async def put(call: Call, wanted: Put) -> Stored:
    """Raises Fault conflict `owner_exists`, with the number of the one that has the reference, and not_found."""
    was = None if wanted.id is None else await _numbered(call, wanted.id)
    holder = await call.records.owners.get(call.org, wanted.ref)
    if holder and (was is None or holder.id not in {was.id, was.twin}):
        raise _exists(holder)
    if was is None:
        new = structs.replace(blank(wanted.ref, first_part(wanted.ref)), **wanted.change)
        return Stored(await noun.insert(call, new), created=True)
    return Stored(await _change(call, was, wanted.ref, wanted.change), created=False)


async def _change(call: Call, was: Owner, ref: str, change: dict[str, str | None]) -> Owner:
    """Replace members. A new reference is written to the owner's remaining devices in the same transaction."""
    old, is_renamed = was.ref, was.ref != ref
    if is_renamed and was.twin is not None:
        was = await _unite(call, was, ref)
    now = await noun.rewrite(call, was, {**change, "ref": ref})
    if is_renamed and await _rename_in_devices(call, old, ref, limits.BULK_BATCH + 1) > limits.BULK_BATCH:
        raise conflict("too_many_devices", "Devices were given to this owner while it was renamed; try again.", "ref")
    return now


async def _unite(call: Call, was: Owner, ref: str) -> Owner:
    """Delete the owner's stand-in, which frees the new reference; returns the owner without it."""
    twin = await call.records.owners.get(call.org, ref)
    if twin is None or _stands_in(was):
        raise _being_renamed()
    await call.records.owners.delete(call.org, twin.id)
    await release(call, "owners")
    await record(call, "owner.deleted", "owner", twin.id, twin.ref)
    return structs.replace(was, twin=None)


async def _rename_in_devices(call: Call, old: str, new: str, most: int) -> int:
    """Write the owner's new reference to at most `most` devices that have the old one. Returns how many there were."""
    devices = await call.records.devices.page(call.org, owned_by(old), Sort(), Page(most))
    for device in devices:
        refs = unique([new if ref == old else ref for ref in device.owners], limits.MAX_OWNERS_PER_DEVICE, "owners")
        await cascade(call, device, owners=refs)
    return len(devices)
