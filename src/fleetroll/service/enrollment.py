"""Enrolment: a device asks for a certificate, its DMS decides, and its slot has it in the same transaction.

Everything that a stranger sent is checked before the transaction begins. Whoever may not enrol learns why, and nothing
has changed: no device, no certificate, no half of a slot.
"""

from collections.abc import Iterable

from msgspec import Struct

from fleetroll.core import limits, names
from fleetroll.core.certificates import Authority, Certificate, Reason, SignedList
from fleetroll.core.dms import Dms, Proof, Registration, Renewal, parse_label
from fleetroll.core.faults import Fault, Kind, not_found
from fleetroll.core.identity import Occasion, slot_of
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import Device, NewDevice
from fleetroll.core.policy import Action
from fleetroll.pki.port import Request, Terms
from fleetroll.service import authorities, certificates, devices
from fleetroll.service.authorities import BACKDATED
from fleetroll.service.binding import attach
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.timeline import record
from fleetroll.store.port import Records


class Peer(Struct, frozen=True):
    """The other end of the connection. `secure`: nobody between could have read or changed what was sent."""

    secure: bool = False
    certificate: bytes | None = None


STRANGER = Peer()


class EnrollmentRequest(Struct, frozen=True):
    """A certificate request at the DMS of that label."""

    label: str
    request: bytes
    peer: Peer


class EnrollmentReply(Struct, frozen=True):
    """A new certificate, as a bundle too. `key` is the private key that the server made, if it did."""

    certificate: bytes
    bundle: bytes
    key: bytes | None = None


class Trusted(Struct, frozen=True):
    """The certificates of the authorities that devices of a DMS should trust, one by one and as a bundle."""

    certificates: tuple[bytes, ...]
    bundle: bytes


class Named(Struct, frozen=True):
    """A DMS by its label."""

    label: str


@operation(Action.ENROL, Effect.READ)
async def trusted(call: Call, wanted: Named) -> Trusted:
    dms = await _dms(call, wanted.label)
    distribution = dms.settings.distribution
    server = await authorities.server_anchors(call) if distribution.server else ()
    own = (dms.settings.authority,) if distribution.own or not (distribution.others or server) else ()
    named = [one.certificate for one in await _authorities(call, (*own, *distribution.others))]
    found = tuple(dict.fromkeys((*named, *server)))
    return Trusted(found, call.services.pki.bundle(found))


@operation(Action.ENROL, Effect.SCAN)
async def revocation_list(call: Call, wanted: Named) -> SignedList:
    dms = await _dms(call, wanted.label)
    return await authorities.list_of(call, await authorities.noun.find(call, dms.settings.authority))


@operation(Action.ENROL, Effect.BATCHES)
async def enroll(call: Call, wanted: EnrollmentRequest) -> EnrollmentReply:
    return await _enroll(call, wanted, call.services.pki.read_request(wanted.request))


@operation(Action.ENROL, Effect.BATCHES)
async def generate(call: Call, wanted: EnrollmentRequest) -> EnrollmentReply:
    """Enrol with a key that the server makes and does not keep."""
    _require_secure(wanted.peer)
    request, pki = call.services.pki.read_request(wanted.request), call.services.pki
    dms = await _dms(call, wanted.label)
    if dms.settings.keygen is None:
        raise _refused("server_keygen_disabled", "This DMS does not generate keys; enrol with the device's own key.")
    await _admit(call, dms, wanted.peer, request)
    await _registered(call, dms, request)
    key = await pki.make_key_off_loop(dms.settings.keygen, call.org)
    return await _enroll(call, wanted, pki.make_request(key, request), key)


async def _enroll(call: Call, wanted: EnrollmentRequest, request: Request, key: bytes | None = None) -> EnrollmentReply:
    _require_secure(wanted.peer)

    async def work(records: Records) -> Certificate:
        inner = call.within(records)
        dms = await _dms(inner, wanted.label)
        await _admit(inner, dms, wanted.peer, request)
        device = await _registered(inner, dms, request) or await _register(inner, dms, request.subject.common_name)
        was = slot_of(device)
        certificate = await _issue(inner, dms, device, request)
        await attach(inner, device, certificate, dms.settings.windows, Occasion.RE_PROVISIONED)
        await certificates.revoke_in_slot(inner, device, was.active if was else None, Reason.SUPERSEDED)
        return certificate

    return _reply(call, await call.services.store.write(work), key)


