"""Owners: the customers that devices belong to, and giving devices to them."""

from collections.abc import Collection

from msgspec import Struct, structs

from fleetroll.core import limits
from fleetroll.core.faults import conflict, invalid, not_found
from fleetroll.core.model import Device, Owner
from fleetroll.core.names import unique
from fleetroll.core.policy import Action
from fleetroll.core.query import Comparison, Operator, Page, Sort
from fleetroll.service.named import Noun
from fleetroll.service.operations import Call, Effect, operation

_MOST_RENAMED = 1_000


async def _forget(call: Call, owner: Owner) -> None:
    """Owners with devices stay: a device never names an owner that is not there."""
    if await call.records.devices.page(call.org, owned_by(owner.ref), Sort(), Page(1)):
        raise conflict("owner_has_devices", "This owner has devices; unassign them first.")


noun: Noun[Owner] = Noun(
    "owner", "ref", lambda records: records.owners, Action.OWNERS_READ, Action.OWNERS_WRITE, forget=_forget
)


class Numbered(Struct, frozen=True):
    """One owner, by number."""

    id: int


class Change(Struct, frozen=True):
    """Members of an owner to replace; `ref` may be among them."""

    id: int
    change: dict[str, str | None]


class Owned(Struct, frozen=True):
    """An owner with the devices that it owns, up to a page of them."""

    owner: Owner
    devices: list[Device]


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


async def devices_of(call: Call, owner: Owner, most: int = limits.MAX_PAGE) -> list[Device]:
    return await call.records.devices.page(call.org, owned_by(owner.ref), Sort(), Page(most))


async def _numbered(call: Call, number: int) -> Owner:
    owner = await call.records.owners.by_id(call.org, number)
    if owner is None:
        raise not_found("owner", number)
    return owner


@operation(Action.OWNERS_READ, Effect.SCAN)
async def by_id(call: Call, wanted: Numbered) -> Owned:
    owner = await _numbered(call, wanted.id)
    return Owned(owner, await devices_of(call, owner))


@operation(Action.OWNERS_READ, Effect.SCAN)
async def by_ref(call: Call, ref: str) -> Owned:
    owner = await noun.find(call, ref)
    return Owned(owner, await devices_of(call, owner))


@operation(Action.OWNERS_WRITE, Effect.WRITE)
async def change(call: Call, wanted: Change) -> Owner:
    """Replace members. A new reference is carried to the owner's devices in the same transaction."""
    was = await _numbered(call, wanted.id)
    now = await noun.rewrite(call, was, dict(wanted.change))
    if now.ref != was.ref:
        await _rename(call, was.ref, now.ref)
    return now


async def _rename(call: Call, old: str, new: str) -> None:
    devices = await call.records.devices.page(call.org, owned_by(old), Sort(), Page(_MOST_RENAMED + 1))
    if len(devices) > _MOST_RENAMED:
        raise conflict("too_many_devices", f"An owner of more than {_MOST_RENAMED} devices cannot be renamed.", "ref")
    for device in devices:
        refs = unique([new if ref == old else ref for ref in device.owners], limits.MAX_OWNERS_PER_DEVICE, "owners")
        await call.records.devices.replace(
            device, structs.replace(device, owners=refs, revision=device.revision + 1, updated_at=call.at)
        )


def require_some(refs: Collection[str]) -> None:
    """Raises Fault invalid `no_valid_owners` where nothing usable was given."""
    if not refs:
        raise invalid("no_valid_owners", "At least one valid owner is required.", "owners")
