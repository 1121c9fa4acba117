"""What may become a document, what survives unchanged, and what the scans see before any decoder does."""

import json
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetroll.core import documents, limits
from fleetroll.core.faults import Fault, Kind

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)
SCALARS = st.none() | st.booleans() | st.integers(limits.MIN_INTEGER, limits.MAX_INTEGER) | TEXT
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=5)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


def nested(levels: int) -> dict[str, Any]:
    value: Any = 0
    for _ in range(levels - 1):
        value = [value]
    return {"a": value}


def text_of(document: documents.Document) -> str:
    return bytes(document).decode()


def true_depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(true_depth, value.values()), default=0)
    return 1 + max(map(true_depth, value), default=0) if isinstance(value, list) else 0


@given(OBJECTS)
def test_a_document_keeps_its_content(value: dict[str, Any]) -> None:
    document = documents.of(value, "metadata")
    assert documents.load(document) == value == documents.parse(document)


def test_a_document_is_compact_and_keeps_the_order_of_its_members() -> None:
    assert text_of(documents.of({"z": 1, "a": [True, None, 1.5, "é"]}, "m")) == '{"z":1,"a":[true,null,1.5,"é"]}'


def test_any_mapping_can_become_a_document() -> None:
    assert text_of(documents.of(MappingProxyType({"a": 1}), "m")) == '{"a":1}'


def test_the_empty_document_is_what_an_empty_object_becomes() -> None:
    assert documents.of({}, "m") == documents.EMPTY
    assert documents.load(documents.EMPTY) == {}


@pytest.mark.parametrize("number", [-(2**63), 2**63 - 1, 2**63, 2**64 - 1, 0, -1])
def test_an_integer_within_the_range_survives_exactly(number: int) -> None:
    assert documents.parse(f'{{"n":{number}}}') == {"n": number}
    assert text_of(documents.of({"n": number}, "m")) == f'{{"n":{number}}}'


@pytest.mark.parametrize("number", ["-9223372036854775809", "18446744073709551616", "1" + "0" * 400, "1e400", "-1e400"])
def test_a_number_beyond_the_range_is_refused(number: str) -> None:
    with pytest.raises(Fault) as refusal:
        documents.parse(f'{{"n":[{number}]}}')
    assert refusal.value.kind is Kind.INVALID


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**400, float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_or_the_range_cannot_hold_never_becomes_a_document(number: float) -> None:
    with pytest.raises(Fault):
        documents.of({"a": {"n": number}}, "m")


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x08", "\x0b", "\x0c", "\x1f", "\x7f", "\x80", "\x85", "\x9f"])
def test_a_control_character_is_refused_in_strings_and_keys(character: str) -> None:
    for value in ({"a": f"b{character}"}, {f"a{character}": 1}, {"a": [{character: 1}]}):
        with pytest.raises(Fault):
            documents.of(value, "m")
        with pytest.raises(Fault):
            documents.parse(json.dumps(value))


@pytest.mark.parametrize("character", ["\t", "\n", "\r"])
def test_tab_and_line_ends_are_allowed_in_strings_but_not_in_keys(character: str) -> None:
    assert documents.load(documents.of({"a": character}, "m")) == {"a": character}
    with pytest.raises(Fault):
        documents.of({character: "a"}, "m")


@pytest.mark.parametrize("text", ["\\b", "\\u0000", "\\", '"', "null", "0" * 40, "\xa0", "ÿ", "\ufeff", "😀"])
def test_a_string_that_only_looks_suspicious_is_kept(text: str) -> None:
    assert documents.load(documents.of({text: text}, "m")) == {text: text}


def test_a_lone_surrogate_is_refused_in_every_form() -> None:
    for value in ({"a": "\ud800"}, {"\udfff": 1}):
        with pytest.raises(Fault):
            documents.of(value, "m")
    for text in ('{"a":"\\ud800"}', '{"a":"\\udc00 and more text"}', '{"a":"\ud800"}', b'{"a":"\xed\xa0\x80"}'):
        with pytest.raises(Fault):
            documents.parse(text)


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b"{", b"{}x", b"\xef\xbb\xbf{}", b'{"a":NaN}', b'{"a":01}', b'{"a":"\xff"}', "{}".encode("utf-16")],
)
def test_what_is_not_json_in_utf8_is_refused(text: bytes) -> None:
    with pytest.raises(Fault) as refusal:
        documents.parse(text)
    assert refusal.value.code == "invalid_json"


@pytest.mark.parametrize("text", ["[]", "null", "1", '"a"', "true", "[{}]"])
def test_only_an_object_is_a_document(text: str) -> None:
    with pytest.raises(Fault) as refusal:
        documents.parse(text, "config")
    assert refusal.value.field == "config"


def test_the_last_of_two_equal_keys_wins() -> None:
    assert documents.parse('{"a":1,"a":2}') == {"a": 2}


def test_a_document_nests_31_levels_and_no_more() -> None:
    assert documents.load(documents.of(nested(31), "m")) == nested(31)
    for value in (nested(32), nested(5000)):
        with pytest.raises(Fault):
            documents.of(value, "m")
    with pytest.raises(Fault):
        documents.parse('{"a":' + "[" * 100_000)


