"""The canonical records: one frozen value per noun, spelled as the product spells it.

A record knows neither a vendor's field names nor a table's columns, and what is done with it is done elsewhere. Times
are integer microseconds since 1970 UTC (`Instant`); documents are JSON text (`Document`), parsed only by what looks
inside.
"""

import enum
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs

from fleetroll.core.documents import EMPTY, Document
from fleetroll.core.lifecycle import Status
from fleetroll.core.policy import Role

Instant = int
R = TypeVar("R")


class UnitSystem(enum.Enum):
    METRIC = "metric"
    IMPERIAL = "imperial"


class Address(Struct, frozen=True, omit_defaults=True):
    """Where somebody is, in whole and in parts."""

    full: str | None = None
    country: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None


class OrganizationProfile(Struct, frozen=True, omit_defaults=True):
    """What people say about their organization. Nothing here depends on it.

    `platform` and `os` are those of its devices.
    """

    description: str | None = None
    time_zone: str = "UTC"
    unit_system: UnitSystem = UnitSystem.METRIC
    phone: str | None = None
    address: Address | None = None
    platform: str | None = None
    os: str | None = None

    def changed(self, given: Mapping[str, Any]) -> "OrganizationProfile":
        """The profile with the given members replaced; of the address, only the given parts are."""
        parts = given.get("address")
        if parts is None:
            return structs.replace(self, **given)
        return structs.replace(self, **{**given, "address": structs.replace(self.address or Address(), **parts)})


class Organization(Struct, frozen=True):
    """A tenant. `lineage` lists the ids from the root down to this one, so a subtree test needs no query.

    `key_version` counts the rotations of its project key, which is derived and stored nowhere.
    """

    id: int
    parent: int | None
    slug: str
    name: str
    lineage: tuple[int, ...]
    disabled: bool
    quotas: dict[str, int]
    created_at: Instant
    updated_at: Instant
    revision: int
    key_version: int = 1
    profile: OrganizationProfile = OrganizationProfile()

    @property
    def tenant(self) -> int:
        """The organization directly below the root that this one is, or is below; the root's own is itself."""
        return self.lineage[:2][-1]


class KeyKind(enum.Enum):
    """How a key is presented: as one token, as an OAuth2 client, or to the broker by its public half."""

    API = "api"
    OAUTH = "oauth"
    NATS = "nats"


class Key(Struct, frozen=True):
    """An API key as it may be shown: everything but the secret, which is stored only as a keyed hash."""

    id: int
    org: int
    name: str
    kind: KeyKind
    role: Role
    scopes: tuple[str, ...]
    created_at: Instant
    expires_at: Instant | None = None
    revoked_at: Instant | None = None
    last_used_at: Instant | None = None


class Protocol(enum.Enum):
    """How a device speaks with the broker."""

    NATS = "nats"
    MQTT = "mqtt"


class Credential(Struct, frozen=True):
    """What a device shows to the broker, without its secrets, which are stored nowhere.

    `account` and `user` are names on the broker; `public_id` is the device's own there.
    """

    id: int
    org: int
    device: int
    account: str
    user: str
    public_id: str
    created_at: Instant
    kind: Protocol = Protocol.NATS


class Principal(Struct, frozen=True):
    """The caller: a verified key, the organization it acts in, and the key's own, `home`.

    `actor` is how the timeline names it. `device` is the number of a device that shows its own credential; its key,
    like that of a project, exists nowhere but here and has the id 0.
    """

    key: Key
    org: Organization
    home: Organization
    actor: str
    device: int | None = None

    @property
    def is_stranger(self) -> bool:
        """Whether it is anybody who asks a DMS: what they present, if anything, is checked later."""
        return self.key.role is Role.ENROLLEE

    def acting_in(self, org: Organization) -> "Principal":
        """The same caller in another organization."""
        return Principal(self.key, org, self.home, self.actor, self.device)


