"""From query strings to reports of a device, and from its values to bare text. Pure; raises nothing but Fault."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from fleetroll.core import datastreams, limits, metafields, names
from fleetroll.core.faults import invalid
from fleetroll.core.times import DAY, HOUR, MILLISECOND, MINUTE
from fleetroll.dialects.blynk_device import shapes
from fleetroll.service import exports, reports
from fleetroll.service.datastreams import Address, Property, Sample, Value, at_pin
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request

_TEXT = "text/plain; charset=utf-8"
_OK = Reply(b"OK", media_type=_TEXT)
_EMPTY = Reply(b"", media_type=_TEXT)
_FILE = "/external/api/data/file/device_data_{}.zip"
_FILE_NAME = re.compile(r"device_data_([0-9]{1,18})\.zip")
_DIGITS = 18
LARGEST = 10**_DIGITS - 1
"""The largest number that a parameter may have."""

PERIODS = {"HOUR": HOUR, "DAY": DAY, "WEEK": 7 * DAY, "MONTH": 30 * DAY, "THREE_MONTHS": 90 * DAY}
GRAINS = {"RAW_DATA": None, "MINUTE": MINUTE, "HOURLY": HOUR, "DAILY": DAY}
SOURCES = {"AVG": "mean", "MIN": "min", "MAX": "max", "SUM": "sum", "COUNT": "count"}
FORMS = {"TS": None, "ISO_US": "%Y-%m-%dT%H:%M:%S.%f%z", "ISO_SIMPLE": "%Y-%m-%d %H:%M:%S"}
_ONE_WAY = "A datastream is named in one way, and no other beside it."
_HISTORY_PARAMETERS = (
    "dataStreamId",
    "pin",
    "period",
    "granularityType",
    "sourceType",
    "tzName",
    "format",
    "sendEvents",
)


# --- addresses -------------------------------------------------------------------------------------------------------


def _number(text: str, code: str) -> int:
    if not re.fullmatch(rf"[0-9]{{1,{_DIGITS}}}", text):
        raise invalid(code, "A number is needed.")
    return int(text)


def _named(request: Request) -> Address | None:
    """The datastream that `dataStreamId` or `pin` names."""
    number, pin = request.query.get("dataStreamId"), request.query.get("pin")
    if number is not None and pin is not None:
        raise invalid("ambiguous", _ONE_WAY)
    if number is not None:
        return Address(number=_number(number, "invalid_datastream"))
    return None if pin is None else at_pin(pin)


def _alone(request: Request, *allowed: str) -> Address | None:
    """As `_named`, if nothing else is in the query: it would be lost. Raises Fault invalid `ambiguous`."""
    address = _named(request)
    if address is not None and _others(request, "dataStreamId", "pin", *allowed):
        raise invalid("ambiguous", _ONE_WAY)
    return address


def _require_address(address: Address | None) -> Address:
    if address is None:
        raise invalid("incomplete", "A pin is missing.", "pin")
    return address


def _others(request: Request, *allowed: str) -> list[tuple[str, str]]:
    """The pairs of the query besides those that have a meaning of their own."""
    return [pair for pair in request.query.pairs if pair[0] not in {"token", *allowed}]


# --- values in -------------------------------------------------------------------------------------------------------


def update(request: Request) -> list[Sample]:
    """One value of a named datastream, twice for a pair; or values by their pins."""
    address = _alone(request, "value")
    if address is None:
        return _by_pin(_others(request))
    given = request.query.all("value")
    if not given:
        raise invalid("incomplete", "A value is missing.", "value")
    return [Sample(address, given)]


def _by_pin(pairs: Sequence[tuple[str, str]]) -> list[Sample]:
    given: dict[Address, list[str]] = {}
    for name, text in pairs:
        given.setdefault(at_pin(name), []).append(text)
    if not given:
        raise invalid("incomplete", "A pin is missing.", "pin")
    return [Sample(address, texts) for address, texts in given.items()]


def update_many(request: Request) -> list[Sample]:
    return _by_pin(_others(request))


def update_batch(request: Request) -> list[Sample]:
    address = _require_address(_alone(request))
    return [_timed(address, pair) for pair in request.body]


def _timed(address: Address, pair: Any) -> Sample:
    if not isinstance(pair, list) or len(pair) != 2 or type(pair[0]) is not int:
        raise invalid("invalid_body", "A point is a time in milliseconds and a value.")
    return Sample(address, [pair[1]], pair[0] * MILLISECOND)


def set_property(request: Request) -> Property:
    address = _require_address(_named(request))
    pairs = _others(request, "pin", "dataStreamId")
    if len(pairs) != 1 or len(pairs[0][1]) > limits.MAX_READING_TEXT:
        raise invalid("invalid_property", "One property is given as its name and value.")
    return Property(address, names.display_property(pairs[0][0]), pairs[0][1])


def nothing(_: object, request: Request) -> Reply:
    return _EMPTY


def done(_: object, request: Request) -> Reply:
    return _OK


# --- values out ------------------------------------------------------------------------------------------------------


def read(request: Request) -> list[Address]:
    address = _alone(request)
    if address is not None:
        return [address]
    found = list(dict.fromkeys(at_pin(name) for name, _ in _others(request)))
    if not found:
        raise invalid("incomplete", "A pin is missing.", "pin")
    return found


def shown(result: list[Value], request: Request) -> Any:
    """Bare text for one datastream, an object for several."""
    if len(read(request)) > 1:
        return _object(result)
    if not result:
        raise invalid("no_data", "There is no value.")
    return Reply(datastreams.as_text(result[0].stream.kind, result[0].value).encode(), media_type=_TEXT)


def shown_all(result: list[Value], request: Request) -> shapes.Values:
    return _object(result)


def _object(result: list[Value]) -> shapes.Values:
    return {one.stream.pin: datastreams.as_json(one.stream.kind, one.value) for one in result}


def connected(result: bool, request: Request) -> Reply:
    return Reply(b"true" if result else b"false", media_type=_TEXT)


# --- events and metafields -------------------------------------------------------------------------------------------


def log_event(request: Request) -> reports.Occurrence:
    code = request.query.get("code")
    if not code:
        raise invalid("event_code_required", "The code of an event is missing.", "code")
    description = request.query.get("description")
    return reports.Occurrence(code, names.paragraph(description, "description") if description else None)


def metafield(request: Request) -> int:
    return _number(request.query.get("metaFieldId") or "", "invalid_metafield_id")


def held(result: reports.Held, request: Request) -> shapes.Metafield:
    return metafields.show(result.field, result.value)


def set_metafield(request: Request) -> reports.Writing:
    number, name, value = (request.query.get(part) for part in ("metaFieldId", "metaFieldName", "value"))
    if value is None:
        raise invalid("invalid_metafield", "A value is missing.", "value")
    if number is None and name:
        return reports.Writing(name, value)
    return reports.Writing(_number(number or "", "invalid_metafield_id"), value)


# --- files -----------------------------------------------------------------------------------------------------------


def export(request: Request) -> exports.Export:
    return exports.Export(
        _require_address(_named(request)),
        _choice(request, "period", "MONTH", PERIODS),
        _choice(request, "granularityType", "RAW_DATA", GRAINS),
        _choice(request, "sourceType", "AVG", SOURCES),
        request.query.get("tzName") or "UTC",
        _choice(request, "format", "TS", FORMS),
    )


def _choice(request: Request, name: str, usual: str, choices: Any) -> Any:
    given = (request.query.get(name) or usual).upper()
    if given not in choices:
        raise invalid("invalid_parameter", f"{name} is one of {', '.join(choices)}.", name)
    return choices[given]


def link(ticket: exports.Ticket, request: Request) -> shapes.Link:
    pairs = [("token", request.query.get("token") or "")]
    pairs += [pair for pair in request.query.pairs if pair[0] in _HISTORY_PARAMETERS]
    pairs += [("ordered", str(ticket.order.at)), ("proof", ticket.proof)]
    return shapes.Link(request.url(f"{_FILE.format(ticket.order.device)}?{urlencode(pairs)}"))


def ordered(request: Request) -> exports.Ticket:
    name = _FILE_NAME.fullmatch(request.path["name"])
    number = int(name[1]) if name else 0  # no device has it
    at = _number(request.query.get("ordered") or "", "invalid_parameter")
    return exports.Ticket(exports.Order(export(request), number, at), request.query.get("proof") or "")


def file(result: exports.Archive, request: Request) -> Reply:
    disposition = ("content-disposition", f'attachment; filename="{result.name}"')
    return Reply(result.content, headers=(disposition,), media_type="application/zip")
