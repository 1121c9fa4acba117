"""Organizations, with their profile and quotas."""

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType

from fleetroll.dialects.native.shapes.numbers import Whole


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
    quotas: dict[str, Whole] = {}
    description: str | None = None
    time_zone: str = "UTC"
    unit_system: str = "metric"
    phone: str | None = None
    address: Address | None = None
    platform: str | None = None
    os: str | None = None


class AddressChange(Struct, forbid_unknown_fields=True):
    full: str | UnsetType | None = UNSET
    country: str | UnsetType | None = UNSET
    city: str | UnsetType | None = UNSET
    state: str | UnsetType | None = UNSET
    zip: str | UnsetType | None = UNSET


class OrganizationChange(Struct, forbid_unknown_fields=True):
    """What is left out stays as it is; a quota that is null is the default again."""

    name: str | None = None
    disabled: bool | None = None
    quotas: dict[str, Whole | None] | None = None
    description: str | UnsetType | None = UNSET
    time_zone: str | UnsetType = UNSET
    unit_system: str | UnsetType = UNSET
    phone: str | UnsetType | None = UNSET
    address: AddressChange | UnsetType | None = UNSET
    platform: str | UnsetType | None = UNSET
    os: str | UnsetType | None = UNSET
