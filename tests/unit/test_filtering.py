"""The native filter language: what each form means, what is refused and where, and that nothing else can happen."""

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.filtering import parse_filter
from fleetroll.core.query import And, Comparison, Field, FieldType, Filter, Not, Operator, Or, Pattern, Search, Value
from tests.support.effort import often

FIELDS = {
    field.name: field
    for field in (
        Field("ident", FieldType.TEXT, sortable=True),
        Field("name", FieldType.TEXT),
        Field("status", FieldType.ENUM, ("ACTIVE", "DECOMMISSIONED")),
        Field("revision", FieldType.INTEGER),
        Field("connected", FieldType.BOOLEAN),
        Field("last_seen", FieldType.TIME),
        Field("tags", FieldType.SET),
        Field("metadata", FieldType.DOCUMENT),
    )
}
ACTIVE = Comparison("status", Operator.EQ, "ACTIVE")
A, B, C = Search("a"), Search("b"), Search("c")


def parse(text: str) -> Filter | None:
    return parse_filter(text, FIELDS)


def refusal(text: str) -> Fault:
    with pytest.raises(Fault) as caught:
        parse(text)
    fault = caught.value
    assert (fault.kind, fault.code, fault.field) == (Kind.INVALID, "invalid_filter", "filter")
    assert f"at column {fault.details['column']}" in fault.message
    return fault


@pytest.mark.parametrize("text", ["", " ", "\t\r\n", "\u00a0"])
def test_a_blank_filter_is_no_filter(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", And((A, B))),
        ("a AND b", And((A, B))),
        ("a b AND c", And((A, B, C))),
        ("a OR b", Or((A, B))),
        ("a AND b OR c", And((A, Or((B, C))))),
        ("a OR b AND c", And((Or((A, B)), C))),
        ("a b OR c", And((A, Or((B, C))))),
        ("(a AND b) OR c", Or((And((A, B)), C))),
        ("((a))", A),
        ("a AND(b OR c)", And((A, Or((B, C))))),
        ("NOT a", Not(A)),
        ("NOT(a)", Not(A)),
        ("-a", Not(A)),
        ("-(a OR b)", Not(Or((A, B)))),
        ('-"a"', Not(A)),
        ("NOT NOT a", A),
        ("--a", A),
        ("NOT a OR b", Or((Not(A), B))),
        ("a -b", And((A, Not(B)))),
        ("a-b", Search("a-b")),
        ("-status = ACTIVE", Not(ACTIVE)),
    ],
)
def test_or_binds_tighter_than_and_and_a_space_means_and(text: str, expected: Filter) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("boiler", Search("boiler")),
        ('"big boiler"', Search("big boiler")),
        ("1.2.3", Search("1.2.3")),
        ('"connected"', Search("connected")),
        ("status.example.com", Search("status.example.com")),
        ('"and"', Search("and")),
        ('"AND"', Search("AND")),
        ("Ärger", Search("Ärger")),
    ],
)
def test_a_bare_literal_is_a_search(text: str, expected: Filter) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "operator", "value"),
    [
        ("ident = d1", Operator.EQ, "d1"),
        ("ident=d1", Operator.EQ, "d1"),
        ("ident = 12", Operator.EQ, "12"),
        ('ident = "null"', Operator.EQ, "null"),
        ("ident:null", Operator.CONTAINS, "null"),
        ("ident < b", Operator.LT, "b"),
        ("ident <= b", Operator.LE, "b"),
        ("ident > b", Operator.GT, "b"),
        ("ident >= b", Operator.GE, "b"),
        ('ident:"abc"', Operator.CONTAINS, "abc"),
        ("ident:*", Operator.EXISTS, None),
        ("ident : *", Operator.EXISTS, None),
        ("ident = sensor-*", Operator.LIKE, Pattern(("sensor-", ""))),
        ('ident = "*a**b*"', Operator.LIKE, Pattern(("", "a", "b", ""))),
        ("ident = *", Operator.LIKE, Pattern(("", ""))),
        (r'ident = "a\*"', Operator.EQ, "a*"),
        (r'ident = "a\**"', Operator.LIKE, Pattern(("a*", ""))),
        (r'ident:"a\*"', Operator.CONTAINS, "a*"),
        (r'ident = "\"\'\\\n\t\u00e9"', Operator.EQ, "\"'\\\n\té"),
        (r'ident = "\ud83d\ude00\u002a"', Operator.EQ, "😀*"),
        (r"""ident = 'it\'s "x"'""", Operator.EQ, 'it\'s "x"'),
        ('ident:""', Operator.CONTAINS, ""),
        ("ident = 2026-01-01T00:00:00Z", Operator.EQ, "2026-01-01T00:00:00Z"),
        ("status = ACTIVE", Operator.EQ, "ACTIVE"),
        ('status:"ACTIVE"', Operator.EQ, "ACTIVE"),
        ("status:*", Operator.EXISTS, None),
        ("revision = 12", Operator.EQ, 12),
        ("revision > -3", Operator.GT, -3),
        ("revision = -9223372036854775808", Operator.EQ, -(1 << 63)),
        ("revision = 9223372036854775807", Operator.EQ, (1 << 63) - 1),
        ("connected = true", Operator.EQ, True),
        ("connected:false", Operator.EQ, False),
        ("connected = True", Operator.EQ, True),
        ("last_seen < 1970-01-01T00:00:01Z", Operator.LT, 1_000_000),
        ('last_seen >= "1970-01-02"', Operator.GE, 86_400_000_000),
        ("last_seen = 1970-01-01T00:00:01Z", Operator.EQ, 1_000_000),
        ("last_seen:*", Operator.EXISTS, None),
        ('tags:"production"', Operator.HAS, "production"),
        ("tags = production", Operator.HAS, "production"),
        ("tags:prod-*", Operator.HAS, Pattern(("prod-", ""))),
        ("tags:*", Operator.EXISTS, None),
        ('tags = ""', Operator.HAS, ""),
        ("metadata:location", Operator.HAS, "location"),
        ("metadata:12", Operator.HAS, "12"),
        ("metadata:*", Operator.EXISTS, None),
    ],
)
def test_each_type_reads_its_own_literals(text: str, operator: Operator, value: object) -> None:
    expected = Comparison(re.split("[ =:]", text, maxsplit=1)[0], operator, value)  # type: ignore[arg-type]
    # The representation also tells 1, 1.0 and True apart.
    assert repr(parse(text)) == repr(expected)


