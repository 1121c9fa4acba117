"""Every engine finds what `core.query.matches` says, and no value ever becomes part of a statement."""

import asyncio
import itertools
import math
import re
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw, structs

from fleetroll.core.fields import canonical, reader, sort_value
from fleetroll.core.model import Device, NewDevice
from fleetroll.core.query import (
    And,
    Comparison,
    Filter,
    Folded,
    Not,
    Operator,
    Or,
    Page,
    Pattern,
    Search,
    Sort,
    matches,
)
from fleetroll.store import lists, postgres_syntax, select
from fleetroll.store.port import Records, Store
from fleetroll.store.sqlite_syntax import SYNTAX
from tests.support import filters
from tests.support.effort import often
from tests.support.stores import ENGINES, plant

WITH_SQL = [engine for engine in ENGINES if engine != "memory"]
SYNTAXES = {"sqlite": SYNTAX, "postgres": postgres_syntax.SYNTAX}
ORGS = itertools.count(1)


class Bench:
    """A store that outlives many examples; each takes an organization of its own."""

    def __init__(self, runner: asyncio.Runner, store: Store) -> None:
        self.run = runner.run
        self.store = store


@pytest.fixture(scope="module", params=WITH_SQL)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        store = runner.run(ENGINES[request.param](tmp_path_factory.mktemp("filters") / "registry"))
        yield Bench(runner, store)
        runner.run(store.close())


async def stored(store: Store, org: int, fleet: list[tuple]) -> list[Device]:
    async def work(records: Records) -> list[Device]:
        return [await plant(records, org, new, **later) for new, later in fleet]

    return await store.write(work)


def expected(devices: list[Device], wanted: Filter, sort: Sort) -> list[str]:
    found = [one for one in devices if matches(canonical(wanted), reader(one))]
    found.sort(key=lambda one: one.id, reverse=sort.descending)
    present = [one for one in found if sort_value(one, sort.field) is not None]
    present.sort(key=lambda one: sort_value(one, sort.field), reverse=sort.descending)
    return [one.ident for one in (*present, *(one for one in found if sort_value(one, sort.field) is None))]


async def walked(store: Store, org: int, wanted: Filter, sort: Sort, size: int) -> list[str]:
    met: list[Device] = []
    after = None
    while page := await store.scan.devices.page(org, wanted, sort, Page(size, after)):
        met += page
        after = (sort_value(page[-1], sort.field), page[-1].id)
    return [one.ident for one in met]


def questioned(fleet: list[filters.Planted]) -> st.SearchStrategy[tuple]:
    asked = st.lists(st.tuples(filters.about(fleet), filters.sorts), min_size=5, max_size=15)
    return st.tuples(st.just(fleet), asked, st.integers(2, 4))


