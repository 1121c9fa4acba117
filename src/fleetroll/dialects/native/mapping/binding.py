"""The identity of a device: its slot, and the certificate in it."""

from fleetroll.dialects.native.mapping.certificates import certificate, reason_of
from fleetroll.dialects.native.mapping.devices import shown
from fleetroll.dialects.native.shapes import binding as shapes
from fleetroll.service import binding
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request


def held(result: binding.Held, request: Request) -> shapes.Identity:
    slot, active = result.slot, result.certificate
    return shapes.Identity(
        slot.status,
        slot.type,
        slot.active_version,
        slot.versions,
        slot.expiration_date,
        [shapes.IdentityEvent(moment, note.type, note.description) for moment, note in slot.events.items()],
        certificate(active, request) if active else None,
    )


def bind(request: Request) -> binding.Bind:
    return binding.Bind(request.path["ident"], request.body.serial)


def bound(result: binding.Bound, request: Request) -> Reply:
    return shown(result.device, request)


def revoke_identity(request: Request) -> binding.Revoke:
    return binding.Revoke(request.path["ident"], reason_of(request.body.reason))
