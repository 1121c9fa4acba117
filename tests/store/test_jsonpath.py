"""JSON path predicates and orders: every engine finds and sorts what `core` says, PostgreSQL by its own means."""

import os
import random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from fleetroll.core import documents, jsonpath
from fleetroll.core.faults import Fault
from fleetroll.core.fields import sort_value
from fleetroll.core.model import Device, NewDevice
from fleetroll.core.query import Filter, JsonPath, Not, Page, Sort, rank
from fleetroll.store.port import Records, Store
from tests.support.effort import often
from tests.support.stores import plant
from tests.unit.test_jsonpath import DOCUMENT, DOES_NOT, HOLDS, LARGEST, SAID, SAYS_NONE

pytestmark = pytest.mark.anyio
DOCUMENTS = [
    DOCUMENT,
    {},
    {"env": None, "temp": "warm", "on": [True], "tags": "b", "gone": 0, "list": [], "sensors": {"type": "h"}},
    {"env": ["x", "production"], "temp": [10, 60], "tags": [["b"]], "on": False, "a b": [{"c": 1}, {"c": "x"}]},
    {"env": {"x": 1}, "temp": -3, "tags": [], "on": "true", "big": 9007199254740992, "list": [1]},
    {"longer": "x", "a": -1, "on": True},
    {"env": "PRODUCTION\nline", "temp": 5e1, "tags": ["a", 1, None, "b"], "on": None, "big": 2**64 - 1},
]


async def fleet(store: Store, org: int, contents: list[object]) -> list[Device]:
    async def work(records: Records) -> list[Device]:
        raws = [Raw(msgspec.json.encode(content)) for content in contents]
        return [await plant(records, org, NewDevice(f"d{n}", metadata=raw)) for n, raw in enumerate(raws)]

    return await store.write(work)


async def found(store: Store, org: int, wanted: Filter) -> list[str]:
    return [one.ident for one in await store.scan.devices.page(org, wanted, Sort(), Page(100))]


async def test_an_engine_finds_what_a_predicate_holds_of(store: Store, org: int) -> None:
    devices = await fleet(store, org, DOCUMENTS)
    for text in HOLDS + DOES_NOT + LARGEST:
        predicate = jsonpath.parse(text)
        wanted = JsonPath("metadata", jsonpath.write(predicate))
        expected = [one.ident for one in devices if jsonpath.holds(predicate, documents.load(one.metadata)) is True]
        assert await found(store, org, wanted) == expected, text
        assert await found(store, org, Not(wanted)) == [d.ident for d in devices if d.ident not in expected], text
        assert await store.scan.devices.count(org, wanted) == len(expected), text


async def test_a_predicate_does_not_see_what_is_hidden(store: Store, org: int) -> None:
    devices = await fleet(store, org, [{"a": 1}, {"b": 1}, {"c": {"a": 1, "b": 1}}, {}])
    for text, expected in (
        ("exists($.a)", []),
        ("exists($.b)", []),
        ("exists($.c.a)", [2]),
        ("exists($.**.a)", [2]),
        ("exists($.*)", [2]),
        ("!(exists($.a))", [0, 1, 2, 3]),
    ):
        wanted = JsonPath("metadata", jsonpath.write(jsonpath.parse(text)), ("a", "b"))
        assert await found(store, org, wanted) == [devices[place].ident for place in expected], text


async def test_who_has_no_slot_is_not_found_by_one(store: Store, org: int) -> None:
    await fleet(store, org, [{}])
    assert await found(store, org, JsonPath("identity", "exists($)")) == []
    assert await found(store, org, JsonPath("identity", '!($."status" == "ACTIVE")')) == []


