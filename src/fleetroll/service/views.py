"""Devices together with the records that they name: their cohort, and the version of their software."""

from collections.abc import Sequence

from msgspec import UNSET, Raw, Struct, structs

from fleetroll.core.faults import not_found
from fleetroll.core.model import DEFAULT_COHORT, Cohort, Device, NewDevice, Organization, SoftwareVersion
from fleetroll.core.policy import Action
from fleetroll.core.query import Filter, Slice, Sort, every
from fleetroll.core.software import type_and_version
from fleetroll.service import cohorts, devices, hardware_versions, quotas
from fleetroll.service.operations import Call, Effect, operation


class View(Struct, frozen=True):
    """A device with the records that it names."""

    device: Device
    organization: Organization
    cohort: Cohort
    software: SoftwareVersion | None


class Listing(Struct, frozen=True):
    """A page of a list by its offset: `start` is that of the first device, from 0."""

    filter: Filter | None
    sort: Sort
    start: int
    limit: int


class OfCohort(Struct, frozen=True):
    """A page of the devices of a cohort."""

    cohort: str
    listing: Listing


@operation(Action.DEVICES_READ, Effect.READ)
async def get(call: Call, wanted: devices.Named) -> View:
    return await _one(call, await devices.find(call, wanted.ident))


@operation(Action.DEVICES_READ, Effect.SCAN)
async def page(call: Call, wanted: Listing) -> Slice[View]:
    total = await quotas.used(call, "devices")
    found, matching = await call.records.devices.slice(
        call.org, wanted.filter, wanted.sort, wanted.start, wanted.limit, total
    )
    return Slice(await _all(call, found), matching)


@operation(Action.DEVICES_READ, Effect.SCAN)
async def within(call: Call, wanted: OfCohort) -> Slice[View]:
    """A page of a cohort's devices. Raises Fault not_found for a cohort that is not there."""
    await cohorts.noun.find(call, wanted.cohort)
    both = every(wanted.listing.filter, cohorts.within(wanted.cohort))
    return await page.run(call, structs.replace(wanted.listing, filter=both))


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def create(call: Call, new: NewDevice) -> View:
    return await _one(call, await devices.insert(call, new))


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def edit(call: Call, wanted: devices.Edit) -> View:
    """A new hardware version must be known. Raises Fault not_found `hardware_version_not_found`."""
    device = await devices.find(call, wanted.ident, wanted.guard)
    change = wanted.edit(device)
    if change.hardware_version is not UNSET and change.hardware_version is not None:
        await hardware_versions.noun.find(call, change.hardware_version)
    return await _one(call, await devices.change(call, device, change))


async def _one(call: Call, device: Device) -> View:
    name = type_and_version(device.software)
    version = await call.records.software_versions.get(call.org, *name) if name else None
    return View(device, call.principal.org, await _cohort(call, device), version)


async def _all(call: Call, found: Sequence[Device]) -> list[View]:
    """Each record is looked up once, however many devices name it, and what they say of software is read once."""
    cohort_of: dict[str | None, Cohort] = {}
    for device in found:
        if device.cohort not in cohort_of:
            cohort_of[device.cohort] = await _cohort(call, device)
    software = [b"" if device.software is None else bytes(device.software) for device in found]
    names = {text: type_and_version(Raw(text)) for text in {*software} if text}
    known = {name: await call.records.software_versions.get(call.org, *name) for name in {*names.values()} if name}
    versions = {text: known[name] for text, name in names.items() if name}
    return [
        View(device, call.principal.org, cohort_of[device.cohort], versions.get(text))
        for device, text in zip(found, software, strict=True)
    ]


async def _cohort(call: Call, device: Device) -> Cohort:
    """The device's cohort, remembered until one changes."""
    known, key = call.services.cohorts, (call.org, device.cohort or DEFAULT_COHORT)
    return known.get(key) or await known.load(key, lambda: _stored(call, key[1]))


async def _stored(call: Call, slug: str) -> Cohort:
    found = await call.records.cohorts.get(call.org, slug)
    if found is None:
        raise not_found("cohort", slug)
    return found
