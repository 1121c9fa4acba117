"""Tags, and giving them to devices."""

from msgspec import Struct

from fleetroll.dialects.blynk.shapes.numbers import Id
from fleetroll.wire.texts import TagName


class NewTag(Struct, rename="camel"):
    name: TagName
    org_id: Id | None = None
    organization_id: Id | None = None


class TagAssignment(Struct, rename="camel"):
    device_id: Id
    tag_id: Id


class Tag(Struct, rename="camel"):
    """The number is derived from the name."""

    id: int
    name: str
    owner_user_id: int | None