def test_a_document_that_contains_itself_is_refused() -> None:
    value: dict[str, Any] = {}
    value["a"] = [value]
    with pytest.raises(Fault):
        documents.of(value, "m")


def test_a_document_has_at_most_64_kib() -> None:
    room = limits.MAX_DOCUMENT - len('{"a":""}')
    assert len(bytes(documents.of({"a": "x" * room}, "m"))) == limits.MAX_DOCUMENT
    with pytest.raises(Fault) as refusal:
        documents.of({"a": "x" * (room + 1)}, "m")
    assert refusal.value.code == "document_too_large"


def test_a_key_has_at_most_256_characters_and_may_be_empty() -> None:
    assert documents.load(documents.of({"": 1, "é" * 256: 2}, "m")) == {"": 1, "é" * 256: 2}
    with pytest.raises(Fault):
        documents.of({"a": [{"k" * 257: 1}]}, "m")


@given(ANYTHING)
def test_nothing_but_a_fault_comes_out_of_making_a_document(value: Any) -> None:
    try:
        document = documents.of(value, "m")
    except Fault as fault:
        assert fault.kind is Kind.INVALID
    else:
        assert documents.of(documents.load(document), "m") == document


@given(st.binary(max_size=30) | st.text('[]{}",:\\-0e1. \ud800\x00', max_size=20))
def test_nothing_but_a_fault_comes_out_of_parsing(text: bytes | str) -> None:
    try:
        documents.parse(text)
    except Fault as fault:
        assert fault.kind is Kind.INVALID


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ('{"a":1,"b":2}', '{"b":2,"a":1}', True),
        ('{"a":1}', '{"a":1.0}', True),
        ('{"a":1}', '{"a":true}', False),
        ('{"a":[0,{"b":0}]}', '{"a":[0,{"b":false}]}', False),
        ('{"a":[1,2]}', '{"a":[2,1]}', False),
        ('{"a":null}', "{}", False),
        ('{"a":"1"}', '{"a":1}', False),
        ('{"a":[]}', '{"a":{}}', False),
        ('{"a":9007199254740993}', '{"a":9007199254740992.0}', False),
    ],
)
def test_values_are_compared_as_json_has_them(left: str, right: str, expected: bool) -> None:
    one, other = msgspec.json.decode(left), msgspec.json.decode(right)
    assert documents.same_value(one, other) is documents.same_value(other, one) is expected
    assert documents.same_value(one, one)


@given(OBJECTS)
def test_the_order_of_members_does_not_matter_to_a_comparison(value: dict[str, Any]) -> None:
    assert documents.same_value(value, dict(reversed(value.items())))


@given(VALUES)
def test_the_depth_of_a_text_is_found_without_decoding_it(value: object) -> None:
    text = json.dumps(value).encode()
    depth = true_depth(value)
    assert documents.depth(text) == depth
    assert not documents.depth_exceeds(text, depth)
    assert depth == 0 or documents.depth_exceeds(text, depth - 1)


@given(st.text('[]{}"\\a', max_size=12))
def test_brackets_in_strings_do_not_count_however_they_are_escaped(text: str) -> None:
    assert documents.depth(json.dumps([text, {text: text}]).encode()) == 2


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[" * 33, True),
        (b"[" * 32 + b"]" * 32, False),
        (b'{"a":' * 33 + b"1" + b"}" * 33, True),
        (b"[" * 100_000, True),
        (b"[]," * 50_000, False),
        (b'["' + b"[" * 1000 + b'"]', False),
        (b'["' + b'\\"[' * 1000 + b'"]', False),
        (b'["\\\\",' + b"[" * 32 + b"]" * 32 + b"]", True),
        (b'"' + b"[" * 1000, False),
        (b"]" * 100 + b"[" * 40, False),
    ],
)
def test_depth_is_judged_on_well_formed_and_broken_bodies(body: bytes, expected: bool) -> None:
    assert documents.depth_exceeds(body, 32) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[[],{}]", False),
        (b"[[],{},[]]", True),
        (b'[[],{},"[]"]', False),
        (b'["[[[[", "\\"[[[["]', False),
        (b'["]]]]"]', False),
        (b"[[[[", True),
        (b"]]}}", True),
        (b"{{{{", True),
    ],
)
def test_arrays_and_objects_are_counted_without_decoding_them(body: bytes, expected: bool) -> None:
    assert documents.has_many_containers(body, 3) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"-0", True),
        (b"[-0]", True),
        (b'{"a": -0 }', True),
        (b'{"\\"":-0}', True),
        (b'{"a\\\\":-0}', True),
        (b"[1,\n-0]", True),
        (b"[-0.0,-0e1,-0.5,-1,0,1e-0,1E-0,2e-05]", False),
        (b'["-0","2026-01-02","x-0","\\"-0,"]', False),
        (b'{"-0":"a -0 b"}', False),
        (b'"-0', False),
    ],
)
def test_the_integer_negative_zero_is_found_outside_strings_only(body: bytes, expected: bool) -> None:
    assert documents.has_negative_zero(body) is expected


def test_the_integer_negative_zero_is_refused_in_a_document() -> None:
    with pytest.raises(Fault):
        documents.parse('{"a":-0}')
    assert documents.parse('{"a":-0.0}') == {"a": 0.0}