@pytest.mark.parametrize(
    ("text", "path", "operator", "value"),
    [
        ("metadata.location:*", "location", Operator.EXISTS, None),
        ("metadata.location = *", "location", Operator.EXISTS, None),
        ("metadata.a.b > x", "a b", Operator.GT, "x"),
        ('metadata."my.key".b > x', "my.key b", Operator.GT, "x"),
        (r'metadata."a\*\"" > x', 'a*"', Operator.GT, "x"),
        ('metadata."" > x', "", Operator.GT, "x"),
        ("metadata.a > 18446744073709551615", "a", Operator.GT, (1 << 64) - 1),
        ("metadata.a >= -2.5e1", "a", Operator.GE, -25.0),
        ('metadata.a > "1"', "a", Operator.GT, "1"),
        ("metadata.a > 007", "a", Operator.GT, "007"),
        ("metadata.a < 2026-01-01T00:00:00Z", "a", Operator.LT, "2026-01-01T00:00:00Z"),
    ],
)
def test_a_document_is_compared_at_a_path_by_json_type(text: str, path: str, operator: Operator, value: object) -> None:
    expected = Comparison("metadata", operator, value, tuple(path.split(" ")))  # type: ignore[arg-type]
    assert repr(parse(text)) == repr(expected)


WARE = Pattern(("ware", ""))


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("metadata.a = x", [(Operator.EQ, "x"), (Operator.ELEMENT, "x")]),
        ('metadata.a = "1"', [(Operator.EQ, "1"), (Operator.ELEMENT, "1")]),
        ('metadata.a = "true"', [(Operator.EQ, "true"), (Operator.ELEMENT, "true")]),
        ('metadata.a = ""', [(Operator.EQ, ""), (Operator.ELEMENT, "")]),
        ("metadata.a = 007", [(Operator.EQ, "007"), (Operator.ELEMENT, "007")]),
        ("metadata.a = ware*", [(Operator.LIKE, WARE), (Operator.ELEMENT, WARE)]),
        (
            "metadata.a = 1.50",
            [(Operator.EQ, "1.50"), (Operator.ELEMENT, "1.50"), (Operator.EQ, 1.5), (Operator.ELEMENT, 1.5)],
        ),
        (
            "metadata.a = True",
            [(Operator.EQ, "True"), (Operator.ELEMENT, "True"), (Operator.EQ, True), (Operator.ELEMENT, True)],
        ),
        (
            "metadata.a = true",
            [(Operator.EQ, "true"), (Operator.ELEMENT, "true"), (Operator.EQ, True), (Operator.ELEMENT, True)],
        ),
        (
            "metadata.a = null",
            [(Operator.EQ, "null"), (Operator.ELEMENT, "null"), (Operator.EQ, None), (Operator.ELEMENT, None)],
        ),
    ],
)
def test_equality_at_a_path_is_that_of_a_value_or_of_an_element(text: str, asked: list[tuple[Operator, Value]]) -> None:
    expected = Or(tuple(Comparison("metadata", operator, value, ("a",)) for operator, value in asked))
    assert repr(parse(text)) == repr(expected)
    assert repr(parse(text.replace("=", "!="))) == repr(Not(expected))


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("metadata.a:x", "x", []),
        ('metadata.a:"1"', "1", []),
        (r'metadata.a:"\*"', "*", []),
        ("metadata.a:1.50", "1.50", [1.5]),
        ("metadata.a:false", "false", [False]),
    ],
)
def test_a_colon_at_a_path_asks_what_is_there_for_a_part(text: str, key: str, values: list[Value]) -> None:
    asked = [(Operator.CONTAINS, key), (Operator.ELEMENT, key), (Operator.HAS, key)]
    asked += [(operator, value) for value in values for operator in (Operator.EQ, Operator.ELEMENT)]
    expected = Or(tuple(Comparison("metadata", operator, value, ("a",)) for operator, value in asked))
    assert repr(parse(text)) == repr(expected)


