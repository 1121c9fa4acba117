"""Who the caller is."""

from msgspec import Struct


class Organization(Struct):
    id: int
    name: str
    slug: str


class Me(Struct):
    """The caller. A key has no address; `email` is empty."""

    id: int
    email: str
    name: str
    created_date: str
    updated_date: str
    organizations: list[Organization]
