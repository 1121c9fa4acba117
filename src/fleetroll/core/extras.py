"""A device's extras: members that only one vendor's API has, the values they may have, and their use elsewhere.

The only module below the dialects that knows vendors by name.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fleetroll.core import documents, limits, names
from fleetroll.core.documents import EMPTY, Document
from fleetroll.core.faults import Fault, brief, invalid
from fleetroll.core.messages import DEFAULT_ENVIRONMENT, is_environment

_DESCRIPTION = "memfault", "description"
_ENVIRONMENT = "relay", "env"
_PROPERTIES = "blynk", "properties"
_ICON_VENDOR = "lamassu"


def of(vendors: Mapping[str, Any]) -> Document:
    """The extras that somebody gives as a whole. Raises Fault invalid for what no API could show."""
    for vendor, members in vendors.items():
        for name, value in _object(members, f"extras.{vendor}").items():
            check = _CHECKS.get((vendor, name))
            if check is None:
                known = ", ".join(map(".".join, _CHECKS))
                raise _refused(f"extras.{vendor}.{name}", f"is unknown; known extras are {known}")
            check(value, f"extras.{vendor}.{name}")
    return documents.of(vendors, "extras")


def _text(value: object, field: str) -> None:
    if not isinstance(value, str):
        raise _refused(field, "must be a string")
    names.paragraph(value, field)


def _line(value: object, field: str) -> None:
    if value != "":
        _text(value, field)
        names.line(str(value), field)


def _mode(value: object, field: str) -> None:
    if not is_environment(value):
        raise _refused(field, "must be letters, digits, hyphens and underscores")


def _displays(value: object, field: str) -> None:
    """How datastreams are displayed: for each pin, texts by the name of a property."""
    for pin, properties in _object(value, field).items():
        for name, shown in _object(properties, f"{field}.{pin}").items():
            names.display_property(name)
            if not isinstance(shown, str) or len(shown) > limits.MAX_READING_TEXT:
                raise _refused(field, f"must be strings of at most {limits.MAX_READING_TEXT} characters")


_CHECKS: Mapping[tuple[str, str], Callable[[object, str], None]] = {
    _DESCRIPTION: _text,
    _ENVIRONMENT: _mode,
    _PROPERTIES: _displays,
    (_ICON_VENDOR, "icon"): _line,
    (_ICON_VENDOR, "icon_color"): _line,
}


def _object(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _refused(field, "must be an object")
    return value


def _refused(field: str, why: str) -> Fault:
    return invalid("invalid_extras", f"{brief(field)} {why}.", brief(field))


def description(extras: Document) -> str:
    """The description, "" if there is none."""
    return str(_member(extras, *_DESCRIPTION) or "")


def with_description(extras: Document, text: str) -> Document:
    """The extras with this description; the very same if it has not changed."""
    return extras if text == description(extras) else _with_member(extras, *_DESCRIPTION, text)


def environment(extras: Document) -> str:
    """The mode in which a device was created: which of an organization's applications are told of it."""
    return str(_member(extras, *_ENVIRONMENT) or DEFAULT_ENVIRONMENT)


def with_environment(extras: Document, env: str) -> Document:
    return _with_member(extras, *_ENVIRONMENT, env)


def with_display_property(extras: Document, pin: str, name: str, value: str) -> Document:
    """The extras with one more display property of the datastream at a pin; the others stay."""
    properties = _member(extras, *_PROPERTIES) or {}
    return _with_member(extras, *_PROPERTIES, {**properties, pin: {**properties.get(pin, {}), name: value}})


class Icon(NamedTuple):
    """The name of an icon and its color, each "" if there is none."""

    name: str = ""
    color: str = ""


def icon(extras: Document) -> Icon:
    """The icon, empty if there is none."""
    if extras == EMPTY:
        return Icon()
    members = documents.load(extras).get(_ICON_VENDOR, {})
    return Icon(members.get("icon", ""), members.get("icon_color", ""))


def of_icon(name: str, color: str) -> Document:
    """The extras of a new device with an icon and its color, or without either."""
    return documents.of({_ICON_VENDOR: {"icon": name, "icon_color": color}}, "icon") if name or color else EMPTY


def _member(extras: Document, vendor: str, name: str) -> Any:
    if extras == EMPTY:
        return None
    return documents.load(extras).get(vendor, {}).get(name)


def _with_member(extras: Document, vendor: str, name: str, value: object) -> Document:
    members = documents.load(extras)
    return documents.of({**members, vendor: {**members.get(vendor, {}), name: value}}, name)
