"""Where a device's description lies: in its extras, as only one API shows it."""

from fleetroll.core import documents
from fleetroll.core.documents import EMPTY, Document

_VENDOR, _MEMBER = "memfault", "description"


def read(extras: Document) -> str:
    """The description, "" if there is none."""
    if extras == EMPTY:
        return ""
    found = documents.load(extras).get(_VENDOR)
    return str(found.get(_MEMBER) or "") if isinstance(found, dict) else ""


def write(extras: Document, text: str) -> Document:
    """The extras with another description, and as they are if it is the same."""
    if text == read(extras):
        return extras
    members = documents.load(extras)
    own = members.get(_VENDOR)
    return documents.of({**members, _VENDOR: {**(own if isinstance(own, dict) else {}), _MEMBER: text}}, _MEMBER)