PLACES = [{"v": v} for v in (None, -5, 0, 2, 10, 5.25, 1e18, 2**64 - 1, "", "a", "B", "é", "2024-01-01", True, False)]
PLACES += [{}, {"v": [3, 1]}, {"v": {"x": 1}}, {"v": ["z"]}, {"v": []}, {"v": {"0": 1}}]
PLACES += [{"v": f"2024-{rest}"} for rest in ("01-01T00:00:00+02:00", "01-01T00:00:00Z", "01-01T00:00:00.5Z")]
PLACES += [{"v": f"2024-{rest}"} for rest in ("01-01 00:00:00", "02-30", "03-01", "13-01", "1-1", "01-01T24:00:00Z")]
PLACES += [{"v": text} for text in ("0001-01-01T00:00:00+14:59", "9999-12-31T23:59:59.9999999-14:59", "0000-01-01")]
PLACES += [{"v": text} for text in ("2024-01-01\n", "2024-01-01T00:00:00.12Z", "2024-01-01T00:00:00.123456789Z")]
PATHS: list[tuple[str | int, ...]] = [("v",), ("v", 0), ("v", -1), ("v", 1), ("v", "x"), ("missing",), ("v", "0")]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("path", PATHS, ids=str)
async def test_a_list_is_sorted_by_what_is_in_documents_page_by_page(
    store: Store, org: int, path: tuple[str | int, ...], descending: bool
) -> None:
    devices = await fleet(store, org, PLACES)
    sort = Sort("metadata", descending, path)
    expected = sorted(devices, key=lambda one: (rank(documents.load(one.metadata), path), one.id), reverse=descending)
    met: list[Device] = []
    after = None
    while page := await store.scan.devices.page(org, None, sort, Page(4, after)):
        met += page
        after = (sort_value(page[-1], "metadata", path), page[-1].id)
    assert [one.ident for one in met] == [one.ident for one in expected]
    nulls = [n for n, one in enumerate(met) if rank(documents.load(one.metadata), path)[0] == 0]
    edge = range(len(met) - len(nulls), len(met)) if descending else range(len(nulls))
    assert nulls == list(edge)


NEIGHBOURS = [edge + step for edge in (2**53, 2**60, 2**63, 2**64) for step in range(-3, 4) if edge + step < 2**64]
NEIGHBOURS += [-edge + step for edge in (2**53, 2**60, 2**63) for step in range(4)]
FLOATS = [1e17, -1e17, 2.0**53, -(2.0**63), 2.0**64, -(2.0**64), 36028797018963970.0, 1e300, -1e300, 0.5]


@pytest.mark.parametrize("descending", [False, True])
async def test_large_numbers_are_sorted_exactly(store: Store, org: int, descending: bool) -> None:
    numbers = [*NEIGHBOURS, *FLOATS]
    random.Random(os.environ["FLEETROLL_SEED"]).shuffle(numbers)
    await fleet(store, org, [{"v": number} for number in numbers])
    met: list[float] = []
    after = None
    while page := await store.scan.devices.page(org, None, Sort("metadata", descending, ("v",)), Page(1, after)):
        met += [documents.load(one.metadata)["v"] for one in page]
        after = (sort_value(page[-1], "metadata", ("v",)), page[-1].id)
        assert len(met) <= len(numbers)
    assert met == sorted(numbers, reverse=descending)


async def test_tags_are_sorted_by_the_first(store: Store, org: int) -> None:
    async def work(records: Records) -> None:
        for ident, tags in (("b", ("b", "a")), ("none", ()), ("a", ("a",))):
            await plant(records, org, NewDevice(ident, tags=tags))

    await store.write(work)
    page = await store.scan.devices.page(org, None, Sort("tags", False, (0,)), Page(10))
    assert [one.ident for one in page] == ["none", "a", "b"]


_keys = st.sampled_from(("a", "b", "c"))
_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from((0.5, -1.5))
    | st.sampled_from(("", "a", "ab", "1", "x1"))
)
_documents = st.dictionaries(
    _keys,
    st.recursive(_leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner), max_leaves=6),
)
_steps = st.sampled_from(
    (".a", ".b", ".*", "[*]", "[0]", "[last]", "[1 to last]", ".size()", ".type()", "[last - 1, 0]")
)
_numeric = st.sampled_from((".double()", ".abs()", ".floor()", ".ceiling()"))
_descents = st.sampled_from((".**", ".**{1}", ".**{last}", ".**{1 to 2}", ".**{2 to last}", ".**{0}", ".**{last to 1}"))
_plain = st.lists(_steps | _numeric, max_size=3).map("".join)
_below = st.tuples(
    _steps.filter(lambda step: "," not in step) | st.just(""), _descents, _steps.filter(lambda step: "," not in step)
)
_paths = (_plain | _below.map("".join)).map("${}".format)
_values = st.sampled_from(("null", "true", "1", "0.5", '"a"', '""', "-1"))
_comparators = st.sampled_from(("==", "!=", "<", ">="))
_computed = st.recursive(
    _paths | _values,
    lambda inner: (
        st.tuples(inner, st.sampled_from("+-*/%"), inner).map("({0[0]} {0[1]} {0[2]})".format)
        | inner.map("-({})".format)
        | st.tuples(_plain, _numeric).map("(-${0[0]}){0[1]}".format)
    ),
    max_leaves=3,
)
_simple = (
    st.tuples(_paths, _comparators, _values).map(" ".join)
    | st.tuples(_computed, _comparators, _values).map(" ".join)
    | _paths.map("exists({})".format)
    | _paths.map('{} starts with "a"'.format)
    | _paths.map('{} like_regex "^a?$"'.format)
    | st.tuples(_paths, _values).map(lambda one: f"exists({one[0]} ? (@ == {one[1]}))")
    | st.tuples(_paths, _values).map(lambda one: f"exists({one[0]} ? (@.a > {one[1]}))")
    | st.tuples(_paths, _values).map(lambda one: f"exists({one[0]} ? (@.a - 1 / 3 <= {one[1]}))")
)
_predicates = st.recursive(
    _simple,
    lambda inner: (
        st.tuples(inner, st.sampled_from(("&&", "||")), inner).map(lambda one: f"({one[0]}) {one[1]} ({one[2]})")
        | inner.map("!({})".format)
        | inner.map("({}) is unknown".format)
    ),
    max_leaves=4,
)


