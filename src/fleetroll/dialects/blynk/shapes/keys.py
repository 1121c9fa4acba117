"""OAuth2 clients, which get tokens by their secret."""

from typing import Annotated

from msgspec import Meta, Struct

from fleetroll.dialects.blynk.shapes.numbers import Id
from fleetroll.wire.texts import Name


class NewClient(Struct, rename="camel"):
    """Clients get tokens by their secret alone, so there are no redirect URLs."""

    name: Name
    org_id: Id | None = None
    organization_id: Id | None = None
    redirect_urls: Annotated[list[str], Meta(max_length=0)] = []


class Client(Struct, rename="camel"):
    """The secret is shown this once."""

    org_id: int
    name: str
    client_id: str
    secret: str
    redirect_urls: list[str]
