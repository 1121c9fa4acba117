"""Software versions, which devices report."""

from msgspec import Struct

from fleetroll.wire.texts import Time


class SoftwareVersion(Struct):
    """A version that devices reported. It is there from its first report on."""

    id: int
    type: str
    version: str
    created_at: Time


class SoftwareVersionList(Struct):
    software_versions: list[SoftwareVersion]
    next_cursor: str | None
