"""The bodies of the Blynk organization API, on the wire as its documentation spells them.

Times are milliseconds since 1970. Members that the vendor does not know are ignored, as its clients may send more.
"""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class Message(Struct):
    message: str


class Failure(Struct):
    error: Message


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
    """A device with when it came and went; 0 is never."""

    lifecycle_status: LifecycleStatus | UnsetType = UNSET
    first_connect_time: int
    firmware_updated_at: int
    connect_time: int
    disconnect_time: int
    ip: str
    is_locked: bool
    last_received_event_at: int


class DataStreamValue(Struct, rename="camel"):
    data_stream_id: int
    pin: str
    data_stream_label: str
    data_stream_alias: str
    value: Any = UNSET
    updated_at: int | UnsetType = UNSET


class MetaFieldValue(Struct):
    id: int
    name: str
    value: dict[str, Any]


class DeviceDetails(DeviceBaseInfo, rename="camel", kw_only=True):
    data_stream_values: list[DataStreamValue]
    meta_field_values: list[MetaFieldValue]


class DevicePage(Struct, rename="camel"):
    content: list[Device]
    total_elements: int


class NewDevice(Struct, rename="camel"):
    """`templateId` is the `TMPL…` of the firmware."""

    template_id: str
    name: str | None = None
    org_id: Id | None = None
    organization_id: Id | None = None
    owner_id: Id | None = None
    base_info: bool = False


class DeviceName(Struct):
    name: str


class Online(Struct):
    connected: bool


class DeviceTag(Struct, rename="camel"):
    id: int
    tag_owner_org_id: int
    name: str


class TimelineEvent(Struct, rename="camel"):
    id: int
    event_id: int
    org_id: int
    event_type: str
    description: str
    ts: int
    is_resolved: bool = False
    resolved_at: int = 0
    resolved_comment: str | None = None


class TimelinePage(Struct, rename="camel"):
    content: list[TimelineEvent]
    total_elements: int


class ActionLog(Struct, rename="camel"):
    """What was done with a key, which `triggerUserEmail` names as the timeline does.

    `value` is what was written to `pin`, or says what else was done.
    """

    trigger_user_email: str
    value: Any
    pin: int | None
    pin_type: str | None
    is_online: bool
    created_at: int


class ActionLogPage(Struct, rename="camel"):
    content: list[ActionLog]
    total_elements: int


class Transfer(Struct, rename="camel"):
    """A new owner or a new organization, each under any of its names."""

    device_id: Id
    new_user_id: Id | None = None
    new_owner_id: Id | None = None
    user_id: Id | None = None
    owner_id: Id | None = None
    new_org_id: Id | None = None
    new_organization_id: Id | None = None
    org_id: Id | None = None
    organization_id: Id | None = None


class TriggerEvent(Struct, rename="camel"):
    device_id: Id
    event_code: str
    event_description: str | None = None


class ActivatedDevice(Struct, rename="camel"):
    id: int
    template_id: int
    org_id: int
    owner_user_id: int | None
    activation_time: int


class DeviceMetaField(Struct, rename="camel"):
    id: int
    name: str
    is_mandatory: bool
    include_in_provision: bool
    value: dict[str, Any]


class MetaFieldChange(Struct, rename="camel"):
    """`newValue` is a text or a number; for a value of several members also an object of them."""

    device_id: Id
    meta_field_id: Id
    new_value: Any


class Address(Struct, rename="camel"):
    full_address: str | None = None
    country: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None


class PastValue(Struct, rename="camel"):
    created_at: int
    value: Any


class HistoryPage(Struct, rename="camel"):
    content: list[PastValue]
    total_elements: int


class DataStreamWrite(Struct, rename="camel"):
    """`value` is a number, a text or a pair of longitude and latitude."""

    device_id: Id
    data_stream_id: Id
    value: Any


class DataStreamWrites(Struct, rename="camel"):
    """Values by the number of the datastream or by its pin."""

    device_id: Id
    values: dict[str, Any]


class DataStreamProperty(Struct, rename="camel"):
    device_id: Id
    data_stream_id: Id
    property: str
    value: str


class TimedValue(Struct):
    """`ts` is in milliseconds."""

    value: Any
    ts: Annotated[int, Meta(ge=0, le=2**53)]


class DataStreamImport(Struct, rename="camel"):
    device_id: Id
    data_stream_id: Id
    values: list[TimedValue]