@settings(max_examples=often(40), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(filters.fleets.flatmap(questioned))
def test_an_engine_finds_what_the_reference_finds(bench: Bench, questions: tuple) -> None:
    fleet, asked, size = questions

    async def check() -> None:
        org = next(ORGS)
        devices = await stored(bench.store, org, fleet)
        for wanted, sort in asked:
            answer = expected(devices, wanted, sort)
            assert await walked(bench.store, org, wanted, sort, size) == answer, wanted
            assert await bench.store.scan.devices.count(org, wanted) == len(answer), wanted

    bench.run(check())


HARD: list[Filter] = [
    Search("b\ncaf"),  # across the two texts that are searched
    Search("a"),
    Search(""),
    Search("\u0130"),
    Comparison("name", Operator.CONTAINS, ""),
    Comparison("ident", Operator.CONTAINS, ""),
    Comparison("name", Operator.CONTAINS, "a\nb"),
    Comparison("name", Operator.CONTAINS, "CAFE\u0301"),
    Comparison("ident", Operator.EQ, "cafe\u0301"),
    Comparison("ident", Operator.LIKE, Pattern(("cafe\u0301", ""))),
    Comparison("ident", Operator.GE, "cafe\u0301"),
    Comparison("ident", Operator.LIKE, Pattern(("", "%", ""))),
    Comparison("ident", Operator.LIKE, Pattern(("", "_", ""))),
    Comparison("ident", Operator.LIKE, Pattern(("", "\\", ""))),
    Comparison("kind", Operator.CONTAINS, "P"),
    Comparison("kind", Operator.CONTAINS, "%"),
    Comparison("kind", Operator.LIKE, Pattern(("P", ""))),
    Comparison("kind", Operator.LIKE, Pattern(("\ud7ff", ""))),  # before the surrogates, which are no letters
    Comparison("kind", Operator.LIKE, Pattern(("a\U0010ffff", ""))),  # after which there is no letter
    Comparison("kind", Operator.LIKE, Pattern(("\U0010ffff", ""))),
    Comparison("tags", Operator.HAS, "T"),
    Comparison("tags", Operator.HAS, Pattern(("", "'", ""))),
    Comparison("tags", Operator.HAS, Pattern(("t", "t"))),
    Comparison("tags", Operator.HAS, Pattern(('"', ""))),
    Comparison("metadata", Operator.HAS, 'q"'),
    Comparison("metadata", Operator.EQ, 1, ('q"',)),
    Comparison("metadata", Operator.EQ, 2, ("back\\",)),
    Comparison("metadata", Operator.EQ, 3, ("a.b",)),
    Comparison("metadata", Operator.EQ, 4, ("",)),
    Comparison("metadata", Operator.EQ, None, ("none",)),
    Comparison("metadata", Operator.EXISTS, None, ("none",)),
    Comparison("metadata", Operator.EQ, "1", ('q"',)),
    Comparison("metadata", Operator.EQ, True, ("yes",)),
    Comparison("metadata", Operator.EQ, 1, ("yes",)),
    Comparison("metadata", Operator.EXISTS, None, ("list", "0")),
    Comparison("metadata", Operator.HAS, "x", ("list",)),
    Comparison("metadata", Operator.CONTAINS, "x", ("list",)),
    *(
        Comparison("metadata", Operator.ELEMENT, value, path)
        for value in ("x", "X", "", 1, 1.0, 0, True, None, 'q"', *(Pattern((start, "")) for start in ("x", "", "y")))
        for path in (("list",), ("mixed",), ("list", "0"), ("yes",), ("none",), ('q"',), ("deep", 'a".'), ("deep",))
    ),
    Comparison("metadata", Operator.HAS, 'a".', ("deep",)),
    Comparison("metadata", Operator.LT, 1e300, ("edge",)),
    Comparison("metadata", Operator.EQ, 2**63 - 1, ("edge",)),
    Comparison("metadata", Operator.EQ, float(2**63), ("edge",)),
    Comparison("software", Operator.EXISTS, None),
    Comparison("metadata", Operator.EXISTS, None),
]
MEMBERS = {
    'q"': 1, "back\\": 2, "a.b": 3, "": 4, "none": None, "yes": True, "list": ["x"], "edge": 2**63 - 1,
    "mixed": [[1, "x", None], {"x": 1, "y": "y"}, 1, True, ""], "deep": {'a".': ["x%", 'q"', None]},
}  # fmt: skip
FLEET: list[filters.Planted] = [
    (NewDevice("a"), {}),
    (NewDevice("ab", name="caf\u00e9 % _ \\"), {}),
    (NewDevice("caf\u00e9", kind="Pump %", tags=("t", "it's")), {}),
    (NewDevice("100%_\\ \u0130", kind="pump", tags=("T",), metadata=Raw(msgspec.json.encode(MEMBERS))), {}),
    (NewDevice("last", kind="\U0010ffffb", tags=("tut", '"', "t")), {}),
    (NewDevice("last but one", kind="a\U0010ffffb", tags=("t,t",)), {}),
    (NewDevice("between", kind="\ud7ffb", tags=('\\"',)), {}),
    (NewDevice("beyond", kind="\ue000"), {}),
    (NewDevice("other", software=Raw(b"{}"), metadata=Raw(b'{"none":1,"yes":"true"}')), {}),
]


def test_an_engine_finds_what_the_reference_finds_where_it_is_hard(bench: Bench) -> None:
    async def check() -> None:
        org = next(ORGS)
        devices = await stored(bench.store, org, FLEET)
        await bench.store.analyze()
        for wanted in (*HARD, *map(Not, HARD)):
            assert await walked(bench.store, org, wanted, Sort(), 2) == expected(devices, wanted, Sort()), wanted
            assert await bench.store.scan.devices.count(org, wanted) == len(expected(devices, wanted, Sort())), wanted

    bench.run(check())


EDGES = (2**53, 2**54, 2**63, 2**64)
NUMBERS = sorted(
    {
        *(edge + step for edge in EDGES for step in (-2, -1, 0, 1, 2) if edge + step < 2**64),
        *(-edge + step for edge in EDGES[:3] for step in (0, 1, 2)),
        *(10**19 - 1, 10**19, 10**19 + 1, 9223372036854776000, 9223372036854775809),
    }
)
FRACTIONS = [sign * math.nextafter(edge, to) for edge in EDGES for to in (0, edge, math.inf) for sign in (1, -1)]
FRACTIONS += [1e19, 9.3e18, 1e17, 2.0**63, 1e300, 0.1, 36028797018963970.0]


def test_large_numbers_are_compared_exactly(bench: Bench) -> None:
    held = [msgspec.json.encode({"n": number}) for number in (*NUMBERS, *FRACTIONS)]
    fleet: list[filters.Planted] = [
        (NewDevice(f"d{place}", metadata=Raw(document)), {}) for place, document in enumerate(held)
    ]
    fleet.append((NewDevice("list", metadata=Raw(b'{"n":[18446744073709551615]}')), {}))
    lists = [msgspec.json.encode({"n": ["", number, [number]]}) for number in (*NUMBERS, *FRACTIONS)]
    fleet += [(NewDevice(f"l{place}", metadata=Raw(document)), {}) for place, document in enumerate(lists)]

    async def check() -> None:
        org = next(ORGS)
        devices = await stored(bench.store, org, fleet)
        for operator in (Operator.EQ, Operator.LT, Operator.LE, Operator.GT, Operator.GE, Operator.ELEMENT):
            for value in (*NUMBERS, *FRACTIONS):
                for path in (("n",), ("n", "0")):
                    wanted = Comparison("metadata", operator, value, path)
                    found = await bench.store.scan.devices.count(org, wanted)
                    assert found == len(expected(devices, wanted, Sort())), wanted
                    found = await bench.store.scan.devices.count(org, Not(wanted))
                    assert found == len(expected(devices, Not(wanted), Sort())), wanted

    bench.run(check())


# --- statements ------------------------------------------------------------------------------------------------------

MARK = "zqx9"


def marked(wanted: Filter) -> Filter:
    """The same question with a mark in each of its texts and a telltale size for each of its numbers."""
    match wanted:
        case And():
            return And(tuple(map(marked, wanted.parts)))
        case Or():
            return Or(tuple(map(marked, wanted.parts)))
        case Not():
            return Not(marked(wanted.part))
        case Search():
            return Search(MARK + wanted.text)
    path = tuple(MARK + key for key in wanted.path)
    return structs.replace(wanted, path=path, value=marked_value(wanted))


def marked_value(comparison: Comparison) -> object:
    match comparison.value:
        case Pattern(parts):
            return Pattern(tuple(MARK + part for part in parts))
        case Folded(text):
            return Folded(MARK + text)
        case str():
            return MARK + comparison.value
        case bool() | None:
            return comparison.value
        case number:
            return 4_700_000_000 + int(number) % 1000
    raise AssertionError


@pytest.mark.parametrize("engine", WITH_SQL)
@settings(max_examples=often(100))
@given(wanted=filters.filters, sort=filters.sorts, after=st.none() | st.tuples(st.just(MARK) | st.none(), st.just(47)))
def test_no_value_of_a_request_is_in_a_statement(engine: str, wanted: Filter, sort: Sort, after: tuple | None) -> None:
    page = Page(4747, after)
    for query in (
        *select.pages(SYNTAXES[engine], 474747, marked(wanted), sort, page),
        select.count(SYNTAXES[engine], 474747, marked(wanted)),
        lists.by_idents(SYNTAXES[engine], 474747, [MARK, MARK + "2"]),
    ):
        text = re.sub(r":[a-z]+[0-9]*", ":", query.text)
        assert MARK not in text
        assert not re.search(r"[0-9]", text.replace("SELECT 1 ", "")), text
        placeholders = set(re.findall(r"(?<!:):([a-z]+[0-9]*)", query.text))
        assert placeholders == query.values.keys()


def test_equal_questions_share_a_statement() -> None:
    """So the set of texts is as small as the set of shapes, and each is prepared once."""
    texts = {
        query.text
        for value in ("aaa", "b'b", '"ccc"', "%ddd_")
        for query in select.pages(
            SYNTAX,
            1,
            And((Comparison("kind", Operator.EQ, value), Search(value))),
            Sort("kind"),
            Page(5, (value, 3)),
        )
    }
    assert len(texts) == 2
    assert len({lists.reporters(1, [1] * count).text for count in range(1, 501)}) == 10