class Device(Struct, frozen=True, gc=False):
    """The one record that every dialect reads and writes.

    Without a cohort it is in the default one. `identity` is its slot, whose status changes next at `identity_due`.
    `metadata_times` has the time of each metadata member that changed after the device's creation. `connected` and
    `last_seen` follow the device's traffic and leave the revision alone, as does `spoke_at`: when it last sent
    something other than through a broker.
    """

    id: int
    org: int
    ident: str
    name: str | None
    kind: str | None
    hardware_version: str | None
    software: Document | None
    metadata: Document
    tags: tuple[str, ...]
    owners: tuple[str, ...]
    schema: Document
    config: Document
    status: Status
    connected: bool
    last_seen: Instant | None
    activated_at: Instant | None
    created_at: Instant
    updated_at: Instant
    revision: int
    extras: Document
    cohort: str | None = None
    template: int | None = None
    dms: str | None = None
    identity: Document | None = None
    identity_due: Instant | None = None
    metadata_times: Document = EMPTY
    token_version: int = 1
    spoke_at: Instant | None = None


def length_of_documents(device: Device) -> int:
    """How many bytes the documents of a device have, which are what may be large."""
    slot = 0 if device.identity is None else len(device.identity)
    return len(device.metadata) + len(device.config) + len(device.schema) + len(device.extras) + slot


def led_by(owners: tuple[str, ...], first: str) -> tuple[str, ...]:
    """The owners of a device with `first` in place of the first one, which some dialects take for the only one."""
    return (first, *(owner for owner in owners[1:] if owner != first))


class NewDevice(Struct, frozen=True, gc=False):
    """What a caller may decide of a device at its creation."""

    ident: str
    name: str | None = None
    kind: str | None = None
    hardware_version: str | None = None
    software: Document | None = None
    metadata: Document = EMPTY
    tags: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    schema: Document = EMPTY
    config: Document = EMPTY
    extras: Document = EMPTY
    cohort: str | None = None
    template: int | None = None
    dms: str | None = None


class DeviceChange(Struct, frozen=True, gc=False):
    """Members to replace; what is UNSET stays."""

    ident: str | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    kind: str | UnsetType | None = UNSET
    hardware_version: str | UnsetType | None = UNSET
    software: Document | UnsetType | None = UNSET
    metadata: Document | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    owners: tuple[str, ...] | UnsetType = UNSET
    schema: Document | UnsetType = UNSET
    config: Document | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    extras: Document | UnsetType = UNSET
    cohort: str | UnsetType | None = UNSET
    template: int | UnsetType | None = UNSET
    dms: str | UnsetType | None = UNSET
    identity: Document | UnsetType | None = UNSET
    identity_due: Instant | UnsetType | None = UNSET
    activated_at: Instant | UnsetType | None = UNSET
    token_version: int | UnsetType = UNSET


CHANGEABLE = DeviceChange.__struct_fields__


def unstored(kind: Callable[..., R], /, **members: Any) -> R:
    """A record as a caller describes it: the store will number it, and the service date it."""
    return kind(id=0, org=0, **members, created_at=0, updated_at=0, revision=0)


class OwnerRole(enum.Enum):
    """What an owner is to the organization. It grants nothing here: permissions come from the caller's key."""

    ADMIN = "admin"
    STAFF = "staff"
    USER = "user"


class OwnerStatus(enum.Enum):
    """How an owner stands with the organization."""

    PENDING = "pending"  # invited
    ACTIVE = "active"
    INACTIVE = "inactive"
    SUSPENDED = "suspended"


class Owner(Struct, frozen=True):
    """A customer who may own devices. `ref` is an e-mail address, or another reference where there is none.

    While a new reference is being written to very many devices there are two owners, each with the other's id as
    `twin`: the older one, which stays and is named by the devices yet to be changed, and one with the new reference.
    """

    id: int
    org: int
    ref: str
    name: str | None
    phone: str | None
    address: str | None
    created_at: Instant
    updated_at: Instant
    revision: int
    role: OwnerRole = OwnerRole.USER
    status: OwnerStatus = OwnerStatus.ACTIVE
    title: str | None = None
    nickname: str | None = None
    time_zone: str | None = None
    locale: str | None = None
    twin: int | None = None


