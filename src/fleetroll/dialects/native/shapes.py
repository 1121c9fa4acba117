"""The bodies of our own API. Unknown members are refused; those that a reply has and nobody may set are ignored."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from fleetroll.core.certificates import KeyType, State
from fleetroll.core.dms import Proof, Registration
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import DatastreamKind, EventKind, MetafieldKind

Seconds = Annotated[int, Meta(ge=0, le=100 * 365 * 86_400)]
Limit = Annotated[int, Meta(ge=0, le=2**53)]


class Software(Struct, forbid_unknown_fields=True):
    """What a device last reported to run."""

    type: str | None = None
    version: str | None = None
    build: str | None = None


class Device(Struct, gc=False):
    id: int
    ident: str
    name: str | None
    kind: str | None
    hardware_version: str | None
    software: Raw | None
    metadata: Raw
    tags: tuple[str, ...]
    owners: tuple[str, ...]
    schema: Raw
    config: Raw
    template: int | None
    status: Status
    connected: bool
    last_seen: datetime | None
    activated_at: datetime | None
    created_at: datetime
    updated_at: datetime
    revision: int
    cohort: str


class DeviceInput(Struct, forbid_unknown_fields=True):
    """A device as a client writes it. A device as it was read may be sent back: read-only members are ignored."""

    ident: str | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    kind: str | UnsetType | None = UNSET
    hardware_version: str | UnsetType | None = UNSET
    software: Software | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    owners: list[str] | UnsetType = UNSET
    schema: dict[str, Any] | UnsetType = UNSET
    config: dict[str, Any] | UnsetType = UNSET
    template: int | UnsetType | None = UNSET
    cohort: str | UnsetType | None = UNSET
    id: Any = UNSET
    status: Any = UNSET
    connected: Any = UNSET
    last_seen: Any = UNSET
    activated_at: Any = UNSET
    created_at: Any = UNSET
    updated_at: Any = UNSET
    revision: Any = UNSET


class NewDevice(DeviceInput, forbid_unknown_fields=True, kw_only=True):
    ident: str


class ImportedDevice(NewDevice, forbid_unknown_fields=True, kw_only=True):
    """A device of an import, with what another server knew of it and nobody can set otherwise."""

    description: str | UnsetType = UNSET
    seen_at: datetime | UnsetType = UNSET


class DeviceList(Struct):
    devices: list[Device]
    next_cursor: str | None
    total: int | UnsetType = UNSET


class Problem(Struct, omit_defaults=True):
    """RFC 9457. `code` is stable and for programs; `field` names the offending input."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    field: str | None = None
    errors: dict[str, Any] = {}


class RowError(Struct, omit_defaults=True):
    code: str
    message: str
    field: str | None = None


class RowResult(Struct, omit_defaults=True):
    """What became of one row or device: created, updated, unchanged, deleted or failed."""

    outcome: str
    ident: str | None = None
    line: int = 0
    error: RowError | None = None


class BulkUpdate(Struct, forbid_unknown_fields=True):
    """`filter` says which devices; an empty one must be meant, so it is refused unless `all` is true."""

    set: DeviceInput
    filter: str = ""
    all: bool = False
    dry_run: bool = False


class BulkTag(Struct, forbid_unknown_fields=True):
    add: list[str] = []
    remove: list[str] = []
    filter: str = ""
    all: bool = False
    dry_run: bool = False


class BulkDelete(Struct, forbid_unknown_fields=True):
    filter: str = ""
    all: bool = False
    dry_run: bool = False


class Transfer(Struct, forbid_unknown_fields=True):
    """New owners, a new organization below the caller's own, or both."""

    owners: list[str] | UnsetType = UNSET
    organization: str | UnsetType = UNSET


class NewReading(Struct, forbid_unknown_fields=True):
    """One value of one metric; without a time it is of now."""

    metric: str
    value: Any
    at: datetime | None = None


