"""JSON documents as the product keeps them: metadata, config and extras, as text.

A document is the compact JSON text of one object. It travels through the layers as that text and is parsed only by
whoever must look inside. This module owns the rules that make a text a document (depth, size, keys, characters,
numbers) and the scans that a request body must pass before any decoder may touch it.
"""

import re
from collections.abc import Callable, Mapping
from itertools import accumulate
from math import isfinite
from typing import Any, TypeAlias

import msgspec

from fleetroll.core import limits
from fleetroll.core.faults import Fault, invalid

Document: TypeAlias = msgspec.Raw

EMPTY: Document = msgspec.Raw(b"{}")

_encode = msgspec.json.Encoder().encode
_decode: Callable[[Document], dict[str, Any]] = msgspec.json.Decoder().decode  # of what is known to be an object
_decode_any = msgspec.json.Decoder().decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_times = msgspec.json.Decoder(dict[str, int]).decode

# As integers, which `in` takes at once: given bytes, CPython first raises and drops an error.
BACKSLASH, DELETE = b"\\\x7f"

_NEGATIVE_ZERO = re.compile(rb"-0(?![0-9.eE])")
_NEGATIVE_ZERO_NUMBER = re.compile(rb"(?<![0-9eE])-0(?![0-9.eE])")
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
ERROR_PATH = re.compile(r" - at (?:`key` in )?`\$(?P<path>[^`]*)`\Z")  # at the end, as a member's name may look like it
# After one, msgspec expects another escape, and takes a text that ends sooner for JSON that does.
_HALF_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_CONTROL_IN_KEY = re.compile("[\x00-\x1f\x7f-\x9f]")

# An opening bracket is a step down and a closing one a step up, read as signed bytes. The two kinds need not be told
# apart, because a decoder stops at the first pair that does not match.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
# Going up some steps and down as many reaches no depth that was not reached before, so dropping both changes no
# maximum; that removes nearly all of a long flat text, at a fraction of the cost of adding it up.
_VALLEYS = [b"\xff" * steps + b"\x01" * steps for steps in (16, 8, 4, 2, 1)]
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))

# Every integer that could be out of range has at least nineteen digits.
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19


def flaw(problem: Exception, text: bytes) -> str:
    """What keeps a text from being JSON, and where, as msgspec says it."""
    words = ERROR_PATH.sub("", str(problem).removeprefix("JSON is malformed: "))
    if words != "Input data was truncated":
        return words
    return "half of a surrogate pair" if _HALF_PAIR.search(text.replace(rb"\\", b"")) else "it ends too early"


def of(value: Mapping[str, Any], field: str) -> Document:
    """The document with this content, members in the order given.

    `value` holds what a JSON decoder yields; `field` is what a refusal calls it.
    """
    members = value if type(value) is dict else _members(value, field)
    text = encode(members, field)
    if len(text) > limits.MAX_DOCUMENT:
        raise invalid("document_too_large", f"{field} is larger than {limits.MAX_DOCUMENT} bytes.", field)
    if depth_exceeds(text, limits.MAX_DOCUMENT_DEPTH):
        raise _too_deep(field)
    if _needs_inspection(text):
        _inspect(members, field)
    return msgspec.Raw(text)


def parse(raw: bytes | str | msgspec.Raw, field: str = "document") -> dict[str, Any]:
    """The content of a text from outside, held to every rule that `of` has."""
    value: dict[str, Any] = _decoded(_utf8(raw, field), field)
    of(value, field)  # which refuses everything but an object
    return value


def load(document: Document) -> dict[str, Any]:
    """The content of a document of ours, which needs no second check."""
    return _decode(document)


def with_members(document: Document, given: Mapping[str, Any], field: str) -> Document:
    """The document with these members, each in the place that it had, or at the end; None takes one away."""
    members = {**load(document), **given}
    return of({name: value for name, value in members.items() if name not in given or value is not None}, field)


def can_hold(value: object) -> bool:
    """Whether a document may have a member of this value."""
    try:
        of({"value": value}, "value")
    except Fault:
        return False
    return True


def printable(text: str) -> str:
    """The text as a document may have it: what it would be refused for is replaced."""
    return CONTROL.sub("\ufffd", text)


def member_times(times: Document, was: Document, now: Document, at: int) -> Document:
    """When each top-level member of `now` last changed, unless at creation: `times` of `was`, updated with `at`."""
    known, before = _decode_times(times), _decode_members(was)
    return msgspec.Raw(
        _encode(
            {
                name: time
                for name, value in _decode_members(now).items()
                if (time := known.get(name) if before.get(name) == value else at) is not None
            }
        )
    )


def same_value(left: object, right: object) -> bool:
    """Equality of JSON values: 1 and 1.0 are one number, but true is not 1 as it is in Python."""
    # Python's own equality is the coarser one, so its "no" is final; its "yes" may have taken true for 1.
    return bool(left == right) and _same_booleans(left, right)


def encode(value: object, field: str) -> bytes:
    """The compact JSON text of a value, of any size and depth. Raises Fault invalid for what JSON cannot carry."""
    try:
        return _encode(value)
    except RecursionError:
        raise _too_deep(field) from None
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        raise _refused(field, "holds something that JSON cannot carry, such as a lone surrogate") from None


