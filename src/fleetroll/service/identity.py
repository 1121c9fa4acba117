"""Identity slots of devices: filled by a certificate or by hand, revoked, and aged by the clock.

What a slot's status is at a moment is `core.identity`'s to say; here it is written, with its event, once. Readers are
shown the status of the moment (`identity.current`), so the sweeper matters only for filters and counts.
"""

import msgspec
from msgspec import Struct, structs

from fleetroll.core import identity, limits
from fleetroll.core.certificates import Reason
from fleetroll.core.identity import Occasion, Slot, Windows
from fleetroll.core.lifecycle import Status, advance
from fleetroll.core.model import Device, Instant, NewEvent
from fleetroll.core.policy import Action
from fleetroll.service import certificates, devices
from fleetroll.service.operations import Call, Effect, Services, operation
from fleetroll.store.port import Records

CHANGED = "device.identity_changed"
SWEEPER = "sweeper"


class Written(Struct, frozen=True):
    """A slot that somebody fills by hand. Members of `slot` that time and policy decide are ignored."""

    ident: str
    slot: Slot


@operation(Action.DEVICES_WRITE, Effect.WRITE)
async def replace(call: Call, wanted: Written) -> Device:
    """Fill a device's slot by hand, as a whole; with a certificate of the device's that is revoked, the slot is too.

    A slot that is written as REVOKED takes the certificate with it that it named, and the one that it names: with
    either, the device could renew. Raises Fault conflict `status_forbids` for a decommissioned device.
    """
    device = await devices.find(call, wanted.ident)
    advance(device.status, wanted.slot.status)
    was, written = identity.slot_of(device), wanted.slot
    if written.status is Status.REVOKED:
        for slot in filter(None, (was, written)):
            await certificates.revoke_in_slot(call, device, slot.active, Reason.UNSPECIFIED)
    if await certificates.is_revoked(call, device, written.active):
        written = structs.replace(written, status=Status.REVOKED)
    return await _fill(call, device, identity.rewrite(was, written, call.at))


async def bind(
    call: Call,
    device: Device,
    serial: str,
    expires_at: Instant,
    windows: Windows,
    occasion: Occasion | None,
) -> Device:
    """Make a credential the active one of a device. Raises Fault conflict `status_forbids`."""
    advance(device.status, Status.ACTIVE)
    slot = identity.bind(identity.slot_of(device), serial, expires_at, windows, call.at, occasion)
    return await _fill(call, device, slot)


async def revoke(call: Call, device: Device, serial: str) -> Device:
    """The device after a credential was revoked: as it was, unless that is the active one of its slot."""
    slot = _active(device, serial)
    return device if slot is None else await revoke_slot(call, device, slot)


async def revoke_slot(call: Call, device: Device, slot: Slot) -> Device:
    """The device after its slot was revoked, whatever is in it: one that was filled by hand may name no credential."""
    return await _fill(call, device, identity.revoke(slot, call.at))


async def restore(call: Call, device: Device, serial: str) -> Device:
    """The device after a credential that was on hold is good again."""
    slot = _active(device, serial)
    return device if slot is None else await _fill(call, device, identity.restore(slot, call.at))


def _active(device: Device, serial: str) -> Slot | None:
    slot = identity.slot_of(device)
    return slot if slot is not None and slot.active == serial else None


class Sweeper:
    """Writes down what time has done to slots, in transactions so small that nobody waits for them.

    One process of a server runs it. It does not trust the clock: when that has gone back, it takes back what aged too
    early.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._swept_at: Instant | None = None

    async def sweep(self) -> int:
        """Age every slot that is due; returns how many changed their status."""
        at = self._services.clock()
        before = await self._newest() if self._swept_at is None else self._swept_at
        self._swept_at = at
        return await self._sweep_all() if at < before else await self._sweep_due()

    async def _newest(self) -> Instant:
        """When the last event was, by the clock at the time: all that is known of it from before this process."""
        timeline = self._services.store.read.timeline
        events = await timeline.published(await timeline.last() - 1, 1)
        return events[0].at if events else 0

    async def _sweep_due(self) -> int:
        changed, more = 0, True
        while more:
            at = self._services.clock()

            async def work(records: Records, at: Instant = at) -> tuple[int, bool]:
                found = await records.devices.due(at, limits.SWEEP_BATCH)
                return await _age(records, found, at), len(found) == limits.SWEEP_BATCH

            count, more = await self._services.store.write(work)
            changed += count
        return changed

    async def _sweep_all(self) -> int:
        changed, after = 0, 0
        while found := await self._services.store.bulk.devices.after(after, limits.BULK_BATCH):
            after = found[-1].id
            slots = [device for device in found if device.identity is not None]
            for start in range(0, len(slots), limits.SWEEP_BATCH):
                some, at = slots[start : start + limits.SWEEP_BATCH], self._services.clock()

                async def work(records: Records, some: list[Device] = some, at: Instant = at) -> int:
                    return await _age(records, some, at)

                changed += await self._services.store.write(work)
        return changed


async def _age(records: Records, found: list[Device], at: Instant) -> int:
    """Age these devices, except those changed since they were read; returns how many changed their status."""
    events = []
    for was in found:
        now = identity.swept(was, at)
        if now != was and await records.devices.age(was, now) and now.revision != was.revision:
            events.append(_aged(was, now, at))
    if events:
        await records.timeline.append(events)
    return len(events)


def _aged(was: Device, now: Device, at: Instant) -> NewEvent:
    data = msgspec.Raw(msgspec.json.encode(devices.difference(was, now, ("identity", "status"))))
    return NewEvent(was.org, at, CHANGED, "device", was.id, was.ident, SWEEPER, "", data)


async def _fill(call: Call, device: Device, slot: Slot) -> Device:
    return await devices.change(call, device, identity.change(device, slot, call.at), CHANGED)