class Tag(Struct, frozen=True):
    """A tag that exists whether or not a device has it."""

    id: int
    org: int
    name: str
    created_at: Instant
    updated_at: Instant
    revision: int


class Criterion(Struct, frozen=True):
    """One thing that a group asks of its members, in words of `core.bracketed`; the field is named as we do."""

    field: str
    operator: str
    value: str


class Group(Struct, frozen=True):
    """A saved filter: its members are whatever is found now by its filter, its criteria, and those of its parents.

    `uid` is the UUID that was chosen for it; `core.groups.uid` gives that of any group.
    """

    id: int
    org: int
    name: str
    description: str | None
    filter: str
    criteria: tuple[Criterion, ...]
    parent_id: int | None
    uid: str | None
    created_at: Instant
    updated_at: Instant
    revision: int


class Cohort(Struct, frozen=True):
    """A named set of devices; each device is in exactly one. `slug` names it in paths."""

    id: int
    org: int
    slug: str
    name: str
    created_at: Instant
    updated_at: Instant
    revision: int


DEFAULT_COHORT = "default"
"""The slug and name of the cohort that every organization has; a device without a cohort is in it."""


class HardwareVersion(Struct, frozen=True):
    """A kind of hardware that devices name. `software_type` is what usually runs on it."""

    id: int
    org: int
    name: str
    software_type: str | None
    created_at: Instant
    updated_at: Instant
    revision: int


class SoftwareVersion(Struct, frozen=True):
    """One version of one type of software that a device was said to run."""

    id: int
    org: int
    type: str
    version: str
    created_at: Instant


DEFAULT_SOFTWARE_TYPE = "main"
"""The type of software that names none."""


class FieldKind(enum.Enum):
    """The type that a defined metadata field holds its values to."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    JSON = "json"


class MetadataField(Struct, frozen=True):
    """The definition of one top-level metadata member: values of another type are refused."""

    id: int
    org: int
    name: str
    kind: FieldKind
    description: str | None
    required: bool
    created_at: Instant
    updated_at: Instant
    revision: int


class DatastreamKind(enum.Enum):
    """What a datastream carries."""

    INTEGER = "integer"
    DOUBLE = "double"
    STRING = "string"
    ENUM = "enum"
    LOCATION = "location"  # longitude and latitude


class Datastream(Struct, frozen=True, omit_defaults=True):
    """One stream of readings. Its metric has the name of the alias, or of the pin where there is no alias."""

    id: int
    pin: str
    kind: DatastreamKind = DatastreamKind.DOUBLE
    alias: str | None = None
    label: str | None = None
    unit: str | None = None
    unit_symbol: str | None = None
    min: float | None = None
    max: float | None = None
    default: str | float | None = None


class EventKind(enum.Enum):
    """How much an event matters, or what it is about."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    INFORMATION = "INFORMATION"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"
    CONTENT = "CONTENT"
    INACTIVE = "INACTIVE"
    LIFECYCLE = "LIFECYCLE"
    NOTE = "NOTE"


class EventCode(Struct, frozen=True, omit_defaults=True):
    """An event that a device may log. `daily_limit` is how often in a day; None leaves it to `limits`."""

    id: int
    code: str
    name: str
    kind: EventKind = EventKind.INFORMATION
    description: str | None = None
    daily_limit: int | None = None


class MetafieldKind(enum.Enum):
    """What a metafield's value is. See `metafields` for the values of each."""

    __hash__ = object.__hash__  # as in policy

    TEXT = "Text"
    NUMBER = "Number"
    RANGE = "Range"
    TIME = "Time"
    COORDINATES = "Coordinates"
    DEVICE_REFERENCE = "DeviceReference"
    LIST = "List"
    TEMPLATE_ID = "TemplateId"
    CONTACT = "Contact"
    EMAIL = "Email"
    DEVICE_NAME = "DeviceName"
    DEVICE_OWNER = "DeviceOwner"
    TIME_ZONE = "Tz"


