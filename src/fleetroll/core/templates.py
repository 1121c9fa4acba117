"""The rules of templates: what their parts may be called, which numbers they keep, and what they say of a device."""

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from fleetroll.core import datastreams, documents, limits, metafields, names
from fleetroll.core.documents import Document
from fleetroll.core.faults import Fault, invalid
from fleetroll.core.model import Datastream, DatastreamKind, EventCode, Metafield, Template
from fleetroll.core.schema import is_metric

P = TypeVar("P", Datastream, EventCode, Metafield)

_json = msgspec.json.Encoder().encode
_PIN = re.compile(r"[vdaVDA](0|[1-9][0-9]{0,2})")
_CODE = re.compile(r"[A-Za-z0-9_-]{1,128}")
# In the words of `schema`.
_METRIC_TYPES = {
    DatastreamKind.INTEGER: "number",
    DatastreamKind.DOUBLE: "number",
    DatastreamKind.ENUM: "number",
    DatastreamKind.STRING: "string",
    DatastreamKind.LOCATION: "json",
}
if _METRIC_TYPES.keys() != set(DatastreamKind):
    raise LookupError("every kind of datastream needs a metric type")


# --- looking parts up ------------------------------------------------------------------------------------------------


def metric(stream: Datastream) -> str:
    """The name under which the readings of a datastream are kept; the pin is its second name."""
    return stream.alias or stream.pin


def parse_pin(text: str) -> str | None:
    """A pin as it is stored: `v`, `d` or `a` and a number, in lower case; None for anything else."""
    return text.lower() if _PIN.fullmatch(text) else None


def by_pin(template: Template, pin: str) -> Datastream | None:
    """The datastream at a pin as `parse_pin` gives it."""
    return next((stream for stream in template.datastreams if stream.pin == pin), None)


def by_metric(template: Template, name: str) -> Datastream | None:
    return next((stream for stream in template.datastreams if metric(stream) == name), None)


def datastream(template: Template, number: int) -> Datastream | None:
    return next((stream for stream in template.datastreams if stream.id == number), None)


def event_code(template: Template, code: str) -> EventCode | None:
    return next((event for event in template.events if event.code == code), None)


def metafield(template: Template, number: int) -> Metafield | None:
    return next((field for field in template.metafields if field.id == number), None)


def metafield_named(template: Template, name: str) -> Metafield | None:
    return next((field for field in template.metafields if field.name == name), None)


def count_parts(template: Template) -> int:
    """How many parts a template has, counting each option of its metafields."""
    options = sum(len(field.options) + len(field.templates) for field in template.metafields)
    return len(template.datastreams) + len(template.events) + len(template.metafields) + options


# --- what a template says of its devices -----------------------------------------------------------------------------


def metrics(template: Template) -> dict[str, Any]:
    """The metric schema of the datastreams."""
    return {metric(stream): _metric(stream) for stream in template.datastreams}


def _metric(stream: Datastream) -> dict[str, Any]:
    units = {"unit": stream.unit, "unit_symbol": stream.unit_symbol}
    return {"type": _METRIC_TYPES[stream.kind], **{name: text for name, text in units.items() if text is not None}}


def kinds(template: Template) -> dict[str, DatastreamKind]:
    """The kind of datastream of each metric: some kinds do not take every value of the metric's type in the schema."""
    return {metric(stream): stream.kind for stream in template.datastreams}


def apply_metrics(schema: Document, was: Template | None, now: Template | None) -> Document:
    """A device's schema after its template changed from one to the other: its own metrics stay."""
    members = documents.load(schema)
    for name in metrics(was) if was else ():
        members.pop(name, None)
    return documents.of({**members, **(metrics(now) if now else {})}, "schema")


# --- making one ------------------------------------------------------------------------------------------------------


def numbered(new: Template, was: Template | None = None) -> Template:
    """`new` with a number for each part: its own where `was` has it, or that of the part of the same name, or the next.

    Raises Fault invalid for a number that `was` does not have, for parts that break a rule, and for too many. The
    default of an unchanged part is not checked again, as the rules for values of its type may have changed since.
    """
    if len(_json([new.datastreams, new.events, new.metafields])) > limits.MAX_TEMPLATE:
        message = f"The parts of a template must have at most {limits.MAX_TEMPLATE} bytes."
        raise invalid("template_too_large", message)
    last = was.last_part if was else 0
    parts: dict[str, Any] = {}
    for member, key in _KEYS.items():
        before = getattr(was, member) if was else ()
        parts[member], last = _numbered(member, getattr(new, member), before, key, last)
    ready = structs.replace(new, **parts, last_part=last)
    _check(ready)
    return _with_defaults(ready, was)


