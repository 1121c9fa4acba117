"""Certificates that were issued: finding them, counting them, and taking them back. See `identity` for their slots."""

from msgspec import Struct

from fleetroll.core.certificates import Certificate, Reason, State, Tally
from fleetroll.core.faults import not_found
from fleetroll.core.identity import Slot, slot_of
from fleetroll.core.model import Device
from fleetroll.core.policy import Action
from fleetroll.core.query import Part, cut
from fleetroll.pki.port import Description
from fleetroll.service import authorities, reach
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.portions import whole
from fleetroll.service.timeline import record


class Named(Struct, frozen=True):
    """One certificate, by serial number."""

    serial: str


class Shown(Struct, frozen=True):
    """A certificate, what it says, the name of its authority, and whether it is good at that moment.

    `slot` is the one that it is active in.
    """

    certificate: Certificate
    description: Description
    authority: str
    authority_serial: str
    at: int
    slot: Slot | None


class Listing(Struct, frozen=True):
    """Certificates with an id above `after`: of one authority, one device and one serial number where given."""

    limit: int
    after: int = 0
    authority: str | None = None
    ident: str | None = None
    serial: str | None = None


class Stats(Struct, frozen=True):
    """How many certificates there are, by the name of their authority; and how many authorities have expired."""

    authorities: dict[str, Tally]
    expired_authorities: int


@operation(Action.CERTIFICATES_READ, Effect.READ)
async def get(call: Call, wanted: Named) -> Shown:
    return await show(call, await find(call, wanted.serial))


@operation(Action.CERTIFICATES_READ, Effect.SCAN)
async def page(call: Call, wanted: Listing) -> Part[Shown, int]:
    found = cut(await _found(call, wanted), wanted.limit, lambda last: last.id)
    return Part([await show(call, one) for one in found.records], found.next)


async def _found(call: Call, wanted: Listing) -> list[Certificate]:
    certificates, limit = call.records.certificates, wanted.limit + 1
    authority = await _authority(call, wanted.authority)
    device = await _device(call, wanted.ident)
    if wanted.serial is not None:
        one = await certificates.get(call.org, wanted.serial.lower())
        fits = one and one.id > wanted.after and authority in {None, one.authority} and device in {None, one.device}
        return [one] if one and fits else []
    if device is not None:
        return await _issued_to(call, device, authority, wanted.after, limit)
    if authority is not None:
        return await certificates.of_authority(call.org, authority, wanted.after, limit)
    return await certificates.page(call.org, wanted.after, limit)


async def _authority(call: Call, name: str | None) -> int | None:
    return None if name is None else (await authorities.noun.find(call, name)).id


async def _device(call: Call, ident: str | None) -> int | None:
    return None if ident is None else (await reach.named(call, ident)).id


async def _issued_to(call: Call, device: int, authority: int | None, after: int, limit: int) -> list[Certificate]:
    found: list[Certificate] = []
    while some := await call.records.certificates.of_device(call.org, device, after, limit):
        after = some[-1].id
        found += [one for one in some if authority in {None, one.authority}]
        if len(found) >= limit:
            break
    return found[:limit]


@operation(Action.CERTIFICATES_READ, Effect.SCAN)
async def stats(call: Call, _: None) -> Stats:
    tallies = await call.records.certificates.counts(call.org, call.at)
    found = await authorities.noun.all(call)
    named = {one.name: tallies.get(one.id, Tally(0, 0, 0)) for one in found}
    return Stats(named, sum(one.state(call.at) is State.EXPIRED for one in found))


async def find(call: Call, serial: str) -> Certificate:
    found = await call.records.certificates.get(call.org, serial.lower())
    if found is None:
        raise not_found("certificate", serial)
    return found


async def show(call: Call, certificate: Certificate) -> Shown:
    by = await call.records.authorities.by_id(call.org, certificate.authority)
    assert by is not None, "an authority is deleted with what it issued"
    info = call.services.pki.describe(certificate.der)
    return Shown(certificate, info, by.name, by.serial, call.at, await _slot(call, certificate))


async def _slot(call: Call, certificate: Certificate) -> Slot | None:
    device = await call.records.devices.by_id(call.org, certificate.device) if certificate.device else None
    slot = slot_of(device) if device is not None else None
    return slot if slot is not None and slot.active == certificate.serial else None


async def revoke(call: Call, certificate: Certificate, reason: Reason) -> None:
    """Revoke a certificate, with its event, if it is not revoked yet or only on hold."""
    if await call.records.certificates.revoke(call.org, certificate.serial, call.at, reason):
        data = {"reason": reason.name}
        await record(call, "certificate.revoked", "certificate", certificate.id, certificate.serial, data)


async def revoke_in_slot(call: Call, device: Device, serial: str | None, reason: Reason) -> None:
    """Revoke what a slot names, if it is a certificate of that device: a slot filled by hand may name any."""
    found = await _of_device(call, device, serial)
    if found is not None:
        await revoke(call, found, reason)


async def is_revoked(call: Call, device: Device, serial: str | None) -> bool:
    """Whether what a slot names is a certificate of that device, and revoked."""
    found = await _of_device(call, device, serial)
    return found is not None and found.revoked_at is not None


async def _of_device(call: Call, device: Device, serial: str | None) -> Certificate | None:
    found = await call.records.certificates.get(call.org, serial) if serial else None
    return found if found is not None and found.device == device.id else None


async def revoke_all(call: Call, device: Device, reason: Reason) -> None:
    """Revoke every certificate of a device, in its slot or not, and expired ones too: a DMS may accept those."""
    for certificate in await _all_of(call, device):
        if certificate.may_be_revoked:
            await revoke(call, certificate, reason)


async def has_good(call: Call, device: Device) -> bool:
    """Whether a certificate of the device is good or could be again, in its slot or not."""
    return any(one.may_be_good(call.at) for one in await _all_of(call, device))


async def _all_of(call: Call, device: Device) -> list[Certificate]:
    of_device = call.records.certificates.of_device
    return await whole(lambda after, limit: of_device(call.org, device.id, after, limit), lambda last: last.id, 0)
