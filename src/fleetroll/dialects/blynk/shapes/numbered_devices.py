"""Devices: as they are shown, listed, created, renamed and handed over."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from fleetroll.core import limits
from fleetroll.dialects.blynk.shapes.datastreams import DataStreamValue
from fleetroll.dialects.blynk.shapes.metafields import MetaFieldValue
from fleetroll.dialects.blynk.shapes.numbers import Id

_PlainName = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": limits.MAX_PLAIN_NAME})]
"""What Blynk's apps can show: letters, digits, blanks and a few marks."""


class HardwareInfo(Struct, rename="camel"):
    """What the device last said of itself."""

    version: str | UnsetType = UNSET
    fw_type: str | UnsetType = UNSET
    board_type: str | UnsetType = UNSET
    build: str | UnsetType = UNSET
    template_id: str | UnsetType = UNSET


class Device(Struct, rename="camel"):
    """`token` is empty for a caller who may not write devices; `templateId` is 0 without a template."""

    id: int
    name: str
    template_id: int
    original_template_id: int
    org_id: int
    token: str
    activated_at: int | UnsetType = UNSET
    owner_user_id: int | UnsetType = UNSET
    hardware_info: HardwareInfo | UnsetType = UNSET


class LifecycleStatus(Struct, rename="camel"):
    event_id: int
    name: str
    icon: str
    color: str


class DeviceBaseInfo(Device, rename="camel", kw_only=True):
    """A device with the times at which it connected and disconnected; 0 is never."""

    lifecycle_status: LifecycleStatus | UnsetType = UNSET
    first_connect_time: int
    firmware_updated_at: int
    connect_time: int
    disconnect_time: int
    ip: str
    is_locked: bool
    last_received_event_at: int


class DeviceDetails(DeviceBaseInfo, rename="camel", kw_only=True):
    data_stream_values: list[DataStreamValue]
    meta_field_values: list[MetaFieldValue]


class CreatedDevice(DeviceBaseInfo, rename="camel", kw_only=True):
    """Without its values where `baseInfo` asks for that."""

    data_stream_values: list[DataStreamValue] | UnsetType = UNSET
    meta_field_values: list[MetaFieldValue] | UnsetType = UNSET


class DevicePage(Struct, rename="camel"):
    content: list[Device]
    total_elements: int


class NewDevice(Struct, rename="camel"):
    """`templateId` is the `TMPL…` of the firmware."""

    template_id: str
    name: _PlainName | None = None
    org_id: Id | None = None
    organization_id: Id | None = None
    owner_id: Id | None = None
    base_info: bool = False


class DeviceName(Struct):
    name: _PlainName


class Online(Struct):
    connected: bool


class DeviceTag(Struct, rename="camel"):
    id: int
    tag_owner_org_id: int
    name: str


class Transfer(Struct, rename="camel"):
    """A new owner or a new organization, each under any of its names."""

    device_id: Id
    new_user_id: Id | None = None
    new_owner_user_id: Id | None = None
    new_owner_id: Id | None = None
    user_id: Id | None = None
    owner_id: Id | None = None
    new_org_id: Id | None = None
    new_organization_id: Id | None = None
    org_id: Id | None = None
    organization_id: Id | None = None


class ActivatedDevice(Struct, rename="camel"):
    id: int
    template_id: int
    org_id: int
    owner_user_id: int | None
    activation_time: int
