"""JSON Patch and JSON Merge Patch: the RFCs' own tables, the lenient forms, bombs, and laws."""

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetroll.core import documents, limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.patch import Patch, apply_json_patch, apply_merge_patch, parse_json_patch

FAILS = None

# RFC 6902, appendix A: document, patch, result.
RFC_6902 = {
    "A.1": ('{"foo":"bar"}', '[{"op":"add","path":"/baz","value":"qux"}]', '{"baz":"qux","foo":"bar"}'),
    "A.2": ('{"foo":["bar","baz"]}', '[{"op":"add","path":"/foo/1","value":"qux"}]', '{"foo":["bar","qux","baz"]}'),
    "A.3": ('{"baz":"qux","foo":"bar"}', '[{"op":"remove","path":"/baz"}]', '{"foo":"bar"}'),
    "A.4": ('{"foo":["bar","qux","baz"]}', '[{"op":"remove","path":"/foo/1"}]', '{"foo":["bar","baz"]}'),
    "A.5": (
        '{"baz":"qux","foo":"bar"}',
        '[{"op":"replace","path":"/baz","value":"boo"}]',
        '{"baz":"boo","foo":"bar"}',
    ),
    "A.6": (
        '{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}',
        '[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]',
        '{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}',
    ),
    "A.7": (
        '{"foo":["all","grass","cows","eat"]}',
        '[{"op":"move","from":"/foo/1","path":"/foo/3"}]',
        '{"foo":["all","cows","eat","grass"]}',
    ),
    "A.8": (
        '{"baz":"qux","foo":["a",2,"c"]}',
        '[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]',
        '{"baz":"qux","foo":["a",2,"c"]}',
    ),
    "A.9": ('{"baz":"qux"}', '[{"op":"test","path":"/baz","value":"bar"}]', FAILS),
    "A.10": (
        '{"foo":"bar"}',
        '[{"op":"add","path":"/child","value":{"grandchild":{}}}]',
        '{"foo":"bar","child":{"grandchild":{}}}',
    ),
    "A.11": (
        '{"foo":"bar"}',
        '[{"op":"add","path":"/baz","value":"qux","xyz":123}]',
        '{"foo":"bar","baz":"qux"}',
    ),
    "A.12": ('{"foo":"bar"}', '[{"op":"add","path":"/baz/bat","value":"qux"}]', FAILS),
    "A.13": ('{"foo":"bar"}', '[{"op":"add","path":"/baz","value":"qux","op":"remove"}]', FAILS),
    "A.14": ('{"/":9,"~1":10}', '[{"op":"test","path":"/~01","value":10}]', '{"/":9,"~1":10}'),
    "A.15": ('{"/":9,"~1":10}', '[{"op":"test","path":"/~01","value":"10"}]', FAILS),
    "A.16": (
        '{"foo":["bar"]}',
        '[{"op":"add","path":"/foo/-","value":["abc","def"]}]',
        '{"foo":["bar",["abc","def"]]}',
    ),
}

# RFC 7396, appendix A: original, patch, result.
RFC_7396 = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]

START = {"a": 1, "loc": "x", "arr": [1, 2], "n": {"k": "v"}}

