"""Projects, and their key."""

from msgspec import UNSET, Struct, UnsetType


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
    name: str
    slug: str | None = None
    platform: str | None = None
    os: str | None = None


class ProjectChange(Struct):
    name: str | None = None
    slug: str | UnsetType = UNSET
    platform: str | UnsetType | None = UNSET
    os: str | UnsetType | None = UNSET


class ApiKey(Struct):
    api_key: str
