"""Filters, sorts and pages as values, and the predicate that defines what a filter means.

Every grammar parses to these values, and every store turns them into its own statements; `matches` is the reference
that both are tested against. This module knows no grammar, no statement and no record: records are seen through
`read`, fields through a table that the caller owns.
"""

import enum
import itertools
import operator
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from msgspec import Struct

from fleetroll.core import jsonpath, names, times
from fleetroll.core.faults import Fault, invalid

T = TypeVar("T")
K = TypeVar("K")


class FieldType(enum.Enum):
    """What a field holds, and so which operators it has."""

    TEXT = "text"
    ENUM = "enum"  # one of a closed set of words, compared exactly
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TIME = "time"  # integer microseconds UTC; written as RFC 3339
    SET = "set"  # of strings
    DOCUMENT = "document"  # a JSON object, addressed by a path


class Field(Struct, frozen=True):
    """A field of filters and sorts. `choices` are the words of an ENUM."""

    name: str
    type: FieldType
    choices: tuple[str, ...] = ()
    sortable: bool = False


Fields: TypeAlias = Mapping[str, Field]


class Operator(enum.Enum):
    """How a comparison compares. An absent value satisfies none of them."""

    EQ = "eq"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    LIKE = "like"  # text that fits a Pattern, case-sensitive
    CONTAINS = "contains"  # text that contains the value; in ident and name case folded, elsewhere exact
    HAS = "has"  # member of a set (exact or a Pattern), or key of a document
    ELEMENT = "element"  # of the array at a path in a document: equal to the value, or text that fits a Pattern
    EXISTS = "exists"


class Pattern(Struct, frozen=True, tag=True):
    """Text with wildcards: the literal pieces between them, so at least two, of which any may be empty."""

    parts: tuple[str, ...]


class Folded(Struct, frozen=True, tag=True):
    """Text that is compared without case; `text` is folded. It can be asked of ident, dms and tags."""

    text: str


Value: TypeAlias = str | int | float | bool | Pattern | Folded | None


class Comparison(Struct, frozen=True, tag=True):
    """`path` leads into a document; `value` None is JSON null, except for EXISTS, which has no value."""

    field: str
    operator: Operator
    value: Value
    path: tuple[str, ...] = ()


class Search(Struct, frozen=True, tag=True):
    """Text looked for in ident and name, case folded."""

    text: str


class JsonPath(Struct, frozen=True, tag=True):
    """A SQL/JSON path predicate on a document field, by its canonical text (`core.jsonpath.write`).

    It does not see the document's own members that are `hidden`.
    """

    field: str
    text: str
    hidden: tuple[str, ...] = ()


class And(Struct, frozen=True, tag=True):
    parts: "tuple[Filter, ...]"


class Or(Struct, frozen=True, tag=True):
    parts: "tuple[Filter, ...]"


class Not(Struct, frozen=True, tag=True):
    part: "Filter"


Filter: TypeAlias = Comparison | Search | JsonPath | And | Or | Not


class Sort(Struct, frozen=True):
    """By a field, or by what is at `path` in a document: there -1 is the last element of an array.

    `then` orders what is equal in that, before the id does; only lists that are paged by offset support it.
    """

    field: str = "id"
    descending: bool = False
    path: tuple[str | int, ...] = ()
    then: "tuple[Sort, ...]" = ()


SortValue: TypeAlias = str | int | float | bool | tuple[int, float, str] | None


class Page(Struct, frozen=True):
    """At most `limit` rows that follow `after`: the sort value and the id of the last row seen."""

    limit: int
    after: "tuple[SortValue, int] | None" = None


class OffsetPage(Struct, frozen=True):
    """At most `limit` records, after the first `offset` ones: for lists that are short, or must be paged by number."""

    limit: int
    offset: int = 0

    def cut(self, records: list[T]) -> "Slice[T]":
        """The records of this page, out of all of them."""
        return Slice(records[self.offset :][: self.limit], len(records))


class Slice(NamedTuple, Generic[T]):
    """A page of a list by offset, and how many records the list has in all."""

    records: list[T]
    total: int


class Part(Struct, Generic[T, K], frozen=True):
    """Records of a list in its order, and the key of the last one, to continue after: None where no more follow."""

    records: list[T]
    next: K | None


def cut(found: list[T], limit: int, key: Callable[[T], K]) -> Part[T, K]:
    """The first `limit` of what was found by asking for one more, and the key of the last if any follow."""
    if len(found) <= limit:
        return Part(found, None)
    return Part(found[:limit], key(found[limit - 1]))


