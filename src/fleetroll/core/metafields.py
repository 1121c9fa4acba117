"""The values of metafields: what each kind takes, how a value is read from a request, and how it is shown.

A value lies in the device's metadata under the metafield's name: one text or number where the kind has only one, an
object of its members where it has several. Two kinds are no members of the metadata, but the device's name and owner.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from fleetroll.core import documents, limits, names
from fleetroll.core.faults import Fault, invalid
from fleetroll.core.model import Device, Metafield, MetafieldKind

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_CONTACT = ("firstName", "lastName", "email", "phone", "streetAddress", "country", "city", "state", "zip")
_CONTACT_TEXTS = frozenset({"contact", *_CONTACT})
_CONTACT_FLAGS = frozenset({"isDefaultsEnabled", *(f"is{name[0].upper()}{name[1:]}Enabled" for name in _CONTACT)})
_HIGHEST = 1 << 53


class _Kind(Struct, frozen=True):
    """One kind: whether a stored value is of it, what a text stands for, and the members that show it."""

    accepts: Callable[[Metafield, Any], bool]
    from_text: Callable[[str], Any]
    show: Callable[[Metafield, Any], dict[str, Any]]


def is_virtual(field: Metafield) -> bool:
    """Whether the value is the device's own name or owner rather than a member of its metadata."""
    return field.kind in {MetafieldKind.DEVICE_NAME, MetafieldKind.DEVICE_OWNER}


def accepts(field: Metafield, value: object) -> bool:
    """Whether `value`, as metadata holds it, is one of the field's, and can be kept."""
    return _KINDS[field.kind].accepts(field, value) and documents.can_hold(value)


def read(field: Metafield, given: object) -> Any:
    """The value that a request gives in its stored form, as text, or as `show` spells it; None is no value.

    Raises Fault invalid `invalid_metafield`.
    """
    if given is None:
        if field.mandatory:
            raise refusal(field)
        return None
    kind = _KINDS[field.kind]
    value = kind.from_text(given) if isinstance(given, str) else _plain(field, given)
    if not accepts(field, value):
        raise refusal(field)
    return value


def show(field: Metafield, value: Any) -> dict[str, Any]:
    """The value as an object that names its type; without a value, the members are null."""
    return {"type": field.kind.value, **_KINDS[field.kind].show(field, value)}


def value_of(field: Metafield, device: Device, metadata: Mapping[str, Any]) -> Any:
    """What a device has for the field, `metadata` being its metadata; the field's default if nothing.

    A value that the field no longer accepts, since it was redefined, stays in the metadata but counts as absent.
    """
    if field.kind is MetafieldKind.DEVICE_NAME:
        return device.name
    if field.kind is MetafieldKind.DEVICE_OWNER:
        return device.owners[0] if device.owners else None
    candidates = (metadata.get(field.name, field.default), field.default)
    return next((value for value in candidates if value is None or accepts(field, value)), None)


