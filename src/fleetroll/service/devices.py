"""Devices: create, upsert, read, change, decommission, transfer, delete. One device at a time; see `fleet` for many."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any

from msgspec import UNSET, Struct, structs

from fleetroll.core import documents, identity, limits
from fleetroll.core.certificates import Reason
from fleetroll.core.documents import Document
from fleetroll.core.faults import Fault, conflict, invalid, not_found, stale
from fleetroll.core.fields import sort_value
from fleetroll.core.guards import UNGUARDED, Guard
from fleetroll.core.ids import device_hex, parse_device_hex
from fleetroll.core.lifecycle import Status, advance
from fleetroll.core.model import CHANGEABLE, Counts, Device, DeviceChange, NewDevice, length_of_documents
from fleetroll.core.names import identity_key
from fleetroll.core.policy import Action
from fleetroll.core.query import Filter, Page, Sort
from fleetroll.service import (
    certificates,
    cohorts,
    hardware_versions,
    metadata_fields,
    owners,
    presence,
    quotas,
    software_versions,
    templates,
    timeline,
)
from fleetroll.service.cascades import UPDATED
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.organizations import descend
from fleetroll.store.port import Checkins, Records, Telemetry, Timeline, Usage

CREATED = "device.created"
DELETED = "device.deleted"
DECOMMISSIONED = "device.decommissioned"
MOVED = "device.transferred"
_OTHER_MEMBERS = 256  # bytes of a device besides its documents, tags and owners
_new_members = attrgetter(*NewDevice.__struct_fields__[1:])
_DEFAULTS = NewDevice.__struct_defaults__


class _Dependency(Struct, frozen=True):
    """Records that are created where a device names them: their noun, which are missing, and how one is made."""

    nouns: str
    missing: Callable[[Call, Any], Awaitable[list[Any]]]
    make: Callable[[Call, Any], Awaitable[object]]


_DEPENDENCIES = {
    "owners": _Dependency("owners", owners.missing, owners.make),
    "hardware_version": _Dependency("hardware_versions", hardware_versions.missing, hardware_versions.make),
    "software": _Dependency("software_versions", software_versions.missing, software_versions.make),
}
_REFERENCES = ("cohort", *_DEPENDENCIES)  # the members that name other records


class Named(Struct, frozen=True, gc=False):
    """One device, by identifier."""

    ident: str
    guard: Guard = UNGUARDED


class Put(Struct, frozen=True, gc=False):
    """Create the device, or replace the given members. `required` lists members that only a new device needs."""

    ident: str
    change: DeviceChange
    required: tuple[str, ...] = ()
    guard: Guard = UNGUARDED


class Stored(Struct, frozen=True):
    """A device after it was put. `created` tells a new one."""

    device: Device
    created: bool


class Edit(Struct, frozen=True):
    """Change a device by a pure function of its present state."""

    ident: str
    edit: Callable[[Device], DeviceChange]
    guard: Guard = UNGUARDED


class EditById(Struct, frozen=True):
    """As `Edit`, by public id."""

    id: str
    edit: Callable[[Device], DeviceChange]


class Own(Struct, frozen=True):
    """The device that asks, by the public id that it claims."""

    id: str


class OwnConfig(Struct, frozen=True):
    """The whole new configuration of the device that asks."""

    id: str
    config: Document


class Transfer(Struct, frozen=True):
    """Give a device to an organization below the caller's own, to other owners, or both; None leaves as it is."""

    ident: str
    organization: str | None
    owners: tuple[str, ...] | None
    guard: Guard = UNGUARDED


class Listing(Struct, frozen=True):
    """A page of devices that the filter finds, optionally counted in all."""

    filter: Filter | None = None
    sort: Sort = Sort()
    page: Page = Page(limits.DEFAULT_PAGE)
    counted: bool = False


class Devices(Struct, frozen=True):
    """One page; `next` is what follows its last device, None on the last page."""

    devices: list[Device]
    next: tuple[Any, int] | None
    total: int | None


