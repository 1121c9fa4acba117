"""The filter grammar `field[operator]value`, or the same as three words, and the page size of the lists that use it.

Several filters are ANDed.

Lenient where the meaning is unambiguous: operators have long and short names, in any case, and a `:` or `=` may precede
the value. An unknown field is ignored, as the vendor does; an operator that does not fit its field is refused.
"""

import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import unquote

from msgspec import Struct

from fleetroll.core import jsonpath, limits
from fleetroll.core.faults import brief, invalid
from fleetroll.core.query import Comparison, Filter, Folded, JsonPath, Not, Operator, Or, Pattern, every, fold
from fleetroll.core.times import parse_iso


class Kind(enum.Enum):
    """What a field holds; the number is the one in the vendor's error messages."""

    TEXT = 0
    SET = 1
    TIME = 2
    CHOICE = 4
    DOCUMENT = 5


class FilterField(Struct, frozen=True):
    """A field that clients may name: which of ours it is, and the vendor's values that are spelled differently here.

    An absent `optional` text is shown as empty, so it is found as an empty one too. The `hidden` members of a document
    are not found.
    """

    name: str
    kind: Kind
    words: Mapping[str, str] = {}
    optional: bool = False
    hidden: tuple[str, ...] = ()


_NUMBER = re.compile(r"-?\d{1,15}", re.ASCII)
_DEFAULT_PAGE, _SHORT_PAGE = 25, 15
# All of the time fields hold past times, so any moment in the far future does for "now".
_NOW = (1 << 63) - 1
Fields = Mapping[str, FilterField]
Make = Callable[[FilterField, str], Filter | None]


def parse(expressions: Iterable[str], fields: Fields) -> Filter | None:
    """The filter that all of the expressions make together; None if that is no restriction. Raises Fault invalid."""
    texts = list(expressions)
    if sum(map(len, texts)) > limits.MAX_FILTER or len(texts) > limits.MAX_PREDICATES:
        message = f"A filter must have at most {limits.MAX_PREDICATES} parts and {limits.MAX_FILTER} characters."
        raise invalid("invalid_filter", message, "filter")
    require_few_patterns(map(unquote, texts))
    return every(*(_parse(expression, fields) for expression in texts))


def require_few_patterns(texts: Iterable[str]) -> None:
    """Raises Fault invalid where texts that make one filter have more patterns than one may have predicates.

    Asked before any of them is read: a pattern of a few characters may take half a millisecond.
    """
    if sum(text.count("like_regex") for text in texts) > limits.MAX_PREDICATES:
        raise invalid("invalid_filter", f"A filter must have at most {limits.MAX_PREDICATES} like_regex.", "filter")


def page_size(values: Sequence[str]) -> int:
    """The last value counts. One that is not a number counts as absent; zero or less gives the vendor's short page."""
    text = values[-1] if values else ""
    if not _NUMBER.fullmatch(text):
        return _DEFAULT_PAGE
    return min(int(text), limits.MAX_PAGE) if int(text) > 0 else _SHORT_PAGE


def _parse(expression: str, fields: Fields) -> Filter | None:
    field_name, opened, rest = expression.partition("[")
    word, closed, value = rest.partition("]")
    field = fields.get(field_name)
    if not opened or not closed or field is None:
        return None
    name = operator(field.kind, word)
    if name is None:
        message = f"invalid filter operand '{brief(word)}' for field '{field_name}' of type {field.kind.value}"
        raise invalid("invalid_filter", message, "filter")
    value = value[1:] if value[:1] in {":", "="} else value
    return compare(field, name, unquote(value) if field.kind is Kind.DOCUMENT else value)


def operator(kind: Kind, word: str) -> str | None:
    """The canonical (first) name of the operator called `word`, in any case; None if such fields have none."""
    known = _OPERATORS[kind].get(word.lower())
    return None if known is None else known.name


def compare(field: FilterField, operator: str, value: str) -> Filter | None:
    """The filter for an operator, given by its canonical name; None if it is no restriction. Raises Fault invalid."""
    return _OPERATORS[field.kind][operator].make(field, value)


# --- operators -------------------------------------------------------------------------------------------------------


def _equals(field: FilterField, value: str) -> Filter:
    return _or_absent(field, value, Comparison(field.name, Operator.EQ, field.words.get(value, value)))


