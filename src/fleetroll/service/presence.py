"""Whether a device is there: by its own traffic, until that has been quiet for a while, or by a broker's connection.

What a device sent other than through a broker is remembered separately: when its last connection ends, a device is
gone, unless it also spoke for itself not long ago.

Each change is told in the timeline once, and is no new revision of the device: clients that compare and set should not
lose to a heartbeat. `heard` and `spoke` belong in the transaction that stores what was heard.

Times in the future come from a clock that was wrong, and count for nothing: a device last heard then is gone until it
is heard again.
"""

from collections.abc import Collection, Sequence

from fleetroll.core import extras, limits
from fleetroll.core.ids import device_hex
from fleetroll.core.model import SERVER, Device, Instant, KnownAs, Link, NewEvent, Reporter, Span
from fleetroll.core.times import SECOND
from fleetroll.store.port import DeviceRef, Records, Store

CONNECTED = "device.connected"
DISCONNECTED = "device.disconnected"
TYPES = (CONNECTED, DISCONNECTED)
_RESOLUTION = int(limits.HEARD_RESOLUTION * SECOND)
_QUIET = int(limits.QUIET_TIME * SECOND)
_NEVER = (1 << 63) - 1
BROKER = "broker"
"""The request, as the timeline has it, of whatever a broker has passed on."""


async def spoke(records: Records, device: Device, at: Instant, request: str, resolution: int = _RESOLUTION) -> None:
    """A device sent something itself. Within `resolution` microseconds of the last time there is nothing to write."""
    if not device.connected:
        await records.presence.spoke(device.org, device.id, at)
        await _record(records, CONNECTED, [DeviceRef(device.org, device.id, device.ident)], at, request)
    elif device.spoke_at is None or abs(at - device.spoke_at) > resolution:
        await records.presence.spoke_again(device.org, device.id, at)


async def heard(records: Records, org: int, devices: Collection[Reporter], at: Instant) -> None:
    """A broker passed on what devices of one organization sent; mostly not long after the last time."""
    new = [one for one in devices if not one.connected]
    late = [
        one.id for one in devices if one.connected and (one.last_seen is None or abs(at - one.last_seen) > _RESOLUTION)
    ]
    if late:
        await records.presence.heard_again(org, late, at)
    if new:
        await records.presence.heard(org, [one.id for one in new], at)
        await _record(records, CONNECTED, [DeviceRef(org, one.id, one.ident) for one in new], at, BROKER)


async def opened(records: Records, link: Link, at: Instant) -> bool:
    """A broker has a connection of a device, which may be known already. Returns whether it is the device's first.

    A connection of an unknown device is ignored.
    """
    found = await records.presence.reporters(link.org, [link.device])
    if not found:
        return False
    is_first = await records.presence.opened(link, at)
    await heard(records, link.org, found.values(), at)
    return is_first


async def closed(records: Records, link: Link, at: Instant) -> Instant | None:
    """A broker's connection has ended. If it was the device's last, returns since when the device had any.

    The device is gone then, unless it speaks for itself. Returns None if it has another connection.
    """
    since = await records.presence.closed(link)
    if since is None:
        return None
    found = await records.presence.reporters(link.org, [link.device])
    gone = [one for one in found.values() if one.connected and not _spoke_recently(one, at)]
    await records.presence.heard(link.org, [one.id for one in gone], at)
    await _disconnect(records, [DeviceRef(link.org, one.id, one.ident) for one in gone], at, BROKER)
    return since


async def leave(records: Records, device: Device) -> bool:
    """A device leaves its organization, and its connections end with its credentials. Returns whether it had any.

    What it was known by is kept with them, so that its applications can be told of their end.
    """
    return await records.presence.leave(device.org, device.id, known_as(device))


def known_as(device: Device) -> KnownAs:
    return KnownAs(device.ident, extras.environment(device.extras), device_hex(device.created_at, device.id))


async def leave_for_transfer(records: Records, device: Device, at: Instant, request: str) -> Device:
    """As `leave`, for a device that goes on elsewhere; returns it as it is then: gone, unless it speaks for itself."""
    if await leave(records, device) and device.connected and not _spoke_recently(device, at):
        await records.presence.heard(device.org, [device.id], at)
        await _disconnect(records, [DeviceRef(device.org, device.id, device.ident)], at, request)
    return await records.devices.by_id(device.org, device.id) or device


def _spoke_recently(one: Reporter | Device, at: Instant) -> bool:
    return one.spoke_at is not None and abs(at - one.spoke_at) <= _QUIET


async def sweep(store: Store, at: Instant) -> None:
    """Note which devices have been quiet for too long. To be called every few seconds by one process."""
    for span in (Span(0, at - _QUIET), Span(at + limits.CLOCK_LEEWAY, _NEVER)):
        await _sweep(store, span, at)


async def _sweep(store: Store, span: Span, at: Instant) -> None:
    async def work(records: Records) -> int:
        quiet = await records.presence.quiet(span, limits.QUIET_BATCH)
        await _disconnect(records, await _still_quiet(records, quiet, span), at, "sweep")
        return len(quiet)

    if await store.scan.presence.quiet(span, 1):
        while await store.write(work, bulk=True) == limits.QUIET_BATCH:
            pass


async def _still_quiet(records: Records, quiet: Sequence[DeviceRef], span: Span) -> list[DeviceRef]:
    """Those that still are: other processes may write until a transaction asks for their organization, as here."""
    still = set()
    for org in sorted({one.org for one in quiet}):
        known = await records.presence.reporters(org, [one.id for one in quiet if one.org == org])
        still |= {one.id for one in known.values() if _is_quiet(one, span)}
    return [one for one in quiet if one.id in still]


def _is_quiet(one: Reporter, span: Span) -> bool:
    is_late = one.last_seen is not None and span.since <= one.last_seen < span.until
    return one.connected and not one.linked and is_late


async def _disconnect(records: Records, devices: Sequence[DeviceRef], at: Instant, request: str) -> None:
    for org in {one.org for one in devices}:
        await records.presence.lost(org, [one.id for one in devices if one.org == org])
    await _record(records, DISCONNECTED, devices, at, request)


async def _record(records: Records, type: str, devices: Sequence[DeviceRef], at: Instant, request: str) -> None:
    events = [NewEvent(one.org, at, type, "device", one.id, one.ident, SERVER, request) for one in devices]
    if events:
        await records.timeline.append(events)