class Metafield(Struct, frozen=True, omit_defaults=True):
    """A typed member of the metadata of every device of a template.

    `options` are the texts to choose from, where the kind is a choice; `templates` those whose devices may be named.
    """

    id: int
    name: str
    kind: MetafieldKind = MetafieldKind.TEXT
    description: str | None = None
    hint: str | None = None
    icon: str | None = None
    mandatory: bool = False
    in_provisioning: bool = False
    options: tuple[str, ...] = ()
    templates: tuple[int, ...] = ()
    default: Any = None


class Template(Struct, frozen=True):
    """What devices of one make have in common. `last_part` is the highest number that was ever given to a part."""

    id: int
    org: int
    name: str
    description: str | None
    board: str | None
    connection: str | None
    datastreams: tuple[Datastream, ...]
    events: tuple[EventCode, ...]
    metafields: tuple[Metafield, ...]
    last_part: int
    created_at: Instant
    updated_at: Instant
    revision: int


class Event(Struct, frozen=True):
    """One entry of the timeline, which is also the outbox. `subject` names the noun, `subject_id` the record."""

    id: int
    org: int
    at: Instant
    type: str
    subject: str
    subject_id: int
    name: str
    actor: str
    request: str
    data: msgspec.Raw
    reported_at: Instant | None = None


class NewEvent(Struct, frozen=True, gc=False):
    """An entry to be written; the store numbers it. `reported_at` is by the clock of who said it."""

    org: int
    at: Instant
    type: str
    subject: str
    subject_id: int
    name: str
    actor: str
    request: str
    data: msgspec.Raw = EMPTY
    reported_at: Instant | None = None


SERVER = "server"
"""The actor of what nobody has asked for."""


class Counts(Struct, frozen=True):
    """How many devices there are, in all and by the values of the usual fields."""

    total: int
    by_status: dict[str, int]
    by_kind: dict[str, int]
    by_tag: dict[str, int]
    by_connected: dict[str, int]
    by_cohort: dict[str, int]


PRODUCTION = ""
"""The mode whose readings every API shows. RelayX has others besides."""

SeriesKey = tuple[int, str, str]
"""What identifies a series of readings: the device, the mode and the metric."""


class Reading(Struct, frozen=True, gc=False):
    """What a device reported of one metric at one time. `value` is a JSON value, and never null."""

    device: int
    metric: str
    at: Instant
    value: Any
    mode: str = PRODUCTION

    @property
    def series(self) -> SeriesKey:
        return self.device, self.mode, self.metric


class Span(Struct, frozen=True):
    """A stretch of time, from `since` to just before `until`."""

    since: Instant
    until: Instant


class Bucket(Struct, frozen=True):
    """Aggregates of a metric's values within one interval, in which there is at least one. A boolean counts as 0 or 1.

    `median` and `stddev` (of a sample) are None where they were not asked for; so is `stddev` of one value, and where
    one is vast (`limits.VAST_NUMBER`). `sum` is None where it overflowed.
    """

    at: Instant
    count: int
    min: float
    max: float
    sum: float | None
    first: float
    last: float
    median: float | None = None
    stddev: float | None = None

    @property
    def mean(self) -> float | None:
        return None if self.sum is None else self.sum / self.count


class Reporter(Struct, frozen=True, gc=False):
    """What handling a device's traffic needs of it: what it may report, and its presence.

    `linked` is whether it has a connection to a broker.
    """

    id: int
    ident: str
    schema: Document
    connected: bool
    last_seen: Instant | None
    template: int | None = None
    spoke_at: Instant | None = None
    linked: bool = False


class Link(Struct, frozen=True):
    """A device's connection to a broker, by the name that the broker gave it."""

    org: int
    device: int
    name: str


class StreamPosition(Struct, frozen=True):
    """The last message of a broker's stream that is in the store, and when the broker had stored it; 0 if none is."""

    sequence: int = 0
    at: Instant = 0


class KnownAs(Struct, frozen=True):
    """What applications on a broker know a device by; `env` is the mode in which they hear of it."""

    ident: str
    env: str
    public_id: str