@pytest.mark.parametrize("field", ["ident", "revision", "last_seen", "tags", "metadata"])
def test_null_is_absence(field: str) -> None:
    absent = Not(Comparison(field, Operator.EXISTS, None))
    assert parse(f"{field} = null") == absent
    assert parse(f"{field} != NULL") == Not(absent)


def test_an_absent_text_is_as_good_as_empty() -> None:
    empty = Or((Not(Comparison("name", Operator.EXISTS, None)), Comparison("name", Operator.EQ, "")))
    assert parse('name = ""') == empty
    assert parse('name != ""') == Not(empty)


@pytest.mark.parametrize(("text", "number"), [("+3", 3), (".5", 0.5), ("-.5e1", -5.0), ("3.", 3.0), ("+0.5", 0.5)])
def test_numbers_are_also_read_as_people_write_them(text: str, number: float) -> None:
    assert repr(parse(f"metadata.a > {text}")) == repr(Comparison("metadata", Operator.GT, number, ("a",)))


def test_unequal_is_the_negation_of_equal() -> None:
    assert parse("status != ACTIVE") == Not(ACTIVE)
    assert parse("tags != x") == Not(Comparison("tags", Operator.HAS, "x"))
    assert parse("ident != a*") == Not(Comparison("ident", Operator.LIKE, Pattern(("a", ""))))


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("NOT colour = red", 5, 'Unknown field "colour" at column 5; known fields are ident, name, status'),
        ("a AND", 6, "Unexpected end"),
        ("NOT", 4, "Unexpected end"),
        ("-", 2, "Unexpected end"),
        ("a AND AND b", 7, 'Unexpected "AND"'),
        ("OR a", 1, 'Unexpected "OR"'),
        ("a - b", 3, "a minus negates the term that it touches"),
        ("(a", 1, "Unclosed parenthesis at column 1."),
        ("a)", 2, "no parenthesis is open"),
        ("()", 2, 'Unexpected ")"'),
        ("(a)(b)", 4, "separate terms with spaces"),
        ("size(a)", 5, "separate terms with spaces"),
        ('"a""b"', 4, "separate terms with spaces"),
        ("ident:aa:bb", 9, "quote text with special characters"),
        ("a, b", 2, "Unexpected ,"),
        ("a ! b", 3, "Unexpected !"),
        ('a "b', 3, "Unclosed string at column 3."),
        ("a 'b\"", 3, "Unclosed string at column 3."),
        ("a and b", 3, "write AND, or quote"),
        ("a || b", 3, "write OR, or quote"),
        ("= a", 1, 'Unexpected "="'),
        ("ident =", 8, 'a value was expected after "="'),
        ("ident == a", 8, 'a value was expected after "="'),
        ("ident = (a OR b)", 9, 'a value was expected after "="'),
        ("ident = AND", 9, 'a value was expected after "="'),
        ('"ident" = a', 1, "without quotes"),
        ("NOT connected", 5, 'Unexpected "connected" at column 5; compare it, as in connected = true, or quote a word'),
        ("a metadata.flag", 3, "compare it, as in metadata.flag:*"),
        ("name.first = a", 1, "name has no parts"),
        ("metadata..a = 1", 1, "Malformed path"),
        ("metadata. = 1", 1, "Malformed path"),
        (".a = 1", 1, "Malformed path"),
        ('metadata.a."b"c = 1', 1, "Malformed path"),
        ("metadata.* = 1", 10, "a path names one key"),
        ("metadata = 1", 12, "Document metadata compared as a whole at column 12; "),
        ("metadata:a*", 10, "named in full"),
        ("metadata.a < *", 14, "No wildcard"),
        (r'metadata."ab\q" = 1', 13, r"Unknown escape \q"),
        ("metadata.a < null", 12, "have no order"),
        ("metadata.a > true", 12, "have no order"),
        ("metadata.a = 1e999", 14, "out of range"),
        ("metadata.a = 18446744073709551616", 14, "out of range"),
        ("metadata.a = -9223372036854775809", 14, "out of range"),
        ("metadata.a:b*", 12, "No wildcard"),
        (f"metadata{'.a' * 33} = 1", 1, "at most 32 keys"),
        ("ident:a*", 7, "No wildcard"),
        ("ident < a*", 9, "No wildcard"),
        ("boil*", 1, "No wildcard"),
        (r'ident = "ab\q"', 12, r"Unknown escape \q"),
        (r'ident = "\u12"', 10, r"Unknown escape \u"),
        (r'ident = "a\u0000"', 11, "Forbidden character U+0000"),
        (r'ident = "a\ud800"', 11, "Half of a surrogate pair"),
        ("ident = a\x00", 10, "Forbidden character U+0000"),
        ("ident = \ud800", 9, "Forbidden character U+D800"),
        ('ident = a."b"', 9, "put the whole value in quotes"),
        ("status = active", 10, 'Unknown status "active" at column 10; known values are ACTIVE, DECOMMISSIONED'),
        ("status < ACTIVE", 8, "use one of != = :"),
        ("connected > true", 11, '">" does not apply to connected'),
        ("tags < a", 6, '"<" does not apply to tags'),
        ("connected = 1", 13, "takes true or false"),
        ("connected = null", 13, "takes true or false"),
        ("revision = 1.5", 12, "takes a whole number"),
        ("revision = 9223372036854775808", 12, "out of range"),
        ("last_seen = 2026-01-01", 13, "a day by >= and < the next"),
        ("last_seen:2026-01-01", 11, "compared with a date at column 11; a date is its midnight, UTC"),
        ('ident =~ "a"', 8, "quote it if it is the value"),
        ("ident =~a", 8, "quote it if it is the value"),
        ("metadata.a = - 5", 14, "quote it if it is the value"),
        ("last_seen = yesterday", 13, "takes a time"),
        ("last_seen = 2026-01-01T00:00:00", 13, "takes a time"),
    ],
)
def test_a_refusal_names_the_problem_and_its_column(text: str, column: int, words: str) -> None:
    fault = refusal(text)
    assert fault.details["column"] == column
    assert words in fault.message


