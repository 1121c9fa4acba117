"""The bodies of Lamassu's DMS manager and CA, spelled as its interfaces read and write them.

Settings that mean something here have a type; those that do not, such as webhooks, are kept as they were sent.
"""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from fleetroll.core.identity import Occasion
from fleetroll.wire.dialect import OPERATIONS, Object
from fleetroll.wire.texts import Line, Time


class Failure(Struct):
    err: str


class ClientCertificate(Struct):
    validation_cas: list[str] | None = None
    chain_level_validation: int = -1
    allow_expired: bool = False


class EstSettings(Struct):
    auth_mode: str = ""
    client_certificate_settings: ClientCertificate | None = None


class Profile(Struct):
    icon: str = ""
    icon_color: str = ""
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None


class Enrollment(Struct):
    protocol: str = ""
    est_rfc7030_settings: EstSettings | None = None
    device_provisioning_profile: Profile | None = None
    enrollment_ca: str = ""
    enable_replaceable_enrollment: bool = False
    registration_mode: str = ""


class Reenrollment(Struct):
    """`est_rfc7030_settings` are only checked: a client always renews with a certificate."""

    est_rfc7030_settings: EstSettings | UnsetType | None = UNSET
    additional_validation_cas: list[str] | None = None
    revoke_on_reenrollment: bool = False
    enable_expired_renewal: bool = False
    reenrollment_delta: str | None = None
    preventive_delta: str | None = None
    critical_delta: str | None = None


class Distribution(Struct):
    include_system_ca: bool = False
    include_enrollment_ca: bool = False
    managed_cas: list[str] | None = None


class Key(Struct):
    type: str = ""
    bits: int = 0


class Keygen(Struct):
    enabled: bool = False
    key: Key | None = None


class Validity(Struct):
    type: str = ""
    duration: str | None = None


class IssuanceProfile(Struct):
    validity: Validity | None = None
    honor_extensions: bool = False


class Settings(Struct):
    enrollment_settings: Enrollment | None = None
    reenrollment_settings: Reenrollment | None = None
    ca_distribution_settings: Distribution | None = None
    server_keygen_settings: Keygen | None = None
    issuance_profile: IssuanceProfile | None = None


class DmsInput(Struct):
    """A DMS as it is written. Its `id`, which is also its name unless it has another, cannot be changed later.

    `settings` are kept with whatever else was sent with them.
    """

    id: str = ""
    name: Line = ""
    metadata: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None


class Dms(Struct):
    id: str
    name: str
    metadata: Object
    creation_ts: Time
    settings: dict[str, Any]


class DmsList(Struct):
    next: str
    list: list[Dms]


class Total(Struct):
    total: int


class Patches(Struct):
    patches: Annotated[list[dict[str, Any]], Meta(extra_json_schema=OPERATIONS)]


class Bind(Struct):
    device_id: str
    certificate_serial_number: str
    bind_mode: Annotated[str, Meta(extra_json_schema={"enum": ["", *(occasion.value for occasion in Occasion)]})] = ""


class Subject(Struct):
    common_name: str
    organization: str
    organization_unit: str
    country: str
    state: str
    locality: str


class KeyStrength(Struct):
    type: str
    bits: int
    strength: str


class Issuer(Struct):
    serial_number: str
    id: str
    level: int


class Certificate(Struct):
    """`certificate` is the base64 of PEM. `revocation_timestamp` is in the year 1 if it is not revoked."""

    serial_number: str
    subject_key_id: str
    authority_key_id: str
    metadata: dict[str, Any]
    status: str
    certificate: str
    key_metadata: KeyStrength
    subject: Subject
    issuer: Subject
    valid_from: Time
    issuer_metadata: Issuer
    valid_to: Time
    revocation_timestamp: Time
    revocation_reason: str
    type: str
    engine_id: str
    is_ca: bool


class CertificateList(Struct):
    next: str
    list: list[Certificate]


class CertificateStatus(Struct):
    status: Annotated[str, Meta(extra_json_schema={"enum": ["REVOKED", "ACTIVE"]})]
    revocation_reason: Annotated[str, Meta(description="One of RFC 5280, such as `KeyCompromise`.")] = ""


class TimeValidity(Struct):
    type: str
    time: Time


class Authority(Struct):
    id: str
    serial_number: str
    certificate: Certificate
    metadata: dict[str, Any]
    validity: TimeValidity
    creation_ts: Time
    level: int


class AuthorityList(Struct):
    next: str
    list: list[Authority]


class AuthorityStats(Struct):
    total: int
    engine_distribution: dict[str, int]
    status_distribution: dict[str, int]


class CertificateStats(Struct):
    total: int
    ca_distribution: dict[str, int]
    status_distribution: dict[str, int]


class Stats(Struct):
    cas: AuthorityStats
    certificates: CertificateStats


class Device(Struct):
    """A device as a binding shows it, with all members that readers of devices count on.

    The device manager shows what has happened to it: `events` is empty here.
    """

    id: str
    tags: tuple[str, ...]
    status: str
    icon: str
    icon_color: str
    creation_timestamp: Time
    metadata: Object
    dms_owner: str
    identity: dict[str, Any] | None
    slots: dict[str, Any] = {}
    events: dict[str, Any] = {}


class Bound(Struct):
    certificate: Certificate
    dms: Dms | None
    device: Device
