"""Cascades: what a change of another record, such as an owner's name, changes in devices is written to each of them."""

from typing import Any

from msgspec import structs

from fleetroll.core.faults import stale
from fleetroll.core.model import Device
from fleetroll.service.operations import Call
from fleetroll.service.timeline import device_entry

UPDATED = "device.updated"


async def cascade(call: Call, was: Device, **members: Any) -> None:
    """Write members of a device, with its event. They are not checked: whoever changed the other record has done so."""
    at = max(call.at, was.updated_at)
    now = structs.replace(was, **members, revision=was.revision + 1, updated_at=at)
    if not await call.records.devices.replace(was, now):
        raise stale()
    await call.records.timeline.append([device_entry(call, UPDATED, now, {"changed": sorted(members)})])
