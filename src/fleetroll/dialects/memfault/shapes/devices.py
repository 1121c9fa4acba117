"""A device as it is read and as it may be written."""

from msgspec import UNSET, Struct, UnsetType

from fleetroll.dialects.memfault.shapes.hardware_versions import HardwareName, Version
from fleetroll.dialects.memfault.shapes.software_versions import Software
from fleetroll.wire.texts import Line, Paragraph, ReferenceIfAny, Slug


class NewDevice(Struct):
    device_serial: Slug
    hardware_version: Version | HardwareName
    owner_ref: ReferenceIfAny | None = None
    cohort: Slug | None = None
    nickname: Line | None = None
    description: Paragraph | None = None


class DeviceChange(Struct):
    hardware_version: Version | HardwareName | UnsetType | None = UNSET
    owner_ref: ReferenceIfAny | UnsetType | None = UNSET
    cohort: Slug | UnsetType | None = UNSET
    nickname: Line | UnsetType | None = UNSET
    description: Paragraph | UnsetType | None = UNSET


class Release(Struct):
    """The software that a device last reported, as older clients read it."""

    id: int
    version: str
    revision: str


class InCohort(Struct):
    id: int
    name: str
    slug: str


class InProject(Struct):
    id: int
    name: str
    slug: str


class Device(Struct):
    id: int
    created_date: str
    updated_date: str
    device_serial: str
    owner_ref: str
    hardware_version: str | HardwareName
    last_seen: str | None
    last_seen_release: Release | None
    cohort: InCohort
    nickname: str
    description: str
    project: InProject
    last_seen_software_version: Software | None
