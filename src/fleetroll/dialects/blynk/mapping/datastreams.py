"""The values of a device's datastreams."""

import re
from typing import Any

from fleetroll.core import ids, limits, model, names
from fleetroll.core.datastreams import as_json
from fleetroll.core.faults import invalid
from fleetroll.core.templates import metric
from fleetroll.core.times import MILLISECOND
from fleetroll.dialects.blynk.mapping.parameters import device_number, offset_page, required
from fleetroll.dialects.blynk.mapping.times import ms
from fleetroll.dialects.blynk.shapes import datastreams as shapes
from fleetroll.service import datastreams
from fleetroll.service.datastreams import Address, Property, Sample, Value, at_pin
from fleetroll.wire.request import Request

LATEST = 10**15 - 1


def latest(stream: model.Datastream, reading: model.Reading | None) -> shapes.DataStreamValue:
    alias = metric(stream)
    shape = shapes.DataStreamValue(stream.id, stream.pin, stream.label or alias, alias)
    if reading is not None:
        shape.value, shape.updated_at = as_json(stream.kind, reading.value), ms(reading.at)
    return shape


def stream_values(request: Request) -> datastreams.Wanted:
    pins = request.query.get("pins")
    addresses = () if pins is None else tuple(dict.fromkeys(at_pin(text) for text in pins.split(",")))
    return datastreams.Wanted(device_number(request), addresses)


def shown_values(result: list[Value], request: Request) -> dict[str, Any]:
    return {reading.stream.pin: as_json(reading.stream.kind, reading.value) for reading in result}


def stream_past(request: Request) -> datastreams.Past:
    pin = required(request, "pin")
    since, until = _time(request, "from", 0), _time(request, "to", LATEST)
    span = model.Span(since * MILLISECOND, (until + 1) * MILLISECOND)  # all of its last millisecond
    return datastreams.Past(device_number(request), at_pin(pin), span, offset_page(request))


def _time(request: Request, field: str, usual: int) -> int:
    text = request.query.get(field)
    if text is None:
        return usual
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise invalid("invalid_parameter", f"{field} must be a time in milliseconds since 1970.", field)
    return int(text)


def stream_history(result: datastreams.History, request: Request) -> shapes.HistoryPage:
    kind = result.stream.kind
    content = [shapes.PastValue(ms(reading.at), as_json(kind, reading.value)) for reading in result.readings]
    return shapes.HistoryPage(content, result.total)


def stream_write(request: Request) -> datastreams.Batch:
    body = request.body
    return datastreams.Batch(body.device_id, [Sample(Address(number=body.data_stream_id), [body.value])])


def stream_writes(request: Request) -> datastreams.Batch:
    given = request.body.values.items()
    samples = [Sample(_stream_named(name), [value]) for name, value in given]
    return datastreams.Batch(request.body.device_id, samples)


def _stream_named(text: str) -> Address:
    return Address(number=names.positive(text, "values", ids.MAX_ID)) if text.isdecimal() else at_pin(text)


def stream_import(request: Request) -> datastreams.Batch:
    body, address = request.body, Address(number=request.body.data_stream_id)
    samples = [Sample(address, [reading.value], reading.ts * MILLISECOND) for reading in body.values]
    return datastreams.Batch(body.device_id, samples)


def stream_property(request: Request) -> datastreams.Setting:
    body = request.body
    value = names.paragraph(body.value, "value", limits.MAX_READING_TEXT)
    wanted = Property(Address(number=body.data_stream_id), names.display_property(body.property), value)
    return datastreams.Setting(body.device_id, wanted)