def test_the_bounds_hold_exactly() -> None:
    depth, terms = limits.MAX_FILTER_DEPTH, limits.MAX_PREDICATES
    assert parse("(" * depth + "a" + ")" * depth) == A
    assert refusal("(" * (depth + 1) + "a" + ")" * (depth + 1)).details["column"] == depth + 1
    assert parse("a " * terms) == And((A,) * terms)
    assert refusal("a " * (terms + 1)).details["column"] == 2 * terms + 1
    assert parse(f"metadata{'.a' * limits.MAX_JSON_DEPTH} = 1") is not None
    assert parse("a" * limits.MAX_FILTER) is not None
    assert refusal("a" * (limits.MAX_FILTER + 1)).details["column"] == limits.MAX_FILTER + 1


def test_what_has_no_text_to_search_is_not_searched() -> None:
    with pytest.raises(Fault, match='Unexpected "pump" at column 1; there is nothing to search here'):
        parse_filter("pump", {"status": FIELDS["status"]})


def test_siblings_do_not_add_up_to_depth() -> None:
    assert parse(" ".join(["((a))"] * limits.MAX_PREDICATES)) is not None


def quote(text: str) -> str:
    return '"' + "".join(f"\\{c}" if c in '"\\*' else c for c in text) + '"'


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=6)
TERMS = st.one_of(
    TEXTS.map(lambda text: (quote(text), Search(text))),
    TEXTS.filter(bool).map(lambda text: (f"ident = {quote(text)}", Comparison("ident", Operator.EQ, text))),
    TEXTS.map(lambda text: (f"tags:{quote(text)}", Comparison("tags", Operator.HAS, text))),
    TEXTS.map(lambda key: (f"metadata.{quote(key)}:*", Comparison("metadata", Operator.EXISTS, None, (key,)))),
    st.integers(-(1 << 63), (1 << 63) - 1).map(lambda n: (f"revision<{n}", Comparison("revision", Operator.LT, n))),
    st.floats(allow_nan=False, allow_infinity=False).map(
        lambda number: (f"metadata.a < {number!r}", Comparison("metadata", Operator.LT, number, ("a",)))
    ),
)
Written = tuple[str, Filter]