class NewReadings(Struct, forbid_unknown_fields=True):
    """Up to 10,000 of one device, stored together or not at all. The same metric and time again replaces the value."""

    readings: list[NewReading]


class Written(Struct):
    written: int


class Reading(Struct, gc=False):
    metric: str
    at: datetime
    value: Any


class Telemetry(Struct):
    """The last reading of each metric, or readings of one, or its numbers by stretches of time.

    Each of the latter has the time `at` of its beginning and a member for each aggregate that was asked for.
    """

    readings: list[Reading] | UnsetType = UNSET
    buckets: list[dict[str, Any]] | UnsetType = UNSET
    next_cursor: str | UnsetType | None = UNSET


class Credentials(Struct):
    """Which kinds of credentials the device has, and its token for keys that may write devices."""

    kinds: tuple[str, ...]
    device_token: str | UnsetType | None = UNSET
    broker: "list[Credential] | UnsetType" = UNSET
    nats: "NatsCredentials | UnsetType" = UNSET


class Stats(Struct):
    total: int
    by_status: dict[str, int]
    by_kind: dict[str, int]
    by_tag: dict[str, int]
    by_connected: dict[str, int]
    by_cohort: dict[str, int]


class Event(Struct):
    id: int
    at: datetime
    type: str
    subject: str
    subject_id: int
    name: str
    actor: str
    request_id: str
    data: Raw


class EventList(Struct):
    events: list[Event]
    next_cursor: str | None


class Address(Struct, forbid_unknown_fields=True):
    full: str | None = None
    country: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None


class Organization(Struct):
    id: int
    slug: str
    name: str
    parent_id: int | None
    disabled: bool
    quotas: dict[str, int]
    created_at: datetime
    updated_at: datetime
    revision: int
    description: str | None
    time_zone: str
    unit_system: str
    phone: str | None
    address: Address | None
    platform: str | None
    os: str | None
    usage: dict[str, int] | UnsetType = UNSET


class OrganizationList(Struct):
    organizations: list[Organization]
    next_cursor: str | None


class NewOrganization(Struct, forbid_unknown_fields=True):
    """`unit_system` is metric or imperial."""

    slug: str
    name: str | None = None
    quotas: dict[str, Limit] = {}
    description: str | None = None
    time_zone: str = "UTC"
    unit_system: str = "metric"
    phone: str | None = None
    address: Address | None = None
    platform: str | None = None
    os: str | None = None


class OrganizationChange(Struct, forbid_unknown_fields=True):
    name: str | None = None
    disabled: bool | None = None
    quotas: dict[str, Limit] | None = None
    description: str | UnsetType | None = UNSET
    time_zone: str | UnsetType = UNSET
    unit_system: str | UnsetType = UNSET
    phone: str | UnsetType | None = UNSET
    address: Address | UnsetType | None = UNSET
    platform: str | UnsetType | None = UNSET
    os: str | UnsetType | None = UNSET


class Key(Struct):
    id: int
    name: str
    kind: str
    role: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    key: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    client_secret: str | UnsetType = UNSET
    nats: "NatsCredentials | UnsetType" = UNSET


class NatsCredentials(Struct):
    """A user JWT and its seed, in the names that the vendor's SDKs take them by."""

    api_key: str
    secret: str


class MqttCredentials(Struct):
    """What an MQTT client shows, and the beginning of the topics that are its own."""

    username: str
    password: str
    topic: str


class NewCredential(Struct, forbid_unknown_fields=True):
    kind: str = "nats"


class Credential(Struct):
    """What a device shows to the broker. Its secrets are in `nats` once, when it is made."""

    id: int
    kind: str
    public_key: str
    created_at: datetime | None
    nats: NatsCredentials | UnsetType = UNSET
    mqtt: MqttCredentials | UnsetType = UNSET


class Command(Struct, forbid_unknown_fields=True):
    """Something for a device to do, and the mode in which it listens if that is not the one it was made in."""

    name: str
    data: Any
    env: str | None = None


