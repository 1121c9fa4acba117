"""Devices by number, those of the caller's organization and of all below it as one fleet."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from fleetroll.core import limits, tokens
from fleetroll.core.faults import invalid, page_too_large
from fleetroll.core.model import (
    Device,
    DeviceChange,
    Event,
    EventKind,
    Instant,
    NewDevice,
    Owner,
    OwnerStatus,
    Reading,
    Template,
    led_by,
)
from fleetroll.core.policy import Action, allows
from fleetroll.core.query import Filter, OffsetPage, Search, Slice, Sort
from fleetroll.core.times import MINUTE
from fleetroll.service import (
    credentials,
    devices,
    event_codes,
    numbered_owners,
    owners,
    quotas,
    reach,
    templates,
    timeline,
)
from fleetroll.service.devices import weight
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.reach import Numbered

CLEARED = "device.cleared"


class Listing(Struct, frozen=True):
    """Devices by offset: of one organization (None is the caller's), or of all below it as well."""

    page: OffsetPage
    organization: int | None = None
    below: bool = False


class Searching(Struct, frozen=True):
    """The caller's devices with a text in identifier or name."""

    text: str
    sort: Sort
    page: OffsetPage


class Belonging(Struct, frozen=True):
    """Devices of a person, known by its reference, from an organization (None is the caller's) down."""

    ref: str
    page: OffsetPage
    organization: int | None = None


class Recent(Struct, frozen=True):
    """Devices of an organization that were activated in the last `minutes`."""

    organization: int | None
    minutes: int


class New(Struct, frozen=True):
    """A device to make of a template. Without a name it has the template's."""

    template: int
    name: str | None
    organization: int | None
    owner: int | None


class Rename(Struct, frozen=True):
    id: int
    name: str


class Handover(Struct, frozen=True):
    """A device to give to another person, who may be of another organization, or to another organization."""

    id: int
    owner: int | None = None
    organization: int | None = None


class Shown(Struct, frozen=True):
    """A device with its first owner, and its token for those who may write it."""

    device: Device
    owner: Owner | None
    token: str


class Details(Struct, frozen=True):
    """All there is of one device. `came`, `went` and `logged` are the newest of its events of each sort.

    `connected_at` is when it last connected; or when it first did, where it was cleared since.
    """

    shown: Shown
    template: Template | None
    readings: list[Reading]
    connected_at: Instant | None
    came: Event | None
    went: Event | None
    logged: Event | None
    lifecycle: Event | None


# --- as they are shown -----------------------------------------------------------------------------------------------


async def show(call: Call, found: list[Device]) -> list[Shown]:
    """Devices as they are shown; `call` need not act in their organizations."""
    people = {(one.org, one.owners[0]) for one in found if one.owners}
    known = {(org, ref): await call.records.owners.get(org, ref) for org, ref in people}
    key = call.principal.key
    may_have = allows(key.role, key.scopes, Action.DEVICES_WRITE)
    return [
        Shown(
            one,
            known[one.org, one.owners[0]] if one.owners else None,
            (credentials.token(call, one) or "") if may_have else "",
        )
        for one in found
    ]


async def _one(call: Call, device: Device) -> Shown:
    (shown,) = await show(call, [device])
    return shown


# --- lists -----------------------------------------------------------------------------------------------------------


@operation(Action.DEVICES_READ, Effect.SCAN)
async def page(call: Call, wanted: Listing) -> Slice[Shown]:
    """Devices by number; those of several organizations by that of the organization first."""
    there = await reach.organization(call, wanted.organization)
    counts = await reach.used(there, "devices", below=wanted.below)
    room = _Room()

    async def take(org: int, page: OffsetPage) -> list[Device]:
        found, _ = await call.records.devices.slice(org, None, Sort(), page.offset, page.limit, counts[org])
        room.take(found)
        return found

    return Slice(await show(call, await reach.across(counts, wanted.page, take)), sum(counts.values()))


class _Room:
    """The room of one page for the devices of several organizations; the store sees to those of each."""

    def __init__(self) -> None:
        self._left = limits.MAX_NUMBERED_PAGE_BYTES

    def take(self, found: Iterable[Device]) -> None:
        """Raises Fault invalid `page_too_large`."""
        self._left -= sum(map(weight, found))
        if self._left < 0:
            raise page_too_large()


async def _slice(
    call: Call, homes: Sequence[Call], filter: Filter | None, sort: Sort, page: OffsetPage
) -> Slice[Shown]:
    """What the filter finds in one organization after the other, in the order of `homes`."""
    found: list[Device] = []
    total, start, room = 0, page.offset, _Room()
    for there in homes:
        count = await quotas.used(there, "devices")
        some, matching = await there.records.devices.slice(
            there.org, filter, sort, start, page.limit - len(found), count
        )
        room.take(some)
        found += some
        total, start = total + matching, max(0, start - matching)
    return Slice(await show(call, found), total)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def search(call: Call, wanted: Searching) -> Slice[Shown]:
    return await _slice(call, [call], Search(wanted.text), wanted.sort, wanted.page)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def of_owner(call: Call, wanted: Belonging) -> Slice[Shown]:
    """The devices of a person, in whichever organizations. Raises Fault not_found `owner_not_found`."""
    homes = await numbered_owners.homes(await reach.organization(call, wanted.organization), wanted.ref)
    if not homes:
        raise reach.missing("owner")
    return await _slice(call, homes, owners.owned_by(wanted.ref), Sort(), wanted.page)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def of_owners_organization(call: Call, wanted: Belonging) -> Slice[Shown]:
    """All devices of the organizations that a person belongs to; none if there is no such person."""
    return await _slice(call, await numbered_owners.homes(call, wanted.ref), None, Sort(), wanted.page)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def activated(call: Call, wanted: Recent) -> list[Shown]:
    """The newest first, at most a page of them; organizations below are left out."""
    there = await reach.organization(call, wanted.organization)
    since = call.at - wanted.minutes * MINUTE
    return await show(call, await call.records.devices.activated(there.org, since, limits.MAX_PAGE))


# --- one device ------------------------------------------------------------------------------------------------------


@operation(Action.DEVICES_READ, Effect.READ)
async def get(call: Call, wanted: Numbered) -> Shown:
    _, device = await reach.device(call, wanted.id)
    return await _one(call, device)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def details(call: Call, wanted: Numbered) -> Details:
    return await reach.of_device(call, wanted.id, _details)


async def _details(call: Call, device: Device) -> Details:
    async def newest(*kinds: EventKind) -> Event | None:
        types = [event_codes.TYPES[kind] for kind in kinds]
        found, _ = await call.records.timeline.of_types(call.org, device.id, types, OffsetPage(1))
        return found[0] if found else None

    came, went = await newest(EventKind.ONLINE), await newest(EventKind.OFFLINE)
    return Details(
        await _one(call, device),
        await templates.of(call, device),
        await call.records.telemetry.last(call.org, device.id),
        _connected_at(device, came, went),
        came,
        went,
        await newest(*(kind for kind in EventKind if kind not in {EventKind.ONLINE, EventKind.OFFLINE})),
        await newest(EventKind.LIFECYCLE),
    )


def _connected_at(device: Device, came: Event | None, went: Event | None) -> Instant | None:
    """None is never. Of a device whose last connection was forgotten, the first one is what is known."""
    if came:
        return came.at
    return device.activated_at if device.connected or went else None


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def create(call: Call, new: New) -> Details:
    """Raises Fault not_found for a template, an organization and an owner that are not there."""
    there = await reach.organization(call, new.organization, noun="home")
    template = await templates.visible(there, new.template)
    if template is None:
        raise reach.missing("template")
    owner = await there.records.owners.by_id(there.org, new.owner) if new.owner is not None else None
    if new.owner is not None and owner is None:
        raise reach.missing("owner")
    made = NewDevice(
        ident=call.services.random_text(tokens.SECRET_LENGTH),
        name=new.name or template.name,
        owners=() if owner is None else (owner.ref,),
        template=template.id,
    )
    return await _details(there, await devices.insert(there, made))


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def rename(call: Call, wanted: Rename) -> Shown:
    there, device = await reach.device(call, wanted.id)
    return await _one(call, await devices.change(there, device, DeviceChange(name=wanted.name)))


@operation(Action.DEVICES_DELETE, Effect.WRITE, settles=True, relieves=True)
async def delete(call: Call, wanted: Numbered) -> None:
    there, device = await reach.device(call, wanted.id)
    await devices.remove(there, device)


@operation(Action.DEVICES_WRITE, Effect.WRITE, relieves=True)
async def disown(call: Call, wanted: Numbered) -> None:
    there, device = await reach.device(call, wanted.id)
    await devices.change(there, device, DeviceChange(owners=()))


@operation(Action.DEVICES_WRITE, Effect.WRITE, settles=True)
async def hand_over(call: Call, wanted: Handover) -> None:
    """Where both are given, the owner decides. Nothing changes where either is refused."""
    there, device = await reach.device(call, wanted.id)
    if wanted.owner is None:
        await _to_organization(call, there, device, wanted.organization)
    else:
        await _to_owner(call, there, device, wanted.owner)


async def _to_organization(call: Call, there: Call, device: Device, number: int | None) -> None:
    target = await reach.organization(call, number, noun="destination")
    if target.org != device.org:
        await devices.move(there, device, target)


async def _to_owner(call: Call, there: Call, device: Device, number: int) -> None:
    home, owner = await numbered_owners.reached(call, number)
    if owner.org == device.org and device.owners[:1] == (owner.ref,):
        raise invalid("same_owner", "The device already has this owner.", "owner")
    if owner.status is not OwnerStatus.ACTIVE:
        raise invalid("inactive_owner", "The account of the new owner is not active.", "owner")
    refs = led_by(device.owners, owner.ref) if owner.org == device.org else (owner.ref,)
    await devices.give(there, device, home, refs)


@operation(Action.DEVICES_WRITE, Effect.WRITE, relieves=True)
async def clear(call: Call, wanted: Numbered) -> None:
    """Forget what the device reported, its events included; what was done to it, and that it was cleared, stay."""
    there, device = await reach.device(call, wanted.id)
    await there.records.telemetry.forget(there.org, device.id)
    await there.records.timeline.forget_types(there.org, device.id, event_codes.KINDS)
    await there.records.timeline.append([timeline.device_entry(there, CLEARED, device)])
