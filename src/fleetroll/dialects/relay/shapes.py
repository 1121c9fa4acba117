"""RelayX's bodies, with the vendor's names.

Values are taken as they come and checked in `mapping`, so that each refusal can say what is wrong in the vendor's form.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from fleetroll.core import limits, messages, readings

_Text = Annotated[Any, Meta(extra_json_schema={"type": ["string", "null"]})]
_Texts = Annotated[Any, Meta(extra_json_schema={"type": ["array", "null"], "items": {"type": "string"}})]
_Flag = Annotated[Any, Meta(extra_json_schema={"type": ["boolean", "null"]})]
_Limit = Annotated[
    Any, Meta(extra_json_schema={"type": ["integer", "null"], "minimum": 1, "maximum": limits.MAX_RANGE})
]
_Offset = Annotated[Any, Meta(extra_json_schema={"type": ["integer", "null"], "minimum": 0, "maximum": 2**53})]
_Aggregate = Annotated[Any, Meta(extra_json_schema={"enum": [*readings.AGGREGATES, None]})]
_Interval = Annotated[
    Any,
    Meta(
        description="A number followed by ms, s, m, h, d or w, such as `15m`.",
        extra_json_schema={"type": ["string", "null"]},
    ),
]
_Moment = Annotated[Any, Meta(extra_json_schema={"type": "string", "format": "date-time"})]
_Environment = Annotated[
    Any, Meta(extra_json_schema={"type": ["string", "null"], "pattern": f"^{messages.ENVIRONMENT.pattern}$"})
]


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

    device_id: _Text = UNSET
    device_ids: _Texts = UNSET
    env: _Environment = UNSET
    start: _Moment = UNSET
    end: _Moment = UNSET
    fields: _Texts = UNSET
    event_names: _Texts = UNSET
    levels: _Texts = UNSET
    command_name: _Text = UNSET
    last_value: _Flag = UNSET
    interval: _Interval = UNSET
    aggregate_fn: _Aggregate = UNSET
    limit: _Limit = UNSET
    offset: _Offset = UNSET


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
