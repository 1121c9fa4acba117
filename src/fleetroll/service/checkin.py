"""Check-in: devices report by themselves, with the key of their project, and need not have been created.

Whatever a device sends shows that it is there. What it says of its hardware is noted once, of its software always. What
cannot be decoded is kept and counted, and is no failure: a device in the field has nobody to read an error.
"""

import functools
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import cbor2
import msgspec
from msgspec import UNSET, Struct

from fleetroll.core import chunks, documents, limits, names
from fleetroll.core.chunks import Partial
from fleetroll.core.documents import Document
from fleetroll.core.faults import Fault
from fleetroll.core.model import Device, DeviceChange, Event, Instant, NewDevice, SoftwareVersion
from fleetroll.core.policy import Action
from fleetroll.core.query import OffsetPage
from fleetroll.core.software import type_and_version
from fleetroll.core.times import LAST, SECOND
from fleetroll.service import devices, presence, reach
from fleetroll.service.operations import Call, Effect, operation
from fleetroll.service.timeline import device_entry
from fleetroll.store.port import Mailbox

REBOOTED = "device.rebooted"
_EVENT_MESSAGE = 2
_TRACE_EVENT = 2  # the type of an event that says why a device rebooted
# The keys of an event as firmware writes it, and of the part that says why a device rebooted.
_CAPTURED, _TYPE, _INFO, _HARDWARE, _VERSION, _SOFTWARE, _BUILD = 1, 2, 4, 6, 9, 10, 11
_REASON, _REGISTER = 1, 4
# The decoder would compile, parse or compute these: a pattern can be such that this takes seconds, and a number of some
# thousand digits takes milliseconds. None of them is of interest.
_DECIMAL, _BIG_FLOAT, _RATIO, _REGULAR_EXPRESSION, _MAIL = 4, 5, 30, 35, 36
_LEFT_AS_THEY_ARE = dict.fromkeys((_DECIMAL, _BIG_FLOAT, _RATIO, _REGULAR_EXPRESSION, _MAIL), lambda value, _: value)


class Reboot(Struct, frozen=True):
    """Why a device rebooted, and when, if it knows."""

    reason: int
    register: int | None = None
    at: Instant | None = None


class Report(Struct, frozen=True):
    """What a device says of itself; None says nothing."""

    hardware: str | None = None
    software_type: str | None = None
    version: str | None = None
    build: str | None = None
    reboot: Reboot | None = None


class DeviceReport(Struct, frozen=True):
    """A report, and the identifier of the device that it is of."""

    ident: str
    report: Report


class Chunks(Struct, frozen=True):
    """Chunks of one device in their order."""

    ident: str
    chunks: Sequence[bytes]


class Received(Struct, frozen=True):
    """What a device has sent in chunks: how many, how many undecoded, and the last few with their times."""

    box: Mailbox
    kept: list[tuple[Instant, bytes]]


class Reboots(Struct, frozen=True):
    """A page of a device's reboots since a time, newest first."""

    ident: str
    since: Instant
    page: OffsetPage


class NotedReboot(Struct, frozen=True):
    """A reboot as it was noted, with the software that ran then."""

    at: Instant
    data: dict[str, Any]
    software: SoftwareVersion | None


@operation(Action.CHECK_IN, Effect.WRITE)
async def take_chunks(call: Call, wanted: Chunks) -> None:
    device = await _arrive(call, wanted.ident)
    box = await call.records.checkins.get(call.org, device.id)
    partial = _partial(box)
    undecoded = effort = 0
    for chunk in wanted.chunks:
        step = chunks.feed(partial, chunk)
        partial = step.partial
        effort += _effort(step.message)
        report = None if step.message is None or effort > limits.EVENTS_EFFORT else decode(step.message)
        undecoded += step.lost or (step.message is not None and report is None)
        if report is not None:
            device = await _note(call, device, report)
    text = None if partial is None else msgspec.json.encode(partial).decode()
    received = box.received + len(wanted.chunks)
    await call.records.checkins.put(Mailbox(call.org, device.id, received, box.undecoded + undecoded, text))
    await _keep_chunks(call, device, box.received, wanted.chunks)


@operation(Action.CHECK_IN, Effect.WRITE)
async def take_reports(call: Call, wanted: Sequence[DeviceReport]) -> None:
    """Reports in their order, each with the device that it is of."""
    for one in wanted:
        await _note(call, await _arrive(call, one.ident), one.report)


@operation(Action.CHECK_IN, Effect.WRITE)
async def greet(call: Call, wanted: DeviceReport) -> None:
    """A device asks for something, and is thereby seen."""
    await _note(call, await _arrive(call, wanted.ident), wanted.report)


@operation(Action.CHECK_IN, Effect.READ)
async def done(call: Call, _: None) -> None:
    """For a client that asks whether a report was processed: it was, before it was acknowledged."""


@operation(Action.DEVICES_READ, Effect.SCAN)
async def received(call: Call, wanted: devices.Named) -> Received:
    async def read(device: Device) -> Received:
        checkins = call.records.checkins
        return Received(await checkins.get(call.org, device.id), await checkins.kept(call.org, device.id))

    return await reach.of_named(call, wanted.ident, read)


@operation(Action.TIMELINE_READ, Effect.SCAN)
async def reboots(call: Call, wanted: Reboots) -> list[NotedReboot]:
    async def read(device: Device) -> list[Event]:
        recent = OffsetPage(limits.MAX_NUMBERED_PAGE)
        return (await call.records.timeline.of_types(call.org, device.id, [REBOOTED], recent))[0]

    found = await reach.of_named(call, wanted.ident, read)
    noted = [(event.at, documents.load(event.data)) for event in found]
    timed = [(data.get("at", at), data) for at, data in noted]
    since = sorted((one for one in timed if one[0] >= wanted.since), key=itemgetter(0), reverse=True)
    shown, _ = wanted.page.cut(since)
    return [NotedReboot(at, data, await _software_of(call, data)) for at, data in shown]


