"""What a predicate means of a document, as PostgreSQL has it in lax mode."""

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from fleetroll.core import regexp
from fleetroll.core.jsonpath.symbols import refused
from fleetroll.core.jsonpath.tree import (
    All,
    Bare,
    Compared,
    Denied,
    Either,
    Elements,
    Exists,
    Index,
    Key,
    LikeRegex,
    Literal,
    Method,
    Operand,
    Path,
    Predicate,
    StartsWith,
    Step,
    Unknown,
    Where,
)

Truth: TypeAlias = bool | None
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def holds(predicate: Predicate, document: object) -> Truth:
    """Whether the predicate holds of the document; None where that is unknown."""
    return _holds(predicate, document, document)


def _holds(predicate: Predicate, root: object, current: object) -> Truth:  # noqa: C901  # one case for each kind
    match predicate:
        case Compared(symbol, left, right):
            others = list(_operands(right, root, current))
            ones = _operands(left, root, current)
            return _any(_compare(symbol, one, other) for one in ones for other in others)
        case Exists(path):
            return any(True for _ in _items(path, root, current))
        case StartsWith(path, text):
            return _any(_of_text(path, root, current, lambda one: one.startswith(text)))
        case LikeRegex(path, pattern, flags):
            return _any(_of_text(path, root, current, compiled(pattern, flags).search))
        case All(parts):
            return _denied(_any(_denied(_holds(part, root, current)) for part in parts))
        case Either(parts):
            return _any(_holds(part, root, current) for part in parts)
        case Denied(part):
            return _denied(_holds(part, root, current))
        case Unknown(part):
            return _holds(part, root, current) is None
        case Bare(path):
            match list(_items(path, root, current)):
                case [bool() as found]:
                    return found
            return None


def _of_text(path: Path, root: object, current: object, test: Callable[[str], bool]) -> Iterator[Truth]:
    return (test(one) if isinstance(one, str) else None for one in _unwrapped(_items(path, root, current)))


def _any(truths: Iterator[Truth]) -> Truth:
    """True if one is, else unknown if one is."""
    unknown = False
    for truth in truths:
        if truth:
            return True
        unknown = unknown or truth is None
    return None if unknown else False


def _denied(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _compare(symbol: str, one: object, other: object) -> Truth:
    if one is None or other is None:
        return symbol in {"==", "<=", ">="} if one is other else symbol == "!="
    if _kind(one) != _kind(other) or isinstance(one, dict | list):
        return None
    return _TESTS[symbol](one, other)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    return "array" if isinstance(value, list) else "object"


def _operands(operand: Operand, root: object, current: object) -> Iterator[object]:
    if isinstance(operand, Literal):
        return iter((operand.value,))
    return _unwrapped(_items(operand, root, current))


def _unwrapped(items: Iterator[object]) -> Iterator[object]:
    for item in items:
        if isinstance(item, list):
            yield from item
        else:
            yield item


def _items(path: Path, root: object, current: object) -> Iterator[object]:
    found: Iterator[object] = iter((root if path.root == "$" else current,))
    for step in path.steps:
        found = _stepped(found, step, root)
    return found


def _stepped(items: Iterator[object], step: Step, root: object) -> Iterator[object]:
    match step:
        case Key(name):
            return _members(_unwrapped(items), name)
        case Index(spans):
            return (one for item in items for one in _positions(item if isinstance(item, list) else [item], spans))
        case Elements():
            return _unwrapped(items)
        case Where(predicate):
            return (one for one in _unwrapped(items) if _holds(predicate, root, one))
        case Method("size"):
            return (len(item) if isinstance(item, list) else 1 for item in items)
        case Method():
            return (_kind(item) for item in items)


def _members(items: Iterator[object], name: str | None) -> Iterator[object]:
    for item in items:
        if not isinstance(item, dict):
            continue
        if name is None:
            yield from item.values()
        elif name in item:
            yield item[name]


def _positions(array: list[object], spans: tuple[tuple[int, int], ...]) -> Iterator[object]:
    size = len(array)
    for span in spans:
        start, end = (place if place >= 0 else size + place for place in span)
        yield from array[max(start, 0) : max(end + 1, 0)]


@functools.lru_cache(maxsize=256)
def compiled(pattern: str, flags: str) -> regexp.Matcher:
    """Raises Fault invalid `invalid_jsonpath` for a pattern that is none, or one beyond what is supported."""
    try:
        return regexp.Matcher(pattern, ignore_case="i" in flags, literal="q" in flags)
    except regexp.Refused as problem:
        raise refused(f"has a like_regex whose pattern {problem}") from None