def weight(device: Device) -> int:
    """About how many bytes a device has: its documents, its tags and owners, and the rest."""
    return _OTHER_MEMBERS + length_of_documents(device) + length_of_names(device.tags, device.owners)


def length_of_names(tags: tuple[str, ...], owners: tuple[str, ...]) -> int:
    """How many bytes names take in a JSON list; a device may have a hundred of them."""
    return len('","'.join(tags + owners).encode()) if tags or owners else 0


@operation(Action.DEVICES_READ, Effect.READ)
async def get(call: Call, wanted: Named) -> Device:
    return identity.current(await find(call, wanted.ident), call.at)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def page(call: Call, wanted: Listing) -> Devices:
    limit = wanted.page.limit
    one_more = Page(limit + 1, wanted.page.after)
    room = limits.MAX_PAGE_BYTES if limit > limits.DEFAULT_PAGE else None
    found = await call.records.devices.page(call.org, wanted.filter, wanted.sort, one_more, room)
    if room is not None:
        limit = _fitting(found, limit, room)
    total = await call.records.devices.count(call.org, wanted.filter) if wanted.counted else None
    shown = [one if one.identity_due is None else identity.current(one, call.at) for one in found[:limit]]
    # As `query.cut` does, but without making a function for the key: no other list is asked for as often.
    if len(found) <= limit:
        return Devices(shown, None, total)
    last = found[limit - 1]  # as it is stored, which is how it is sorted
    return Devices(shown, (sort_value(last, wanted.sort.field, wanted.sort.path), last.id), total)


def _fitting(found: Sequence[Device], limit: int, room: int) -> int:
    """How many devices of a page fit into one reply; where they are large, the rest is left to the next page."""
    for index, device in enumerate(found[:limit]):
        room -= weight(device)
        if room < 0:
            return max(index, 1)
    return limit


@operation(Action.DEVICES_READ, Effect.SCAN)
async def statuses(call: Call, filter: Filter | None) -> dict[str, int]:
    """How many devices the filter finds in each status."""
    found = await call.records.devices.statuses(call.org, filter)
    return {status.value: found.get(status.value, 0) for status in Status}


@operation(Action.DEVICES_READ, Effect.SCAN)
async def counts(call: Call, _: None) -> Counts:
    return await call.records.devices.counts(call.org)


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def create(call: Call, new: NewDevice) -> Device:
    return await insert(call, new)


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def put(call: Call, wanted: Put) -> Stored:
    device = await call.records.devices.get(call.org, wanted.ident)
    wanted.guard.check(device)
    if device is None:
        return Stored(await insert(call, new_device(wanted)), created=True)
    device = await change(call, device, for_existing(wanted.change))
    return Stored(identity.current(device, call.at), created=False)


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def edit(call: Call, wanted: Edit) -> Device:
    device = await find(call, wanted.ident, wanted.guard)
    return identity.current(await change(call, device, wanted.edit(device)), call.at)


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def edit_by_id(call: Call, wanted: EditById) -> Device:
    device = await find_by_id(call, wanted.id)
    return await change(call, device, wanted.edit(device))


@operation(Action.SELF, Effect.READ)
async def own(call: Call, wanted: Own) -> Device:
    return await _own_device(call, wanted.id)


@operation(Action.SELF, Effect.WRITE)
async def configure(call: Call, wanted: OwnConfig) -> Device:
    """A device replaces its own configuration."""
    return await change(call, await _own_device(call, wanted.id), DeviceChange(config=wanted.config))


async def _own_device(call: Call, public_id: str) -> Device:
    if parse_device_hex(public_id) != call.principal.device:
        raise not_found("device", public_id)
    return await find_by_id(call, public_id)


@operation(Action.DEVICES_WRITE, Effect.WRITE, settles=True, relieves=True)
async def decommission(call: Call, wanted: Named) -> Device:
    return await retire(call, await find(call, wanted.ident, wanted.guard))


