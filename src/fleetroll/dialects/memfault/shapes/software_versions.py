"""Software versions, which devices report, and their types."""

from msgspec import Struct


class SoftwareType(Struct, kw_only=True):
    """`id` is derived from the name; nothing is looked up by it."""

    id: int = 0
    name: str


class Software(Struct):
    """The software that a device last reported."""

    id: int
    version: str
    archived: bool
    software_type: SoftwareType


class LatestSoftware(Struct):
    id: int
    version: str
    archived: bool


class SoftwareTypeDetails(Struct):
    id: int
    name: str
    archived: bool
    created_date: str
    latest_software_version: LatestSoftware | None
    software_versions_count: int
    software_version_string_format: None


class SoftwareVersion(Struct):
    id: int
    version: str
    archived: bool
    created_date: str
    software_type: SoftwareType
