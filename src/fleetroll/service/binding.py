"""Certificates and the slots that hold them, kept in step: whatever is done to the one, the other follows."""

from msgspec import UNSET, Struct

from fleetroll.core.certificates import Certificate, Reason
from fleetroll.core.dms import Dms
from fleetroll.core.dms import windows as windows_of
from fleetroll.core.faults import conflict, invalid, not_found
from fleetroll.core.identity import Occasion, Slot, Windows, current, slot_of
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import Device, DeviceChange
from fleetroll.core.names import identity_key
from fleetroll.core.policy import Action
from fleetroll.service import certificates, devices, identity
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.timeline import record


class Held(Struct, frozen=True):
    """A device with its slot as it is by now, and the active certificate if it is one of ours."""

    device: Device
    slot: Slot
    certificate: certificates.Shown | None


class Bind(Struct, frozen=True):
    """A certificate of ours to put into the slot of a device. `occasion` is why, where there was another before."""

    ident: str
    serial: str
    occasion: Occasion | None = None


class Bound(Struct, frozen=True):
    """What was bound to what, through which DMS if any."""

    certificate: certificates.Shown
    dms: Dms | None
    device: Device


class Revoke(Struct, frozen=True):
    """A device whose identity is to be revoked."""

    ident: str
    reason: Reason = Reason.UNSPECIFIED


class Rule(Struct, frozen=True):
    """A certificate to revoke for `reason`; None restores one that is on hold."""

    serial: str
    reason: Reason | None


@operation(Action.DEVICES_READ, Effect.READ)
async def get(call: Call, wanted: devices.Named) -> Held:
    """Raises Fault not_found for a device without an identity."""
    device = current(await devices.find(call, wanted.ident), call.at)
    slot = slot_of(device)
    if slot is None:
        raise not_found("identity", wanted.ident)
    found = await call.records.certificates.get(call.org, slot.active) if slot.active else None
    return Held(device, slot, await certificates.show(call, found) if found else None)


@operation(Action.CERTIFICATES_WRITE, Effect.WRITE)
async def bind(call: Call, wanted: Bind) -> Bound:
    """Raises Fault invalid where the certificate is another device's, conflict where it is revoked."""
    device = await devices.find(call, wanted.ident)
    certificate = await certificates.find(call, wanted.serial)
    if identity_key(certificate.common_name) != identity_key(device.ident):
        raise invalid("foreign_certificate", "The common name of the certificate is not this device's.", "device_id")
    if certificate.revoked_at is not None:
        raise conflict("certificate_revoked", "The certificate is revoked.")
    name = certificate.dms or device.dms
    dms = await call.records.dms.get(call.org, name) if name else None
    ageing = dms.settings.windows if dms else windows_of(certificate.not_after - certificate.not_before)
    bound = await attach(call, device, certificate, ageing, wanted.occasion)
    return Bound(await certificates.show(call, certificate), dms, bound)


@operation(Action.CERTIFICATES_WRITE, Effect.WRITE, relieves=True)
async def revoke(call: Call, wanted: Revoke) -> Device:
    """Revoke the active certificate and with it the slot. Revoking again changes nothing."""
    device = await devices.find(call, wanted.ident)
    slot = slot_of(device)
    if slot is None:
        raise not_found("identity", wanted.ident)
    await certificates.revoke_in_slot(call, device, slot.active, wanted.reason)
    return await identity.revoke_slot(call, device, slot)


@operation(Action.CERTIFICATES_WRITE, Effect.WRITE, relieves=True)
async def rule(call: Call, wanted: Rule) -> certificates.Shown:
    """Revoke or restore a certificate; a device that has it as its active one follows."""
    certificate = await certificates.find(call, wanted.serial)
    if wanted.reason is not None:
        await certificates.revoke(call, certificate, wanted.reason)
    elif certificate.revoked_at is not None:
        await _restore(call, certificate)
    device = await call.records.devices.by_id(call.org, certificate.device) if certificate.device else None
    if device is not None and device.status is not Status.DECOMMISSIONED:
        change_slot = identity.restore if wanted.reason is None else identity.revoke
        await change_slot(call, device, certificate.serial)
    return await certificates.show(call, await certificates.find(call, certificate.serial))


async def _restore(call: Call, certificate: Certificate) -> None:
    if not await call.records.certificates.restore(call.org, certificate.serial):
        raise conflict("certificate_revoked", "Only a certificate that was revoked as CertificateHold can be restored.")
    await record(call, "certificate.restored", "certificate", certificate.id, certificate.serial)


async def attach(
    call: Call, device: Device, certificate: Certificate, windows: Windows, occasion: Occasion | None
) -> Device:
    """Make the certificate the active one of the slot. Raises Fault conflict for a decommissioned device."""
    bound = await identity.bind(call, device, certificate.serial, certificate.not_after, windows, occasion)
    return await devices.change(call, bound, DeviceChange(dms=certificate.dms or UNSET))