def joined(word: str, kind: type[And] | type[Or], parts: list[Written]) -> Written:
    return f"({word.join(text for text, _ in parts)})", kind(tuple(value for _, value in parts))


WRITTEN = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: joined(" AND ", And, parts)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: joined(" ", And, parts)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: joined(" OR ", Or, parts)),
        inner.map(lambda part: (f"NOT ({part[0]})", Not(part[1]))),
    ),
    max_leaves=6,
)


@given(WRITTEN)
@settings(max_examples=often(100), deadline=None)
def test_what_is_written_is_what_is_parsed_and_survives_storage(written: Written) -> None:
    text, expected = written
    assert parse(text) == expected
    assert msgspec.json.decode(msgspec.json.encode(expected), type=Filter) == expected


FRAGMENTS = [
    *FIELDS,
    *("AND", "OR", "NOT", "-", "(", ")", "=", "!=", "<=", ">", ":", "*", '"', "'", "\\", '"a*"', ".", '."k"', " ", " "),
    *(
        "true",
        "null",
        "12",
        "-3.5",
        "1e999",
        "ACTIVE",
        "2026-01-01T00:00:00Z",
        "9999-99-99T",
        "\\u",
        "d800",
        "\x00",
        "é",
    ),
]


def attempt(text: str) -> Filter | Fault | None:
    try:
        return parse(text)
    except Fault as fault:
        return fault


def refused_or_parsed(text: str) -> None:
    found = attempt(text)
    if isinstance(found, Fault):
        assert found.code == "invalid_filter"
        assert found.details["column"] in range(1, len(text) + 2)
        assert found.message.encode()


@given(st.one_of(st.text(), st.text(st.characters()), st.lists(st.sampled_from(FRAGMENTS), max_size=20).map("".join)))
@settings(max_examples=often(400), deadline=None)
def test_any_text_is_parsed_or_refused_with_a_column(text: str) -> None:
    refused_or_parsed(text)


@given(WRITTEN, st.integers(0, 200), st.integers(0, 3), st.sampled_from(FRAGMENTS))
@settings(max_examples=often(200), deadline=None)
def test_a_damaged_filter_is_parsed_or_refused_with_a_column(
    written: Written, position: int, removed: int, inserted: str
) -> None:
    text = written[0]
    refused_or_parsed(text[:position] + inserted + text[position + removed :])
