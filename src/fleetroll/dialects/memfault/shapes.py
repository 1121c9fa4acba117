"""The bodies of the Memfault API, on the wire as its documentation spells them.

Members that the vendor does not know are ignored. Times are ISO 8601 with six digits and an offset.
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType


class HardwareName(Struct):
    """A hardware version as newer clients write it."""

    name: str


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


class SoftwareType(Struct, kw_only=True):
    """`id` is made of the name; nothing is looked up by it."""

    id: int = 0
    name: str


class Software(Struct):
    """The software that a device last reported."""

    id: int
    version: str
    archived: bool
    software_type: SoftwareType


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


class One(Struct):
    """The envelope of one record."""

    data: Any


class Paging(Struct):
    item_count: int
    total_count: int
    page: int
    page_count: int
    per_page: int


class Many(Struct):
    data: list[Any]
    paging: Paging


class Cohort(Struct):
    id: int
    name: str
    slug: str
    count_devices: int
    last_deployment: None
    created_date: str
    updated_date: str


class NewCohort(Struct):
    name: str
    slug: str | None = None


class CohortChange(Struct):
    name: str | UnsetType = UNSET
    slug: str | UnsetType = UNSET


class Placing(Struct):
    """The devices to move; either name is taken."""

    devices: list[str] = []
    device_serials: list[str] = []


class Project(Struct):
    id: int
    name: str
    slug: str
    platform: str | None
    os: str | None
    api_key: str | None
    count_devices: int
    created_date: str
    updated_date: str


class NewProject(Struct):
    name: str
    slug: str | None = None
    platform: str | None = None
    os: str | None = None


class ProjectChange(Struct):
    name: str | None = None
    platform: str | UnsetType | None = UNSET
    os: str | UnsetType | None = UNSET


class ApiKey(Struct):
    api_key: str


class Organization(Struct):
    id: int
    name: str
    slug: str


class Me(Struct):
    """The caller. A key has no address; `email` is empty."""

    id: int
    email: str
    name: str
    created_date: str
    updated_date: str
    organizations: list[Organization]


class NewHardwareVersion(Struct):
    name: str
    primary_software_type: str | SoftwareType | None = None


class HardwareVersion(Struct):
    id: int
    name: str
    count_devices: int
    primary_software_type: SoftwareType | None
    software_types: list[SoftwareType]


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


Scalar = str | int | float | bool | None


class Attribute(Struct):
    """One attribute to set; null takes it away."""

    string_key: str
    value: Scalar


class Range(Struct, frozen=True):
    min: None = None
    max: None = None
    min_inclusive: bool = True
    max_inclusive: bool = True


class CustomMetric(Struct):
    """The definition of an attribute. Ranges and policies are always the vendor's defaults."""

    id: str
    string_key: str
    display_name: str
    description: str
    data_type: str
    favorite: bool = False
    range: Range = Range()
    range_violation_behavior: str = "accept"
    device_write_policy: str = "writable"


class AttributeState(Struct):
    value: Scalar
    time: str
    created_date: str
    updated_date: str


class AttributeItem(Struct):
    """`state` is null for an attribute that is defined and that the device has not."""

    string_key: str
    custom_metric: CustomMetric
    state: AttributeState | None


class NewCustomMetric(Struct):
    string_key: str
    data_type: str
    display_name: str = ""
    description: str = ""


class Event(Struct):
    """What a device reports as JSON. Older firmware gives its version by one of the other names."""

    device_serial: str
    type: str = ""
    hardware_version: str | None = None
    software_type: str | None = None
    software_version: str | None = None
    release_version: str | None = None
    fw_version: str | None = None
    captured_date: str | None = None
    event_info: dict[str, Any] | None = None


class QueueStatus(Struct):
    status: str


class Asking(Struct):
    """A device that asks for its configuration."""

    device_serial: str
    hardware_version: str | None = None
    software_type: str | None = None
    software_version: str | None = None


class DeviceConfigRequest(Struct):
    device: Asking


class Reboot(Struct):
    type: str
    time: str
    reason: int
    mcu_reason_register: int | None
    software_version: Software | None
