"""The body of every failure."""

from typing import Any

from msgspec import Struct


class Problem(Struct, omit_defaults=True):
    """RFC 9457. `code` is stable and for programs; `field` names the offending input."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    field: str | None = None
    errors: dict[str, Any] = {}
