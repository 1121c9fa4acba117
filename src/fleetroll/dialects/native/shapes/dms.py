"""DMS: who may enrol, and what they get."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from fleetroll.core import limits
from fleetroll.core.certificates import KeyType
from fleetroll.core.dms import Proof, Registration
from fleetroll.dialects.native.shapes.authorities import PublicKey
from fleetroll.dialects.native.shapes.numbers import Seconds
from fleetroll.wire.dialect import Object
from fleetroll.wire.texts import Label, Name, TagName, Time

_Levels = Annotated[int, Meta(extra_json_schema={"minimum": 1, "maximum": limits.MAX_CHAIN})]


class Admission(Struct, forbid_unknown_fields=True, frozen=True):
    """Who may enrol: anybody, or clients with a certificate of one of `authorities`.

    `levels` is how far below them it may be, through other authorities that are known; null is at any level.
    """

    proof: Proof = Proof.CERTIFICATE
    authorities: list[str] = []
    allow_expired: bool = False
    levels: _Levels | None = 1


class Renewal(Struct, forbid_unknown_fields=True, frozen=True):
    """`opens` is how many seconds before its end a certificate may be renewed; null is at any time."""

    authorities: list[str] = []
    allow_expired: bool = False
    revoke_replaced: bool = True
    opens: Seconds | None = None


class Profile(Struct, forbid_unknown_fields=True, frozen=True):
    """What a device gets that is made when it enrols."""

    tags: list[TagName] = []
    metadata: dict[str, Any] = {}


class Distribution(Struct, forbid_unknown_fields=True, frozen=True):
    """The authorities that devices are told to trust: the one that issues, others, that of the server's certificate."""

    own: bool = True
    others: list[str] = []
    server: bool = False


class DmsSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """`preventive` and `critical` are seconds before a certificate's end; `lifetime` is seconds too.

    Where they are not given, they are 60 and 14 days, but no more than a sixth and a 24th of the lifetime.
    """

    authority: str = "default"
    admission: Admission = Admission()
    registration: Registration = Registration.JITP
    replaceable: bool = False
    profile: Profile = Profile()
    renewal: Renewal = Renewal()
    preventive: Seconds | UnsetType = UNSET
    critical: Seconds | UnsetType = UNSET
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
    metadata: Object
    created_at: Time
    updated_at: Time
    revision: int


class DmsList(Struct):
    dms: list[Dms]
    next_cursor: str | None


class NewDms(Struct, forbid_unknown_fields=True):
    name: Label
    title: Name | None = None
    settings: DmsSettings = DmsSettings()
    metadata: dict[str, Any] = {}


class AdmissionChange(Struct, forbid_unknown_fields=True):
    proof: Proof | UnsetType = UNSET
    authorities: list[str] | UnsetType = UNSET
    allow_expired: bool | UnsetType = UNSET
    levels: _Levels | UnsetType | None = UNSET


class RenewalChange(Struct, forbid_unknown_fields=True):
    authorities: list[str] | UnsetType = UNSET
    allow_expired: bool | UnsetType = UNSET
    revoke_replaced: bool | UnsetType = UNSET
    opens: Seconds | UnsetType | None = UNSET


class ProfileChange(Struct, forbid_unknown_fields=True):
    tags: list[TagName] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class DistributionChange(Struct, forbid_unknown_fields=True):
    own: bool | UnsetType = UNSET
    others: list[str] | UnsetType = UNSET
    server: bool | UnsetType = UNSET


class KeygenChange(Struct, forbid_unknown_fields=True):
    type: KeyType | UnsetType = UNSET
    bits: int | UnsetType = UNSET


class DmsSettingsChange(Struct, forbid_unknown_fields=True):
    authority: str | UnsetType = UNSET
    admission: AdmissionChange | UnsetType = UNSET
    registration: Registration | UnsetType = UNSET
    replaceable: bool | UnsetType = UNSET
    profile: ProfileChange | UnsetType = UNSET
    renewal: RenewalChange | UnsetType = UNSET
    preventive: Seconds | UnsetType = UNSET
    critical: Seconds | UnsetType = UNSET
    distribution: DistributionChange | UnsetType = UNSET
    keygen: KeygenChange | UnsetType | None = UNSET
    lifetime: Seconds | UnsetType = UNSET
    with_names: bool | UnsetType = UNSET


class DmsChange(Struct, forbid_unknown_fields=True):
    """What is left out stays as it is, within the settings too."""

    title: Name | UnsetType = UNSET
    settings: DmsSettingsChange | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