# The lenient forms on START: operation, path, value, and the members that are different afterwards.
LENIENT: list[tuple[str, str, Any, dict[str, Any] | None]] = [
    ("add", "/b", 2, {"b": 2}),
    ("add", "/a", 9, {"a": 9}),
    ("add", "/a", None, {"a": None}),
    ("replace", "/loc", "y", {"loc": "y"}),
    ("replace", "/loc", None, {"loc": None}),
    ("replace", "/missing", 1, FAILS),
    ("replace", "/missing/deep", 1, FAILS),
    ("remove", "/missing", None, {}),
    ("remove", "/n/missing/deep", None, {}),
    ("remove", "/arr/9", None, {}),
    ("remove", "/arr/-", None, {}),
    ("remove", "/loc/sub", None, {}),
    ("remove", "", None, {}),
    ("remove", "/arr/0", None, {"arr": [2]}),
    ("add", "/arr/-", 3, {"arr": [1, 2, 3]}),
    ("add", "/arr/0", 0, {"arr": [0, 1, 2]}),
    ("add", "/arr/2", 3, {"arr": [1, 2, 3]}),
    ("add", "/arr/9", 3, FAILS),
    ("add", "/arr/x", 3, FAILS),
    ("add", "/new/-", 1, {"new": [1]}),
    ("add", "/new/0", 1, {"new": [1]}),
    ("add", "/new/3", 1, FAILS),
    ("add", "/x/y/z", 1, {"x": {"y": {"z": 1}}}),
    ("add", "/x/y/0", 1, {"x": {"y": [1]}}),
    ("add", "/n/l/0/m", 1, {"n": {"k": "v", "l": [{"m": 1}]}}),
    ("add", "/arr/-/m", 1, {"arr": [1, 2, {"m": 1}]}),
    ("add", "/loc/sub", 1, FAILS),
    ("add", "/loc/sub/sub", 1, FAILS),
    ("add", "/b", False, {"b": False}),
    ("add", "/b", 0, {"b": 0}),
    ("add", "/b", "", {"b": ""}),
    ("add", "", [], FAILS),
    ("add", "", "text", FAILS),
    ("replace", "", [1], FAILS),
    ("test", "/a", 1, {}),
    ("test", "/a", 2, FAILS),
    ("test", "/a", True, FAILS),
    ("test", "/missing", None, {}),
    ("test", "/missing/deep", None, {}),
    ("test", "/missing", 1, FAILS),
    ("add", "/a~1b~0c", 1, {"a/b~c": 1}),
    ("add", "no-slash", 1, FAILS),
    ("frobnicate", "/a", 1, FAILS),
]


def patched(document: dict[str, Any], patch: object, *, lenient: bool = False) -> dict[str, Any]:
    return apply_json_patch(document, parse_json_patch(patch, lenient=lenient), lenient=lenient)


def add(path: str, value: object) -> dict[str, object]:
    return {"op": "add", "path": path, "value": value}


def move(origin: str, path: str) -> dict[str, object]:
    return {"op": "move", "from": origin, "path": path}


def copied(origin: str, path: str) -> dict[str, object]:
    return {"op": "copy", "from": origin, "path": path}


def nested(levels: int, kind: type = list) -> Any:
    value: Any = kind()
    for _ in range(levels - 1):
        value = [value] if kind is list else {"": value}
    return value


# A.12 and A.13 fail for want of a parent or a target, which is what lenient forgives.
@pytest.mark.parametrize(
    ("case", "lenient"),
    [(case, False) for case in RFC_6902] + [(case, True) for case in RFC_6902 if case not in ("A.12", "A.13")],
)
def test_the_examples_of_rfc_6902_hold(case: str, lenient: bool) -> None:
    start, steps, expected = RFC_6902[case]
    document, patch = msgspec.json.decode(start), msgspec.json.decode(steps)
    if expected is FAILS:
        with pytest.raises(Fault):
            patched(document, patch, lenient=lenient)
    else:
        assert patched(document, patch, lenient=lenient) == msgspec.json.decode(expected)


@pytest.mark.parametrize(("original", "patch", "expected"), RFC_7396)
def test_the_examples_of_rfc_7396_hold(original: str, patch: str, expected: str) -> None:
    target = json.loads(original)
    assert apply_merge_patch(target, json.loads(patch)) == json.loads(expected)
    assert target == json.loads(original)


@pytest.mark.parametrize(("op", "path", "value", "difference"), LENIENT)
def test_the_lenient_forms_do_what_the_vendor_documents(
    op: str, path: str, value: object, difference: dict[str, Any] | None
) -> None:
    patch = [{"op": op, "path": path, "value": value}]
    if difference is FAILS:
        with pytest.raises(Fault):
            patched(START, patch, lenient=True)
    else:
        assert patched(START, patch, lenient=True) == {**START, **difference}


