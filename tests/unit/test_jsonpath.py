"""SQL/JSON path predicates: what they mean, as PostgreSQL has it, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetroll.core import jsonpath, limits
from fleetroll.core.faults import Fault

DOCUMENT = {
    "env": "production",
    "temp": 51.5,
    "on": True,
    "gone": None,
    "tags": ["a", "b"],
    "big": 9007199254740993,
    "large": 1e23,
    "sensors": [{"type": "t", "value": 5}, {"type": "h", "value": 60}],
    "a b": {"c": 1},
    "list": [[1, 2], [3]],
    "größe": 3,
    "lines": "one\r\ntwo",
    "said": ["-51.5", "0x10"],
}
HOLDS = [
    '$.env == "production"', "$.temp > 50", '$.tags[*] == "b"', '$.tags[last] == "b"', "exists($.env)",
    '$.env starts with "prod"', '$.env like_regex "^prod.*n$"', '$.env == "x" || $.temp > 50',
    '$.env == "production" && $.temp > 50', '!($.env == "x")', '!($.missing == "x")', '$.env != "x"',
    '$.tags == "b"', '$.tags[0] == "a"', '$.tags[0 to last] == "b"', '$.tags[5, 1] == "b"', "$.on == true",
    "$.gone == null", '$.env != null', '$.gone != "x"', "$.on", "exists($.sensors[*] ? (@.value > 50))",
    '$.sensors.type == "h"', '$.sensors[*] ? (@.type == "h").value == 60', '$."a b".c == 1', "$.*.c == 1",
    "$.tags.size() == 2", '$.tags.type() == "array"', "($.temp > \"x\") is unknown", "$.big == 9007199254740993",
    "$.temp == 51.5", "lax $.temp <= 51.5", "$.temp >= -3", '$.env <> "x"', "$.env[0] == \"production\"",
    '$.env like_regex "PROD" flag "i"', "!exists($.missing)", "($.temp > 50)", "50 < $.temp", "$.on > false",
    "$.list[*] == 1", "$.tags[last - 1] == \"a\"", "exists($)", "1 == 1", '$.env == "production"\n',
    r'$.env like_regex "^\\D+$" flag "i"', '$.env like_regex "^[A-Z]+$" flag "i"', '$.env like_regex "^[^a]+$"',
    "LAX EXISTS($.env)", '$.env STARTS WITH "prod" && ($.temp > "x") IS UNKNOWN', '$.env LIKE_REGEX "PROD" FLAG "i"',
    "$.tags[LAST] == \"b\"", "$.tags[0 TO Last].SIZE() == 1", "!Exists($.missing)", "$.größe == 3", "$.temp > .5",
    "$.temp > 1.", '$.größe.type() == "number"', r'$."\x65nv" == "pr\u{6f}duction"', r'$.env == "pr\oduc\u0074ion"',
    r'$.lines == "one\r\ntwo"', r'$.env != "\ud83d\ude00\v\'"', '$.lines == "one\r\ntwo"',
    r'$.lines like_regex "e\\W\\Wt"', '$.lines like_regex "^one."', '$.lines like_regex "two$"',
    "$.** == 60", "$.**.on", '$.**.type == "h"', "$.**{3}.value == null || $.**{2}.value == 60", "$.**{2 to last} == 3",
    "$.**{LAST} == 2", "$.**{1 to 2}[*] == 1", "exists($.** ? (@.value > 50).type)", "$.sensors.**{0}.value == 5",
    "exists($.temp.**)", "!exists($.temp.**{last})", "!exists($.**{last to 1})", "!exists($.tags.**{2 to last})",
    '$.** starts with "prod"', '$.** like_regex "^h$"', "$.**{2}.size() == 1",
    'strict $.env == "production"', "Strict $.tags[*] == \"a\"", "strict ($.missing == 1) is unknown",
    "strict $.missing == 1 || $.on == true", 'strict ($.tags == "a") is unknown', "strict $.tags.size() == 2",
    "strict ($.temp.size() == 1) is unknown", "strict ($.env[0] == \"production\") is unknown",
    "strict ($.tags[2] == 1) is unknown", "strict ($.tags[1 to 0] == 1) is unknown", "strict $.tags[last] == \"b\"",
    "strict (exists($.missing)) is unknown", "strict exists($ ? (@.temp > 50))", "strict !exists($ ? (@.missing > 50))",
    "strict !exists($.sensors ? (@.value == 5))", "strict exists($.sensors[*] ? (@.value == 5))", "strict $.on",
    'strict ($.list[*][*] == "x") is unknown', "strict ($.** == 5) is unknown", "strict exists($.**.value ? (@ > 50))",
    "strict !exists($.**.missing)", "strict !exists($.env.**.size())", "strict $.**{last}.type() == \"null\"",
    "strict exists($.** ? (@.type == \"h\"))", "strict exists($.**[1] ? (@ == 2))",
    "strict !exists($ ? (@.env.* == 1))", "!exists($.**" + ".a" * 5 + ")",
    "$.temp + 1 == 52.5", "$.temp*2 - 3 == 100", "2 * ($.temp + 0.5) == 104", "-$.temp == -51.5", "+$.temp == +51.5",
    "- - - -$.temp > 50", "$.temp / 0 == 1 || $.on == true", "($.temp / 0 == 1) is unknown",
    "$.big + 1 == 9007199254740994",
    "0.1 + 0.2 == 0.3", "1 / 3 > 0.3333333333333333", "(2 / 3) * 1e20 == 66666666666666666667", "-7 % 3 == -1",
    "12 / 2 / 3 == 2", "2 - 3 - 4 == -5", "1 + 2 * 3 == 7", "((1 + 2)) * 3 == 9", "10 - -1 == 11", "-(1) == -1",
    "$.sensors[0].value + $.sensors[1].value == 65", "-$.sensors[*].value == -60", "(-$.temp) - 1 == -52.5",
    '-$."a b".c == -1',
    "($.tags[*] + 1 == 2) is unknown", "($.sensors.value + 1 == 6) is unknown", "($.missing + 1 == 2) is unknown",
    "exists($.sensors[*] ? (@.value * 2 == 120))", "(($.temp) > 50) && ($.temp - 1 < 51)", "($.on)", "($.temp) == 51.5",
    "($.sensors[*] ? (@.value > 5).value) + 1 == 61", "$.temp - 51.5 == 0", "$.lines.size() + 1 == 2",
    "1e299 * 1e299 > 1",
    "$.sensors[0].value + 0 < $.sensors[*].value", "(1 + 1 == 2)", "strict $.temp % 50 == 1.5", "$.temp % 0.4 == 0.3",
    "strict ($.tags + 1 == 2) is unknown", "($.a.exists + 1 == 1) is unknown",
    " || ".join(["$.temp == -1"] * 9 + ["$.on == true"]),
    "$.big == 9007199254740993.0", "$.temp != 51.5000000000000000001", "$.large == 100000000000000000000000",
    "$.large < 100000000000000000000001", "$.large > 99999999999999991611392", "$.temp > 1e-350",
    "strict $.env != $.tags[0]", "strict $.tags[0] < $.tags[last]", "strict $.sensors[0].value < $.temp",
    "strict -$.sensors[0].value > -$.temp", "strict exists($.sensors[*] ? (@.type != @.value || @.type == @.type))",
    "strict $.tags.size() == $.sensors.size()", "strict ($.env == $.missing) is unknown", "strict $.on == $.on",
    "($.temp - 100).abs() < 50", "(-$.sensors[*].value).abs() == 60", '($.tags)[last] == "b"',
    "($.temp - 50).floor() < $.sensors[*].value", '("a").type() == "string"', "(($.sensors)).value == 60",
    "($.temp + 1).size() == 1",
    "strict (($.temp + 1).a == 1) is unknown", "($.sensors[0].value * 2) ? (@ > 5) == 10", '($.env) starts with "prod"',
    "$.said.double() == -51.5", "$.said[0].DOUBLE().abs() == $.temp.size() * 51.5", "$.said.double().floor() == -52",
    "$.said[last].double() == 16", "$.temp.ceiling() - $.temp.floor() == 1", "-$.temp.abs() == -51.5",
    "exists($.sensors ? (@.value.abs() > 50))", "($.tags.abs() == 1) is unknown", "($.on.double() == 1) is unknown",
    "($.env.double() == 1) is unknown", "(exists($.list.floor())) is unknown", "exists($.list[*].abs())",
    "strict ($.said.double() == 16) is unknown", "strict $.said[1].double() == $.said[last].double()",
    "exists($.** ? (@.value.abs() > 50))", "strict $.list[0][0] < $.list.size()",
    '$.lines like_regex "one.*two" flag "s"', '$.lines like_regex "e[^x]*t" flag "si"',
    "$.gone <= null", "$.gone >= null", '$.on.type() == "boolean"', '$."a b".type() == "object"',
    '$.gone.type() == "null"', '($.temp > "x" || $.temp > 100) is unknown', '($.temp < "x" && $.on == true) is unknown',
    "(1 + $.sensors[*].value == 6) is unknown", "(($.sensors ? ((@.value > 50) && (@.type == \"h\")).value) + 1) == 61",
    "(($.sensors ? ((@.value > 5))) == 1 || $.on == true)", "!exists($.tags[1048576])",
    "strict ($.tags == $.tags) is unknown", "strict $.list[1 to 1][0] == $.größe", "strict $.gone == $.gone",
]  # fmt: skip
DOES_NOT = [
    "$", "$.env", "$.missing", '$.missing != "x"', "$.temp > 100", '$.temp > "50"', '!($.temp > "x")', "$.tags[*] == 1",
    "$.env == null", "$.gone == 1", "exists($.missing)", '$.temp starts with "5"', "$.list == 1", "$.sensors == 5",
    '$.tags[9] == "b"', "$.gone", "$.tags", "$.on == 1", "$.big == 9007199254740992", '$.env like_regex "^x"',
    '$."a b" == 1', "$.on > true", '$.env == "Production"', "1 == 2", "exists($.tags ? (@ == \"c\"))",
    r'$.env like_regex "\\W" flag "i"', '$.lines like_regex "\\r.t"', '$.lines like_regex "[^a-z]two"',
    "$.** == 61", "$.**{1} == 1", "$.**{4 to last} == 3", "strict $.missing == 1", "strict !($.missing == 1)",
    "strict exists($.missing)", 'strict $.tags == "a"', "strict $.missing", "strict $.on.a", "strict $.env[*] == 1",
    "$.temp + 1 == 51.5", "$.on + 1 == 2", '!($.env + 1 == 2)', "$.tags + 1 == 1", "-$.env == 1", "$.temp % 0 == 0",
    "$.gone + 1 == 1", "1 / 3 == 0.3333333333333333", "strict $.list[0][5] == 1", "strict $.temp.a[*] == 1",
    "$.big == 9007199254740992.0", "$.temp == 51.50000000000000000001", "$.large == 99999999999999991611392",
    "strict $.env == $.tags[0]", "strict $.temp <= $.sensors[0].value", "strict $.env < $.temp",
    "$.gone < null", "$.gone > null", "exists($.*.abs())", "strict $.list[last - 7][0] == 1", 'strict $.on != "x"',
]  # fmt: skip
REFUSED = [
    "", "env == 1", "$.a ==", "== 1", "$.a = 1", "$.a == 1 &&", "($.a == 1", "$.a == 1)", "$.a && $.b", "!$.a",
    "! $.a == 1", "$.a == $.b", "$x == 1", "@.a == 1", '$.a == "x',
    "$.a == 'x'", "$.a[x] == 1", "$.a[-1] == 1", "$.a[99999999] == 1", "$.a.keyvalue() == 1", "$.a like_regex 5",
    '$.a like_regex "("', '$.a like_regex "a" flag "x"', "$.a starts with 5", "exists($.a ? (exists(@ ? (@ == 1))))",
    "$.a[0,0,0][0,0,0] == 1", "$.a == 1e999", "$.a == 01", "$.a is unknown", '$.a == "\\ud800"', "$.a == 1 is unknown",
    "exists($.a ? ($.b == 1))", "$" + ".a" * 40 + " == 1", "(" * 20 + "$.a == 1" + ")" * 20, "$.a == " + "9" * 50,
    " || ".join(["$.a == 1"] * 21), "$.a == 1 ; drop", "$.a ? == 1",
    "$.a == TRUE", "$.a == Null", r'$.a == "\u12"', r'$.a == "\xg0"', r'$.a == "\u{110000}"', r'$.a == "\u{}"',
    r'$.a == "\x00"',
    "$.1a == 1", "$.a == 1.a", "$.a\u00a0== 1", "$.a == .", "$.a[1.] == 1",
    '$.a like_regex "^*"', '$.a like_regex "a$+" flag "i"', r'$.a == "\u0000"', r'$."\u0000" == 1',
    r'$.a starts with "x\u0000"', r'$.a like_regex "\u0000"',
    "$** == 1", "$.**.** == 1", "$.**[0, 1] == 1", "$.**{-1} == 1", "$.**{1, 2} == 1", "$.**{} == 1", "$.**{1 == 1",
    "$.**{a} == 1", "$.**{1.5} == 1", "exists($.a ? (@.** == 1))", "$.**" + ".a" * 6 + " == 1", "strict", "$.*** == 1",
    "$.** == 1 || $" + ".a" * 7 + " == 1", "strict lax $.a == 1", "(strict $.a == 1)", "$.a{1} == 1",
    "lax strict $.a == 1",
    "$.a + 1", "1 + 1", "$.a + == 1", "$.a ** 2 == 1", "$.a + ($.b == 1) == 1", "(1 + 1", "$.a == (1", "-true.x == 1",
    "-$.a == $.b", "exists($.a + 1)", "$.a[0 + 1] == 1", "$.a" + " + 1" * 5 + " == 1",
    "-" * 5 + "$.a == 1", "(" * 17 + "1" + ")" * 17 + " == 1", "$.a == 1e-401",
    "$.a == 1e" + "9" * 20, "$.a == 0e-" + "9" * 20, "$.a == " + "1" * 41, "$.a == 0." + "1" * 41,
    "strict $.a[*] == $.b[*]", "strict $.* == $.*", "strict $.a[0 to 1] == $.b[0, 1]", "strict $.* == $.**.b",
    "strict -$.a[*] == $.b[*]", "lax $.a == $.b",
    "$.**.abs() == 1", "$.a.abs(1) == 1", '$.a + 1 starts with "x"', "!($.a)",
    "(-(-$.a[0,0])[0,0,0])[0,0] == 1", "($.a == 1).b == 1", "!($.a) == 1",
]  # fmt: skip

# What is accepted, though its canonical text is larger than what is accepted.
LARGEST = [
    " && ".join(f"$.temp != {n}" for n in range(100, 100 + limits.MAX_PREDICATES)),
    "(" * 15 + "!exists($.none) && $.temp + 1 * 2 / 3 - 4 > 0" + ")" * 15,
    " && ".join(["$.temp != 1"] * 19) + " && $.temp == 51.5" + "0" * 37,
    " && ".join(["$.temp != ." + "1" * 40, "$.temp != " + "1" * 39 + ".e9"]),
    " || ".join(["exists($.env)", *[f"exists($.{'x' * 120}[last-1,last-2,last-3,last-4,last-5,last-6])"] * 19]),
]  # fmt: skip


@pytest.mark.parametrize("text", HOLDS)
def test_a_predicate_holds(text: str) -> None:
    assert jsonpath.holds(jsonpath.parse(text), DOCUMENT) is True


@pytest.mark.parametrize("text", DOES_NOT)
def test_a_predicate_does_not_hold(text: str) -> None:
    assert jsonpath.holds(jsonpath.parse(text), DOCUMENT) is not True


SAID = [
    ("12", 12), (" \t-1.50\n\v\f\r", -1.5), ("+.5", 0.5), ("7.", 7), ("1e3", 1000), ("0x1F", 31), ("0X.8p+1", 1),
    ("4e-320", "3.99995546873073e-320"), ("0e-400", 0), ("1e299", 1e299), ("0.12345678901234567", 0.123456789012346),
    ("-0", 0),
]  # fmt: skip
SAYS_NONE = [
    "", " ", ".", "1_0", "1 1", "one", "inf", "nan", "Infinity", "1e", "0x", "0xp1", "1e400", "1e-400", "0x1p5000",
    "0x1p-5000", "1.7976931348623159e308", "\xa01", "\x1c1", "\u0661", "--1", "1e" + "9" * 30, "1" * 60_000 + "x",
]  # fmt: skip


@pytest.mark.parametrize(("text", "number"), SAID)
def test_a_text_says_a_number(text: str, number: object) -> None:
    assert jsonpath.holds(jsonpath.parse(f"$.a.double() == {number}"), {"a": text}) is True


@pytest.mark.parametrize("text", SAYS_NONE, ids=lambda text: text[:10])
def test_a_text_says_no_number(text: str) -> None:
    assert jsonpath.holds(jsonpath.parse("$.a.double() != 0.25"), {"a": text}) is None


def test_a_sign_leaves_nothing_to_compare_where_one_of_many_is_no_number() -> None:
    for values in ([1, "x"], ["x", 1]):
        assert jsonpath.holds(jsonpath.parse("-$.a[*] == -1"), {"a": values}) is None


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_predicate_is_refused(text: str) -> None:
    with pytest.raises(Fault) as refused:
        jsonpath.parse(text)
    assert refused.value.code == "invalid_jsonpath"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$.a == ", "The JSONPath predicate ends too early; a path or a value is expected."),
        (
            "$.a && $.b",
            "At column 5, the JSONPath predicate goes wrong with &&; a comparison is expected after a path.",
        ),
        ("$.a == 1 and $.b", "At column 10, … goes wrong with and; join predicates with && or ||."),
        ("$.a == 'x'", "At column 8, … goes wrong with 'x'; strings are written in double quotes."),
        ("$.a = 1", "At column 5, … goes wrong with = 1; write == for equality."),
        ("$.env == $x", "At column 10, … has a variable, $x; write its value instead."),
        ('$.env == $"a b"', 'At column 10, … has a variable, $"a b"; write its value instead.'),
        (
            "$.a == $.b",
            "At column 5, … compares two paths; in lax mode each may find several values, so begin with strict.",
        ),
        ("strict $.a[*] == $.b[*]", "At column 15, … compares two paths; each of them must find a single value."),
        (
            "$.at.datetime() > 1",
            "At column 6, … calls the unknown method datetime(); "
            "known methods are size(), type(), double(), abs(), floor(), ceiling().",
        ),
        ('$.a like_regex "b" flag "im"', "At column 25, … has the unknown like_regex flag m; use i, s or q."),
        ("$.**.abs() == 1", "At column 1, … has ** and a numeric method in the same path."),
        ('$.a like_regex "("', "At column 16, … has a like_regex whose pattern has a parenthesis that is not closed."),
        ("$.a ? (@.b ? (@ == 1)) == 1", "At column 12, … has a filter within a filter."),
        ("$.a[*] ? (@.**.b == 1)", "At column 13, … has ** within a filter."),
        ("$.a == 1 + 1 + 1 + 1 + 1 + 1", "At column 26, … has more than 4 arithmetic operators."),
        ("$.a[1.5] == 1", "At column 5, … goes wrong with 1.5; a position must be a small whole number or last."),
        ("$.a == 1e999", "At column 8, … has a number that is out of range."),
    ],
)
def test_a_refusal_says_where_and_what(text: str, words: str) -> None:
    with pytest.raises(Fault) as refused:
        jsonpath.parse(text)
    assert refused.value.message == words.replace("…", "the JSONPath predicate")


@pytest.mark.parametrize("text", HOLDS + DOES_NOT)
def test_the_canonical_text_says_the_same(text: str) -> None:
    predicate = jsonpath.parse(text)
    assert jsonpath.parse(jsonpath.write(predicate)) == predicate


@pytest.mark.parametrize("text", LARGEST)
def test_the_canonical_text_of_the_largest_is_not_too_large_for_an_engine(text: str) -> None:
    predicate = jsonpath.parse(text)
    assert jsonpath.parse_canonical(jsonpath.write(predicate)) == predicate
    assert jsonpath.holds(predicate, DOCUMENT) is True


def test_parentheses_are_no_predicates() -> None:
    predicate = jsonpath.parse(" || ".join(["(($.a == 1))"] * limits.MAX_PREDICATES))
    assert jsonpath.parse(jsonpath.write(predicate)) == predicate
    with pytest.raises(Fault, match="more than 20 predicates"):
        jsonpath.parse(" || ".join(["$.a == 1"] * (limits.MAX_PREDICATES + 1)))


def test_what_follows_too_many_predicates_is_not_read() -> None:
    with pytest.raises(Fault, match="more than 20 predicates"):
        jsonpath.parse(" || ".join(["$.a == 1"] * limits.MAX_PREDICATES + ['$.a like_regex "("']))


@given(st.text('$.@ab"[]()*?!&|=<>01,-lastexis like_regex', max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        predicate = jsonpath.parse(text)
    except Fault as fault:
        assert fault.code == "invalid_jsonpath"
    else:
        jsonpath.holds(predicate, DOCUMENT)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("$.a", ("a",)),
        ("$.a.b", ("a", "b")),
        ('$."a b"[0]', ("a b", 0)),
        ("$.a[last]", ("a", -1)),
        (r'$.größe."\x61"[LAST]', ("größe", "a", -1)),
        ("$", None),
        ("a.b", None),
        ("$.a; DROP", None),
        ("$.a[*]", None),
        ("$.a ? (@ > 1)", None),
        ("$.", None),
        (r'$."\ud800"', None),
        (r'$."\u0000"', None),
        ("$" + ".a" * 40, None),
    ],
)
def test_a_plain_path_is_told_from_every_other_text(text: str, steps: tuple[str | int, ...] | None) -> None:
    assert jsonpath.parse_path(text) == steps
