"""Generated devices and filters: everything the filter language can ask, over values that are likely to meet."""

import unicodedata
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import Raw, structs
from msgspec.structs import replace

from fleetroll.core.fields import DEVICE_FIELDS
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import NewDevice
from fleetroll.core.names import identity_key
from fleetroll.core.query import (
    And,
    Comparison,
    Field,
    FieldType,
    Filter,
    Folded,
    Not,
    Operator,
    Or,
    Pattern,
    Search,
    Sort,
    Value,
    fold,
)

# Wildcards, escapes and quotes of SQL, JSON paths and full-text queries; case and normal-form twins; astral letters.
_LETTERS = "aAbB%_\\\"'*.$[]?-:^() \u00e9\u00c9e\u0301\u00df\u03a9\u03c9\u0130\U0001f600"
_KNOWN = (
    "a",
    "A",
    "ab",
    "aba",
    "a%b",
    "a_b",
    "a\\b",
    'a"b',
    "a'b",
    "\u00e9",
    "e\u0301",
    "stra\u00dfe",
    "STRASSE",
    "100%",
)
_texts = st.sampled_from(_KNOWN) | st.text(_LETTERS, max_size=6)
_printable = st.text(st.characters(exclude_categories=("C", "Z")), max_size=4)
texts = _texts | _printable
lines = texts.map(str.strip).filter(lambda text: text.isprintable() and text not in {"", ".", ".."})
_keys = st.sampled_from(("a", "b", "a.b", "", "\u00e9", "e\u0301", 'q"', "back\\", "[0]", "$", "%", "0")) | texts
_times = st.integers(-3, 3)
# Integers beyond 63 bits are left out: engines compare those in floating point.
_edges = st.sampled_from((2**53, 2**53 + 1, 2**63 - 1, -(2**63)))
# Of a fraction between these powers nobody can say which of many whole numbers it means; engines differ there.
_floats = st.floats(allow_nan=False, allow_infinity=False).filter(lambda one: not 2**53 < abs(one) < 2**64)
_numbers = st.integers(-2, 3) | _edges | _floats | st.sampled_from((0.5, 1.0))
_leaves = st.none() | st.booleans() | _numbers | texts
_values = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_keys, inner, max_size=3), max_leaves=6
)
documents = st.dictionaries(_keys, _values, max_size=4).map(lambda value: Raw(msgspec.json.encode(value)))

new_devices = st.builds(
    NewDevice,
    ident=lines,
    name=st.none() | lines,
    kind=st.none() | lines,
    hardware_version=st.none() | lines,
    software=st.none() | documents | _texts.map(lambda text: Raw(msgspec.json.encode({"version": text}))),
    cohort=st.none() | lines.filter(lambda text: text != "default"),
    metadata=documents,
    tags=st.lists(lines, max_size=3, unique=True).map(tuple),
    dms=st.none() | lines,
    owners=st.lists(lines, max_size=2, unique=True).map(tuple),
    config=documents,
)
# What only a change can give a device.
later = st.fixed_dictionaries(
    {
        "status": st.sampled_from(Status),
        "connected": st.booleans(),
        "last_seen": st.none() | _times,
        "activated_at": st.none() | _times,
        "updated_at": _times,
    }
)
fleets = st.lists(
    st.tuples(new_devices, later), min_size=1, max_size=6, unique_by=lambda one: identity_key(one[0].ident)
)
sorts = st.builds(
    Sort, st.sampled_from([field.name for field in DEVICE_FIELDS.values() if field.sortable]), st.booleans()
)

FOLDABLE = ("ident", "dms", "tags")
_ORDER = (Operator.LT, Operator.LE, Operator.GT, Operator.GE)
_patterns = st.lists(_texts, min_size=2, max_size=4).map(lambda parts: Pattern(tuple(parts)))
_needles = texts | st.tuples(texts, texts).map("\n".join)


def _compared(field: Field, values: st.SearchStrategy[Any], *operators: Operator) -> st.SearchStrategy[Comparison]:
    return st.builds(Comparison, st.just(field.name), st.sampled_from(operators), values)


def _within(field: Field) -> st.SearchStrategy[Comparison]:
    """What can be asked of a place in a document."""
    path = st.lists(_keys, min_size=1, max_size=3).map(tuple)
    name, one = st.just(field.name), st.builds
    return st.one_of(
        one(Comparison, name, st.just(Operator.EXISTS), st.none(), path),
        one(Comparison, name, st.just(Operator.EQ), _leaves, path),
        one(Comparison, name, st.sampled_from(_ORDER), _numbers | texts, path),
        one(Comparison, name, st.just(Operator.LIKE), _patterns, path),
        one(Comparison, name, st.just(Operator.ELEMENT), _leaves | _patterns, path),
        one(Comparison, name, st.sampled_from((Operator.CONTAINS, Operator.HAS)), texts, path),
    )


def _folded(field: Field, *operators: Operator) -> st.SearchStrategy[Comparison]:
    if field.name not in FOLDABLE:
        return st.nothing()
    return _compared(field, texts.map(fold).map(Folded), *operators)