def _equals_folded(field: FilterField, value: str) -> Filter:
    return _or_absent(field, value, Comparison(field.name, Operator.EQ, Folded(fold(value))))


def _contains(field: FilterField, value: str) -> Filter:
    return _or_absent(field, value, Comparison(field.name, Operator.LIKE, Pattern(("", value, ""))))


def _contains_folded(field: FilterField, value: str) -> Filter:
    return _or_absent(field, value, Comparison(field.name, Operator.CONTAINS, Folded(fold(value))))


def _or_absent(field: FilterField, value: str, comparison: Comparison) -> Filter:
    """What finds an empty optional text also finds an absent one."""
    if value or not field.optional:
        return comparison
    return Or((comparison, Not(Comparison(field.name, Operator.EXISTS, None))))


def _has(field: FilterField, value: str) -> Filter:
    return Comparison(field.name, Operator.HAS, value)


def _has_folded(field: FilterField, value: str) -> Filter:
    return Comparison(field.name, Operator.HAS, Folded(fold(value)))


def _negated(make: Callable[[FilterField, str], Filter]) -> Make:
    return lambda field, value: Not(make(field, value))


def _one_of(make: Callable[[FilterField, str], Filter], *, negated: bool = False) -> Make:
    """Any value of a comma-separated list; an empty list is no restriction."""

    def build(field: FilterField, value: str) -> Filter | None:
        parts = tuple(make(field, item) for item in value.split(",") if item)
        if len(parts) > limits.MAX_FILTER_VALUES:
            message = f"A list in a filter must have at most {limits.MAX_FILTER_VALUES} values."
            raise invalid("invalid_filter", message, "filter")
        if not parts:
            return None
        any_value = parts[0] if len(parts) == 1 else Or(parts)
        return Not(any_value) if negated else any_value

    return build


def _at(operator: Operator) -> Make:
    return lambda field, value: Comparison(field.name, operator, _time(value))


def _time(value: str) -> int:
    if value.lower() == "now":
        return _NOW
    instant = parse_iso(value)
    if instant is None:
        message = f"A time in a filter must be ISO 8601, such as 2024-01-01T00:00:00Z, not {brief(value)}."
        raise invalid("invalid_time", message, "filter")
    return instant


def _json(field: FilterField, value: str) -> Filter:
    predicate = jsonpath.parse(value)
    return JsonPath(field.name, jsonpath.write(jsonpath.translated(predicate, field.words)), field.hidden)


class _Operator(Struct, frozen=True):
    name: str
    make: Make


def _named(makes: Mapping[str, Make]) -> dict[str, _Operator]:
    """The operators by each of their names, which are separated by spaces; the first is canonical."""
    operators = {}
    for names, make in makes.items():
        spellings = names.split()
        operators.update(dict.fromkeys(spellings, _Operator(spellings[0], make)))
    return operators


_OPERATORS: dict[Kind, dict[str, _Operator]] = {
    Kind.TEXT: _named(
        {
            "eq equal equals is": _equals,
            "eq_ic equal_ignorecase": _equals_folded,
            "ne notequal": _negated(_equals),
            "ne_ic notequal_ignorecase": _negated(_equals_folded),
            "ct contains": _contains,
            "ct_ic contains_ic contains_ignorecase": _contains_folded,
            "nc notcontains": _negated(_contains),
            "nc_ic notcontains_ignorecase": _negated(_contains_folded),
            "in": _one_of(_equals),
            "in_ic": _one_of(_equals_folded),
            "nin": _one_of(_equals, negated=True),
            "nin_ic": _one_of(_equals_folded, negated=True),
        }
    ),
    Kind.SET: _named(
        {
            "contains ct eq equal equals": _has,
            "contains_ignorecase ct_ic contains_ic": _has_folded,
        }
    ),
    Kind.TIME: _named(
        {"bf before": _at(Operator.LT), "af after": _at(Operator.GT), "eq equal equals is": _at(Operator.EQ)}
    ),
    Kind.CHOICE: _named({"eq equal equals is": _equals, "ne notequal": _negated(_equals), "in": _one_of(_equals)}),
    Kind.DOCUMENT: _named({"jsonpath": _json}),
}
if _OPERATORS.keys() != set(Kind):
    raise AssertionError("every kind of field needs its operators")