@operation(Action.DEVICES_WRITE, Effect.WRITE, settles=True, relieves=True)
async def end(call: Call, wanted: Named) -> Device:
    """Decommission a device, unless it is already."""
    device = await find(call, wanted.ident, wanted.guard)
    return device if device.status is Status.DECOMMISSIONED else await retire(call, device)


@operation(Action.DEVICES_DELETE, Effect.WRITE, settles=True, relieves=True)
async def delete_ended(call: Call, wanted: Named) -> None:
    """Delete a decommissioned device. Raises Fault conflict `status_forbids` for any other."""
    device = await find(call, wanted.ident, wanted.guard)
    if device.status is not Status.DECOMMISSIONED:
        raise conflict("status_forbids", "Only a decommissioned device can be deleted here; decommission it first.")
    await remove(call, device)


@operation(Action.DEVICES_WRITE, Effect.WRITE, settles=True)
async def transfer(call: Call, wanted: Transfer) -> Device:
    """Move the device with its history. Nothing changes where the target refuses it."""
    device = await find(call, wanted.ident, wanted.guard)
    there = call
    if wanted.organization is not None:
        there = call.beside(await descend(call.records, call.principal.home, wanted.organization))
    if wanted.owners is not None:
        return await give(call, device, there, wanted.owners)
    return device if there.org == call.org else await move(call, device, there)


async def give(call: Call, device: Device, there: Call, refs: tuple[str, ...]) -> Device:
    """Give a device to these owners, who may be of another organization; those that it had do not go along."""
    if there.org != call.org:
        device = await move(call, await change(call, device, DeviceChange(owners=())), there)
        await owners.copy_to(call, there, refs)
    return await change(there, device, DeviceChange(owners=refs))


async def move(call: Call, was: Device, there: Call) -> Device:
    """Give a device, with all that belongs to it, to another organization that the caller may act in."""
    await metadata_fields.check(there, was.metadata)
    was = await presence.leave_for_transfer(call.records, await _unbound(call, was), call.at, call.request)
    await owners.copy_to(call, there, was.owners)
    await ensure(there, structs.replace(was, cohort=None))
    # A cohort is its organization's own; a template may serve this one too.
    template_members = await templates.changes_of_transfer(call, there, was)
    moved = {"org": there.org, "cohort": None, "updated_at": max(call.at, was.updated_at)}
    now = structs.replace(was, **moved, **template_members, revision=was.revision + 1)
    if await call.records.devices.get(there.org, was.ident):
        raise ident_taken()
    if not await call.records.devices.move(was, now):
        raise stale()
    await call.records.credentials.forget(call.org, was.id)  # they are good for the organization that made them
    await quotas.take(there, "devices", 1)
    await quotas.release(call, "devices")
    # Where it has been before, the entry that it left goes: the history that it brings along says so as well.
    await call.records.timeline.forget(there.org, was.id)
    for noun in _belongings(call.records):
        await noun.move(call.org, was.id, there.org)
    here = timeline.device_entry(call, MOVED, was, {"to": there.principal.org.slug})
    await call.records.timeline.append(
        [here, timeline.device_entry(there, MOVED, now, {"from": call.principal.org.slug})]
    )
    return now


async def _unbound(call: Call, device: Device) -> Device:
    """The device without what binds it to its organization: its DMS, and certificates of authorities here."""
    if device.dms is None and device.identity is None:
        return device
    await _revoke_certificates(call, device, Reason.AFFILIATION_CHANGED)
    left = DeviceChange(dms=None)
    if device.identity is not None:
        slot = identity.revoke(identity.read(device.identity), call.at)
        left = structs.replace(identity.change(device, slot, call.at), dms=None)
    return await change(call, device, left)


async def _revoke_certificates(call: Call, device: Device, reason: Reason) -> None:
    """Revoke what certificates of ours the device has. One without a slot never had any."""
    if device.identity is not None:
        await certificates.revoke_all(call, device, reason)


