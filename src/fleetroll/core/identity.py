"""The identity slot of a device: which credential it has, which ones it had, and how far that credential has aged.

A slot's status is derived: it is the more severe of what time makes of it and of its `floor`, which is REVOKED after a
revocation, or the status that somebody wrote by hand. So it recovers from a clock that was wrong.
"""

import enum
from datetime import datetime

import msgspec
from msgspec import Struct, structs

from fleetroll.core import limits
from fleetroll.core.documents import Document
from fleetroll.core.lifecycle import SLOT_STATUSES, Status, device_status, slot_status
from fleetroll.core.model import Device, DeviceChange, Instant
from fleetroll.core.times import from_datetime, to_datetime, unused_datetime

ENDED = frozenset({Status.EXPIRED, Status.REVOKED})


class Occasion(enum.Enum):
    """Why something is noted in a slot."""

    PROVISIONED = "PROVISIONED"
    RE_PROVISIONED = "RE-PROVISIONED"
    RENEWED = "RENEWED"
    STATUS_UPDATED = "STATUS-UPDATED"


class Note(Struct, frozen=True):
    """Something that happened to a slot. `type` is an `Occasion`, or any word in a slot that is filled by hand."""

    type: str
    description: str = ""


class Windows(Struct, frozen=True):
    """How long before its end a credential should (`preventive`) and must (`critical`) be renewed, in microseconds."""

    preventive: int = 0
    critical: int = 0


def _no_events() -> dict[datetime, Note]:
    return {}


class Slot(Struct, frozen=True, omit_defaults=True):
    """One slot. `versions` has the serial number, or any other name, of each credential by its version.

    Filters see a slot as it is encoded, but for its `INTERNAL` members: without an expiration date it has no such
    member, without events an empty object of them.
    """

    status: Status
    active_version: int
    type: str
    versions: dict[str, str]
    expiration_date: datetime | None = None
    events: dict[datetime, Note] = msgspec.field(default_factory=_no_events)
    floor: Status = Status.ACTIVE
    windows: Windows = Windows()

    @property
    def active(self) -> str | None:
        """The serial number, or other name, of the active credential; in lower case, as certificates are stored.

        `versions` has it as it was written, which in a slot that was filled by hand may be in capitals.
        """
        named = self.versions.get(str(self.active_version))
        return None if named is None else named.lower()


INTERNAL = ("floor", "windows")
"""The members of a slot that nobody is shown."""

_decode = msgspec.json.Decoder(Slot).decode
_encode = msgspec.json.Encoder().encode


def read(document: Document) -> Slot:
    """The slot that a device has stored."""
    return _decode(document)


def slot_of(device: Device) -> Slot | None:
    """The slot as it was last written down; `current` ages it."""
    return None if device.identity is None else read(device.identity)


def write(slot: Slot) -> Document:
    return msgspec.Raw(_encode(slot))


def bind(
    was: Slot | None, serial: str, expires_at: Instant, windows: Windows, at: Instant, occasion: Occasion | None = None
) -> Slot:
    """The slot with a new active credential. `occasion` says why it replaces another one."""
    bound = Slot(Status.ACTIVE, 0, "x509", {"0": serial}, to_datetime(expires_at), windows=windows)
    if was is None:
        return noted(_settled(bound, at), at, Note(Occasion.PROVISIONED.value))
    version = 1 + max([was.active_version, *map(int, was.versions)])
    versions = dict([*was.versions.items(), (str(version), serial)][-limits.MAX_SLOT_VERSIONS :])
    bound = structs.replace(bound, active_version=version, versions=versions, events=was.events)
    note = Note((occasion or Occasion.RE_PROVISIONED).value, f"New Active Version set to {version}")
    return noted(_settled(bound, at), at, note)


def rewrite(was: Slot | None, written: Slot, at: Instant) -> Slot:
    """The slot that somebody wrote by hand over `was`: all of it but the windows, which are not theirs to write."""
    slot = _settled(structs.replace(written, floor=written.status, windows=was.windows if was else Windows()), at)
    return slot if was is None or slot.status is was.status else noted(slot, at, _passage(was.status, slot.status))


def revoke(was: Slot, at: Instant) -> Slot:
    """The slot after its active credential was revoked."""
    return aged(structs.replace(was, floor=Status.REVOKED), at)


def restore(was: Slot, at: Instant) -> Slot:
    """The slot after its active credential, which was on hold, is good again."""
    return aged(structs.replace(was, floor=Status.ACTIVE), at)


def retire(was: Slot, at: Instant) -> Slot:
    """The slot of a device that is decommissioned: a credential that was still good is revoked."""
    slot = _settled(was, at)
    return slot if slot.status in ENDED else _settled(structs.replace(slot, floor=Status.REVOKED), at)


def aged(was: Slot, at: Instant) -> Slot:
    """The slot as it is now; the very same one if its status has not changed."""
    slot = _settled(was, at)
    return was if slot is was else noted(slot, at, _passage(was.status, slot.status))


def _passage(before: Status, after: Status) -> Note:
    description = f"Identity Slot Status updated from '{before.value}' to '{after.value}'"
    return Note(Occasion.STATUS_UPDATED.value, description)


def _settled(slot: Slot, at: Instant) -> Slot:
    """The slot with the status that it has by now, and nothing noted."""
    status = _status_at(slot, at)
    return slot if status is slot.status else structs.replace(slot, status=status)


def _status_at(slot: Slot, at: Instant) -> Status:
    if slot.expiration_date is None:
        return slot.floor
    windows = slot.windows
    by_time = slot_status(at, from_datetime(slot.expiration_date), windows.preventive, windows.critical)
    return max(slot.floor, by_time, key=SLOT_STATUSES.index)


def due(slot: Slot, at: Instant) -> Instant | None:
    """When the status changes next if nothing else happens; None if it stays."""
    if slot.expiration_date is None:
        return None
    ends = from_datetime(slot.expiration_date)
    present = _status_at(slot, at)
    instants = sorted((ends - slot.windows.preventive, ends - slot.windows.critical, ends))
    return next((each for each in instants if each > at and _status_at(slot, each) is not present), None)


def noted(slot: Slot, at: Instant, note: Note) -> Slot:
    """The slot with one more event, at a time that no other has; the oldest events are dropped."""
    events = [*slot.events.items(), (unused_datetime(at, slot.events), note)][-limits.MAX_SLOT_EVENTS :]
    return structs.replace(slot, events=dict(events))


def change(device: Device, slot: Slot, at: Instant) -> DeviceChange:
    """The change to a device that gets this slot: it takes the slot's status, unless it is decommissioned."""
    status = device_status(device.status, slot.status)
    return DeviceChange(status=status, identity=write(slot), identity_due=due(slot, at))


def current(device: Device, at: Instant) -> Device:
    """The device as it is at that time, whether the ageing of its slot has been written down or not."""
    if device.identity_due is None or device.identity_due > at or device.identity is None:
        return device
    slot = _settled(read(device.identity), at)
    status = device_status(device.status, slot.status)
    return structs.replace(device, status=status, identity=write(slot), identity_due=due(slot, at))


def swept(device: Device, at: Instant) -> Device:
    """The device with the ageing of its slot written down: a new revision if that changes the status."""
    if device.identity is None:
        return structs.replace(device, identity_due=None)
    was = read(device.identity)
    slot = aged(was, at)
    if slot is was:
        return structs.replace(device, identity_due=due(was, at))
    return structs.replace(
        device,
        status=device_status(device.status, slot.status),
        identity=write(slot),
        identity_due=due(slot, at),
        updated_at=max(at, device.updated_at),
        revision=device.revision + 1,
    )
