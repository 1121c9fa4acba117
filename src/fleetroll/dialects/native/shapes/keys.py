"""API keys, and who the caller is."""

from msgspec import UNSET, Struct, UnsetType

from fleetroll.dialects.native.shapes.credentials import NatsCredentials
from fleetroll.dialects.native.shapes.organizations import Address
from fleetroll.dialects.native.shapes.words import KeyKind, KeyRole, Scope
from fleetroll.wire.texts import Name, Time


class Key(Struct):
    id: int
    name: str
    kind: str
    role: str
    scopes: tuple[str, ...]
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None
    last_used_at: Time | None
    key: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    client_secret: str | UnsetType = UNSET
    nats: "NatsCredentials | UnsetType" = UNSET


class KeyList(Struct):
    keys: list[Key]
    next_cursor: str | None


class NewKey(Struct, forbid_unknown_fields=True):
    name: Name
    role: KeyRole
    kind: KeyKind = "api"
    scopes: list[Scope] = []
    expires_at: Time | None = None


class CallerOrganization(Struct):
    """What it is called; the rest is for keys that may read organizations."""

    id: int
    slug: str
    name: str
    parent_id: int | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET
    quotas: dict[str, int] | UnsetType = UNSET
    created_at: Time | UnsetType = UNSET
    updated_at: Time | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    time_zone: str | UnsetType = UNSET
    unit_system: str | UnsetType = UNSET
    phone: str | UnsetType | None = UNSET
    address: Address | UnsetType | None = UNSET
    platform: str | UnsetType | None = UNSET
    os: str | UnsetType | None = UNSET


class Caller(Struct):
    """Who the presented key is, and where it acts."""

    key: Key
    organization: CallerOrganization
