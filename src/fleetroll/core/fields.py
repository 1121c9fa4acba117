"""What can be asked of a device: the fields of filters and sorts, and how a device answers for each."""

import functools
from collections.abc import Callable, Mapping

import msgspec
from msgspec import structs

from fleetroll.core import documents
from fleetroll.core.filtering import parse_filter
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import DEFAULT_COHORT, Device
from fleetroll.core.names import identity_key, owner_key, parse_email
from fleetroll.core.query import (
    And,
    Comparison,
    Field,
    Fields,
    FieldType,
    Filter,
    Not,
    Or,
    Pattern,
    Read,
    SortValue,
    Value,
    lookup,
    rank,
)
from fleetroll.core.software import type_and_version

_DEVICE = (
    Field("id", FieldType.INTEGER, sortable=True),
    Field("ident", FieldType.TEXT, sortable=True),
    Field("name", FieldType.TEXT, sortable=True),
    Field("kind", FieldType.TEXT, sortable=True),
    Field("hardware_version", FieldType.TEXT),
    Field("software", FieldType.DOCUMENT),
    Field("software_version", FieldType.TEXT),
    Field("cohort", FieldType.TEXT),
    Field("metadata", FieldType.DOCUMENT),
    Field("config", FieldType.DOCUMENT),
    Field("tags", FieldType.SET),
    Field("owners", FieldType.SET),
    Field("dms", FieldType.TEXT, sortable=True),
    Field("identity", FieldType.DOCUMENT),
    Field("template", FieldType.INTEGER),
    Field("status", FieldType.ENUM, choices=tuple(status.value for status in Status), sortable=True),
    Field("connected", FieldType.BOOLEAN),
    Field("last_seen", FieldType.TIME, sortable=True),
    Field("activated_at", FieldType.TIME),
    Field("created_at", FieldType.TIME, sortable=True),
    Field("updated_at", FieldType.TIME, sortable=True),
)
DEVICE_FIELDS: Fields = {field.name: field for field in _DEVICE}


@functools.lru_cache(maxsize=1024)
def device_filter(text: str) -> Filter | None:
    """`parse_filter` for devices, remembered: programs ask the same thing again and again.

    An owner's address is looked for in its stored form, however it is written.
    """
    filter = parse_filter(text, DEVICE_FIELDS)
    return None if filter is None else _with_values(filter, _stored_value)


_EVENT = (
    Field("id", FieldType.INTEGER),
    Field("type", FieldType.TEXT),
    Field("subject", FieldType.TEXT),
    Field("name", FieldType.TEXT),
    Field("actor", FieldType.TEXT),
    Field("at", FieldType.TIME),
)
EVENT_FIELDS: Fields = {field.name: field for field in _EVENT}


def reader(device: Device) -> Read:
    """How `query.matches` looks into a device. Identifiers are seen in the form in which they are equal."""

    def read(field: str, path: tuple[str, ...]) -> object:
        if field == "software_version":
            return _software_version(device)
        value = getattr(device, field)
        if field == "cohort":
            return value or DEFAULT_COHORT
        if DEVICE_FIELDS[field].type is FieldType.DOCUMENT:
            return None if value is None else _inside(documents.load(value), path)
        if field == "ident":
            return identity_key(value)
        return value.value if isinstance(value, Status) else value

    return read


def canonical(filter: Filter) -> Filter:
    """The same filter with identifiers in the form in which `reader` shows them, as `matches` needs it."""
    return _with_values(filter, canonical_value)


def _with_values(filter: Filter, new_value: Callable[[Comparison], Value]) -> Filter:
    """The same filter with another value in each of its comparisons."""
    match filter:
        case And():
            return And(tuple(_with_values(part, new_value) for part in filter.parts))
        case Or():
            return Or(tuple(_with_values(part, new_value) for part in filter.parts))
        case Not():
            return Not(_with_values(filter.part, new_value))
        case Comparison():
            return structs.replace(filter, value=new_value(filter))
    return filter


def _stored_value(comparison: Comparison) -> Value:
    value = comparison.value
    if comparison.field == "owners" and isinstance(value, str):
        return owner_key(value)
    if comparison.field == "owners" and isinstance(value, Pattern) and parse_email("x".join(value.parts)):
        return Pattern(tuple(part.lower() for part in value.parts))
    return value


def canonical_value(comparison: Comparison) -> Value:
    """The value of a comparison, an identifier in the form in which identifiers are equal (`names.identity_key`)."""
    value = comparison.value
    if comparison.field == "ident" and isinstance(value, str):
        return identity_key(value)
    if comparison.field == "ident" and isinstance(value, Pattern):
        return Pattern(tuple(map(identity_key, value.parts)))
    return value


def _software_version(device: Device) -> str | None:
    found = type_and_version(device.software)
    return found[1] if found else None


def _inside(document: Mapping[str, object], path: tuple[str, ...]) -> object:
    return lookup(document, path) if path else document


def sort_value(device: Device, field: str, path: tuple[str | int, ...] = ()) -> SortValue:
    """The value by which `device` is placed when a list is sorted by `field`, or by what is at `path` in it."""
    if path:
        document = getattr(device, field)
        return rank(documents.load(document) if isinstance(document, msgspec.Raw) else list(document or ()), path)
    value: str | int | None = reader(device)(field, ())  # type: ignore[assignment]  # sortable fields are text or numbers
    return value
