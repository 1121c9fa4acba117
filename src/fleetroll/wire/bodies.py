"""Request bodies: counted while they arrive, checked before they are decoded, decoded strictly.

Where a member is given twice in one JSON object, the last one wins, everywhere.
"""

import functools
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import inspect

from fleetroll.core import documents, limits
from fleetroll.core.faults import Fault, Kind, brief, invalid

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
FORM = "application/x-www-form-urlencoded"

_decode_any = msgspec.json.Decoder().decode
_NOTHING = frozenset({b"", b"{}", b"null"})
_CONTROL = re.compile(rb"\\[bf]|\\u00(?:0[0-8bcef]|1[0-9a-f]|7f|[89][0-9a-f])|\x7f|\xc2[\x80-\x9f]", re.IGNORECASE)


class ClientGone(Exception):
    """The client closed the connection before its request was complete; there is nobody to answer."""


async def read(receive: Receive, limit: int, hold: Callable[[int], None] = lambda _: None) -> bytes:
    """The whole body. Raises Fault too_large once it has more than `limit` bytes, and ClientGone.

    `hold` is told the size of each part that has to wait for others, and may raise to refuse it.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise too_large(limit)
        return body
    parts, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        hold(len(part))
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def too_large(limit: int) -> Fault:
    return Fault(Kind.TOO_LARGE, "body_too_large", f"The body is larger than {limit} bytes.")


def check_media_type(header: bytes | None, accepted: tuple[str, ...], encoding: bytes | None) -> str:
    """The media type of the body. Raises Fault invalid `unsupported_media_type`; nothing is ever decompressed."""
    if encoding is not None and encoding.strip().lower() not in {b"", b"identity"}:
        raise _unsupported("Content-Encoding is not supported; send the body as it is.", "Content-Encoding")
    media_type, _, parameters = (header or b"").decode("latin-1").partition(";")
    media_type = media_type.strip().lower()
    if not accepted:
        return media_type
    if media_type not in accepted:
        raise _unsupported(f"Content-Type must be {' or '.join(accepted)}.")
    if parameters and not all(map(_is_harmless, parameters.split(";"))):
        raise _unsupported("The only supported charset is utf-8.")
    return media_type


def _is_harmless(parameter: str) -> bool:
    name, _, value = parameter.strip().lower().partition("=")
    return name.strip() != "charset" or value.strip().strip('"') in {"utf-8", "utf8"}


def _unsupported(message: str, field: str = "Content-Type") -> Fault:
    return invalid("unsupported_media_type", message, field)


def require_none(body: bytes) -> None:
    """Accept nothing but the empty object that some clients always send. Raises Fault invalid `unexpected_body`."""
    if body.strip() not in _NOTHING:
        raise invalid("unexpected_body", "This request takes no body; send none, or an empty object.")


def decode(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    """A JSON body in the decoder's shape. Raises Fault invalid `invalid_json`, `invalid_text` or `invalid_body`."""
    checked_json(body)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as problem:
        raise _misshapen(str(problem), decoder.type) from None


