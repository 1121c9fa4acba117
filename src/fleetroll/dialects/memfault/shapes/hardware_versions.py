"""Hardware versions, and how newer clients name one."""

from msgspec import Struct

from fleetroll.dialects.memfault.shapes.software_versions import SoftwareType


class HardwareName(Struct):
    """A hardware version as newer clients write it."""

    name: str


class NewHardwareVersion(Struct):
    name: str
    primary_software_type: str | SoftwareType | None = None


class HardwareVersion(Struct):
    id: int
    name: str
    count_devices: int
    primary_software_type: SoftwareType | None
    software_types: list[SoftwareType]