@operation(Action.DEVICES_DELETE, Effect.WRITE, settles=True, relieves=True)
async def discard(call: Call, wanted: Named) -> Device:
    """As `delete`, but returns the device that is gone."""
    device = await find(call, wanted.ident, wanted.guard)
    await remove(call, device)
    return device


@operation(Action.DEVICES_DELETE, Effect.WRITE, settles=True, relieves=True)
async def delete(call: Call, wanted: Named) -> None:
    await remove(call, await find(call, wanted.ident, wanted.guard))


async def retire(call: Call, device: Device) -> Device:
    """Decommission a device; the credential in its slot is no longer good. Raises Fault conflict `status_forbids`."""
    status = advance(device.status, Status.DECOMMISSIONED)
    if device.identity is None:
        return await change(call, device, DeviceChange(status=status), DECOMMISSIONED)
    await _revoke_certificates(call, device, Reason.CESSATION_OF_OPERATION)
    slot = identity.write(identity.retire(identity.read(device.identity), call.at))
    return await change(call, device, DeviceChange(status=status, identity=slot, identity_due=None), DECOMMISSIONED)


async def find(call: Call, ident: str, guard: Guard = UNGUARDED) -> Device:
    """The device. Raises Fault not_found, or stale where a guard shows that the caller knew of one."""
    device = await call.records.devices.get(call.org, ident)
    if device is None:
        raise stale() if guard.match is not None else not_found("device", ident)
    guard.check(device)
    return device


async def find_by_id(call: Call, public_id: str) -> Device:
    """The device of a public id. Raises Fault not_found."""
    device = await known_by_id(call.records, call.org, public_id)
    if device is None:
        raise not_found("device", public_id)
    return device


async def known_by_id(records: Records, org: int, public_id: str) -> Device | None:
    """The device with a public id, all of which must match: with another time of creation, it names no device."""
    number = parse_device_hex(public_id)
    device = None if number is None else await records.devices.by_id(org, number)
    return device if device is not None and device_hex(device.created_at, device.id) == public_id else None


def new_device(wanted: Put) -> NewDevice:
    """The device that an upsert makes where there is none. Raises Fault invalid `<member>_required`."""
    # By position, as this runs for every device of an import.
    members = zip(_DEFAULTS, _new_members(wanted.change), strict=True)
    given = [default if one is UNSET else one for default, one in members]
    new = NewDevice(wanted.ident, *given)
    for name in wanted.required:
        if getattr(new, name) is None:
            raise invalid(f"{name}_required", f"{name} is required for a new device.", name)
    return new


async def insert(call: Call, new: NewDevice) -> Device:
    """Store a device, the owners it names and its first event. Raises Fault conflict `ident_taken`."""
    new = await templates.apply_to_new(call, new)
    await metadata_fields.check(call, new.metadata)
    await ensure(call, new)
    device = await call.records.devices.insert(call.org, new, call.at)
    if device is None:
        raise ident_taken()
    await quotas.take(call, "devices", 1)
    await call.records.timeline.append([timeline.device_entry(call, CREATED, device)])
    return device


async def ensure(call: Call, device: NewDevice | Device) -> None:
    """Ensure that what a device names exists: its cohort must, owners and versions are created."""
    await _ensure(call, {name: getattr(device, name) for name in _REFERENCES})


def for_existing(change: DeviceChange) -> DeviceChange:
    """What a put changes of an existing device: all but its DMS, which its creation or enrolment has set."""
    return change if change.dms is UNSET else structs.replace(change, dms=UNSET)


async def change(call: Call, was: Device, wanted: DeviceChange, type: str = UPDATED) -> Device:
    """Write what differs, with its event; a change that changes nothing leaves no trace.

    Documents compare by their text: another order of members is a change that callers can see.
    """
    given = {
        name: value
        for name, value in zip(CHANGEABLE, structs.astuple(wanted), strict=True)
        if value is not UNSET and value != getattr(was, name)
    }
    given = await templates.apply_to_change(call, was, given)
    return await _write(call, was, given, type) if given else was