@pytest.mark.parametrize("op", ["add", "replace"])
def test_the_root_can_be_replaced_by_another_object(op: str) -> None:
    for lenient in (False, True):
        assert patched(START, [{"op": op, "path": "", "value": {"b": 2}}], lenient=lenient) == {"b": 2}


def test_a_lenient_test_without_a_value_finds_nothing_where_nothing_is() -> None:
    assert patched(START, [{"op": "test", "path": "/missing"}], lenient=True) == START
    for op in ("test", "add", "replace"):
        with pytest.raises(Fault):
            patched(START, [{"op": op, "path": "/a"}], lenient=True)
    with pytest.raises(Fault):
        patched(START, [{"op": "test", "path": "/missing"}])


def test_lenient_move_and_copy_work_and_create_parents() -> None:
    patch = [move("/a", "/x/y"), copied("/n", "/x/n")]
    expected = {"loc": "x", "arr": [1, 2], "n": {"k": "v"}, "x": {"y": 1, "n": {"k": "v"}}}
    assert patched(START, patch, lenient=True) == expected
    for refused in (move("/missing", "/b"), move("/n", "/n/k/deeper")):
        with pytest.raises(Fault):
            patched(START, [refused], lenient=True)


def test_an_empty_patch_changes_nothing() -> None:
    assert patched(START, []) == START


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/missing"},
        {"op": "remove", "path": ""},
        {"op": "remove", "path": "/arr/2"},
        {"op": "remove", "path": "/arr/-"},
        {"op": "replace", "path": "/arr/-", "value": 1},
        {"op": "replace", "path": "", "value": 1},
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "test", "path": "/missing", "value": None},
        {"op": "test", "path": "/loc/0", "value": "x"},
        {"op": "test", "path": "/a/0", "value": 1},
        add("/arr/3", 1),
        add("/arr/01", 1),
        add("/arr/-1", 1),
        add("/arr/1e0", 1),
        add("/arr/٣", 1),
        add("/arr/" + "9" * 1000, 1),
        add("/x/y", 1),
        add("/loc/0", 1),
        add("", None),
        move("/n", "/n/k/deeper"),
        move("", "/b"),
        move("/missing", "/b"),
        move("/missing", "/missing"),
        move("/a", "/x/y"),
        copied("/missing", "/b"),
        copied("/loc/0", "/b"),
        copied("/a", ""),
    ],
)
def test_an_operation_that_does_not_fit_the_document_is_refused_and_named(operation: dict[str, Any]) -> None:
    before = copy.deepcopy(START)
    with pytest.raises(Fault) as refusal:
        patched(START, [add("/first", 1), operation])
    assert before == START
    assert refusal.value.code == ("patch_test_failed" if operation["op"] == "test" else "invalid_patch")
    assert refusal.value.message.startswith(f"Operation 1 ({operation['op']} '{operation['path']}'")
    assert refusal.value.details == {"operation": 1, "path": operation["path"]}


@pytest.mark.parametrize(
    "patch",
    [
        None,
        {},
        "text",
        [1],
        [[]],
        [{}],
        [{"op": "add"}],
        [{"op": ["add"], "path": "/a", "value": 1}],
        [{"op": "ADD", "path": "/a", "value": 1}],
        [{"OP": "add", "path": "/a", "value": 1}],
        [{"op": "add", "path": "/a"}],
        [{"op": "replace", "path": "/a"}],
        [{"op": "test", "path": "/a"}],
        [{"op": "add", "path": 1, "value": 1}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "add", "path": "/a~", "value": 1}],
        [{"op": "add", "path": "/a~2", "value": 1}],
        [{"op": "add", "path": "/" + "a" * limits.MAX_POINTER, "value": 1}],
        [{"op": "add", "path": "/a" * 33, "value": 1}],
        [{"op": "move", "path": "/a"}],
        [{"op": "copy", "path": "/a", "from": None}],
        [{"op": "copy", "path": "/a", "from": "b"}],
        [{"op": "add", "path": "/a", "value": "\ud800"}],
        [{"op": "add", "path": "/a", "value": nested(33)}],
        [{"op": "add", "path": "/a", "value": nested(5000)}],
    ],
)
def test_a_patch_of_the_wrong_shape_is_refused(patch: object) -> None:
    with pytest.raises(Fault) as refusal:
        patched({}, patch)
    assert refusal.value.kind is Kind.INVALID


