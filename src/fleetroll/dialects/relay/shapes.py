"""RelayX's bodies, with the vendor's names.

Values are taken as they come and checked in `mapping`, so that each refusal can say what is wrong in the vendor's form.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType


class Create(Struct):
    ident: Any = UNSET
    env: Any = UNSET
    schema: Any = UNSET
    config: Any = UNSET


class Update(Struct):
    id: Any = UNSET
    ident: Any = UNSET
    schema: Any = UNSET
    config: Any = UNSET


class Named(Struct):
    ident: Any = UNSET


class Anything(Struct):
    """A request that says nothing."""


class Numbered(Struct):
    id: Any = UNSET


class Configured(Struct):
    id: Any = UNSET
    config: Any = UNSET


class Visit(Struct):
    """A request for a token over HTTP. The vendor's clients send their JWT, which the broker has verified by then."""

    jwt: Any = UNSET
    service: Any = UNSET


class History(Struct):
    """A question about the past. Which members count depends on what is asked for."""

    device_id: Any = UNSET
    device_ids: Any = UNSET
    env: Any = UNSET
    start: Any = UNSET
    end: Any = UNSET
    fields: Any = UNSET
    event_names: Any = UNSET
    levels: Any = UNSET
    command_name: Any = UNSET
    last_value: Any = UNSET
    interval: Any = UNSET
    aggregate_fn: Any = UNSET
    limit: Any = UNSET
    offset: Any = UNSET


class Page(Struct):
    has_more: bool
    next_offset: int | None


class Frames(Struct):
    frames: list[dict[str, Any]]
    page: Page


class HistoryReply(Struct):
    status: bool
    data: Frames


class Credentials(Struct):
    api_key: str
    secret: str


class Device(Struct, omit_defaults=True):
    id: str
    ident: str
    schema: msgspec.Raw
    config: msgspec.Raw
    org_id: str
    env: str
    creds: Credentials | UnsetType = UNSET


class Reply(Struct):
    """What every request is answered with. The vendor's clients look for `data` to be an object even in a refusal."""

    status: str
    data: Any