class Question(Struct, forbid_unknown_fields=True):
    name: str
    data: Any
    env: str | None = None
    timeout: float = 10.0


class Queued(Struct):
    """A command that the broker has stored."""

    name: str
    queued: bool


class BrokerSetup(Struct):
    """What the configuration of a NATS cluster must have."""

    configuration: str


class BrokerCertificate(Struct, forbid_unknown_fields=True):
    """The host names that clients know the broker by."""

    names: list[str]


class BrokerAuthority(Struct):
    """The certificate, in PEM, that clients of the broker must trust."""

    authority: str


class Broker(Struct):
    """Whether there is a broker, and where clients find it."""

    broker: str
    urls: list[str]


class KeyList(Struct):
    keys: list[Key]
    next_cursor: str | None


class NewKey(Struct, forbid_unknown_fields=True):
    name: str
    role: str
    kind: str = "api"
    scopes: list[str] = []
    expires_at: datetime | None = None


class Caller(Struct):
    """Who the presented key is, and where it acts."""

    key: Key
    organization: Organization


class Owner(Struct):
    id: int
    ref: str
    name: str | None
    phone: str | None
    address: str | None
    created_at: datetime
    updated_at: datetime
    revision: int
    role: str
    status: str
    title: str | None
    nickname: str | None
    time_zone: str | None
    locale: str | None


class OwnerList(Struct):
    owners: list[Owner]
    next_cursor: str | None


class NewOwner(Struct, forbid_unknown_fields=True):
    """`role` is admin, staff or user, `status` pending, active, inactive or suspended."""

    ref: str
    name: str | None = None
    phone: str | None = None
    address: str | None = None
    role: str = "user"
    status: str = "active"
    title: str | None = None
    nickname: str | None = None
    time_zone: str | None = None
    locale: str | None = None


class OwnerChange(Struct, forbid_unknown_fields=True):
    name: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET
    address: str | UnsetType | None = UNSET
    role: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    title: str | UnsetType | None = UNSET
    nickname: str | UnsetType | None = UNSET
    time_zone: str | UnsetType | None = UNSET
    locale: str | UnsetType | None = UNSET


class Criterion(Struct, forbid_unknown_fields=True):
    field: str
    operator: str
    value: str


class Group(Struct):
    id: int
    name: str
    description: str | None
    filter: str
    criteria: list[Criterion]
    parent_id: int | None
    created_at: datetime
    updated_at: datetime
    revision: int


class GroupList(Struct):
    groups: list[Group]
    next_cursor: str | None


class NewGroup(Struct, forbid_unknown_fields=True):
    name: str
    filter: str
    description: str | None = None
    criteria: list[Criterion] = []
    parent_id: int | None = None


class GroupChange(Struct, forbid_unknown_fields=True):
    filter: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    criteria: list[Criterion] | UnsetType = UNSET
    parent_id: int | UnsetType | None = UNSET


class Admission(Struct, forbid_unknown_fields=True, frozen=True):
    """Who may enrol: anybody, or clients with a certificate of one of `authorities`.

    `levels` is how far below them it may be, through other authorities that are known; null is at any level.
    """

    proof: Proof = Proof.CERTIFICATE
    authorities: list[str] = []
    allow_expired: bool = False
    levels: int | None = 1


class Renewal(Struct, forbid_unknown_fields=True, frozen=True):
    """`opens` is how many seconds before its end a certificate may be renewed; null is at any time."""

    authorities: list[str] = []
    allow_expired: bool = False
    revoke_replaced: bool = True
    opens: Seconds | None = None


class Profile(Struct, forbid_unknown_fields=True, frozen=True):
    """What a device gets that is made when it enrols."""

    tags: list[str] = []
    metadata: dict[str, Any] = {}


class Distribution(Struct, forbid_unknown_fields=True, frozen=True):
    """The authorities that devices are told to trust: the one that issues, and others."""

    own: bool = True
    others: list[str] = []


