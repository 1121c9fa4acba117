"""Devices of the whole tree below the caller, by number: an organization, and all that are under it, as one fleet.

What lies in another organization, and what never was, are refused in the same words, for callers name numbers.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from msgspec import Struct, structs

from fleetroll.core import limits, names, tokens
from fleetroll.core.faults import Fault, Kind, conflict, invalid
from fleetroll.core.model import (
    Device,
    DeviceChange,
    Event,
    EventKind,
    NewDevice,
    Organization,
    Owner,
    Reading,
    Template,
)
from fleetroll.core.policy import Action, allows
from fleetroll.core.query import Filter, Place, Search, Sort
from fleetroll.service import devices, event_codes, metafields, owners, templates, timeline
from fleetroll.service import organizations as service_organizations
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.store.port import Records

T = TypeVar("T")
CLEARED = "device.cleared"
_MINUTE = 60 * 1_000_000
_MOST_NAMESAKES = 100


class Numbered(Struct, frozen=True):
    """One device, by number."""

    id: int


class Listing(Struct, frozen=True):
    """Devices by place: of one organization (None is the caller's), or of all below it as well."""

    place: Place
    organization: int | None = None
    below: bool = False


class Searching(Struct, frozen=True):
    """The caller's devices with a text in identifier or name."""

    text: str
    sort: Sort
    place: Place


class Belonging(Struct, frozen=True):
    """Devices of a person, known by e-mail address."""

    email: str
    place: Place
    organization: int | None = None


class Recent(Struct, frozen=True):
    """Devices of an organization that were first heard of in the last `minutes`."""

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


class Past(Struct, frozen=True):
    """A device's events by place, of one kind or of all."""

    id: int
    place: Place
    kind: EventKind | None = None


class Handover(Struct, frozen=True):
    """A device for another person, who may be of another organization, or for another organization."""

    id: int
    owner: int | None = None
    organization: int | None = None


class Occurrence(Struct, frozen=True):
    id: int
    code: str
    description: str | None


class Writing(Struct, frozen=True):
    """A value for a metafield, both by number."""

    id: int
    field: int
    value: Any


class Shown(Struct, frozen=True):
    """A device with its first owner, and its token for those who may write it."""

    device: Device
    owner: Owner | None
    token: str


class Listed(Struct, frozen=True):
    """Some devices, and how many there are."""

    devices: list[Shown]
    total: int


class Details(Struct, frozen=True):
    """All there is of one device. `came`, `went` and `logged` are the newest of its events of each sort."""

    shown: Shown
    template: Template | None
    readings: list[Reading]
    came: Event | None
    went: Event | None
    logged: Event | None
    lifecycle: Event | None


# --- finding ---------------------------------------------------------------------------------------------------------


def missing(noun: str, number: int | None = None) -> Fault:
    """The same for what never was and what is somebody else's."""
    said = {} if number is None else {"number": number}
    return Fault(Kind.NOT_FOUND, f"{noun}_not_found", f"There is no such {noun}.", details=said)


async def organization(call: Call, number: int | None, *, noun: str = "organization") -> Call:
    """The call, acting in an organization in reach. Raises Fault not_found `<noun>_not_found`."""
    if number is None or number == call.org:
        return call
    found = await call.records.organizations.get(number)
    if found is None or call.org not in found.lineage:
        raise missing(noun, number)
    return call.beside(found)


async def locate(call: Call, number: int) -> tuple[Call, Device]:
    """A device in reach, and the call acting where it is. Raises Fault not_found `device_not_found`."""
    held = await call.records.devices.token(number)
    org = await call.records.organizations.get(held[0]) if held else None
    if org is None or call.org not in org.lineage:
        raise missing("device", number)
    there = call.beside(org)
    device = await call.records.devices.by_id(org.id, number)
    if device is None:
        raise missing("device", number)
    return there, device


async def person(call: Call, wanted: Callable[[Records, int], Awaitable[Owner | None]]) -> Owner | None:
    """An owner in reach, the caller's own organization first."""
    for org in await call.records.organizations.below(call.org):
        if found := await wanted(call.records, org.id):
            return found
    return None


async def _owner(call: Call, number: int) -> Owner:
    found = await person(call, lambda records, org: records.owners.by_id(org, number))
    if found is None:
        raise missing("user", number)
    return found


async def _by_email(call: Call, email: str) -> Owner | None:
    return await person(call, lambda records, org: records.owners.get(org, email))


async def show(call: Call, found: list[Device]) -> list[Shown]:
    """Devices as they are shown; `call` needs not act in their organizations."""
    people = {(one.org, one.owners[0]) for one in found if one.owners}
    known = {(org, ref): await call.records.owners.get(org, ref) for org, ref in people}
    key = call.principal.key
    may_have = allows(key.role, key.scopes, Action.DEVICES_WRITE)
    return [
        Shown(
            one,
            known[one.org, one.owners[0]] if one.owners else None,
            tokens.device_token(call.services.server_key, one.id, one.token_version) if may_have else "",
        )
        for one in found
    ]


async def _one(call: Call, device: Device) -> Shown:
    (shown,) = await show(call, [device])
    return shown


# --- lists -----------------------------------------------------------------------------------------------------------


@operation(Action.DEVICES_READ, Effect.SCAN)
async def page(call: Call, wanted: Listing) -> Listed:
    """Devices by number; those of several organizations by that of the organization first."""
    there = await organization(call, wanted.organization)
    if not wanted.below:
        return await _slice(there, None, Sort(), wanted.place)
    used = await call.records.usage.below(there.org, "devices")
    found: list[Device] = []
    start, limit = wanted.place.offset, wanted.place.limit
    for org, count in used.items():
        if start < count and len(found) < limit:
            more, _ = await call.records.devices.slice(org, None, Sort(), start, limit - len(found), count)
            found += more
        start = max(0, start - count)
    return Listed(await show(call, found), sum(used.values()))


async def _slice(call: Call, filter: Filter | None, sort: Sort, place: Place) -> Listed:
    count = (await call.records.usage.of(call.org)).get("devices", 0)
    found, total = await call.records.devices.slice(call.org, filter, sort, place.offset, place.limit, count)
    return Listed(await show(call, found), total)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def search(call: Call, wanted: Searching) -> Listed:
    return await _slice(call, Search(wanted.text), wanted.sort, wanted.place)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def of_owner(call: Call, wanted: Belonging) -> Listed:
    """The devices of a person. Raises Fault not_found `user_not_found`."""
    there = await organization(call, wanted.organization)
    owner = await _by_email(there, wanted.email)
    org = await call.records.organizations.get(owner.org) if owner else None
    if owner is None or org is None:
        raise missing("user")
    return await _slice(call.beside(org), owners.owned_by(owner.ref), Sort(), wanted.place)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def of_owners_organization(call: Call, wanted: Belonging) -> Listed:
    """All devices of the organization that a person belongs to; none if there is no such person."""
    owner = await _by_email(call, wanted.email)
    org = await call.records.organizations.get(owner.org) if owner else None
    return Listed([], 0) if org is None else await _slice(call.beside(org), None, Sort(), wanted.place)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def activated(call: Call, wanted: Recent) -> list[Shown]:
    """The newest first, at most a page of them; organizations below are left out."""
    there = await organization(call, wanted.organization)
    since = call.at - wanted.minutes * _MINUTE
    return await show(call, await call.records.devices.activated(there.org, since, limits.MAX_PAGE))


# --- one device ------------------------------------------------------------------------------------------------------


@operation(Action.DEVICES_READ, Effect.READ)
async def get(call: Call, wanted: Numbered) -> Shown:
    _, device = await locate(call, wanted.id)
    return await _one(call, device)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def details(call: Call, wanted: Numbered) -> Details:
    there, device = await locate(call, wanted.id)
    return await _details(there, device)


async def _details(call: Call, device: Device) -> Details:
    async def newest(*kinds: EventKind) -> Event | None:
        types = [event_codes.TYPES[kind] for kind in kinds]
        found, _ = await call.records.timeline.of_types(call.org, "device", device.id, types, Place(1))
        return found[0] if found else None

    return Details(
        await _one(call, device),
        await templates.of(call, device),
        await call.records.telemetry.last(call.org, device.id),
        await newest(EventKind.ONLINE),
        await newest(EventKind.OFFLINE),
        await newest(*(kind for kind in EventKind if kind not in {EventKind.ONLINE, EventKind.OFFLINE})),
        await newest(EventKind.LIFECYCLE),
    )


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def create(call: Call, new: New) -> Details:
    """Raises Fault not_found for a template, an organization and an owner that are not there."""
    there = await organization(call, new.organization, noun="home")
    template = await templates.visible(there, new.template)
    if template is None:
        raise missing("template")
    owner = await there.records.owners.by_id(there.org, new.owner) if new.owner is not None else None
    if new.owner is not None and owner is None:
        raise missing("user")
    made = NewDevice(
        ident=call.services.random_text(tokens.SECRET_LENGTH),
        name=new.name or template.name,
        owners=() if owner is None else (owner.ref,),
        template=template.id,
    )
    return await _details(there, await devices.insert(there, made))


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def rename(call: Call, wanted: Rename) -> Shown:
    there, device = await locate(call, wanted.id)
    return await _one(call, await devices.change(there, device, DeviceChange(name=wanted.name)))


@operation(Action.DEVICES_DELETE, Effect.WRITE)
async def delete(call: Call, wanted: Numbered) -> None:
    there, device = await locate(call, wanted.id)
    await devices.remove(there, device)


@operation(Action.TIMELINE_READ, Effect.SCAN)
async def history(call: Call, wanted: Past) -> tuple[list[Event], int]:
    """The device's own events: what it logged, and its comings and goings."""
    there, device = await locate(call, wanted.id)
    return await event_codes.of_device(there, device, wanted.kind, wanted.place)


@operation(Action.TIMELINE_READ, Effect.SCAN)
async def actions(call: Call, wanted: Past) -> tuple[list[Event], int]:
    """What was done to the device with a key."""
    there, device = await locate(call, wanted.id)
    return await call.records.timeline.by_keys(there.org, "device", device.id, wanted.place)


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def disown(call: Call, wanted: Numbered) -> None:
    there, device = await locate(call, wanted.id)
    await devices.change(there, device, DeviceChange(owners=()))


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def hand_over(call: Call, wanted: Handover) -> None:
    """Where both are given, the owner decides. Nothing changes where either is refused."""
    there, device = await locate(call, wanted.id)
    if wanted.owner is None:
        await _to_organization(call, there, device, wanted.organization)
    else:
        await _to_owner(call, there, device, wanted.owner)


async def _to_organization(call: Call, there: Call, device: Device, number: int | None) -> None:
    target = await organization(call, number, noun="destination")
    if target.org != device.org:
        await devices.move(there, device, target)


async def _to_owner(call: Call, there: Call, device: Device, number: int) -> None:
    owner = await _owner(call, number)
    if owner.org == device.org and device.owners == (owner.ref,):
        raise invalid("same_owner", "The device has this owner already.", "owner")
    org = await call.records.organizations.get(owner.org)
    if org is not None and org.id != device.org:
        alone = await devices.change(there, device, DeviceChange(owners=()))
        device = await devices.move(there, alone, there.beside(org))
        there = there.beside(org)
    await devices.change(there, device, DeviceChange(owners=(owner.ref,)))


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def clear(call: Call, wanted: Numbered) -> None:
    """Forget what the device reported, its events included; what was done to it, and that it was cleared, stay."""
    there, device = await locate(call, wanted.id)
    await there.records.telemetry.forget(there.org, device.id)
    await there.records.timeline.forget_types(there.org, "device", device.id, event_codes.KINDS)
    await there.records.timeline.append([timeline.device_entry(there, CLEARED, device)])


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def trigger(call: Call, wanted: Occurrence) -> None:
    there, device = await locate(call, wanted.id)
    await event_codes.log(there, device, wanted.code, wanted.description)


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def write_metafield(call: Call, wanted: Writing) -> None:
    there, device = await locate(call, wanted.id)
    field = await metafields.find(there, device, wanted.field)
    await metafields.write(there, device, field, wanted.value)


# --- organizations and templates -------------------------------------------------------------------------------------


@operation(Action.ORGANIZATIONS_READ, Effect.READ)
async def account(call: Call, number: int | None) -> Organization:
    return (await organization(call, number)).principal.org


class Directory(Struct, frozen=True):
    """Organizations by place: those directly below one, or all in reach whose name holds a text."""

    place: Place
    organization: int | None = None
    text: str | None = None


@operation(Action.ORGANIZATIONS_READ, Effect.SCAN)
async def organizations(call: Call, wanted: Directory) -> tuple[list[Organization], int]:
    there = await organization(call, wanted.organization)
    known = await call.records.organizations.below(there.org)
    text = (wanted.text or "").casefold()
    found = [one for one in known if text in one.name.casefold()] if wanted.text is not None else known
    if wanted.text is None:
        found = [one for one in known if one.parent == there.org]
    return found[wanted.place.offset :][: wanted.place.limit], len(found)


class NewOrganization(Struct, frozen=True):
    """An organization to make below another. What it is called in paths is made of its name."""

    name: str
    parent: int | None


@operation(Action.ORGANIZATIONS_WRITE, Effect.WRITE)
async def create_organization(call: Call, new: NewOrganization) -> Organization:
    there = await organization(call, new.parent)
    slug = await _free_slug(there, names.slugify(new.name))
    made = await service_organizations.create.run(there, service_organizations.Described(slug, new.name))
    return made.organization


async def _free_slug(call: Call, slug: str) -> str:
    for candidate in (slug, *(f"{slug}-{number}" for number in range(2, _MOST_NAMESAKES))):
        if await call.records.organizations.child(call.org, candidate) is None:
            return candidate
    raise conflict("organization_exists", "There are too many organizations of this name.", "name")


@operation(Action.ORGANIZATIONS_WRITE, Effect.WRITE)
async def delete_organization(call: Call, number: int) -> None:
    """Remove an empty organization below the caller's."""
    there = await organization(call, number)
    await service_organizations.remove(call, there.principal.org)


class Templates(Struct, frozen=True):
    """Templates by place, those that an organization made itself."""

    place: Place
    organization: int | None = None


@operation(Action.TEMPLATES_READ, Effect.SCAN)
async def all_templates(call: Call, wanted: Templates) -> tuple[list[Template], int]:
    there = await organization(call, wanted.organization)
    found = await call.records.templates.page(there.org, "", limits.DEFAULT_QUOTAS["templates"])
    return found[wanted.place.offset :][: wanted.place.limit], len(found)


@operation(Action.TEMPLATES_READ, Effect.SCAN)
async def template(call: Call, number: int) -> Template:
    """A template that serves the caller's organization, or one below it."""
    found = await templates.visible(call, number)
    return found or (await _template(call, number))[1]


async def _template(call: Call, number: int) -> tuple[Call, Template]:
    """A template in reach, and the call acting where it is."""
    for org in await call.records.organizations.below(call.org):
        if found := await call.records.templates.by_id(org.id, number):
            return call.beside(org), found
    raise missing("template", number)


@operation(Action.TEMPLATES_WRITE, Effect.WRITE)
async def create_template(call: Call, new: Template) -> Template:
    return await templates.noun.insert(call, new)


@operation(Action.TEMPLATES_WRITE, Effect.WRITE)
async def delete_template(call: Call, number: int) -> None:
    there, found = await _template(call, number)
    await templates.noun.remove(there, found)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def tags(call: Call, number: int | None) -> list[str]:
    """The tags in use in an organization, the most frequent first."""
    there = await organization(call, number)
    return list((await call.records.devices.counts(there.org)).by_tag)


# --- people ----------------------------------------------------------------------------------------------------------


class People(Struct, frozen=True):
    """Owners by place: the caller's, or all in reach; and of those, whose name or address holds a text."""

    place: Place
    below: bool = False
    text: str | None = None


class NewPerson(Struct, frozen=True):
    """An owner to make in an organization."""

    email: str
    name: str | None
    organization: int | None


@operation(Action.OWNERS_READ, Effect.SCAN)
async def people(call: Call, wanted: People) -> tuple[list[Owner], int]:
    orgs = await call.records.organizations.below(call.org) if wanted.below else [call.principal.org]
    text = (wanted.text or "").casefold()
    found: list[Owner] = []
    for org in orgs:
        known = await call.records.owners.page(org.id, "", limits.DEFAULT_QUOTAS["owners"])
        found += [one for one in known if text in one.ref or text in (one.name or "").casefold()]
    return found[wanted.place.offset :][: wanted.place.limit], len(found)


@operation(Action.OWNERS_READ, Effect.SCAN)
async def get_person(call: Call, number: int) -> Owner:
    return await _owner(call, number)


@operation(Action.OWNERS_WRITE, Effect.WRITE)
async def create_person(call: Call, new: NewPerson) -> Owner:
    """Raises Fault conflict `owner_exists`."""
    there = await organization(call, new.organization)
    if await there.records.owners.get(there.org, new.email):
        raise conflict("owner_exists", "There is a user with this address already.", "email")
    name = new.name or new.email.partition("@")[0]
    return await owners.noun.insert(there, structs.replace(owners.blank(new.email), name=name))
