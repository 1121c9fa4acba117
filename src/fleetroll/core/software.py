"""What a device says of the software it runs."""

from fleetroll.core import documents
from fleetroll.core.documents import Document
from fleetroll.core.model import DEFAULT_SOFTWARE_TYPE


def type_and_version(software: Document | None) -> tuple[str, str] | None:
    """The type and version that a device's software names; None if it has none, or an empty one."""
    if software is None:
        return None
    members = documents.load(software)
    version = members.get("version")
    return (members.get("type") or DEFAULT_SOFTWARE_TYPE, version) if isinstance(version, str) and version else None
