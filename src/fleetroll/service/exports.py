"""A device's readings as a file: a ZIP archive of CSV, made when it is fetched and kept nowhere.

Nor is an order kept: whoever fetches a file shows what was ordered and when, with a proof that only we can make.
"""

import asyncio
import csv
import io
import zipfile
from collections.abc import Callable, Iterable
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from fleetroll.core import limits, names, readings, tokens
from fleetroll.core.datastreams import as_text
from fleetroll.core.faults import Fault, Kind, invalid
from fleetroll.core.model import PRODUCTION, Device, Instant, Span
from fleetroll.core.policy import Action
from fleetroll.core.times import DAY, MILLISECOND, SECOND, seconds_of_day_left, to_datetime
from fleetroll.service import datastreams, reports, templates
from fleetroll.service.operations import Call, Effect, operation


class Export(Struct, frozen=True):
    """Which readings: those of the last `period` microseconds, raw, or one aggregate for each `interval`.

    `form` is how a time is written: as milliseconds (None), or by this pattern in the zone.
    """

    address: datastreams.Address
    period: int
    interval: int | None
    aggregate: str
    zone: str = "UTC"
    form: str | None = None


class Order(Struct, frozen=True):
    """What was ordered, when, and by which device."""

    export: Export
    device: int
    at: Instant


class Ticket(Struct, frozen=True):
    """An order, and what shows that it was made."""

    order: Order
    proof: str


class Archive(Struct, frozen=True):
    """A finished file."""

    name: str
    content: bytes


@operation(Action.SELF, Effect.WRITE)
async def order(call: Call, wanted: Export) -> Ticket:
    """Order a file, if there is something to export; orders are counted.

    Raises Fault invalid `no_data` and rate_limited `too_many_exports`.
    """
    device, stream = await _found(call, wanted)
    _zone(wanted.zone)
    span = Span(call.at - wanted.period, call.at + 1)
    if not await call.records.telemetry.range(device.org, (device.id, PRODUCTION, stream.metric), span, 1):
        raise datastreams.no_data()
    if not await call.records.usage.add_today(device.org, device.id, "exports", call.at // DAY, limits.EXPORTS_PER_DAY):
        message = f"A device may have at most {limits.EXPORTS_PER_DAY} exports a day."
        raise Fault(Kind.RATE_LIMITED, "too_many_exports", message, retry_after=seconds_of_day_left(call.at))
    made = Order(wanted, device.id, call.at)
    return Ticket(made, tokens.export_proof(call.services.server_key, msgspec.json.encode(made)))


@operation(Action.SELF, Effect.STREAM)
async def fetch(call: Call, ticket: Ticket) -> Archive:
    """The file: the latest of what was ordered, as of when it was. How much fits is in `limits`.

    Raises Fault not_found `export_not_found` where it was not ordered, or too long ago.
    """
    wanted, at = ticket.order.export, ticket.order.at
    device, stream = await _found(call, wanted)
    _check(call, ticket, device)
    written = _writer(wanted)
    rows = await _rows(call, device, stream, wanted, Span(max(0, at - wanted.period), at + 1))
    await reports.own(call, call.records)  # where it is transferred meanwhile, its readings are as well
    name = f"{stream.pin}_{stream.metric}.csv" if stream.pin != stream.metric else f"{stream.pin}.csv"
    content = await asyncio.to_thread(_archive, name, at, (written(when, value) for when, value in rows))
    return Archive(f"device_data_{device.id}_{stream.pin}.zip", content)


def _check(call: Call, ticket: Ticket, device: Device) -> None:
    order = ticket.order
    is_genuine = tokens.is_export_proof(call.services.server_key, ticket.proof, msgspec.json.encode(order))
    is_over = order.at + limits.EXPORT_LIFETIME * SECOND <= call.at
    if not is_genuine or is_over or order.device != device.id:
        raise Fault(Kind.NOT_FOUND, "export_not_found", "This file was never ordered, or has expired; order it again.")


async def _found(call: Call, wanted: Export) -> tuple[Device, datastreams.Stream]:
    device = await reports.own(call, call.records)
    return device, datastreams.resolve(device, await templates.of(call, device), wanted.address)


async def _rows(
    call: Call, device: Device, stream: datastreams.Stream, wanted: Export, span: Span
) -> list[tuple[Instant, str]]:
    scan = call.services.store.scan.telemetry
    series = device.id, PRODUCTION, stream.metric
    if wanted.interval is not None:
        aggregate = readings.AGGREGATES[wanted.aggregate]
        buckets = await scan.buckets(device.org, series, span, wanted.interval)
        numbers = ((bucket.at, aggregate(bucket)) for bucket in buckets)
        return [(at, as_text(None, value)) for at, value in numbers if value is not None]
    found: list[tuple[Instant, str]] = []
    room, most = limits.MAX_EXPORT_BYTES, limits.READINGS_AT_A_TIME
    while len(found) < limits.MAX_EXPORT_READINGS and room > 0:
        page = await scan.range(device.org, series, span, most, descending=True)
        some = [(reading.at, as_text(None, reading.value)) for reading in page]
        found += some
        room -= sum(len(text) for _, text in some)
        if len(page) < most:
            break
        span = Span(span.since, page[-1].at)
    return found[::-1]


def _writer(wanted: Export) -> Callable[[Instant, str], list[str]]:
    zone, form = _zone(wanted.zone), wanted.form

    def write(at: Instant, text: str) -> list[str]:
        return [str(at // MILLISECOND) if form is None else to_datetime(at).astimezone(zone).strftime(form), text]

    return write


def _zone(name: str) -> ZoneInfo:
    if not names.is_time_zone(name):
        raise invalid("invalid_parameter", "Unknown time zone; give a name such as Europe/Berlin.", "zone")
    return ZoneInfo(name)


def _archive(name: str, at: Instant, rows: Iterable[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["ts", "value"])
    table.writerows(rows)
    packed = io.BytesIO()
    made = to_datetime(at).timetuple()[:6]
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, made), text.getvalue(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()
