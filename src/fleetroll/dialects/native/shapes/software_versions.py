"""Software versions, which devices report."""

from datetime import datetime

from msgspec import Struct


class SoftwareVersion(Struct):
    """A version that devices reported. It is there from its first report on."""

    id: int
    type: str
    version: str
    created_at: datetime


class SoftwareVersionList(Struct):
    software_versions: list[SoftwareVersion]
    next_cursor: str | None