def _effort(message: bytes | None) -> int:
    """What decoding costs at most: keys can be crafted so that it grows with the square of an event's length."""
    if message is None or message[0] != _EVENT_MESSAGE or len(message) > limits.MAX_EVENT:
        return 0
    return len(message) ** 2


def decode(message: bytes) -> Report | None:
    """What a message says; an empty report for one that is of no interest, None for one that makes no sense."""
    if message[0] != _EVENT_MESSAGE:
        return Report()
    if len(message) > limits.MAX_EVENT:
        return None
    try:
        event = cbor2.loads(message[1:], semantic_decoders=_LEFT_AS_THEY_ARE)
    except Exception:  # noqa: BLE001  # whatever a decoder makes of hostile bytes must not be a failure of ours
        return None
    if not isinstance(event, dict):
        return None
    return Report(
        _word(event.get(_HARDWARE)),
        _word(event.get(_SOFTWARE)),
        _word(event.get(_VERSION)),
        _build(event.get(_BUILD)),
        _reboot(event),
    )


def _reboot(event: dict[Any, Any]) -> Reboot | None:
    info = event.get(_INFO)
    if event.get(_TYPE) != _TRACE_EVENT or not isinstance(info, dict):
        return None
    reason = _number(info.get(_REASON))
    if reason is None:
        return None
    captured = _number(event.get(_CAPTURED))
    at = captured * SECOND if captured is not None and captured <= LAST // SECOND else None
    return Reboot(reason, _number(info.get(_REGISTER)), at)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None


def _word(value: object) -> str | None:
    """A text that can be a version; anything else says nothing."""
    if not isinstance(value, str) or not 0 < len(value) <= limits.MAX_VERSION or not value.isprintable():
        return None
    return value if value == value.strip() and value not in names.DOTS else None


def _build(value: object) -> str | None:
    return value.hex()[: limits.MAX_VERSION] if isinstance(value, bytes) and value else _word(value)


async def _arrive(call: Call, ident: str) -> Device:
    """The device, created if new, and always marked as seen: check-ins are rare, and fleets are sorted by the last."""
    device = await call.records.devices.get(call.org, ident)
    if device is None:
        device = await devices.insert(call, NewDevice(ident))
    await presence.spoke(call.records, device, call.at, call.request, resolution=0)
    return device


async def _note(call: Call, device: Device, report: Report) -> Device:
    """Write what is new in a report, except a version beyond the quota. The first report of hardware stays."""
    if (change := _change(device, report)) is not None:
        changed = await _within_quota(call, device, change)
        device = changed or await _one_by_one(call, device, change)
    if report.reboot is not None:
        await _note_reboot(call, device, report)
    return device


async def _one_by_one(call: Call, device: Device, change: DeviceChange) -> Device:
    """Write the part of a change that fits into the quotas, where all of it does not."""
    for part in (DeviceChange(hardware_version=change.hardware_version), DeviceChange(software=change.software)):
        device = await _within_quota(call, device, part) or device
    return device


async def _within_quota(call: Call, device: Device, change: DeviceChange) -> Device | None:
    """The changed device; None, and nothing is created, where a version would exceed its quota."""
    try:
        return await devices.change(call, device, change)
    except Fault as fault:
        if fault.code != "quota_exceeded":
            raise
    return None


def _change(device: Device, report: Report) -> DeviceChange | None:
    """What a report says that is not known of its device yet; nearly always nothing."""
    hardware = report.hardware if device.hardware_version is None and report.hardware else UNSET
    software: Any = UNSET
    if report.version is not None:
        running = _software(report.software_type, report.version, report.build)
        software = running if running != device.software else UNSET
    known = hardware is UNSET and software is UNSET
    return None if known else DeviceChange(hardware_version=hardware, software=software)


@functools.lru_cache(maxsize=4096)
def _software(type: str | None, version: str, build: str | None) -> Document:
    """A device's software as a document. Remembered, as many devices run the same."""
    members = {"type": type, "version": version, "build": build}
    return documents.of({name: text for name, text in members.items() if text}, "software")


async def _note_reboot(call: Call, device: Device, report: Report) -> None:
    reboot = report.reboot
    assert reboot is not None
    members = {
        "reason": reboot.reason,
        "register": reboot.register,
        "at": reboot.at,
        "type": report.software_type,
        "version": report.version,
    }
    data = {name: value for name, value in members.items() if value is not None}
    await call.records.timeline.append([device_entry(call, REBOOTED, device, data)])


async def _software_of(call: Call, data: dict[str, Any]) -> SoftwareVersion | None:
    """The software of a reboot. It has number 0 if only an earlier organization of the device knows it."""
    name = type_and_version(documents.of(data, "data"))
    if name is None:
        return None
    return await call.records.software_versions.get(call.org, *name) or SoftwareVersion(0, call.org, *name, 0)


def _partial(box: Mailbox) -> Partial | None:
    return None if box.partial is None else msgspec.json.decode(box.partial, type=Partial)


async def _keep_chunks(call: Call, device: Device, before: int, sent: Sequence[bytes]) -> None:
    """Keep the last few chunks as they came, each in the place of the one that is oldest."""
    numbered = [(number, chunk) for number, chunk in enumerate(sent, before) if len(chunk) <= limits.MAX_KEPT_CHUNK]
    for number, chunk in numbered[-limits.KEPT_CHUNKS :]:
        await call.records.checkins.keep(call.org, device.id, number % limits.KEPT_CHUNKS, call.at, chunk)