class PublicKey(Struct, forbid_unknown_fields=True, frozen=True):
    type: KeyType = KeyType.EC
    bits: int = 256


class DmsSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """`preventive` and `critical` are seconds before a certificate's end; `lifetime` is seconds too."""

    authority: str = "default"
    admission: Admission = Admission()
    registration: Registration = Registration.JITP
    replaceable: bool = False
    profile: Profile = Profile()
    renewal: Renewal = Renewal()
    preventive: Seconds = 60 * 86_400
    critical: Seconds = 14 * 86_400
    distribution: Distribution = Distribution()
    keygen: PublicKey | None = None
    lifetime: Seconds = 365 * 86_400
    with_names: bool = False


class Dms(Struct):
    """A policy by which devices enrol."""

    id: int
    name: str
    title: str
    settings: DmsSettings
    metadata: Raw
    created_at: datetime
    updated_at: datetime
    revision: int


class DmsList(Struct):
    dms: list[Dms]
    next_cursor: str | None


class NewDms(Struct, forbid_unknown_fields=True):
    name: str
    title: str | None = None
    settings: DmsSettings = DmsSettings()
    metadata: dict[str, Any] = {}


class DmsChange(Struct, forbid_unknown_fields=True):
    """Settings are replaced as a whole."""

    title: str | UnsetType = UNSET
    settings: DmsSettings | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class Authority(Struct):
    """`issues` is false for an authority of somebody else's, which only vouches for clients."""

    id: int
    name: str
    serial: str
    common_name: str
    key: PublicKey
    issues: bool
    not_before: datetime
    not_after: datetime
    created_at: datetime
    revision: int
    certificate: str


class AuthorityList(Struct):
    authorities: list[Authority]
    next_cursor: str | None


class NewAuthority(Struct, forbid_unknown_fields=True):
    """The key is EC P-256 if left out. `certificate` in PEM takes in an authority of somebody else's instead."""

    name: str
    key: PublicKey | None = None
    lifetime: Seconds = 20 * 365 * 86_400
    certificate: str | None = None


class Certificate(Struct):
    serial: str
    common_name: str
    device_id: int | None
    dms: str | None
    authority: str
    key: PublicKey
    state: State
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None
    reason: str | None
    created_at: datetime
    certificate: str


class CertificateList(Struct):
    certificates: list[Certificate]
    next_cursor: str | None


class Revocation(Struct, forbid_unknown_fields=True):
    """`reason` is one of RFC 5280's, in lower case with underscores."""

    reason: str = "unspecified"


class IdentityEvent(Struct):
    at: datetime
    type: str
    description: str


class Identity(Struct):
    """The slot of a device; `certificate` is the active one, if it is one of ours."""

    status: Status
    type: str
    active_version: int
    versions: dict[str, str]
    expires_at: datetime | None
    events: list[IdentityEvent]
    certificate: Certificate | None


class Binding(Struct, forbid_unknown_fields=True):
    serial: str


class Cohort(Struct):
    id: int
    slug: str
    name: str
    created_at: datetime
    updated_at: datetime
    revision: int


class CohortList(Struct):
    cohorts: list[Cohort]
    next_cursor: str | None


class NewCohort(Struct, forbid_unknown_fields=True):
    slug: str
    name: str | None = None


class CohortChange(Struct, forbid_unknown_fields=True):
    name: str | UnsetType = UNSET


class HardwareVersion(Struct):
    id: int
    name: str
    software_type: str | None
    created_at: datetime
    updated_at: datetime
    revision: int


class HardwareVersionList(Struct):
    hardware_versions: list[HardwareVersion]
    next_cursor: str | None


class NewHardwareVersion(Struct, forbid_unknown_fields=True):
    name: str
    software_type: str | None = None


class HardwareVersionChange(Struct, forbid_unknown_fields=True):
    software_type: str | UnsetType | None = UNSET


