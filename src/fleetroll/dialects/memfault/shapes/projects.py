"""Projects, and their key."""

from msgspec import UNSET, Struct, UnsetType

from fleetroll.wire.texts import Line, Name, SlugIfAny


class Project(Struct):
    id: int
    name: str
    slug: str
    platform: str | None
    os: str | None
    api_key: str | None
    count_devices: int
    created_date: str
    updated_date: str


class NewProject(Struct):
    name: Name
    slug: SlugIfAny | None = None
    platform: Line | None = None
    os: Line | None = None


class ProjectChange(Struct):
    name: Name | None = None
    slug: str | UnsetType = UNSET
    platform: Line | UnsetType | None = UNSET
    os: Line | UnsetType | None = UNSET


class ApiKey(Struct):
    api_key: str
