"""Hardware versions, and how newer clients name one."""

from typing import Annotated

from msgspec import Meta, Struct

from fleetroll.core import limits
from fleetroll.dialects.memfault.shapes.software_versions import SoftwareType

_TypeName = Annotated[str, Meta(extra_json_schema={"maxLength": limits.MAX_VERSION})]
VERSION = r"^(?!\.\.?$)[-a-zA-Z0-9_.+:\\()\[\]/]([-a-zA-Z0-9_.+:\\()\[\]/ ]{0,126}[-a-zA-Z0-9_.+:\\()\[\]/])?$"
"""The name of a version, which has to fit into a path: no blank at either end, and neither `.` nor `..`."""
Version = Annotated[str, Meta(extra_json_schema={"pattern": VERSION})]


class HardwareName(Struct):
    """A hardware version as newer clients write it."""

    name: Version


class NewHardwareVersion(Struct):
    name: Version
    primary_software_type: _TypeName | SoftwareType | None = None


class HardwareVersion(Struct):
    id: int
    name: str
    count_devices: int
    primary_software_type: SoftwareType | None
    software_types: list[SoftwareType]
