"""What lies in a device's extras, as only one vendor's API has it, and is used beyond that API's mapping.

The only module below the dialects that knows vendors by name.
"""

from typing import Any

from fleetroll.core import documents
from fleetroll.core.documents import EMPTY, Document
from fleetroll.core.messages import DEFAULT_ENVIRONMENT

_DESCRIPTION = "memfault", "description"
_ENVIRONMENT = "relay", "env"
_PROPERTIES = "blynk", "properties"
_ICONS = "lamassu"


def description(extras: Document) -> str:
    """The description, "" if there is none."""
    return str(_member(extras, *_DESCRIPTION) or "")


def with_description(extras: Document, text: str) -> Document:
    """The extras with another description, and as they are if it is the same."""
    return extras if text == description(extras) else _with_member(extras, *_DESCRIPTION, text)


def environment(extras: Document) -> str:
    """The mode in which a device was made: which of an organization's applications are told of it."""
    return str(_member(extras, *_ENVIRONMENT) or DEFAULT_ENVIRONMENT)


def with_environment(extras: Document, env: str) -> Document:
    return _with_member(extras, *_ENVIRONMENT, env)


def with_display_property(extras: Document, pin: str, name: str, value: str) -> Document:
    """How the datastream at a pin is to be displayed, beside what was said of it before."""
    properties = _member(extras, *_PROPERTIES) or {}
    return _with_member(extras, *_PROPERTIES, {**properties, pin: {**properties.get(pin, {}), name: value}})


def icons(extras: Document) -> tuple[str, str]:
    """The icon and its color, each "" if there is none."""
    if extras == EMPTY:
        return "", ""
    shown = documents.load(extras).get(_ICONS, {})
    return shown.get("icon", ""), shown.get("icon_color", "")


def of_icons(icon: str, color: str) -> Document:
    """The extras of a new device with an icon and its color, or without either."""
    return documents.of({_ICONS: {"icon": icon, "icon_color": color}}, "icon") if icon or color else EMPTY


def _member(extras: Document, vendor: str, name: str) -> Any:
    if extras == EMPTY:
        return None
    return documents.load(extras).get(vendor, {}).get(name)


def _with_member(extras: Document, vendor: str, name: str, value: object) -> Document:
    members = documents.load(extras)
    return documents.of({**members, vendor: {**members.get(vendor, {}), name: value}}, name)