class SoftwareVersion(Struct):
    """A version that devices reported. It is there from its first report on."""

    id: int
    type: str
    version: str
    created_at: datetime


class SoftwareVersionList(Struct):
    software_versions: list[SoftwareVersion]
    next_cursor: str | None


class Chunk(Struct):
    """A chunk as it came, in base64."""

    at: datetime
    data: str


class Chunks(Struct):
    """What a device has sent in chunks. `undecoded` of them made no message; `incomplete` if more of one is to come."""

    received: int
    undecoded: int
    incomplete: bool
    kept: list[Chunk]


class MetadataField(Struct):
    id: int
    name: str
    type: str
    description: str | None
    required: bool
    created_at: datetime
    updated_at: datetime
    revision: int


class MetadataFieldList(Struct):
    metadata_fields: list[MetadataField]
    next_cursor: str | None


class NewMetadataField(Struct, forbid_unknown_fields=True):
    name: str
    type: str
    description: str | None = None
    required: bool = False


class MetadataFieldChange(Struct, forbid_unknown_fields=True):
    description: str | UnsetType | None = UNSET
    required: bool | UnsetType = UNSET


class Datastream(Struct, forbid_unknown_fields=True):
    """One stream of readings: its metric has the name of the alias, or of the pin. New ones need no `id`."""

    pin: str
    type: DatastreamKind = DatastreamKind.DOUBLE
    alias: str | None = None
    label: str | None = None
    unit: str | None = None
    unit_symbol: str | None = None
    min: float | None = None
    max: float | None = None
    default: str | float | None = None
    id: Limit = 0


class EventCode(Struct, forbid_unknown_fields=True):
    """An event that devices may log, `daily_limit` times a day at most."""

    code: str
    name: str
    type: EventKind
    description: str | None = None
    daily_limit: Limit | None = None
    id: Limit = 0


class Metafield(Struct, forbid_unknown_fields=True):
    """A typed member of the devices' metadata. `options` are the choices of a List or a TemplateId."""

    name: str
    type: MetafieldKind
    description: str | None = None
    hint: str | None = None
    icon: str | None = None
    mandatory: bool = False
    in_provisioning: bool = False
    options: list[str] = []
    templates: list[Limit] = []
    default: Any = None
    id: Limit = 0


class Template(Struct):
    """`template_id` is the number in the spelling that firmware has built in."""

    id: int
    template_id: str
    name: str
    description: str | None
    board: str | None
    connection: str | None
    datastreams: list[Datastream]
    events: list[EventCode]
    metafields: list[Metafield]
    created_at: datetime
    updated_at: datetime
    revision: int


class Occurrence(Struct, forbid_unknown_fields=True):
    """An event to log: a code of the device's template."""

    code: str
    description: str | None = None


class TemplateList(Struct):
    templates: list[Template]
    next_cursor: str | None


class NewTemplate(Struct, forbid_unknown_fields=True):
    name: str
    description: str | None = None
    board: str | None = None
    connection: str | None = None
    datastreams: list[Datastream] = []
    events: list[EventCode] = []
    metafields: list[Metafield] = []


class TemplateChange(Struct, forbid_unknown_fields=True):
    """A list replaces the one before it; parts keep their numbers by `id`, or by pin, code and name."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    board: str | UnsetType | None = UNSET
    connection: str | UnsetType | None = UNSET
    datastreams: list[Datastream] | UnsetType = UNSET
    events: list[EventCode] | UnsetType = UNSET
    metafields: list[Metafield] | UnsetType = UNSET


COLUMNS = Device.__struct_fields__
"""The columns of CSV, in and out."""

JSON_COLUMNS = frozenset({"software", "metadata", "schema", "config"})
LIST_COLUMNS = frozenset({"tags", "owners"})
NUMBER_COLUMNS = frozenset({"template"})

assert set(COLUMNS) == set(msgspec.structs.asdict(DeviceInput())), "what is read can be written back"