def _calculates_within_bounds(text: str) -> bool:
    try:
        jsonpath.parse(text)
    except Fault as refusal:
        assert refusal.message.endswith("arithmetic operators."), refusal.message
        return False
    return True


_single = st.lists(st.sampled_from((".a", ".b", "[0]", "[last]", ".size()", ".type()")), max_size=3).map("".join)
_paired = st.tuples(_single, _comparators, _single).map("strict ${0[0]} {0[1]} ${0[2]}".format)
_about = st.tuples(st.sampled_from(("", "strict ")), _predicates).map("".join).filter(_calculates_within_bounds)
_meant = _about | _paired


_generated = settings(
    max_examples=often(40),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


@_generated
@given(contents=st.lists(_documents, min_size=1, max_size=5), texts=st.lists(_meant, min_size=10, max_size=20))
async def test_an_engine_finds_what_any_predicate_holds_of(
    store: Store, org: int, contents: list[object], texts: list[str]
) -> None:
    await agree(store, org, contents, texts)


_numbers = (
    st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from((0, 0.0, 1, 3, 7, 9999, 10000, 0.0001, -1e16, 2.0**53, 2.0**64, 2**53 + 1))
)
# Which of them hold depends on each digit of a quotient, and on where it is rounded.
_DIGITS = ["($.a / $.b) * $.b < $.a", "($.a / $.b) * $.b == $.a", "($.a / $.b) * 1e16 % 1 == 0", "$.a / $.b % $.a >= 0"]
_DIGITS += ["$.a * $.b - $.a == $.b", "$.a + $.b > $.a", "$.a % $.b + $.b != $.b", "-$.a / $.b < $.b * $.b / 3"]
_DIGITS += [
    "strict $.a < $.b",
    "strict $.a != $.b",
    "$.a + 0 == $.b",
    "$.a < 9007199254740993",
    "$.a > 1.8446744073709552e19",
]
_DIGITS += ["$.a == 18446744073709552000", "$.a <= 9007199254740993.0"]


@_generated
@given(numbers=st.lists(st.tuples(_numbers, _numbers), min_size=1, max_size=20))
async def test_an_engine_calculates_to_the_same_digit(
    store: Store, org: int, numbers: list[tuple[float, float]]
) -> None:
    await agree(store, org, [{"a": a, "b": b} for a, b in numbers], _DIGITS)


async def test_an_engine_reads_the_same_numbers_in_texts(store: Store, org: int) -> None:
    texts = [text for text, _ in SAID] + SAYS_NONE
    asked = [f"$.a.double() == {number}" for _, number in SAID] + ["($.a.double() > 0) is unknown"]
    await agree(store, org, [{"a": text} for text in texts], asked)


async def agree(store: Store, org: int, contents: list[object], texts: list[str]) -> None:
    """Among devices with these contents the engine finds what `core` says."""

    async def check(records: Records) -> None:
        for one in await records.devices.page(org, None, Sort(), Page(100)):
            await records.devices.delete(one)
        for n, content in enumerate(contents):
            await plant(records, org, NewDevice(f"d{n}", metadata=Raw(msgspec.json.encode(content))))
        for text in texts:
            predicate = jsonpath.parse(text)
            wanted = JsonPath("metadata", jsonpath.write(predicate))
            page = await records.devices.page(org, wanted, Sort(), Page(100))
            expected = [f"d{n}" for n, one in enumerate(contents) if jsonpath.holds(predicate, one) is True]
            assert [one.ident for one in page] == expected, (text, contents)

    await store.write(check)