def test_a_failing_test_is_a_conflict() -> None:
    with pytest.raises(Fault) as refusal:
        patched({"a": 1}, [{"op": "test", "path": "/a", "value": 2}])
    assert (refusal.value.kind, refusal.value.code) == (Kind.CONFLICT, "patch_test_failed")


@pytest.mark.parametrize(
    ("found", "expected", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ([{"a": True}], [{"a": 1}], False),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}, True),
        ([1, 2], [2, 1], False),
        (None, False, False),
        ("", None, False),
    ],
)
def test_values_are_equal_as_json_defines_it(found: object, expected: object, equal: bool) -> None:
    patch = [{"op": "test", "path": "/a", "value": expected}]
    if equal:
        assert patched({"a": found}, patch) == {"a": found}
    else:
        with pytest.raises(Fault):
            patched({"a": found}, patch)


def test_a_copy_and_its_source_live_apart() -> None:
    patch = [copied("/a", "/b"), add("/a/x/-", 2), add("/b/y", 3), {"op": "remove", "path": "/a/x/0"}]
    assert patched({"a": {"x": [1]}}, patch) == {"a": {"x": [2]}, "b": {"x": [1], "y": 3}}


def test_a_document_can_be_copied_into_itself() -> None:
    assert patched({"a": 1}, [copied("", "/b"), copied("", "/b/c")]) == {
        "a": 1,
        "b": {"a": 1, "c": {"a": 1, "b": {"a": 1}}},
    }


def test_a_value_can_be_moved_onto_itself_and_over_its_parent() -> None:
    assert patched({"a": {"b": 1}}, [move("/a", "/a"), move("/a/b", "/a")]) == {"a": 1}
    assert patched({"a": {"b": 1}}, [move("", ""), move("/a", "")]) == {"b": 1}


def test_what_the_patch_holds_is_not_changed_by_later_operations() -> None:
    patch = [add("/a", {"list": []}), add("/a/list/-", 1), add("/b", {}), add("/b/c", 1)]
    before = copy.deepcopy(patch)
    assert patched({}, patch) == {"a": {"list": [1]}, "b": {"c": 1}}
    assert patch == before


def test_a_patch_has_at_most_a_hundred_operations() -> None:
    assert patched({}, [add("/a", 1)] * 100) == {"a": 1}
    with pytest.raises(Fault):
        patched({}, [add("/a", 1)] * 101)


def test_a_patch_has_at_most_64_kib() -> None:
    """Whatever it makes of the document, which here stays small."""
    around = len(documents.encode([add("/a", ""), add("/a", 1)], "patch"))
    longest = "x" * (limits.MAX_PATCH - around)
    assert patched({}, [add("/a", longest), add("/a", 1)]) == {"a": 1}
    with pytest.raises(Fault, match="at most"):
        patched({}, [add("/a", longest), add("/a", 10)])


@pytest.mark.parametrize(
    "bomb",
    [
        [add("/a", [0]), *[copied("", "/a/-")] * 99],
        [add("/a", "x" * 1000), *[copied("/a", f"/b{count}") for count in range(99)]],
        [add("/a", ["x" * 1000]), *[copied("/a", "/a/-")] * 99],
        [add("/a", ["x" * 1000]), *[copied("/a/0", "/a/0")] * 99],
        [add("/a", {}), *[add("/a" + "/0" * 20, nested(32))]],
        [add("/a", []), *[copied("/a", "/a/0")] * 99],
        [add("/a", "x" * 40_000), copied("/a", "/b"), {"op": "remove", "path": "/b"}],
    ],
)
def test_a_bomb_is_refused_at_the_step_that_passes_a_bound(bomb: list[dict[str, object]]) -> None:
    for lenient in (False, True):
        with pytest.raises(Fault) as refusal:
            patched({}, bomb, lenient=lenient)
        assert refusal.value.code == "invalid_patch"