def check(fields: tuple[Metafield, ...], metadata: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Raises Fault invalid `invalid_metafield` where a member that a metafield defines has another kind of value.

    A member that is as it was in `before` is not checked again: its field may have been redefined since.
    """
    for field in fields:
        value = metadata.get(field.name)
        if value is None or is_virtual(field) or documents.same_value(value, before.get(field.name)):
            continue
        if not accepts(field, value):
            raise refusal(field)


def named_anew(
    fields: tuple[Metafield, ...], metadata: Mapping[str, Any], before: Mapping[str, Any]
) -> list[tuple[Metafield, int]]:
    """The devices that `metadata` refers to by number and `before` did not. Whether they exist is not checked here."""
    references = [field for field in fields if field.kind is MetafieldKind.DEVICE_REFERENCE]
    values = [(field, metadata.get(field.name)) for field in references]
    return [(field, number) for field, number in values if number is not None and number != before.get(field.name)]


def refusal(field: Metafield) -> Fault:
    member = f"metadata.{field.name}"
    return invalid("invalid_metafield", f"{member} does not fit a metafield of type {field.kind.value}.", member)


def _plain(field: Metafield, given: object) -> Any:
    """The stored form of a value that may be spelled as it is shown."""
    if not isinstance(given, dict) or given.get("type", field.kind.value) != field.kind.value:
        return given
    members = {name: value for name, value in given.items() if name != "type"}
    for alone in ("value", "time", "selectedOption", "selectedDeviceId"):
        if alone in members and alone in show(field, None):
            return members[alone]
    return members


# --- kinds -----------------------------------------------------------------------------------------------------------


def _is_text(_: Metafield, value: object) -> bool:
    return isinstance(value, str) and len(value) <= limits.MAX_TEXT


def _is_plain_name(_: Metafield, value: object) -> bool:
    return isinstance(value, str) and names.is_plain_name(value)


def _is_number(_: Metafield, value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(_: Metafield, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _HIGHEST


def _is_range(field: Metafield, value: Any) -> bool:
    return _has_members(value, "from", "to") and all(_is_whole(field, part) for part in value.values())


def _is_coordinates(field: Metafield, value: Any) -> bool:
    if not _has_members(value, "lat", "lon") or not all(_is_number(field, part) for part in value.values()):
        return False
    return bool(-90 <= value["lat"] <= 90 and -180 <= value["lon"] <= 180)


def _is_device(field: Metafield, value: object) -> bool:
    return _is_whole(field, value) and value != 0


def _is_choice(field: Metafield, value: object) -> bool:
    return isinstance(value, str) and (value in field.options or not field.options)


def _is_contact(_: Metafield, value: object) -> bool:
    if not isinstance(value, dict) or value.keys() - _CONTACT_TEXTS - _CONTACT_FLAGS:
        return False
    return all(isinstance(part, bool if name in _CONTACT_FLAGS else str) for name, part in value.items())


def _is_email(_: Metafield, value: object) -> bool:
    return isinstance(value, str) and names.parse_email(value) == value


def _is_owner(_: Metafield, value: object) -> bool:
    return isinstance(value, str) and value != "" and names.owner_key(value) == value


def _is_zone(_: Metafield, value: object) -> bool:
    return isinstance(value, str) and names.is_time_zone(value)


def _has_members(value: object, *members: str) -> bool:
    return isinstance(value, dict) and value.keys() == set(members)


def _number(text: str) -> Any:
    if len(text) > limits.MAX_VERSION or not _NUMBER.fullmatch(text):
        return text
    return float(text) if set(text) & set(".eE") else int(text)


def _object(text: str) -> Any:
    try:
        return documents.parse(text, "value")
    except Fault:
        return text


def _address(text: str) -> str:
    return names.parse_email(text) or text


def _alone(member: str) -> Callable[[Metafield, Any], dict[str, Any]]:
    return lambda field, value: {member: value}


def _together(*members: str) -> Callable[[Metafield, Any], dict[str, Any]]:
    return lambda field, value: dict(value) if value is not None else dict.fromkeys(members)


def _choice(field: Metafield, value: Any) -> dict[str, Any]:
    return {"options": list(field.options), "selectedOption": value}


def _device(field: Metafield, value: Any) -> dict[str, Any]:
    return {"selectedProductIds": list(field.templates), "selectedDeviceId": value}


_KINDS: dict[MetafieldKind, _Kind] = {
    MetafieldKind.TEXT: _Kind(_is_text, str, _alone("value")),
    MetafieldKind.NUMBER: _Kind(_is_number, _number, _alone("value")),
    MetafieldKind.RANGE: _Kind(_is_range, _object, _together("from", "to")),
    MetafieldKind.TIME: _Kind(_is_whole, _number, _alone("time")),
    MetafieldKind.COORDINATES: _Kind(_is_coordinates, _object, _together("lat", "lon")),
    MetafieldKind.DEVICE_REFERENCE: _Kind(_is_device, _number, _device),
    MetafieldKind.LIST: _Kind(_is_choice, str, _choice),
    MetafieldKind.TEMPLATE_ID: _Kind(_is_choice, str, _choice),
    MetafieldKind.CONTACT: _Kind(_is_contact, _object, _together("contact", *_CONTACT)),
    MetafieldKind.EMAIL: _Kind(_is_email, _address, _alone("value")),
    MetafieldKind.DEVICE_NAME: _Kind(_is_plain_name, str, _alone("value")),
    MetafieldKind.DEVICE_OWNER: _Kind(_is_owner, names.owner_key, _alone("value")),
    MetafieldKind.TIME_ZONE: _Kind(_is_zone, str, _alone("value")),
}
if _KINDS.keys() != set(MetafieldKind):
    raise LookupError("every kind of metafield needs its values")