def _of(field: Field) -> st.SearchStrategy[Comparison]:
    exists = _compared(field, st.none(), Operator.EXISTS)
    match field.type:
        case FieldType.TEXT:
            plain = _compared(field, lines | _needles, Operator.EQ, Operator.CONTAINS, *_ORDER)
            likes = _compared(field, _patterns, Operator.LIKE)
            return exists | plain | likes | _folded(field, Operator.EQ, Operator.CONTAINS)
        case FieldType.ENUM:
            return exists | _compared(field, st.sampled_from(field.choices), Operator.EQ)
        case FieldType.BOOLEAN:
            return exists | _compared(field, st.booleans(), Operator.EQ)
        case FieldType.INTEGER | FieldType.TIME:
            return exists | _compared(field, _times | _edges, Operator.EQ, *_ORDER)
        case FieldType.SET:
            return exists | _compared(field, lines | texts | _patterns, Operator.HAS) | _folded(field, Operator.HAS)
        case FieldType.DOCUMENT:
            return exists | _compared(field, _keys, Operator.HAS) | _within(field)


def _nested(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(And, parts) | st.builds(Or, parts) | st.builds(Not, inner)


comparisons: st.SearchStrategy[Comparison] = st.sampled_from(sorted(DEVICE_FIELDS)).flatmap(
    lambda name: _of(DEVICE_FIELDS[name])
)
_leaf_filters = comparisons | st.builds(Search, _needles)
filters: st.SearchStrategy[Filter] = st.recursive(_leaf_filters, _nested, max_leaves=5)


# --- questions about given devices: random values seldom meet, these almost do -------------------------------------

Planted = tuple[NewDevice, dict[str, Any]]
Fact = tuple[Field, tuple[str, ...], Any]


def about(fleet: list[Planted]) -> st.SearchStrategy[Filter]:
    """Filters over values that the devices have, in another case or form, in part, or slightly off."""
    facts = [fact for new, members in fleet for fact in _facts({**structs.asdict(new), **members})]
    near = st.sampled_from(facts).flatmap(_near)
    return st.recursive(near | near | _leaf_filters, _nested, max_leaves=4)


def _facts(members: dict[str, Any]) -> Iterator[Fact]:
    for name in DEVICE_FIELDS.keys() & members.keys():
        field, value = DEVICE_FIELDS[name], members[name]
        if isinstance(value, tuple):
            yield from ((field, (), one) for one in value)
        elif isinstance(value, Raw):
            yield from ((field, path, leaf) for path, leaf in _leaves_of(msgspec.json.decode(value)))
        elif value is not None:
            yield field, (), value.value if isinstance(value, Status) else value


def _leaves_of(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if path:
        yield path, value
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from _leaves_of(inner, (*path, key))
    # An element of an array as its one fact, so that questions about it, too, are asked of what is at the path.
    for inner in value if isinstance(value, list) else ():
        yield path, inner


def _near(fact: Fact) -> st.SearchStrategy[Filter]:
    field, path, value = fact
    asked: list[Filter] = [Comparison(field.name, Operator.EXISTS, None, path)]
    equality = (Operator.EQ, Operator.ELEMENT) if path else (Operator.EQ,)
    if path:
        asked.append(Comparison(field.name, Operator.HAS, path[-1], path[:-1]))
    if isinstance(value, str):
        asked += [question for text in _variants(value) for question in _of_text(field, path, text)]
    elif value is None or isinstance(value, bool):
        asked += [Comparison(field.name, op, value, path) for op in equality]
    elif isinstance(value, int | float):
        same = float(value) if abs(value) <= 2**53 else value  # for the reason of `_floats`
        numbers = (value, same, 0) if path else (value, value + 1)
        asked += [Comparison(field.name, op, number, path) for number in numbers for op in (*equality, *_ORDER)]
    return st.sampled_from(asked)


def _variants(text: str) -> set[str]:
    forms = {text, text.swapcase(), unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)}
    return {""} | {part for form in forms for part in (form, form[:1], form[1:], form[1:-1], f"{form} ", f"{form}\n")}


def _of_text(field: Field, path: tuple[str, ...], text: str) -> list[Filter]:
    patterns = [Pattern((text, "")), Pattern(("", text)), Pattern((text[:1], text[1:])), Pattern(("", text, ""))]
    if field.type is FieldType.SET:
        members: list[Value] = [text, *patterns, *_as_folded(field, text)]
        return [Comparison(field.name, Operator.HAS, value) for value in members]
    if field.type is FieldType.ENUM:
        return [Comparison(field.name, Operator.EQ, text)]
    plain = [Comparison(field.name, op, text, path) for op in (Operator.EQ, Operator.CONTAINS, *_ORDER)]
    likes = [Comparison(field.name, Operator.LIKE, pattern, path) for pattern in patterns]
    if path:
        likes += [replace(one, operator=Operator.ELEMENT) for one in (plain[0], *likes)]
    folded = [
        Comparison(field.name, op, value)
        for op in (Operator.EQ, Operator.CONTAINS)
        for value in _as_folded(field, text)
    ]
    return [*plain, *likes, *folded, Search(text)]


def _as_folded(field: Field, text: str) -> list[Value]:
    return [Folded(fold(text))] if field.name in FOLDABLE else []