def test_a_document_may_fill_its_64_kib_to_the_last_byte() -> None:
    filled = {"a": "x" * (limits.MAX_DOCUMENT - len('{"a":"","b":[1]}')), "b": [1]}
    assert patched(filled, [{"op": "remove", "path": "/b/0"}, add("/b/-", 2)])["b"] == [2]
    assert patched(filled, [move("/b", "/c")])["c"] == [1]
    emptier = {"a": filled["a"]}
    assert patched(emptier, [add("/b", [1])]) == filled
    for document, operation in (
        *((filled, one) for one in (add("/b/-", 2), add("/b/0", 2), add("/c", 2))),
        (filled, {"op": "replace", "path": "/b/0", "value": 10}),
        (emptier, add("/bb", [1])),
    ):
        with pytest.raises(Fault):
            patched(document, [operation])


@pytest.mark.parametrize(
    ("room", "operation"), [(20_000, copied("/a", "/b")), (100, add("/" * 31, 1)), (100, add("/b", "x" * 100))]
)
def test_a_small_patch_fills_a_large_document_no_further_than_a_large_one(
    room: int, operation: dict[str, object]
) -> None:
    with pytest.raises(Fault):
        patched({"a": "x" * (limits.MAX_DOCUMENT - len('{"a":""}') - room)}, [operation], lenient=True)


@pytest.mark.parametrize(
    "patch",
    [
        [move("/a", "/b/c/d")],
        [move("/a", "/b/c"), move("/b/c", "/d/e/f")],
        [copied("/a", "/b/c/d")],
        [add("/a" + "/0" * 30 + "/0/0", 1)],
        [add("/b", nested(31)), move("/b", "/c/d")],
    ],
)
def test_a_small_patch_makes_a_deep_document_no_deeper_than_it_may_be(patch: list[dict[str, object]]) -> None:
    with pytest.raises(Fault):
        patched({"a": nested(30)}, patch, lenient=True)


@pytest.mark.parametrize("kind", [list, dict])
def test_a_deep_patch_makes_a_shallow_document_no_deeper_than_it_may_be(kind: type) -> None:
    deepest = nested(limits.MAX_JSON_DEPTH - 1, kind)
    assert patched({}, [add("/b", deepest), move("/b", "/c")]) == {"c": deepest}
    with pytest.raises(Fault):
        patched({}, [add("/b", deepest), move("/b", "/c/d")], lenient=True)


def test_a_pointer_may_have_as_many_steps_as_a_document_has_levels() -> None:
    found = patched({}, [add("/a" * limits.MAX_JSON_DEPTH, 1)], lenient=True)
    assert documents.depth(documents.encode(found, "document")) == limits.MAX_JSON_DEPTH


def test_depth_counts_what_is_there_and_not_what_was() -> None:
    document = {"a": [], "p": {"q": {"r": {}}}}
    for filled in (add("/a/-", nested(29)), add("/a", [nested(29)])):
        emptied = {"op": "remove", "path": "/a/0"}
        assert patched(document, [filled, emptied, copied("/a", "/p/q/r/s")])["p"] == {"q": {"r": {"s": []}}}
        with pytest.raises(Fault):
            patched(document, [filled, copied("/a", "/p/q/r/s")])


KEYS = st.sampled_from(["a", "b", "é", "", "0", "1", "-", "~"])
SCALARS = st.sampled_from([None, True, False, 0, 1, 1.0, -1.5, 2**64 - 1, "", "x", "é\n", '"'])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)
POINTERS = st.lists(KEYS, max_size=3).map(lambda keys: "".join("/" + key.replace("~", "~0") for key in keys))
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "add", "remove", "replace", "move", "copy", "copy", "test"]), "path": POINTERS},
    optional={"value": VALUES, "from": POINTERS},
)
SOUND = OPERATIONS.map(lambda entry: {"value": 1, "from": "/a", **entry})
NOISE = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["op", "path", "from", "x"]), inner),
    max_leaves=6,
)