class Null(enum.Enum):
    NULL = "null"


# A key whose value is JSON null is present, and `read` already says None for absent.
NULL = Null.NULL

# The record's value: None if absent; a set as frozenset or tuple; with a path, what `lookup` finds in the document.
Read: TypeAlias = Callable[[str, tuple[str, ...]], object]


def lookup(document: Mapping[str, object], path: tuple[str, ...]) -> object:
    """The value at `path` as `matches` wants it read: None if absent, NULL for JSON null. Arrays are not entered."""
    value: object = document
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return NULL if value is None else value


def rank(document: Any, path: tuple[str | int, ...]) -> tuple[int, float, str]:
    """The sort key of what is at `path`: nothing and null, numbers, times, text, containers."""
    value = document
    for step in path:
        value = _at(value, step)
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, bool):
        return 3, 0.0, "true" if value else "false"
    if isinstance(value, int | float):
        return 1, float(value), digits(value)
    if not isinstance(value, str):
        return 4, 0.0, ""
    at = times.sort_key(value)
    return (3, 0.0, value) if at is None else (2, at, value)


_FIRST_INEXACT, _LAST_INEXACT = 2.0**53, 2.0**64  # floats that several integers of documents may share


def digits(number: int | float) -> str:
    """What orders numbers that are the same float: as a document spells them; empty where each has a float of its own.

    Negative ones are counted from -10^20 on, so that their digits are in order too.
    """
    if not _FIRST_INEXACT <= abs(float(number)) <= _LAST_INEXACT:
        return ""
    spelled = int(Decimal(repr(number)))
    return f"{spelled if spelled >= 0 else spelled + 10**20:020d}"


def _at(value: Any, step: str | int) -> Any:
    """The member of an object or the element of an array, of which -1 is the last; None where it is not there."""
    if isinstance(step, str):
        return value.get(step) if isinstance(value, dict) else None
    return value[step] if isinstance(value, list) and -1 <= step < len(value) and value else None


_EMPTY: tuple[object, ...] = ((), frozenset(), {})
SEARCHED = ("ident", "name")


def matches(filter: Filter, read: Read) -> bool:
    """Whether the record satisfies the filter.

    Logic has two values: any comparison with an absent value is false, and Not is plain negation, so `a != b`
    holds for records that lack `a`.
    """
    match filter:
        case And():
            return all(matches(part, read) for part in filter.parts)
        case Or():
            return any(matches(part, read) for part in filter.parts)
        case Not():
            return not matches(filter.part, read)
        case JsonPath():
            return _holds(filter, read(filter.field, ()))
        case Search():
            return any(_contains_folded(read(field, ()), filter.text) for field in SEARCHED)
        case Comparison():
            return _compares(filter, read(filter.field, filter.path))


def _holds(predicate: JsonPath, document: object) -> bool:
    if document is None:
        return False
    if predicate.hidden and isinstance(document, dict):
        document = {name: value for name, value in document.items() if name not in predicate.hidden}
    return jsonpath.holds(jsonpath.parse_canonical(predicate.text), document) is True


def _compares(comparison: Comparison, found: object) -> bool:
    # `tags:*` asks whether there is any tag; at a path the key itself counts, whatever it holds.
    if comparison.operator is Operator.EXISTS and not comparison.path and found in _EMPTY:
        return False
    if comparison.operator is Operator.CONTAINS and comparison.field in SEARCHED:
        text = comparison.value.text if isinstance(comparison.value, Folded) else comparison.value
        return _contains_folded(found, text)
    return found is not None and _TESTS[comparison.operator](found, comparison.value)


def _equal(found: object, value: Value) -> bool:
    if value is None:
        return found is NULL
    if isinstance(value, Folded):
        return isinstance(found, str) and fold(found) == value.text
    return _alike(found, value) and found == value


def _alike(found: object, value: Value) -> bool:
    # Python holds True == 1, JSON does not.
    for kind in (bool, int | float, str):
        if isinstance(value, kind):
            return isinstance(found, kind) and isinstance(found, bool) == isinstance(value, bool)
    return False


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[object, Value], bool]:
    def test(found: object, value: Value) -> bool:
        return _alike(found, value) and not isinstance(value, bool) and compare(found, value)

    return test


