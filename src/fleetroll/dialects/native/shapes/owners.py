"""Owners of devices."""

from msgspec import UNSET, Struct, UnsetType

from fleetroll.dialects.native.shapes.words import OwnerRole, OwnerStatus
from fleetroll.wire.texts import Line, Reference, Time, TimeZone


class Owner(Struct):
    id: int
    ref: str
    name: str | None
    phone: str | None
    address: str | None
    created_at: Time
    updated_at: Time
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
    ref: Reference
    name: Line | None = None
    phone: Line | None = None
    address: Line | None = None
    role: OwnerRole = "user"
    status: OwnerStatus = "active"
    title: Line | None = None
    nickname: Line | None = None
    time_zone: TimeZone | None = None
    locale: Line | None = None


class OwnerChange(Struct, forbid_unknown_fields=True):
    name: Line | UnsetType | None = UNSET
    phone: Line | UnsetType | None = UNSET
    address: Line | UnsetType | None = UNSET
    role: OwnerRole | UnsetType = UNSET
    status: OwnerStatus | UnsetType = UNSET
    title: Line | UnsetType | None = UNSET
    nickname: Line | UnsetType | None = UNSET
    time_zone: TimeZone | UnsetType | None = UNSET
    locale: Line | UnsetType | None = UNSET