async def rewrite(call: Call, was: Device, given: dict[str, Any]) -> Device:
    """Write these members, whether they differ or not, with an event."""
    return await _write(call, was, await templates.apply_to_change(call, was, given), UPDATED)


async def _write(call: Call, was: Device, given: dict[str, Any], type: str) -> Device:
    at = max(call.at, was.updated_at)
    members = dict(given)
    if "ident" in given:
        await _release_ident(call, was, given["ident"])
    if "metadata" in given:
        await metadata_fields.check(call, given["metadata"], was.metadata)
        members["metadata_times"] = documents.member_times(was.metadata_times, was.metadata, given["metadata"], at)
    await _ensure(call, given)
    now = structs.replace(was, **members, revision=was.revision + 1, updated_at=at)
    if not await call.records.devices.replace(was, now):
        raise stale()
    if now.status is Status.DECOMMISSIONED and was.status is not now.status:
        await call.records.credentials.forget(call.org, now.id)
    await call.records.timeline.append([timeline.device_entry(call, type, now, difference(was, now, given))])
    return now


async def _release_ident(call: Call, device: Device, ident: str) -> None:
    """Raises Fault conflict `ident_certified` for another identifier while a certificate of the device is good.

    The device could renew under neither, and would pass for whichever device gets the old one next. An expired
    certificate would do for that where a DMS accepts those, so it is revoked.
    """
    if device.identity is None or identity_key(ident) == identity_key(device.ident):
        return
    if await certificates.has_good(call, device):
        message = "The device has a valid certificate in its name; revoke it before you rename the device."
        raise conflict("ident_certified", message, "ident")
    await _revoke_certificates(call, device, Reason.AFFILIATION_CHANGED)


def difference(was: Device, now: Device, given: Collection[str]) -> dict[str, Any]:
    """What an event says of a change: the members, and of a status also the old one and the new one."""
    data: dict[str, Any] = {"changed": sorted(name for name in given if name != "identity_due")}
    return {**data, "from": was.status.value, "to": now.status.value} if was.status is not now.status else data


async def _ensure(call: Call, given: Mapping[str, Any]) -> None:
    """As `ensure`, for the members that are given.

    All that is missing is created, or nothing: whoever writes many devices goes on after one that fails.
    """
    if given.keys().isdisjoint(_REFERENCES):
        return
    if cohort := given.get("cohort"):
        await cohorts.require(call, cohort)
    missing = []
    for name, dependency in _DEPENDENCIES.items():
        if value := given.get(name):
            missing += [(dependency, one) for one in await dependency.missing(call, value)]
    if len(missing) > 1:  # one alone is counted before it is made
        await quotas.require(call, Counter(dependency.nouns for dependency, _ in missing))
    for dependency, one in missing:
        await dependency.make(call, one)


async def remove(call: Call, device: Device) -> None:
    """Delete a device and its history; only the fact of its deletion stays in the timeline."""
    await _revoke_certificates(call, device, Reason.CESSATION_OF_OPERATION)
    if not await call.records.devices.delete(device):
        raise stale()
    await call.records.credentials.forget(call.org, device.id)
    await presence.leave(call.records, device)
    for noun in _belongings(call.records):
        await noun.forget(call.org, device.id)
    await quotas.release(call, "devices")
    await call.records.timeline.append([timeline.device_entry(call, DELETED, device)])


def _belongings(records: Records) -> tuple[Timeline, Telemetry, Usage, Checkins]:
    """What goes with a device, wherever it goes."""
    return records.timeline, records.telemetry, records.usage, records.checkins


def ident_taken() -> Fault:
    return conflict("ident_taken", "A device with this identifier already exists.", "ident")
