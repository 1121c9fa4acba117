"""What devices send and ask, and the reboots that they reported."""

from typing import Any

from msgspec import Struct

from fleetroll.dialects.memfault.shapes.software_versions import Software
from fleetroll.wire.texts import Slug


class Event(Struct):
    """What a device reports as JSON. Older firmware gives its version by one of the other names."""

    device_serial: Slug
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
