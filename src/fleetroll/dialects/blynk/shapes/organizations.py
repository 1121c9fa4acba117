"""Organizations, with their address."""

from typing import Annotated

from msgspec import Meta, Struct

from fleetroll.dialects.blynk.shapes.numbers import Id
from fleetroll.dialects.blynk.shapes.words import OrganizationType, UnitSystem
from fleetroll.wire.texts import Line, Name, Paragraph, TimeZone


class Address(Struct, rename="camel"):
    full_address: Line | None = None
    country: Line | None = None
    city: Line | None = None
    state: Line | None = None
    zip: Line | None = None


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
    """No reply shows `type`, so it is not kept."""

    name: Annotated[str, Meta(min_length=3, max_length=100)]
    parent_id: Id | None = None
    type: OrganizationType | None = None
    description: Paragraph | None = None
    tz: TimeZone | None = None
    unit_system: UnitSystem | None = None
    phone_number: Name | None = None
    address: Address | None = None


class OrganizationPage(Struct, rename="camel"):
    content: list[Organization]
    total_elements: int