def _numbered(
    member: str, parts: tuple[P, ...], before: tuple[P, ...], key: Callable[[Any], str], last: int
) -> tuple[tuple[P, ...], int]:
    numbers = {part.id for part in before}
    number_by_key = {key(part): part.id for part in before}
    result: list[P] = []
    for part in parts:
        if part.id and part.id not in numbers:
            raise invalid("invalid_template", f"{member}: this template has no part with number {part.id}.", member)
        number = part.id or number_by_key.get(key(part), 0)
        if not number:
            number = last = last + 1
        result.append(structs.replace(part, id=number))
    return tuple(result), last


def _pin_of(stream: Datastream) -> str:
    return stream.pin


def _code_of(event: EventCode) -> str:
    return event.code


def _name_of(field: Metafield) -> str:
    return field.name


_KEYS: dict[str, Callable[[Any], str]] = {"datastreams": _pin_of, "events": _code_of, "metafields": _name_of}
_MOST = {
    "datastreams": limits.MAX_DATASTREAMS,
    "events": limits.MAX_EVENT_CODES,
    "metafields": limits.MAX_METAFIELDS,
}


def _check(template: Template) -> None:
    for member, key in _KEYS.items():
        parts = getattr(template, member)
        if len(parts) > _MOST[member]:
            raise _refusal(member, f"a template must have at most {_MOST[member]} of them.")
        _distinct(member, map(key, parts))
        _distinct(member, (part.id for part in parts))
    _distinct("datastreams", map(metric, template.datastreams))
    for stream in template.datastreams:
        _check_datastream(stream)
    for event in template.events:
        _check_event(event)
    for field in template.metafields:
        _check_metafield(field)


def _with_defaults(template: Template, was: Template | None) -> Template:
    """The template with its defaults as they are kept. Raises Fault invalid for one that is no value of its part."""
    for field in template.metafields:
        if not (was and _is_unchanged(field, metafield(was, field.id))):
            _check_default(field)
    streams = (
        stream if was and _is_unchanged(stream, datastream(was, stream.id)) else _with_default(stream)
        for stream in template.datastreams
    )
    return structs.replace(template, datastreams=tuple(streams))


def _is_unchanged(part: Datastream | Metafield, was: Datastream | Metafield | None) -> bool:
    return was is not None and part == was and documents.same_value(part.default, was.default)


def _with_default(stream: Datastream) -> Datastream:
    if not datastreams.has_values(stream.kind, stream.min, stream.max):
        raise _refusal("datastreams", f"{stream.pin} takes whole numbers, but there is none from min to max.")
    try:
        return structs.replace(stream, default=datastreams.default(stream, _METRIC_TYPES[stream.kind]))
    except Fault:
        raise _refusal("datastreams", f"the default of {stream.pin} does not fit its type or bounds.") from None


def _check_default(field: Metafield) -> None:
    if field.default is not None and not metafields.accepts(field, field.default):
        raise _refusal("metafields", f"the default of {field.name} does not fit its type.")


def _distinct(member: str, keys: Iterable[object]) -> None:
    values = list(keys)
    if len(set(values)) != len(values):
        raise _refusal(member, "two of them have the same name, pin or number.")


def _check_datastream(stream: Datastream) -> None:
    if parse_pin(stream.pin) != stream.pin:
        raise _refusal("datastreams", "a pin must be v, d or a and a number from 0 to 999.")
    if stream.alias is not None and not is_metric(stream.alias):
        raise _refusal("datastreams", "an alias must be 1 to 128 letters, digits, hyphens and underscores.")
    if stream.alias is not None and parse_pin(stream.alias) not in {None, stream.pin}:
        raise _refusal("datastreams", "an alias must not be the pin of another datastream.")
    for text in (stream.label, stream.unit, stream.unit_symbol):
        if text:
            names.line(text, "datastreams")
    if stream.min is not None and stream.max is not None and stream.min > stream.max:
        raise _refusal("datastreams", "min must not be greater than max.")


def _check_event(event: EventCode) -> None:
    if not _CODE.fullmatch(event.code):
        raise _refusal("events", "a code must be 1 to 128 letters, digits, hyphens and underscores.")
    names.line(event.name, "events")
    if event.description:
        names.paragraph(event.description, "events")
    if event.daily_limit is not None and event.daily_limit < 0:
        raise _refusal("events", "daily_limit must not be negative.")


def _check_metafield(field: Metafield) -> None:
    names.label(field.name, "metafields")
    for text in (field.description, field.hint, field.icon, *field.options):
        if text:
            names.paragraph(text, "metafields")
    if len(field.options) > limits.MAX_OPTIONS or len(field.templates) > limits.MAX_OPTIONS:
        raise _refusal("metafields", f"a metafield must have at most {limits.MAX_OPTIONS} options or templates.")


def _refusal(member: str, rule: str) -> Fault:
    return invalid("invalid_template", f"{member}: {rule}", member)