def _like(found: object, value: Value) -> bool:
    return isinstance(found, str) and isinstance(value, Pattern) and fits(value, found)


def _contains(found: object, value: Value) -> bool:
    if isinstance(value, Folded):
        return isinstance(found, str) and value.text in fold(found)
    return isinstance(found, str) and isinstance(value, str) and value in found


def _contains_folded(found: object, value: Value) -> bool:
    return isinstance(found, str) and isinstance(value, str) and fold(value) in fold(found)


def _has(found: object, value: Value) -> bool:
    # Text and JSON arrays are collections too, but of nothing that a filter can name.
    if isinstance(found, str | list) or not isinstance(found, Collection):
        return False
    if isinstance(value, Folded):
        return any(_equal(member, value) for member in found)
    return any(_like(member, value) for member in found) if isinstance(value, Pattern) else value in found


def _element(found: object, value: Value) -> bool:
    test = _like if isinstance(value, Pattern) else _equal
    return isinstance(found, list) and any(test(NULL if element is None else element, value) for element in found)


_TESTS: dict[Operator, Callable[[object, Value], bool]] = {
    Operator.EQ: _equal,
    Operator.LT: _ordered(operator.lt),
    Operator.LE: _ordered(operator.le),
    Operator.GT: _ordered(operator.gt),
    Operator.GE: _ordered(operator.ge),
    Operator.LIKE: _like,
    Operator.CONTAINS: _contains,
    Operator.HAS: _has,
    Operator.ELEMENT: _element,
    Operator.EXISTS: lambda found, value: True,
}
if _TESTS.keys() != set(Operator):
    raise LookupError("every operator needs its test")


def fits(pattern: Pattern, text: str) -> bool:
    """Whether `text` is the pattern's pieces in order, with anything between them."""
    first, *middle, last = pattern.parts
    position, end = len(first), len(text) - len(last)
    if position > end or not (text.startswith(first) and text.endswith(last)):
        return False
    # The leftmost position of each piece leaves the most room for the rest, so there is nothing to try again.
    for piece in middle:
        start = text.find(piece, position, end)
        if start < 0:
            return False
        position = start + len(piece)
    return True


def fold(text: str) -> str:
    """The product's one case fold, also of every stored column that is searched without case.

    Folding may decompose (U+01F0), so the result is composed again: equal text in, equal text out. A text that no such
    column can hold is not composed, as that takes the square of its length.
    """
    if text.isascii():
        return text.lower()
    if len(text) > names.LONGEST_SPELLING:
        return text.casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def conjuncts(filter: Filter | None) -> tuple[Filter, ...]:
    """The filters that must all hold, with every And above them taken apart."""
    if not isinstance(filter, And):
        return () if filter is None else (filter,)
    if not any(isinstance(part, And) for part in filter.parts):
        return filter.parts
    return tuple(itertools.chain.from_iterable(map(conjuncts, filter.parts)))


def fields(filter: Filter) -> Iterator[str]:
    """The fields that a filter reads, each as often as it does."""
    match filter:
        case And() | Or():
            for part in filter.parts:
                yield from fields(part)
        case Not():
            yield from fields(filter.part)
        case Search():
            yield from SEARCHED
        case JsonPath() | Comparison():
            yield filter.field


def every(*filters: Filter | None) -> Filter | None:
    """All of `filters` at once; None is no restriction, and so is the result if there is none."""
    parts = tuple(itertools.chain.from_iterable(map(conjuncts, filters)))
    return And(parts) if len(parts) > 1 else next(iter(parts), None)


_SORT = re.compile(r"(-?)(\w+)(?: +(asc|desc))?")


def parse_sort(text: str, fields: Fields) -> Sort:
    """`name`, `-name`, `name asc` or `name desc`; blank text is the default order. Raises `invalid_sort`."""
    if not text.strip():
        return Sort()
    match = _SORT.fullmatch(text.strip())
    if match is None or (match[1] and match[3]):
        raise _unsorted("Sort by one field, written field, -field, field asc or field desc", fields)
    if match[2] not in fields or not fields[match[2]].sortable:
        raise _unsorted(f'Cannot sort by "{match[2][:40]}"', fields)
    return Sort(match[2], descending=bool(match[1]) or match[3] == "desc")


def _unsorted(problem: str, fields: Fields) -> Fault:
    names = ", ".join(field.name for field in fields.values() if field.sortable) or "none"
    return invalid("invalid_sort", f"{problem}; sortable fields are {names}.", "sort")