@operation(Action.ENROL, Effect.BATCHES)
async def renew(call: Call, wanted: EnrollmentRequest) -> EnrollmentReply:
    """A new certificate for a device that shows its present one."""
    _require_secure(wanted.peer)
    request = call.services.pki.read_request(wanted.request)

    async def work(records: Records) -> Certificate:
        inner = call.within(records)
        dms = await _dms(inner, wanted.label)
        device, present = await _renewable(inner, dms, wanted.peer, request)
        certificate = await _issue(inner, dms, device, request)
        await attach(inner, device, certificate, dms.settings.windows, Occasion.RENEWED)
        if dms.settings.renewal.revoke_replaced:
            await certificates.revoke(inner, present, Reason.SUPERSEDED)
        return certificate

    return _reply(call, await call.services.store.write(work))


# --- admission -------------------------------------------------------------------------------------------------------


async def _admit(call: Call, dms: Dms, peer: Peer, request: Request) -> None:
    """Raises Fault unauthenticated unless the peer has shown what the DMS asks for."""
    admission = dms.settings.admission
    if admission.proof is Proof.NONE:
        return
    shown = await _client_certificate(call, peer, admission.authorities, admission.levels)
    if shown.common_name != request.subject.common_name and await _is_ours(call, dms, shown):
        raise _refused("foreign_subject", "The certificate of one device cannot be used to enrol another.")
    if not admission.allow_expired and not shown.not_before <= call.at < shown.not_after:
        raise _unproven("The client certificate has expired, or is not valid yet.")
    await _require_unrevoked(call, shown)


class _ClientCertificate(Struct, frozen=True):
    """A client certificate in DER, and what it says. `authority` is the one that has issued it."""

    certificate: bytes
    authority: str
    serial: str
    common_name: str
    not_before: int
    not_after: int


async def _client_certificate(
    call: Call, peer: Peer, trusted: Iterable[str], levels: int | None = 1
) -> _ClientCertificate:
    """The client certificate, which an authority that the DMS trusts has vouched for. Raises Fault unauthenticated."""
    pki = call.services.pki
    if peer.certificate is None:
        raise _unproven("A client certificate is required.")
    try:
        info = pki.describe(peer.certificate)
    except Fault:
        raise _unproven("The client certificate cannot be read.") from None
    issuer = await _issuer(call, peer.certificate, await _authorities(call, trusted), levels)
    if issuer is None:
        raise _unproven("The client certificate is not from an authority that this DMS trusts.")
    subject = info.subject.common_name
    return _ClientCertificate(peer.certificate, issuer.name, info.serial, subject, info.not_before, info.not_after)


async def _issuer(call: Call, shown: bytes, trusted: list[Authority], levels: int | None) -> Authority | None:
    """Who has issued the certificate, if a trusted authority is at most so many levels above it; else None."""
    below = [] if levels == 1 else await authorities.valid_now(call, {one.name for one in trusted})
    chain: list[Authority] = []
    while len(chain) < min(levels or limits.MAX_CHAIN, limits.MAX_CHAIN):
        link = chain[-1].certificate if chain else shown
        above = next((one for one in (*trusted, *below) if call.services.pki.is_issued_by(link, one.certificate)), None)
        if above is None:
            return None
        chain.append(above)
        if above in trusted:
            return chain[0]
    return None


async def _is_ours(call: Call, dms: Dms, shown: _ClientCertificate) -> bool:
    """Whether the authority of the DMS has issued it: by its key, as the same authority may have another record."""
    own = await authorities.noun.find(call, dms.settings.authority)
    return call.services.pki.is_issued_by(shown.certificate, own.certificate)


async def _require_unrevoked(call: Call, shown: _ClientCertificate) -> None:
    """Raises Fault unauthenticated if this very certificate is revoked: another one may have the same number.

    Revocations of all organizations count: the authority may be another's, and trusted here by its certificate.
    """
    revoked = await call.records.certificates.revoked_anywhere(shown.serial)
    if any(call.services.pki.is_same(der, shown.certificate) for der in revoked):
        raise _unproven("The client certificate is revoked.")


async def _registered(call: Call, dms: Dms, request: Request) -> Device | None:
    """The device that the request is for; None where it is to be created. Raises Fault forbidden."""
    ident = names.ident(request.subject.common_name, "common name")
    device = await call.records.devices.get(call.org, ident)
    if device is None:
        if dms.settings.registration is not Registration.JITP:
            raise _refused("not_registered", "device not preregistered")
        return None
    _require_enrollable(dms, device)
    if device.identity is not None and not dms.settings.replaceable:
        raise _refused("enrolled_already", "forbiddenNewEnrollment: the device has an identity, and may only renew it")
    return device


def _require_enrollable(dms: Dms, device: Device) -> None:
    """Raises Fault forbidden for a device that is out of service, or another DMS's."""
    if device.status is Status.DECOMMISSIONED:
        raise _refused("decommissioned", "The device is decommissioned and can neither enrol nor renew.")
    if device.dms is not None and device.dms != dms.name:
        raise _refused("registered_elsewhere", "device already registered to another DMS")


