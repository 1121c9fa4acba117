"""Organizations, with their profile and quotas."""

from msgspec import UNSET, Struct, UnsetType

from fleetroll.dialects.native.shapes.numbers import Whole
from fleetroll.dialects.native.shapes.words import Quota, UnitSystem
from fleetroll.wire.texts import Line, Name, Paragraph, Slug, Time, TimeZone


class Address(Struct, forbid_unknown_fields=True):
    full: Line | None = None
    country: Line | None = None
    city: Line | None = None
    state: Line | None = None
    zip: Line | None = None


class Organization(Struct):
    id: int
    slug: str
    name: str
    parent_id: int | None
    disabled: bool
    quotas: dict[str, int]
    created_at: Time
    updated_at: Time
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
    slug: Slug
    name: Name | None = None
    quotas: dict[Quota, Whole] = {}
    description: Paragraph | None = None
    time_zone: TimeZone = "UTC"
    unit_system: UnitSystem = "metric"
    phone: Paragraph | None = None
    address: Address | None = None
    platform: Paragraph | None = None
    os: Paragraph | None = None


class AddressChange(Struct, forbid_unknown_fields=True):
    full: Line | UnsetType | None = UNSET
    country: Line | UnsetType | None = UNSET
    city: Line | UnsetType | None = UNSET
    state: Line | UnsetType | None = UNSET
    zip: Line | UnsetType | None = UNSET


class OrganizationChange(Struct, forbid_unknown_fields=True):
    """What is left out stays as it is; a quota that is null is the default again."""

    name: Name | None = None
    disabled: bool | None = None
    quotas: dict[Quota, Whole | None] | None = None
    description: Paragraph | UnsetType | None = UNSET
    time_zone: TimeZone | UnsetType = UNSET
    unit_system: UnitSystem | UnsetType = UNSET
    phone: Paragraph | UnsetType | None = UNSET
    address: AddressChange | UnsetType | None = UNSET
    platform: Paragraph | UnsetType | None = UNSET
    os: Paragraph | UnsetType | None = UNSET
