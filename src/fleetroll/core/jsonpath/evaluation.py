"""What a predicate means of a document, as PostgreSQL has it."""

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, TypeAlias

from msgspec import Struct

from fleetroll.core import regexp
from fleetroll.core.jsonpath import numerics
from fleetroll.core.jsonpath.tree import (
    All,
    Arithmetic,
    Bare,
    Compared,
    Descendants,
    Either,
    Elements,
    Exists,
    Index,
    Key,
    LikeRegex,
    Literal,
    Method,
    Negated,
    Operand,
    Path,
    Predicate,
    Signed,
    StartsWith,
    Step,
    Strict,
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


class _Mode(Struct, frozen=True):
    """How a path deals with what does not fit it.

    In lax mode it looks into arrays, and takes anything else for an array of one. Where it `forgives`, what does not
    fit is passed over; else it raises `_Misfit`.
    """

    lax: bool
    forgives: bool


class _Misfit(Exception):
    """A path, or an operator, does not fit the document."""


_ZERO = Decimal(0)
_flattened = itertools.chain.from_iterable
_LAX = _Mode(lax=True, forgives=True)
_STRICT = _Mode(lax=False, forgives=False)
_BELOW_DESCENT = _Mode(lax=False, forgives=True)


def holds(predicate: Predicate, document: object) -> Truth:
    """Whether the predicate holds of the document; None where that is unknown."""
    return _holds(predicate, document, _LAX)


def _holds(predicate: Predicate, item: object, mode: _Mode) -> Truth:
    """`item` is what paths begin at: the document, or in a filter what it looks at."""
    try:
        return _truth(predicate, item, mode)
    except _Misfit:
        return None


def _truth(predicate: Predicate, item: object, mode: _Mode) -> Truth:  # noqa: C901  # one case for each kind
    match predicate:
        case Compared():
            return _compared(predicate, item, mode)
        case Exists(path):
            return _exists(path, item, mode)
        case StartsWith(path, text):
            return _of_text(path, item, mode, lambda value: value.startswith(text))
        case LikeRegex(path, pattern, flags):
            return _of_text(path, item, mode, compiled(pattern, flags).search)
        case All(parts):
            return _all(_holds(part, item, mode) for part in parts)
        case Either(parts):
            return _any(_holds(part, item, mode) for part in parts)
        case Negated(part):
            return _negated(_holds(part, item, mode))
        case Unknown(part):
            return _holds(part, item, mode) is None
        case Bare(path):
            return _itself(path, item, mode)
        case Strict(part):
            return _holds(part, item, _STRICT)


def _compared(predicate: Compared, item: object, mode: _Mode) -> Truth:
    # All values are found before the first is compared: one that does not fit makes the whole comparison unknown.
    lefts = list(_operands(predicate.left, item, mode))
    rights = list(_operands(predicate.right, item, mode))
    pairs = itertools.product(lefts, rights)
    return _some((_compare(predicate.symbol, left, right) for left, right in pairs), mode)


def _exists(path: Path, item: object, mode: _Mode) -> bool:
    """In strict mode the path is followed to its end: what does not fit it may come after the first item."""
    items = _items(path, item, mode)
    return any(True for _ in (items if mode.lax else list(items)))


def _itself(path: Path, item: object, mode: _Mode) -> Truth:
    """The boolean that the path finds; unknown if it finds anything else, or more."""
    items = list(_items(path, item, mode))
    return items[0] if len(items) == 1 and isinstance(items[0], bool) else None


def _of_text(path: Path, item: object, mode: _Mode, test: Callable[[str], bool]) -> Truth:
    items = list(_unwrapped(_items(path, item, mode), mode))
    return _some((test(item) if isinstance(item, str) else None for item in items), mode)


def _some(truths: Iterator[Truth], mode: _Mode) -> Truth:
    """Whether it is true of some item. In strict mode it is unknown if it is unknown of any."""
    if mode.lax:
        return _any(truths)
    outcomes = set(truths)
    return None if None in outcomes else True in outcomes


def _any(truths: Iterator[Truth]) -> Truth:
    """True if one is, else unknown if one is."""
    unknown = False
    for truth in truths:
        if truth:
            return True
        unknown = unknown or truth is None
    return None if unknown else False


def _all(truths: Iterator[Truth]) -> Truth:
    """False if one is, else unknown if one is."""
    return _negated(_any(map(_negated, truths)))


def _negated(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _compare(symbol: str, left: object, right: object) -> Truth:
    if left is None or right is None:
        return symbol in {"==", "<=", ">="} if left is right else symbol == "!="
    if _kind(left) != _kind(right) or isinstance(left, dict | list):
        return None
    if type(left) is not type(right) and numerics.is_number(left):
        # A large float is not the number that it is written as, and an integer beside it would tell.
        left, right = numerics.exact(left), numerics.exact(right)
    return _TESTS[symbol](left, right)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if numerics.is_number(value):
        return "number"
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    return "array" if isinstance(value, list) else "object"


def _operands(operand: Operand, item: object, mode: _Mode) -> Iterator[object]:
    match operand:
        case Literal(value):
            return iter((value,))
        case Signed(symbol, part):
            return (numerics.compute(symbol, _ZERO, _number(value)) for value in _operands(part, item, mode))
        case Arithmetic(symbol, left, right):
            return _computed(symbol, list(_operands(left, item, mode)), list(_operands(right, item, mode)))
        case Path():
            return _unwrapped(_items(operand, item, mode), mode)


def _computed(symbol: str, left: list[object], right: list[object]) -> Iterator[object]:
    """What an operator makes of one number on each side."""
    if len(left) != 1 or len(right) != 1:
        raise _Misfit
    try:
        yield numerics.compute(symbol, _number(left[0]), _number(right[0]))
    except ZeroDivisionError:
        raise _Misfit from None


def _number(value: object) -> Decimal:
    if not numerics.is_number(value):
        raise _Misfit
    return numerics.exact(value)


def _double(value: object) -> Decimal:
    """A number as it is, or the one that a text says."""
    number = numerics.parse(value) if isinstance(value, str) else _number(value)
    if number is None:
        raise _Misfit
    return number


NUMERIC: dict[str, Callable[[object], Decimal]] = {
    "double": _double,
    "abs": lambda value: _number(value).copy_abs(),
    "floor": lambda value: numerics.whole(_number(value), ROUND_FLOOR),
    "ceiling": lambda value: numerics.whole(_number(value), ROUND_CEILING),
}
"""Methods that turn each number into another; in lax mode also those that an array holds."""


def _items(path: Path, item: object, mode: _Mode) -> Iterator[object]:
    items = iter((item,)) if isinstance(path.root, str) else _operands(path.root, item, mode)
    for step in path.steps:
        items = _stepped(items, step, mode)
        if isinstance(step, Descendants) and not mode.lax:
            mode = _BELOW_DESCENT
    return items


def _stepped(items: Iterator[object], step: Step, mode: _Mode) -> Iterator[object]:
    match step:
        case Key(name):
            return _members(_unwrapped(items, mode), name, mode)
        case Index(spans):
            return _flattened(_positions(array, spans, mode) for array in _arrays(items, mode))
        case Elements():
            return _flattened(_arrays(items, mode))
        case Descendants(first, last):
            return _flattened(_descendants(item, first, last) for item in items)
        case Where(predicate):
            return (item for item in _unwrapped(items, mode) if _holds(predicate, item, mode))
        case Method("size"):
            return (len(array) for array in _arrays(items, mode))
        case Method("type"):
            return (_kind(item) for item in items)
        case Method(name):
            return (NUMERIC[name](item) for item in _unwrapped(items, mode))


def _unwrapped(items: Iterator[object], mode: _Mode) -> Iterator[object]:
    """The items; in lax mode, the elements of an array in its place."""
    for item in items:
        if mode.lax and isinstance(item, list):
            yield from item
        else:
            yield item


def _arrays(items: Iterator[object], mode: _Mode) -> Iterator[list[object]]:
    for item in items:
        if isinstance(item, list):
            yield item
        elif mode.lax:
            yield [item]
        else:
            _misfit(mode)


def _members(items: Iterator[object], name: str | None, mode: _Mode) -> Iterator[object]:
    for item in items:
        if isinstance(item, dict) and name is None:
            # In PostgreSQL's order: `exists` ends at the first member that has what it asks for, or that does not fit.
            yield from (item[key] for key in sorted(item, key=_member_order))
        elif isinstance(item, dict) and name in item:
            yield item[name]
        else:
            _misfit(mode)


def _member_order(key: str) -> tuple[int, bytes]:
    """PostgreSQL's `jsonb` orders keys by their length in bytes, then by the bytes."""
    encoded = key.encode()
    return len(encoded), encoded


def _positions(array: list[object], spans: tuple[tuple[int, int], ...], mode: _Mode) -> Iterator[object]:
    size = len(array)
    for span in spans:
        start, end = (index if index >= 0 else size + index for index in span)
        if not 0 <= start <= end < size:
            _misfit(mode)
        yield from array[max(start, 0) : max(end + 1, 0)]


def _descendants(item: object, first: int, last: int) -> Iterator[object]:
    """What is at the levels from `first` to `last` below the item, level by level."""
    level, items = 0, [item]
    while items and (level <= last or last < 0):
        if 0 <= first <= level:
            yield from items
        elif first < 0 and last < 0 and level:
            yield from (item for item in items if not isinstance(item, dict | list))
        items = list(_flattened(map(_children, items)))
        level += 1


def _children(item: object) -> Iterable[object]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list) else ()


def _misfit(mode: _Mode) -> None:
    if not mode.forgives:
        raise _Misfit


@functools.lru_cache(maxsize=256)
def compiled(pattern: str, flags: str) -> regexp.Matcher:
    """Raises `regexp.Refused` for a pattern that is invalid or not supported."""
    return regexp.Matcher(pattern, ignore_case="i" in flags, literal="q" in flags, across_lines="s" in flags)
