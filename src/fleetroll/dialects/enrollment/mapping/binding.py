"""Binding a certificate to the slot of a device."""

from collections.abc import Callable
from typing import Any

from fleetroll.core import documents, extras
from fleetroll.core.faults import invalid
from fleetroll.core.identity import INTERNAL, Occasion
from fleetroll.core.model import Device
from fleetroll.core.spelling import Spelling
from fleetroll.core.times import to_datetime
from fleetroll.dialects.enrollment import shapes
from fleetroll.dialects.enrollment.mapping.certificates import certificate
from fleetroll.dialects.enrollment.mapping.dms import dms
from fleetroll.service import binding
from fleetroll.wire.request import Request


def bind(request: Request) -> binding.Bind:
    body = request.body
    known = {occasion.value: occasion for occasion in Occasion} | {"": None}
    if body.bind_mode not in known:
        raise invalid("invalid_bind_mode", "bind_mode must be PROVISIONED, RE-PROVISIONED or RENEWED.", "bind_mode")
    return binding.Bind(body.device_id, body.certificate_serial_number.lower(), known[body.bind_mode])


def bound(spelling: Spelling) -> Callable[[binding.Bound, Request], shapes.Bound]:
    def encode(result: binding.Bound, request: Request) -> shapes.Bound:
        policy = dms(result.dms, request) if result.dms else None
        return shapes.Bound(certificate(result.certificate, request), policy, _device(result.device, spelling))

    return encode


def _device(record: Device, spelling: Spelling) -> shapes.Device:
    return shapes.Device(
        record.ident,
        record.tags,
        spelling.of(record.status.value),
        *extras.icon(record.extras),
        to_datetime(record.created_at),
        record.metadata,
        record.dms or "",
        None if record.identity is None else _slot(documents.load(record.identity), spelling),
    )


def _slot(identity: dict[str, Any], spelling: Spelling) -> dict[str, Any]:
    shown = {name: value for name, value in identity.items() if name not in INTERNAL}
    events = {at: note | {"description": spelling.within(note["description"])} for at, note in shown["events"].items()}
    return shown | {"status": spelling.of(shown["status"]), "events": events}