def depth(body: bytes) -> int:
    """How deeply a decoder of this text would nest; a scalar has depth 0. Linear, and itself without nesting."""
    if body[:1] in {b"{", b"["} and body.count(b"{") + body.count(b"[") == 1:
        return 1
    steps = _brackets(body).translate(_STEPS)
    for valley in _VALLEYS:
        steps = steps.replace(valley, b"")
    return max(accumulate(memoryview(steps).cast("b")), default=0)


def depth_exceeds(body: bytes, limit: int) -> bool:
    """Whether a decoder would have to nest deeper than `limit`. To be asked before it is given the text."""
    return body.count(b"[") + body.count(b"{") > limit and depth(body) > limit


def has_many_containers(body: bytes, limit: int) -> bool:
    """Whether a decoder would make more arrays and objects than `limit`; each takes many times its text in memory."""
    if body.count(b"[") + body.count(b"{") <= limit and body.count(b"]") + body.count(b"}") <= limit:
        return False
    brackets = _brackets(body)
    return max(brackets.count(b"[") + brackets.count(b"{"), brackets.count(b"]") + brackets.count(b"}")) > limit


def has_negative_zero(body: bytes) -> bool:
    """Whether the integer -0 occurs as a number: a decoder yields 0 for it, so it cannot be kept as it was sent."""
    # Dates make "-0" common and strings that end a word with it possible; only the rest pays for the careful look.
    if body.find(b"-0") < 0 or not _NEGATIVE_ZERO.search(body):
        return False
    outside = b'"'.join(_without_escapes(body).split(b'"')[::2])
    return _NEGATIVE_ZERO_NUMBER.search(outside) is not None


def _brackets(body: bytes) -> bytes:
    """The brackets outside strings, by passes in C of which none can be made slow by its input."""
    structure = _without_escapes(body).translate(None, _NOT_STRUCTURE)
    # Two adjacent quotes bound nothing, or join two stretches of the same side: without them the sides are as before.
    return b"".join(structure.replace(b'""', b"").split(b'"')[::2])


def _without_escapes(body: bytes) -> bytes:
    # Pairs of backslashes go first: what then still stands before a quote does escape it.
    return body.replace(b"\\\\", b"").replace(b'\\"', b"") if BACKSLASH in body else body


def _needs_inspection(text: bytes) -> bool:
    """Whether anything in the text could break a rule; cheap, and wrong only on the safe side.

    The encoder escapes control characters below U+0020, writes the others as they are, and writes NaN as null.
    """
    return (
        len(text) > limits.MAX_DOCUMENT_KEY
        or BACKSLASH in text
        or DELETE in text
        or text.find(b"null") >= 0
        or not text.isascii()
        or text.translate(_DIGITS_TO_ZERO).find(_LONG_NUMBER) >= 0
    )


def _inspect(value: object, field: str) -> None:
    if isinstance(value, str):
        if CONTROL.search(value):
            raise _refused(field, "holds a control character")
    elif isinstance(value, dict):
        for key, member in value.items():
            _inspect_key(key, field)
            _inspect(member, field)
    elif isinstance(value, list | tuple):
        for element in value:
            _inspect(element, field)
    elif value is not None:
        _inspect_number(value, field)


def _inspect_key(key: object, field: str) -> None:
    if not isinstance(key, str):
        raise _refused(field, "has a key that is not a string")
    if len(key) > limits.MAX_DOCUMENT_KEY:
        raise _refused(field, f"has a key of more than {limits.MAX_DOCUMENT_KEY} characters")
    if _CONTROL_IN_KEY.search(key):
        raise _refused(field, "has a control character in a key")


def _inspect_number(value: object, field: str) -> None:
    if isinstance(value, int):
        if not limits.MIN_INTEGER <= value <= limits.MAX_INTEGER:
            raise _refused(field, f"holds an integer outside {limits.MIN_INTEGER} to {limits.MAX_INTEGER}")
    elif not isinstance(value, float):
        raise _refused(field, "holds something that is not JSON")
    elif not isfinite(value):
        raise _refused(field, "holds a number that is not finite")


def _members(value: object, field: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _refused(field, "must be a JSON object")
    return dict(value)


def _utf8(raw: bytes | str | msgspec.Raw, field: str) -> bytes:
    try:
        return raw.encode() if isinstance(raw, str) else bytes(raw)
    except UnicodeEncodeError:
        raise _not_json(field) from None


def _decoded(body: bytes, field: str) -> Any:
    if depth_exceeds(body, limits.MAX_DOCUMENT_DEPTH):
        raise _too_deep(field)
    if has_negative_zero(body):
        raise _refused(field, "holds the integer -0, which cannot be stored; write 0")
    try:
        return _decode_any(body)
    except (msgspec.MsgspecError, ValueError):
        raise _not_json(field) from None


def _same_booleans(left: object, right: object) -> bool:
    """Whether two equal values also agree on which of their leaves are booleans."""
    if isinstance(left, dict) and isinstance(right, dict):
        return all(_same_booleans(member, right[key]) for key, member in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return all(map(_same_booleans, left, right))
    return isinstance(left, bool) == isinstance(right, bool)


def _refused(field: str, why: str) -> Fault:
    return invalid("invalid_document", f"{field} {why}.", field)


def _too_deep(field: str) -> Fault:
    return _refused(field, f"is nested deeper than {limits.MAX_DOCUMENT_DEPTH} levels")


def _not_json(field: str) -> Fault:
    return invalid("invalid_json", f"{field} is not valid JSON in UTF-8.", field)
