"""Owners of devices."""

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType


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
