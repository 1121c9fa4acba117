"""What a filter means, as the reference predicate says it; folding, wildcards, conjunction and sort order."""

import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetroll.core import limits, names
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.query import (
    NULL,
    And,
    Comparison,
    Field,
    FieldType,
    Filter,
    Not,
    Operator,
    Or,
    Pattern,
    Search,
    Sort,
    Value,
    conjuncts,
    every,
    fits,
    fold,
    lookup,
    matches,
    parse_sort,
)
from tests.support.effort import often

DOCUMENT: dict[str, object] = {
    "text": "Warehouse",
    "one": 1,
    "half": 0.5,
    "yes": True,
    "none": None,
    "list": ["x"],
    "empty": {},
    "deep": {"a": {"b": "found"}},
}
RECORD: dict[str, object] = {
    "ident": "sensor-1",
    "name": None,
    "revision": 7,
    "connected": False,
    "tags": frozenset({"production", "eu-west"}),
    "owners": (),
    "metadata": DOCUMENT,
    "config": {},
}


def read(field: str, path: tuple[str, ...]) -> object:
    value = RECORD[field]
    return lookup(value, path) if isinstance(value, dict) else value


def holds(field: str, operator: Operator, value: Value = None) -> bool:
    name, *path = field.split(".")
    return matches(Comparison(name, operator, value, tuple(path)), read)


@pytest.mark.parametrize(
    ("field", "operator", "value"),
    [
        ("ident", Operator.EQ, "sensor-1"),
        ("ident", Operator.LT, "sensor-2"),
        ("ident", Operator.LE, "sensor-1"),
        ("ident", Operator.GT, "Sensor-1"),
        ("ident", Operator.GE, "sensor-1"),
        ("ident", Operator.CONTAINS, "SENSOR"),
        ("ident", Operator.LIKE, Pattern(("sensor-", ""))),
        ("ident", Operator.EXISTS, None),
        ("revision", Operator.EQ, 7),
        ("revision", Operator.GT, 6),
        ("connected", Operator.EQ, False),
        ("connected", Operator.EXISTS, None),
        ("tags", Operator.HAS, "production"),
        ("tags", Operator.HAS, Pattern(("eu-", ""))),
        ("tags", Operator.EXISTS, None),
        ("metadata", Operator.HAS, "none"),
        ("metadata", Operator.EXISTS, None),
        ("metadata.none", Operator.EXISTS, None),
        ("metadata.empty", Operator.EXISTS, None),
        ("metadata.none", Operator.EQ, None),
        ("metadata.text", Operator.EQ, "Warehouse"),
        ("metadata.text", Operator.CONTAINS, "house"),
        ("metadata.one", Operator.EQ, 1.0),
        ("metadata.half", Operator.LT, 1),
        ("metadata.yes", Operator.EQ, True),
        ("metadata.deep.a.b", Operator.EQ, "found"),
    ],
)
def test_a_comparison_holds(field: str, operator: Operator, value: Value) -> None:
    assert holds(field, operator, value)


@pytest.mark.parametrize(
    ("field", "operator", "value"),
    [
        ("ident", Operator.EQ, "Sensor-1"),
        ("ident", Operator.LIKE, Pattern(("SENSOR", ""))),
        ("ident", Operator.HAS, "s"),
        ("name", Operator.EQ, ""),
        ("name", Operator.CONTAINS, ""),
        ("name", Operator.LIKE, Pattern(("", ""))),
        ("name", Operator.EXISTS, None),
        ("name", Operator.EQ, None),
        ("tags", Operator.HAS, "Production"),
        ("tags", Operator.HAS, Pattern(("us-", ""))),
        ("owners", Operator.EXISTS, None),
        ("owners", Operator.HAS, Pattern(("", ""))),
        ("config", Operator.EXISTS, None),
        ("config", Operator.HAS, "a"),
        ("metadata.gone", Operator.EXISTS, None),
        ("metadata.gone", Operator.EQ, None),
        ("metadata.text.gone", Operator.EXISTS, None),
        ("metadata.list.0", Operator.EXISTS, None),
        ("metadata.list", Operator.CONTAINS, "x"),
        ("metadata.list", Operator.HAS, "x"),
        ("metadata.text", Operator.CONTAINS, "HOUSE"),
        ("metadata.one", Operator.EQ, True),
        ("metadata.one", Operator.EQ, "1"),
        ("metadata.one", Operator.LIKE, Pattern(("1", ""))),
        ("metadata.yes", Operator.EQ, 1),
        ("metadata.yes", Operator.GE, 1),
        ("metadata.yes", Operator.GE, True),
        ("metadata.one", Operator.LT, "2"),
        ("metadata.text", Operator.GT, 0),
        ("metadata.none", Operator.LE, None),
        ("metadata.empty", Operator.EQ, "{}"),
    ],
)
def test_a_comparison_does_not_hold(field: str, operator: Operator, value: Value) -> None:
    assert not holds(field, operator, value)


def test_a_record_that_lacks_a_field_is_unequal_to_every_value() -> None:
    assert matches(Not(Comparison("name", Operator.EQ, "x")), read)
    assert matches(Not(Comparison("metadata", Operator.EQ, "x", ("gone",))), read)


def test_text_is_ordered_by_code_point() -> None:
    assert matches(Comparison("t", Operator.LT, "\U00010000"), lambda field, path: "\uffff")


