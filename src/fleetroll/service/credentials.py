"""The credentials of a device: which it has, making those for the broker, and ending them.

A derived credential is stored nowhere and can be shown at any time, to whoever may write devices: whoever has it can
act as the device, and as nothing else. One for the broker is shown once, when it is made, and stored nowhere either.
"""

from msgspec import Struct

from fleetroll.bus.port import Minted
from fleetroll.core import limits, tokens
from fleetroll.core.faults import conflict, not_found
from fleetroll.core.ids import broker_org, device_hex
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import Credential, Device, DeviceChange, NewDevice, Protocol
from fleetroll.core.policy import Action, allows
from fleetroll.service import devices, timeline
from fleetroll.service.devices import Named, change, find
from fleetroll.service.operations import Call, Effect, operation

ROTATED = "device.credentials_rotated"
ISSUED = "device.credential_issued"
REVOKED = "device.credential_revoked"
DEVICE_TOKEN, CERTIFICATE = "device_token", "certificate"  # kinds, besides those of `Protocol`


class Credentials(Struct, frozen=True):
    """The kinds that are valid, the device token for whoever may see it, and the credentials for the broker.

    `minted` has the secrets of one that was just made.
    """

    kinds: tuple[str, ...]
    device_token: str | None
    broker: list[Credential]
    minted: Minted | None = None


class Enrolled(Struct, frozen=True):
    """A device with a new credential for the broker, whose secrets are nowhere else."""

    device: Device
    credential: Credential
    minted: Minted


class New(Struct, frozen=True):
    """A credential to make."""

    ident: str
    kind: Protocol = Protocol.NATS


class Numbered(Struct, frozen=True):
    """One credential of a device."""

    ident: str
    id: int


@operation(Action.DEVICES_READ, Effect.READ)
async def get(call: Call, wanted: Named) -> Credentials:
    device = await find(call, wanted.ident)
    may_see = allows(call.principal.key.role, call.principal.key.scopes, Action.DEVICES_WRITE)
    broker = await call.records.credentials.of_device(call.org, device.id)
    return Credentials(_kinds(device, broker), token(call, device) if may_see else None, broker)


@operation(Action.DEVICES_WRITE, Effect.WRITE, settles=True, relieves=True)
async def rotate(call: Call, wanted: Named) -> Credentials:
    """Replace all of the device's credentials but certificates, from the next request on.

    What is connected to the broker is cut off. A device that had none for the broker gets none.
    """
    was = await find(call, wanted.ident, wanted.guard)
    now = await change(call, was, DeviceChange(token_version=was.token_version + 1), ROTATED)
    had = await call.records.credentials.forget(call.org, now.id)
    enrolled = await _issue(call, now) if had else None
    broker = [enrolled.credential] if enrolled else []
    return Credentials(_kinds(now, broker), token(call, now), broker, enrolled.minted if enrolled else None)


@operation(Action.DEVICES_WRITE, Effect.WRITE, settles=True)
async def enroll(call: Call, new: NewDevice) -> Enrolled:
    """Create a device together with its credential for the broker."""
    return await _issue(call, await devices.insert(call, new))


@operation(Action.DEVICES_WRITE, Effect.WRITE, settles=True)
async def issue(call: Call, wanted: New) -> Enrolled:
    """One more credential for the broker. Raises Fault conflict `too_many_credentials`."""
    device = await find(call, wanted.ident)
    if len(await call.records.credentials.of_device(call.org, device.id)) >= limits.MAX_CREDENTIALS_PER_DEVICE:
        message = f"A device has at most {limits.MAX_CREDENTIALS_PER_DEVICE} credentials."
        raise conflict("too_many_credentials", message)
    return await _issue(call, device, wanted.kind)


@operation(Action.DEVICES_WRITE, Effect.WRITE, settles=True, relieves=True)
async def revoke(call: Call, wanted: Numbered) -> None:
    """End one credential for the broker, and its connections."""
    device = await find(call, wanted.ident)
    if not await call.records.credentials.delete(call.org, device.id, wanted.id):
        raise not_found("credential", wanted.id)
    await call.records.timeline.append([timeline.device_entry(call, REVOKED, device, {"credential": wanted.id})])


async def _issue(call: Call, device: Device, kind: Protocol = Protocol.NATS) -> Enrolled:
    if device.status is Status.DECOMMISSIONED:
        raise conflict("status_forbids", "A decommissioned device cannot be given a credential.")
    public_id = device_hex(device.created_at, device.id)
    minted = call.services.bus.mint_device(broker_org(call.org), public_id, mqtt=kind is Protocol.MQTT)
    credential = await call.records.credentials.insert(
        Credential(0, call.org, device.id, minted.account, minted.user, public_id, call.at, kind)
    )
    await call.records.timeline.append([timeline.device_entry(call, ISSUED, device, {"credential": credential.id})])
    return Enrolled(device, credential, minted)


def token(call: Call, device: Device) -> str | None:
    """The device's token; None for a decommissioned device, whose token would be refused."""
    if device.status is Status.DECOMMISSIONED:
        return None
    return tokens.device_token(call.services.server_key, device.id, device.token_version)


def _kinds(device: Device, broker: list[Credential]) -> tuple[str, ...]:
    present = {
        DEVICE_TOKEN: device.status is not Status.DECOMMISSIONED,
        CERTIFICATE: device.identity is not None,
        **{kind.value: any(one.kind is kind for one in broker) for kind in Protocol},
    }
    return tuple(kind for kind, is_there in present.items() if is_there)
