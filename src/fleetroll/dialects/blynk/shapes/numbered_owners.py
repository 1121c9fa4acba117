"""Users, whom devices belong to."""

from msgspec import Struct

from fleetroll.dialects.blynk.shapes.numbers import Id, RoleId
from fleetroll.dialects.blynk.shapes.organizations import Address
from fleetroll.wire.texts import Email, Line, Name, TimeZone


class User(Struct, rename="camel"):
    id: int
    name: str
    email: str
    role_id: int
    org_id: int
    is_dev: bool
    title: str | None
    nick_name: str | None
    phone_number: str | None
    tz: str | None
    locale: str | None
    status: str
    last_modified_ts: int
    last_logged_at: int
    registered_at: int


class UserPage(Struct, rename="camel"):
    content: list[User]
    total_elements: int


class NewUser(Struct, rename="camel"):
    """Users do not sign in here, so a password is ignored. `roleId` is 1 (admin), 2 (staff) or 3 (user)."""

    email: Email
    name: Name | None = None
    org_id: Id | None = None
    organization_id: Id | None = None
    role_id: RoleId = 3
    title: Name | None = None
    nick_name: Name | None = None
    phone_number: Name | None = None
    tz: TimeZone | None = None
    locale: Name | None = None
    address: Address | str | None = None


class Founder(Struct, rename="camel"):
    """A user with an organization of their own, which is named after the user if nothing else is said."""

    email: Email
    name: Name
    organization_name: Line | None = None
    time_zone: TimeZone | None = None


class Registration(Struct, rename="camel"):
    email: Email
    locale: Name | None = None


class UserTransfer(Struct, rename="camel"):
    user_id: Id
    target_org_id: Id
    role_id: RoleId