@pytest.mark.parametrize(
    ("ident", "name", "text", "expected"),
    [
        ("SENSOR", None, "sens", True),
        ("d1", "Straße", "STRASSE", True),
        ("d1", "Café", "cafe\u0301", True),
        ("d1", "boiler", "pump", False),
        ("d1", None, "none", False),
    ],
)
def test_a_search_looks_in_ident_and_name_without_case(ident: str, name: str | None, text: str, expected: bool) -> None:
    assert matches(Search(text), lambda field, path: {"ident": ident, "name": name}[field]) is expected


def test_lookup_tells_null_from_absent() -> None:
    assert lookup(DOCUMENT, ("none",)) is NULL
    assert lookup(DOCUMENT, ("gone",)) is None
    assert lookup(DOCUMENT, ()) is DOCUMENT


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("a*", "abc", True),
        ("a*", "ba", False),
        ("*c", "abc", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*", "", True),
        ("*b*", "abc", True),
        ("a*bc*bc", "abcbc", True),
        ("a*bc*bc", "abc", False),
        ("a*b*c*d", "a-c-b-d", False),
        ("a*.?", "ab", False),
        ("*" + "a*" * 40, "a" * 39, False),
    ],
)
def test_a_wildcard_stands_for_any_text(pattern: str, text: str, expected: bool) -> None:
    assert fits(Pattern(tuple(pattern.split("*"))), text) is expected


@given(st.text())
@settings(max_examples=often(100), deadline=None)
def test_folding_is_idempotent_and_ignores_normal_form(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))


def test_every_spelling_of_a_name_is_folded_and_nothing_longer_composed() -> None:
    # A filter of 4,000 marks took the event loop 40 ms, as it is folded several times.
    name = "\u1faf" * limits.MAX_NAME
    spelled = unicodedata.normalize("NFD", name)
    assert fold(spelled) == fold(name)
    assert fold(f"{spelled}\u0300") == f"{spelled}\u0300".casefold()
    longest = max((chr(code) for code in range(sys.maxunicode + 1)), key=lambda one: len(decomposed(fold(one))))
    assert len(decomposed(fold(longest))) * limits.MAX_NAME == names.LONGEST_SPELLING


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize("text", ["ǰ", "ΐ", "İ", "ß", "K", "ς"])
def test_folding_treats_both_cases_alike(text: str) -> None:
    assert fold(text.upper()) == fold(text)


A, B, C = Search("a"), Search("b"), Search("c")


def test_conjuncts_takes_apart_only_ands() -> None:
    assert list(conjuncts(And((A, And((B, Or((A, C)))))))) == [A, B, Or((A, C))]
    assert list(conjuncts(Not(And((A, B))))) == [Not(And((A, B)))]


def test_every_leaves_out_what_restricts_nothing() -> None:
    assert every() is None
    assert every(None, None) is None
    assert every(None, A) == A
    assert every(A, None, And((B, C))) == And((A, B, C))


FIELDS = {
    field.name: field
    for field in (
        Field("id", FieldType.INTEGER, sortable=True),
        Field("name", FieldType.TEXT, sortable=True),
        Field("tags", FieldType.SET),
    )
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Sort("id")),
        ("  ", Sort("id")),
        ("name", Sort("name")),
        ("-name", Sort("name", descending=True)),
        (" name desc ", Sort("name", descending=True)),
        ("name asc", Sort("name")),
    ],
)
def test_a_sort_is_one_field_and_a_direction(text: str, expected: Sort) -> None:
    assert parse_sort(text, FIELDS) == expected


@pytest.mark.parametrize(
    "text", ["tags", "colour", "-name desc", "name,id", "name up", "--name", "-", "name\x00", "a" * 9999]
)
def test_any_other_sort_is_refused_with_the_fields_that_work(text: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_sort(text, FIELDS)
    assert (caught.value.kind, caught.value.code, caught.value.field) == (Kind.INVALID, "invalid_sort", "sort")
    assert "id, name" in caught.value.message
    assert len(caught.value.message) < 200


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.floats(-2, 2),
    st.text("aAb", max_size=2),
    st.just(Pattern(("a", ""))),
)
READABLE = st.one_of(
    VALUES.filter(lambda value: not isinstance(value, Pattern)),
    st.just(NULL),
    st.frozensets(st.text("ab", max_size=2), max_size=2),
    st.just({"a": 1}),
    st.just([1]),
)
RECORDS = st.fixed_dictionaries({"ident": READABLE, "name": READABLE, "other": READABLE})
COMPARISONS = st.builds(Comparison, st.sampled_from(["ident", "name", "other"]), st.sampled_from(Operator), VALUES)
FILTERS: st.SearchStrategy[Filter] = st.recursive(
    COMPARISONS | st.builds(Search, st.text("ab", max_size=2)),
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=5,
)


@given(FILTERS, FILTERS, RECORDS)
@settings(max_examples=often(200), deadline=None)
def test_the_laws_of_de_morgan_hold(a: Filter, b: Filter, record: dict[str, object]) -> None:
    def true(wanted: Filter) -> bool:
        return matches(wanted, lambda field, path: record[field])

    assert true(Not(And((a, b)))) == true(Or((Not(a), Not(b))))
    assert true(Not(Or((a, b)))) == true(And((Not(a), Not(b))))
    assert true(Not(Not(a))) == true(a)
    assert all(true(part) for part in conjuncts(And((a, b)))) == true(And((a, b)))


@given(COMPARISONS)
@settings(max_examples=often(100), deadline=None)
def test_no_comparison_holds_for_an_absent_value(comparison: Comparison) -> None:
    assert not matches(comparison, lambda field, path: None)