async def _register(call: Call, dms: Dms, ident: str) -> Device:
    profile = dms.settings.profile
    new = NewDevice(ident, tags=profile.tags, metadata=profile.metadata, extras=profile.extras, dms=dms.name)
    return await devices.insert(call, new)


async def _renewable(call: Call, dms: Dms, peer: Peer, request: Request) -> tuple[Device, Certificate]:
    """The device that may renew, and its active certificate. Raises Fault."""
    renewal = dms.settings.renewal
    shown = await _client_certificate(call, peer, (dms.settings.authority, *renewal.authorities))
    if shown.common_name != request.subject.common_name:
        raise _refused("foreign_subject", "The request and the client certificate name different devices.")
    device = await call.records.devices.get(call.org, request.subject.common_name)
    if device is None:
        raise not_found("device", request.subject.common_name)
    _require_enrollable(dms, device)
    present = await _present(call, device, dms, shown)
    _require_renewal_time(call, renewal, present, shown)
    if call.services.pki.describe(present.der).subject.encoded != request.subject.encoded:
        raise _refused(
            "foreign_subject", "invalid RawSubject bytes: the subject is not that of the present certificate"
        )
    return device, present


async def _present(call: Call, device: Device, dms: Dms, shown: _ClientCertificate) -> Certificate:
    """The active certificate of the device, which has shown that or an earlier one, or another authority's.

    An earlier one is good until it is revoked: a device may never have received the reply with the present one.
    """
    slot = slot_of(device)
    present = await call.records.certificates.get(call.org, slot.active) if slot and slot.active else None
    if present is None:
        raise _refused("not_enrolled", "The device has no certificate to renew; enrol it first.")
    if present.revoked_at is not None:
        raise _refused("certificate_revoked", "revoked certificate")
    if shown.authority != dms.settings.authority:
        if call.at < shown.not_before:
            raise _unproven("The client certificate is not valid yet.")
        await _require_unrevoked(call, shown)
    elif shown.certificate != present.der:
        await _require_issued_to(call, shown, device)
    return present


async def _require_issued_to(call: Call, shown: _ClientCertificate, device: Device) -> None:
    """Raises Fault unauthenticated for another device's certificate, and for a revoked one."""
    await _require_unrevoked(call, shown)
    found = await call.records.certificates.get(call.org, shown.serial)
    if found is None or found.der != shown.certificate or found.device != device.id:
        raise _unproven("The client certificate was not issued to this device.")


def _require_renewal_time(call: Call, renewal: Renewal, present: Certificate, shown: _ClientCertificate) -> None:
    ends = min(present.not_after, shown.not_after)
    if call.at >= ends and not renewal.allow_expired:
        raise _unproven("The certificate has expired, and this DMS does not renew expired certificates.")
    if renewal.opens is not None and call.at < present.not_after - renewal.opens:
        raise _refused("too_early", "invalid reenroll window: it is too early to renew")


# --- issuing ---------------------------------------------------------------------------------------------------------


async def _issue(call: Call, dms: Dms, device: Device, request: Request) -> Certificate:
    settings, pki = dms.settings, call.services.pki
    authority = await authorities.noun.find(call, settings.authority)
    terms = Terms(call.at - BACKDATED, call.at + settings.lifetime, settings.with_names)
    issued = pki.issue(authorities.signer(authority), request, terms)
    new = Certificate(
        id=0,
        org=call.org,
        serial=issued.serial,
        authority=authority.id,
        device=device.id,
        dms=dms.name,
        common_name=request.subject.common_name,
        der=issued.der,
        not_before=issued.not_before,
        not_after=issued.not_after,
        created_at=call.at,
    )
    stored = await call.records.certificates.insert(new)
    await record(call, "certificate.issued", "certificate", stored.id, stored.serial, {"device": device.ident})
    return stored


def _reply(call: Call, certificate: Certificate, key: bytes | None = None) -> EnrollmentReply:
    return EnrollmentReply(certificate.der, call.services.pki.bundle([certificate.der]), key)


async def _dms(call: Call, label: str) -> Dms:
    _, name = parse_label(label)
    found = await call.records.dms.get(call.org, name)
    if found is None:
        raise not_found("dms", name)
    return found


async def _authorities(call: Call, wanted: Iterable[str]) -> list[Authority]:
    return [await authorities.noun.find(call, name) for name in dict.fromkeys(wanted)]


def _require_secure(peer: Peer) -> None:
    if not peer.secure:
        raise _refused("tls_required", "Enrolment requires TLS; use the address of --est, or a trusted proxy.")


def _refused(code: str, message: str) -> Fault:
    return Fault(Kind.FORBIDDEN, code, message)


def _unproven(message: str) -> Fault:
    return Fault(Kind.UNAUTHENTICATED, "client_certificate", message)