class Organization(Struct, rename="camel"):
    id: int
    name: str
    description: str | None
    parent_organization_id: int | None
    tz: str
    unit_system: str
    phone_number: str | None
    address: Address | None
    last_modified_ts: int
    is_active: bool


class NewOrganization(Struct, rename="camel"):
    """`type` must be one of the vendor's; no reply shows it, so it is not kept. `unitSystem` is METRIC or IMPERIAL."""

    name: Annotated[str, Meta(min_length=3, max_length=100)]
    parent_id: Id | None = None
    type: str | None = None
    description: str | None = None
    tz: str | None = None
    unit_system: str | None = None
    phone_number: str | None = None
    address: Address | None = None


class OrganizationPage(Struct, rename="camel"):
    content: list[Organization]
    total_elements: int


class User(Struct, rename="camel"):
    id: int
    name: str
    email: str
    role_id: int
    org_id: int
    is_dev: bool
    title: str | None
    nick_name: str | None
    phone_number: str | None
    tz: str | None
    locale: str | None
    status: str
    last_modified_ts: int
    last_logged_at: int
    registered_at: int


class UserPage(Struct, rename="camel"):
    content: list[User]
    total_elements: int


class NewClient(Struct, rename="camel"):
    """Clients have tokens by their secret alone, so there is no address to be sent back to."""

    name: str
    org_id: Id | None = None
    redirect_urls: Annotated[list[str], Meta(max_length=0)] = []


class Client(Struct, rename="camel"):
    """The secret is shown this once."""

    org_id: int
    name: str
    client_id: str
    secret: str
    redirect_urls: list[str]


class NewUser(Struct, rename="camel"):
    """Users do not sign in here, so a password is ignored. `roleId` is 1 (admin), 2 (staff) or 3 (user)."""

    email: str
    name: str | None = None
    org_id: Id | None = None
    organization_id: Id | None = None
    role_id: int = 3
    title: str | None = None
    nick_name: str | None = None
    phone_number: str | None = None
    tz: str | None = None
    locale: str | None = None
    address: Address | str | None = None


class Founder(Struct, rename="camel"):
    """A user with an organization of its own, which is named after the user if nothing else is said."""

    email: str
    name: str
    organization_name: str | None = None
    time_zone: str | None = None


class Registration(Struct, rename="camel"):
    email: str
    locale: str | None = None


class UserTransfer(Struct, rename="camel"):
    user_id: Id
    target_org_id: Id
    role_id: int


class Template(Struct, rename="camel"):
    id: int
    template_ids: list[str]
    org_id: int
    name: str


class TemplateDetails(Template, rename="camel", kw_only=True):
    board_type: str | None
    connection_type: str | None
    description: str | None
    logo_url: None
    created_at: int


class TemplatePage(Struct, rename="camel"):
    content: list[Template]
    total_elements: int


class Datastream(Struct, rename="camel"):
    """`type` is INT, DOUBLE, STRING, ENUM or LOCATION; `pin` is its number, `pinType` VIRTUAL, DIGITAL or ANALOG."""

    pin: Annotated[int, Meta(ge=0, le=999)]
    type: str = "DOUBLE"
    pin_type: str = "VIRTUAL"
    label: str | None = None
    alias: str | None = None
    units: str | None = None
    min: float | None = None
    max: float | None = None
    default_value: str | float | None = None
    id: int = 0
    is_analog_pin: bool = False
    is_raw: bool = True
    is_history: bool = True
    is_for_service: bool = False
    is_for_reports: bool = True
    is_for_actions: bool = True
    is_for_conditions: bool = True
    is_sync: bool = False


class EventCode(Struct, rename="camel"):
    event_code: str
    name: str
    type: str = "INFORMATION"
    description: str | None = None
    id: int = 0


class MetaField(Struct, rename="camel"):
    name: str
    type: str = "Text"
    description: str | None = None
    hint: str | None = None
    icon: str | None = None
    is_mandatory: bool = False
    include_in_provision: bool = False
    options: list[str] = []
    id: int = 0


class NewTemplate(Struct, rename="camel"):
    name: str
    description: str | None = None
    board_type: str | None = None
    connection_type: str | None = None
    datastreams: list[Datastream] = []
    events: list[EventCode] = []
    metafields: list[MetaField] = []


class NewTag(Struct, rename="camel"):
    name: str
    org_id: Id | None = None


class TagAssignment(Struct, rename="camel"):
    device_id: Id
    tag_id: Id


class Tag(Struct, rename="camel"):
    """The number is made of the name."""

    id: int
    name: str
    owner_user_id: int | None
