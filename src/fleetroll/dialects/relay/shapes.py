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
