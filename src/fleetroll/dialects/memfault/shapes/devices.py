"""A device as it is read and as it may be written."""

from msgspec import UNSET, Struct, UnsetType

from fleetroll.dialects.memfault.shapes.hardware_versions import HardwareName
from fleetroll.dialects.memfault.shapes.software_versions import Software


class NewDevice(Struct):
    device_serial: str
    hardware_version: str | HardwareName
    owner_ref: str | None = None
    cohort: str | None = None
    nickname: str | None = None
    description: str | None = None


class DeviceChange(Struct):
    hardware_version: str | HardwareName | UnsetType | None = UNSET
    owner_ref: str | UnsetType | None = UNSET
    cohort: str | UnsetType | None = UNSET
    nickname: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET


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