def convert(value: Any, shape: Any) -> Any:
    """A JSON-like value in a shape. Raises Fault invalid `invalid_body`."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as problem:
        raise _misshapen(str(problem), shape) from None


def checked_json(body: bytes) -> Any:
    """The decoded value. Raises Fault invalid for JSON that is refused whatever its shape.

    A decoder with a shape skips the members that the shape does not name, and would let bad UTF-8 and endless numbers
    in them pass. So one without a shape goes first, and the verdict on a text is the same on every route.
    """
    if documents.has_many_containers(body, limits.MAX_CONTAINERS):
        raise invalid("invalid_json", f"The JSON has more than {limits.MAX_CONTAINERS} arrays and objects.")
    if documents.depth_exceeds(body, limits.MAX_JSON_DEPTH):
        raise invalid("invalid_json", f"The JSON is nested deeper than {limits.MAX_JSON_DEPTH} levels.")
    if documents.has_negative_zero(body):
        raise invalid("invalid_json", "The JSON has the integer -0, which cannot be stored exactly; write 0.")
    try:
        value = _decode_any(body)
    except (msgspec.DecodeError, ValueError) as problem:
        raise invalid("invalid_json", "Invalid JSON payload", reason=_reason(problem, body)) from None
    if _has_control(body):
        raise invalid("invalid_text", "A string in the JSON has a control character other than tab and line ends.")
    return value


def _reason(problem: Exception, body: bytes) -> str:
    """What keeps a body from being JSON, and where, as msgspec says it."""
    if isinstance(problem, UnicodeDecodeError):
        return "a text that is not UTF-8"
    return documents.flaw(problem, body) if body.strip() else "an empty body"


def _has_control(body: bytes) -> bool:
    """Whether a text in valid JSON holds a control character; those below U+0020 can only appear escaped."""
    if documents.BACKSLASH not in body and body.isascii() and documents.DELETE not in body:
        return False
    return _CONTROL.search(body.replace(b"\\\\", b"")) is not None


# Types and members as msgspec names them.
_TYPE = re.compile(r"`(?:(?:str|int|float|bool|datetime|object|array|null)(?: \| )?)+`")
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "datetime": "time"}
_ANY_MEMBER = "[...]"  # of an object whose members may have any name
_STEP = re.compile(r"[^.\[]+|\[[^\]]*\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)
_UNKNOWN_WORD = "Invalid enum value"


def _misshapen(problem: str, shape: Any) -> Fault:
    """msgspec's messages, as in: Expected `str`, got `int` - at `$.name`; here in the words of JSON, and brief."""
    found = documents.ERROR_PATH.search(problem)
    message = problem[: found.start()] if found else problem
    path = found["path"].lstrip(".") if found else ""
    field = path.removesuffix(_ANY_MEMBER) or None
    if unknown := _UNKNOWN.match(message):
        message = f"Unknown member; the members here are {', '.join(_members(shape, path))}."
        field = _within(field, brief(unknown[1]))
    elif missing := _MISSING.match(message):
        field = _within(field, missing[1])
        message = "Missing required member"
    elif message.startswith(_UNKNOWN_WORD):
        message = f"It must be one of {', '.join(_enum_values(shape, path))}."
    else:
        message = _TYPE.sub(_plain_types, message).replace("`", "")
    return invalid("invalid_body", f"{field}: {message}" if field else message, field)


def _within(field: str | None, member: str) -> str:
    return f"{field}.{member}" if field else member


def _enum_values(shape: Any, path: str) -> list[str]:
    """The enum values that a shape takes at a path such as `datastreams[0].type`."""
    kinds = _kinds(shape, path)
    return [str(member.value) for kind in kinds if isinstance(kind, inspect.EnumType) for member in kind.cls]


def _members(shape: Any, path: str) -> list[str]:
    """The members that a shape has at a path."""
    return [member.encode_name for kind in _kinds(shape, path) for member in getattr(kind, "fields", ())]


@functools.lru_cache(maxsize=256)  # as every row of an import may be wrong in the same place
def _kinds(shape: Any, path: str) -> Sequence[inspect.Type]:
    """The types that a shape takes at a path."""
    kinds = _alternatives(inspect.type_info(shape))
    for step in _STEP.findall(path):
        kinds = [below for kind in kinds for found in _below(kind, step) for below in _alternatives(found)]
    return kinds


def _alternatives(kind: inspect.Type) -> Sequence[inspect.Type]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _below(kind: inspect.Type, step: str) -> Iterator[inspect.Type]:
    """The types one step into a value of this type: of a member of an object, or of the items of a list."""
    if step.startswith("["):
        yield from (getattr(kind, name) for name in ("item_type", "value_type") if hasattr(kind, name))
    yield from (member.type for member in getattr(kind, "fields", ()) if member.encode_name == step)


def _plain_types(found: "re.Match[str]") -> str:
    return " or ".join(_TYPES.get(name, name) for name in found.group().strip("`").split(" | "))
