"""What is in the messages that devices publish: MessagePack from the vendor's SDKs, JSON from everybody else."""

import re
from typing import Any, TypeGuard

import msgspec
from msgspec import Struct

from fleetroll.core import documents, limits
from fleetroll.core.faults import invalid
from fleetroll.core.model import PRODUCTION
from fleetroll.core.times import MILLISECOND

_unpack = msgspec.msgpack.Decoder().decode
_decode = msgspec.json.Decoder().decode
_pack = msgspec.msgpack.Encoder().encode
DEFAULT_ENVIRONMENT = "production"
ENVIRONMENT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FIRST_MAP = 0x80  # every MessagePack map begins with this byte or a higher one, and no text in UTF-8 does


class Content(Struct, frozen=True, gc=False):
    """One published value, and its time by the device's clock, in microseconds (None if it does not say)."""

    value: Any
    at: int | None


def content_of(body: bytes, *, is_log: bool = False) -> Content:
    """An object with `value` and perhaps `timestamp` in milliseconds; in JSON also a bare value.

    A log line has `data` in the place of `value`, and may have been coloured for a terminal: control characters of its
    text are replaced. Raises Fault invalid `invalid_report`.
    """
    decoded = _decoded(body)
    if not isinstance(decoded, dict) or not ({"value", "data"} & decoded.keys()):
        value, timestamp = decoded, None
    else:
        value, timestamp = decoded["value"] if "value" in decoded else decoded["data"], decoded.get("timestamp")
    if is_log and isinstance(value, str):
        value = documents.printable(value)
    return Content(_checked(value), _instant(timestamp))


def shown(content: Content, at: int, *, level: str | None = None) -> bytes:
    """`content` as the vendor's application clients read it, at `at` if it has no time. A log line has a `level`."""
    value = msgspec.to_builtins(content.value, str_keys=True)  # as it is kept
    timestamp = (at if content.at is None else content.at) // MILLISECOND
    if level is None:
        return _pack({"value": value, "timestamp": timestamp})
    return _pack({"type": level, "timestamp": timestamp, "data": value})


def is_environment(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and ENVIRONMENT.fullmatch(value) is not None


def mode_of(env: str) -> str:
    """The mode of the series that readings of an environment are kept in."""
    return PRODUCTION if env == DEFAULT_ENVIRONMENT else env


def _decoded(body: bytes) -> Any:
    if not body:
        raise invalid("invalid_report", "It is empty.")
    try:
        packed = _unpack(body) if body[0] >= _FIRST_MAP else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        packed = None
    if isinstance(packed, dict):
        return packed
    if documents.depth_exceeds(body, limits.MAX_JSON_DEPTH):
        raise invalid("invalid_report", "It is nested too deeply.")
    try:
        return _decode(body)
    except (msgspec.MsgspecError, ValueError):
        raise invalid("invalid_report", "It is neither MessagePack nor JSON.") from None


def _checked(value: Any) -> Any:
    """The value, held to every rule of documents, so that it can be stored and shown in one."""
    documents.of({"value": value}, "value")
    return value


def _instant(timestamp: object) -> int | None:
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        return None
    if not 0 <= timestamp < limits.MAX_TIMESTAMP:
        raise invalid("invalid_time", "The timestamp is out of range; give milliseconds since 1970.")
    return int(timestamp * MILLISECOND)
