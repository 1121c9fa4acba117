"""Hardware versions."""

from msgspec import UNSET, Struct, UnsetType

from fleetroll.wire.texts import Kind, Time


class HardwareVersion(Struct):
    id: int
    name: str
    software_type: str | None
    created_at: Time
    updated_at: Time
    revision: int


class HardwareVersionList(Struct):
    hardware_versions: list[HardwareVersion]
    next_cursor: str | None


class NewHardwareVersion(Struct, forbid_unknown_fields=True):
    name: Kind
    software_type: Kind | None = None


class HardwareVersionChange(Struct, forbid_unknown_fields=True):
    software_type: Kind | UnsetType | None = UNSET