@given(OBJECTS, st.lists(OPERATIONS | NOISE, max_size=5) | NOISE, st.booleans())
def test_a_patch_gives_a_document_or_a_fault_and_leaves_its_input_alone(
    document: dict[str, Any], patch: Any, lenient: bool
) -> None:
    before = documents.encode([document, patch], "m")
    try:
        result = patched(document, patch, lenient=lenient)
    except Fault as fault:
        assert fault.kind in (Kind.INVALID, Kind.CONFLICT)
    else:
        assert isinstance(result, dict)
    assert documents.encode([document, patch], "m") == before


@given(OBJECTS, st.lists(SOUND, max_size=8), st.booleans(), st.integers(0, 400), st.integers(0, 9))
def test_a_patch_does_what_its_operations_do_one_by_one_and_none_of_them_passes_a_bound(
    document: dict[str, Any], patch: list[Any], lenient: bool, room: int, levels: int
) -> None:
    text = documents.encode(document, "document")
    size, depth = len(text) + room, documents.depth(text) + levels
    parsed, steps = (
        parse_json_patch(patch, lenient=lenient),
        [parse_json_patch([one], lenient=lenient) for one in patch],
    )
    with pytest.MonkeyPatch.context() as patcher:
        patcher.setattr(limits, "MAX_JSON_DEPTH", depth)
        together = outcome(document, parsed, lenient, size)
    alone: Any = document
    for step in steps:
        alone = outcome(alone, step, lenient, 1 << 30)
        if alone is None or not within(alone, size, depth):
            alone = None
            break
    assert together == alone


def within(document: Any, size: int, depth: int) -> bool:
    text = documents.encode(document, "document")
    return len(text) <= size and documents.depth(text) <= depth


def outcome(document: Any, patch: Patch, lenient: bool, longest: int) -> Any:
    """The patched document, or None where it is refused."""
    try:
        return apply_json_patch(document, patch, lenient=lenient, longest=longest)
    except Fault:
        return None


@given(OBJECTS, VALUES)
def test_adding_and_removing_again_restores_the_document(document: dict[str, Any], value: object) -> None:
    document.pop("new", None)
    assert patched(document, [add("/new", value), {"op": "remove", "path": "/new"}]) == document
    assert patched(document, [add("/new", value), move("/new", "/newer")]) == {**document, "newer": value}


@given(VALUES, VALUES)
def test_a_merge_patch_leaves_its_input_alone_and_takes_hold_at_once(target: Any, patch: Any) -> None:
    before = documents.encode([target, patch], "m")
    once = apply_merge_patch(target, patch)
    assert apply_merge_patch(once, patch) == once
    assert documents.encode([target, patch], "m") == before


@given(VALUES)
def test_an_empty_merge_patch_keeps_an_object(target: Any) -> None:
    assert apply_merge_patch(target, {}) == (target if isinstance(target, dict) else {})


@given(VALUES, st.dictionaries(KEYS, VALUES, max_size=4))
def test_a_merge_patch_sets_and_removes_exactly_the_members_it_names(target: Any, patch: dict[str, Any]) -> None:
    before = target if isinstance(target, dict) else {}
    result = apply_merge_patch(target, patch)
    kept = {key for key in before if key not in patch}
    assert set(result) == kept | {key for key, value in patch.items() if value is not None}
    assert all(result[key] == before[key] for key in kept)


def test_a_merge_patch_that_nests_too_deeply_is_refused() -> None:
    deepest = nested(limits.MAX_JSON_DEPTH, dict)
    assert apply_merge_patch({}, deepest) == deepest
    for levels in (limits.MAX_JSON_DEPTH + 1, 5000):
        with pytest.raises(Fault):
            apply_merge_patch({}, nested(levels, dict))
