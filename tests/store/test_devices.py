"""Devices: who is the same device, what guards a change, what a page holds and in which order."""

import asyncio
import itertools
import json
from typing import Any

import pytest
from msgspec import structs

from fleetroll.core import limits
from fleetroll.core.faults import Fault
from fleetroll.core.fields import DEVICE_FIELDS, reader, sort_value
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import Counts, Device, NewDevice
from fleetroll.core.query import (
    And,
    Comparison,
    Filter,
    Not,
    Operator,
    Or,
    Page,
    Search,
    Sort,
    every,
    matches,
)
from fleetroll.store.port import Records, Store
from tests.support.stores import NOW, changed, device, document, organization, plant

pytestmark = pytest.mark.anyio

COMPOSED, DECOMPOSED = "caf\u00e9-1", "cafe\u0301-1"
FULL = NewDevice(
    ident='pump "7" \\ 100%_Ω\u2028',
    name="Ünïcode 😀 name",
    kind="pump",
    hardware_version="rev C",
    software=document('{"version":"1.2"}'),
    metadata=document('{"b":1,"a":{"deep":[1,2.5,null,true,"\\u0001"]},"big":18446744073709551615}'),
    tags=("production", "eu west", "ünï"),
    owners=("ann@example.com", "bob@example.com"),
    schema=document('{"temperature":{"type":"number"}}'),
    config=document('{"interval":60}'),
    extras=document('{"vendor":{"x":1}}'),
    cohort="beta",
    template=7,
    dms="line-1",
)
SORTABLE = [field.name for field in DEVICE_FIELDS.values() if field.sortable]


async def inserted(store: Store, org: int, *new: NewDevice, **later: Any) -> list[Device]:
    async def work(records: Records) -> list[Device]:
        return [await plant(records, org, one, **later) for one in new]

    return await store.write(work)


async def idents(store: Store, org: int, wanted: Comparison) -> list[str]:
    return [found.ident for found in await store.scan.devices.page(org, wanted, Sort(), Page(100))]


async def members(store: Store, org: int, field: str, name: str) -> list[str]:
    """The devices with a tag or an owner, looked up by its index and again from the devices themselves."""
    wanted = Comparison(field, Operator.HAS, name)
    by_id = await idents(store, org, wanted)
    by_ident = await store.scan.devices.page(org, wanted, Sort("ident"), Page(100))
    assert sorted(by_id) == [found.ident for found in by_ident]
    assert await store.scan.devices.count(org, wanted) == len(by_id)
    return by_id


async def test_a_new_device_is_kept_as_it_was_given(store: Store, org: int) -> None:
    made = await store.write(lambda records: records.devices.insert(org, FULL, NOW))
    assert made is not None
    assert (made.org, made.status, made.revision, made.connected) == (org, Status.NO_IDENTITY, 1, False)
    assert (made.created_at, made.updated_at, made.last_seen, made.activated_at) == (NOW, NOW, None, None)
    assert all(getattr(made, name) == getattr(FULL, name) for name in NewDevice.__struct_fields__)
    assert await store.read.devices.get(org, FULL.ident) == made
    assert await store.read.devices.by_id(org, made.id) == made


async def test_devices_inserted_together_are_those_inserted_one_by_one(store: Store, org: int) -> None:
    new = [FULL, device("plain"), device("tagged", tags=("production",), owners=("ann@example.com",))]
    one_by_one = await inserted(store, org, *new)
    twins = [device(f"{one.ident}'", **{n: getattr(one, n) for n in one.__struct_fields__[1:]}) for one in new]
    together = await store.write(lambda records: records.devices.insert_many(org, twins, NOW), bulk=True)
    assert [twin.ident for twin in together] == [twin.ident for twin in twins]
    assert [twin.id for twin in together] == [one.id + len(new) for one in one_by_one]
    for one, twin in zip(one_by_one, together, strict=True):
        stored = await store.read.devices.get(org, twin.ident)
        assert stored == twin
        for name in Device.__struct_fields__:
            assert name in {"id", "ident"} or getattr(one, name) == getattr(twin, name)
    assert await members(store, org, "tags", "production") == [FULL.ident, "tagged", twins[0].ident, "tagged'"]
    assert await members(store, org, "owners", "ann@example.com") == [FULL.ident, "tagged", twins[0].ident, "tagged'"]
    assert await idents(store, org, Comparison("ident", Operator.CONTAINS, "AGGED'")) == ["tagged'"]


async def test_inserting_nobody_inserts_nobody(store: Store, org: int) -> None:
    assert await store.write(lambda records: records.devices.insert_many(org, [], NOW)) == []
    assert await store.scan.devices.count(org, None) == 0


async def test_an_id_is_never_given_twice(store: Store, org: int) -> None:
    first, second = await inserted(store, org, device("a"), device("b"))
    await store.write(lambda records: records.devices.delete(second))
    (third,) = await inserted(store, org, device("c"))
    (fourth,) = await store.write(lambda records: records.devices.insert_many(org, [device("d")], NOW))
    await store.write(lambda records: records.devices.delete(fourth))
    (fifth,) = await store.write(lambda records: records.devices.insert_many(org, [device("e")], NOW))
    assert first.id < second.id < third.id < fourth.id < fifth.id


@pytest.mark.parametrize(("kept", "twin"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), ("a", "a")])
async def test_an_identifier_is_taken_in_every_form_that_equals_it(
    store: Store, org: int, elsewhere: int, kept: str, twin: str
) -> None:
    (made,) = await inserted(store, org, device(kept))
    assert await store.write(lambda records: records.devices.insert(org, device(twin), NOW)) is None
    assert await store.read.devices.get(org, twin) == made
    assert made.ident == kept
    assert list(await store.read.devices.by_idents(org, [twin])) in ([COMPOSED], ["a"])
    assert await idents(store, org, Comparison("ident", Operator.EQ, twin)) == [kept]
    (other,) = await inserted(store, elsewhere, device(twin))
    assert other.id != made.id


async def test_identifiers_that_differ_in_case_or_compatibility_are_two(store: Store, org: int) -> None:
    twins = ["pump", "Pump", "\u2460", "1", "stra\u00dfe", "strasse", "\uff41", "a", "a.", "a\u200d"]
    await inserted(store, org, *map(device, twins))
    for ident in twins:
        found = await store.read.devices.get(org, ident)
        assert found is not None
        assert found.ident == ident


async def test_many_are_found_by_their_identifiers(store: Store, org: int, elsewhere: int) -> None:
    made = await inserted(store, org, *(device(f"d{number}") for number in range(40)))
    await inserted(store, elsewhere, device("d41"))
    wanted = [f"d{number}" for number in range(0, 80, 3)]
    found = await store.read.devices.by_idents(org, wanted)
    assert found == {one.ident: one for one in made if one.ident in wanted}
    assert await store.read.devices.by_idents(org, []) == {}


async def test_a_change_is_written_over_the_revision_it_was_made_from(store: Store, org: int) -> None:
    (was,) = await inserted(store, org, FULL)
    now = changed(
        was,
        ident="renamed",
        name=None,
        kind=None,
        hardware_version=None,
        software=None,
        metadata=document('{"now":true}'),
        schema=document("{}"),
        config=document('{"interval":61}'),
        extras=document("{}"),
        status=Status.ACTIVE,
        activated_at=NOW + 4,
    )
    assert await store.write(lambda records: records.devices.replace(was, now))
    assert await store.read.devices.get(org, "renamed") == now
    assert await store.read.devices.get(org, FULL.ident) is None
    assert not await store.write(lambda records: records.devices.replace(was, changed(was, kind="other")))
    assert not await store.write(lambda records: records.devices.replace(was, changed(was, name="other")))
    assert not await store.write(lambda records: records.devices.delete(was))
    assert await store.read.devices.by_id(org, was.id) == now


async def test_a_device_that_is_gone_cannot_be_changed_or_deleted(store: Store, org: int) -> None:
    (was,) = await inserted(store, org, device("a", tags=("t",)))
    assert await store.write(lambda records: records.devices.delete(was))
    (again,) = await inserted(store, org, device("a"))
    for now in (changed(was, kind="k"), changed(was, name="n"), changed(was, ident="b", tags=("u",))):
        assert not await store.write(lambda records, now=now: records.devices.replace(was, now))
    assert not await store.write(lambda records: records.devices.delete(was))
    assert await store.read.devices.by_id(org, again.id) == again
    assert await members(store, org, "tags", "t") == []


@pytest.mark.parametrize("other", ["taken", COMPOSED])
async def test_a_device_cannot_take_the_identifier_of_another(store: Store, org: int, other: str) -> None:
    (was, _) = await inserted(store, org, device("a"), device(other))
    now = changed(was, ident=DECOMPOSED if other == COMPOSED else other, tags=("t",))
    with pytest.raises(Fault) as refusal:
        await store.write(lambda records: records.devices.replace(was, now))
    assert (refusal.value.kind.value, refusal.value.code) == ("conflict", "ident_taken")
    assert await store.read.devices.by_id(org, was.id) == was
    assert await members(store, org, "tags", "t") == []


async def test_a_device_may_take_another_form_of_its_own_identifier(store: Store, org: int) -> None:
    (was,) = await inserted(store, org, device(COMPOSED))
    now = changed(was, ident=DECOMPOSED)
    assert await store.write(lambda records: records.devices.replace(was, now))
    assert await store.read.devices.get(org, COMPOSED) == now


@pytest.mark.parametrize("field", ["tags", "owners"])
async def test_tags_and_owners_are_found_as_the_device_last_had_them(
    store: Store, org: int, elsewhere: int, field: str
) -> None:
    a, b = await inserted(store, org, device("a", **{field: ("x", "y")}), device("b", **{field: ("y", "Y")}))
    await inserted(store, elsewhere, device("c", **{field: ("x", "y")}))
    now = changed(a, **{field: ("z", "y")})
    assert await store.write(lambda records: records.devices.replace(a, now))
    assert [await members(store, org, field, name) for name in "xyYz"] == [[], ["a", "b"], ["b"], ["a"]]
    assert getattr(await store.read.devices.by_id(org, a.id), field) == ("z", "y")
    await store.write(lambda records: records.devices.delete(b))
    assert [await members(store, org, field, name) for name in "yY"] == [["a"], []]
    assert (await store.scan.devices.counts(org)).by_tag == ({"z": 1, "y": 1} if field == "tags" else {})
    assert await members(store, elsewhere, field, "x") == ["c"]


async def test_a_name_is_searched_as_it_now_is(store: Store, org: int) -> None:
    (was,) = await inserted(store, org, device("a", name="boiler room"))
    now = changed(was, name="pump house")
    await store.write(lambda records: records.devices.replace(was, now))
    assert await idents(store, org, Comparison("name", Operator.CONTAINS, "BOILER")) == []
    assert await idents(store, org, Comparison("name", Operator.CONTAINS, "PUMP")) == ["a"]
    await store.write(lambda records: records.devices.delete(now))
    assert await idents(store, org, Comparison("name", Operator.CONTAINS, "PUMP")) == []


async def test_devices_that_became_active_lately_come_newest_first(store: Store, org: int, elsewhere: int) -> None:
    for at in (5, 9, None, 7):
        await inserted(store, org, device(f"at {at}"), activated_at=at)
    await inserted(store, elsewhere, device("theirs"), activated_at=9)
    found = await store.scan.devices.activated(org, 6, 10)
    assert [one.activated_at for one in found] == [9, 7]
    assert [one.activated_at for one in await store.scan.devices.activated(org, 0, 1)] == [9]


async def test_devices_that_became_active_at_one_time_come_by_number(store: Store, org: int) -> None:
    await inserted(store, org, *(device(f"at once {number}") for number in range(5)), activated_at=7)
    found = await store.scan.devices.activated(org, 7, 3)
    assert [one.ident for one in found] == ["at once 4", "at once 3", "at once 2"]


async def test_a_device_moves_with_its_links(store: Store, org: int, elsewhere: int) -> None:
    (was,) = await inserted(store, org, FULL)
    left = {"cohort": None, "template": None, "dms": None, "schema": document("{}")}
    now = changed(was, org=elsewhere, **left)
    assert await store.write(lambda records: records.devices.move(was, now))
    assert await store.read.devices.by_id(elsewhere, was.id) == now
    assert await store.read.devices.by_id(org, was.id) is None
    assert await store.read.devices.get(org, FULL.ident) is None
    for field, name in (("tags", "production"), ("owners", "ann@example.com")):
        assert await members(store, org, field, name) == []
        assert await members(store, elsewhere, field, name) == [FULL.ident]
    assert not await store.write(lambda records: records.devices.move(was, changed(was, org=elsewhere)))


async def test_no_verb_reaches_a_device_of_another_organization(store: Store, org: int, elsewhere: int) -> None:
    (theirs,) = await inserted(store, elsewhere, device("theirs", tags=("t",), owners=("o",)))
    claimed = changed(theirs, org=org)
    forged = Device(**{name: getattr(theirs, name) for name in Device.__struct_fields__} | {"org": org})
    assert await store.read.devices.get(org, "theirs") is None
    assert await store.read.devices.by_id(org, theirs.id) is None
    assert await store.read.devices.by_idents(org, ["theirs"]) == {}
    assert await store.scan.devices.page(org, None, Sort(), Page(10)) == []
    assert await store.scan.devices.count(org, None) == 0
    assert not await store.write(lambda records: records.devices.replace(forged, claimed))
    assert not await store.write(lambda records: records.devices.delete(forged))
    assert not await store.write(lambda records: records.devices.move(forged, changed(forged)))
    assert await store.read.devices.by_id(elsewhere, theirs.id) == theirs


# --- pages -----------------------------------------------------------------------------------------------------------


async def assorted(store: Store, org: int) -> list[Device]:
    """Devices that tie, differ and lack a value in every sortable field."""
    texts = [None, "b", "a", "B", "\u00e9", "\U0001f600", "\uffff", "b", None]

    async def work(records: Records) -> list[Device]:
        return [
            await plant(
                records,
                org,
                device(f"d-{'zyx'[number % 3]}{number}", name=text, kind=texts[-1 - number]),
                status=list(Status)[number % 4],
                last_seen=None if number % 3 == 0 else NOW + number // 2,
                created_at=NOW,
                updated_at=NOW + 10 - number // 2,
            )
            for number, text in enumerate(texts)
        ]

    return await store.write(work)


def in_order(devices: list[Device], sort: Sort) -> list[Device]:
    """As the port says it: the field's value, then the id; those without the field last, either way."""
    by_id = sorted(devices, key=lambda one: one.id, reverse=sort.descending)
    present = [one for one in by_id if sort_value(one, sort.field) is not None]
    present.sort(key=lambda one: sort_value(one, sort.field), reverse=sort.descending)
    return present + [one for one in by_id if sort_value(one, sort.field) is None]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("field", SORTABLE)
async def test_pages_follow_each_other_in_every_order(store: Store, org: int, field: str, descending: bool) -> None:
    await assorted(store, org)
    sort = Sort(field, descending)
    whole = await store.scan.devices.page(org, None, sort, Page(100))
    assert [one.ident for one in whole] == [one.ident for one in in_order(whole, sort)]
    assert len(whole) == 9
    for size in (1, 2, 4, 9):
        met: list[Device] = []
        after = None
        while page := await store.scan.devices.page(org, None, sort, Page(size, after)):
            assert len(page) == min(size, 9 - len(met))
            met += page
            after = (sort_value(page[-1], field), page[-1].id)
        assert met == whole


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("field", SORTABLE)
async def test_a_page_continues_after_a_device_that_is_gone(
    store: Store, org: int, field: str, descending: bool
) -> None:
    devices = await assorted(store, org)
    sort = Sort(field, descending)
    ordered = await store.scan.devices.page(org, None, sort, Page(100))
    for position, last in enumerate(ordered):
        after = (sort_value(last, field), last.id)
        gone = next(one for one in devices if one.id == last.id)
        await store.write(lambda records, gone=gone: records.devices.delete(gone))
        assert await store.scan.devices.page(org, None, sort, Page(100, after)) == ordered[position + 1 :]


async def test_a_page_in_order_of_id_needs_no_value_to_continue(store: Store, org: int) -> None:
    made = await inserted(store, org, device("b"), device("a"))
    assert await store.scan.devices.page(org, None, Sort(), Page(5, (None, made[0].id))) == made[1:]


async def test_each_way_of_reading_gives_the_same_page(store: Store, org: int) -> None:
    made = await assorted(store, org)
    for records in (store.read, store.scan, store.bulk):
        assert await records.devices.page(org, None, Sort(), Page(100)) == made
        assert await records.devices.count(org, None) == len(made)
        assert await records.devices.by_id(org, made[3].id) == made[3]


HEAVY = 1_000


async def large(store: Store, org: int, count: int) -> None:
    """Devices whose documents have `HEAVY` bytes, in each of those that may be large; every third has a name."""
    sizes = {"metadata": 400, "config": 300, "schema": 200, "extras": 100}
    documents = {
        name: document(json.dumps({"x": "y" * (size - 8)}, separators=(",", ":"))) for name, size in sizes.items()
    }
    new = [device(f"d{one:03}", name=None if one % 3 else f"n{one:03}", **documents) for one in range(count)]
    await inserted(store, org, *new)


@pytest.mark.parametrize("sort", [Sort(), Sort("ident", descending=True), Sort("name"), Sort("name", descending=True)])
@pytest.mark.parametrize("filter", [None, Not(Comparison("ident", Operator.EQ, "other"))])
async def test_a_page_for_which_there_is_no_room_ends_with_the_first_device_that_is_too_many(
    store: Store, org: int, sort: Sort, filter: Filter | None
) -> None:
    await large(store, org, 220)
    whole = await store.scan.devices.page(org, filter, sort, Page(1_000))
    assert len(whole) == 220
    for fit, room in ((1, 1), (3, 3 * HEAVY), (3, 4 * HEAVY - 1), (100, 100 * HEAVY), (219, 219 * HEAVY)):
        assert await store.scan.devices.page(org, filter, sort, Page(1_000), room) == whole[: fit + 1]
        assert await store.scan.devices.page(org, filter, sort, Page(210), room) == whole[: min(fit + 1, 210)]
    assert await store.scan.devices.page(org, filter, sort, Page(1_000), 220 * HEAVY) == whole


async def test_a_page_by_number_of_devices_that_are_too_large_is_refused(
    store: Store, org: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await large(store, org, 220)
    monkeypatch.setattr(limits, "MAX_NUMBERED_PAGE_BYTES", 210 * HEAVY)
    for sort in (Sort(), Sort("name")):  # which takes two statements, of which the second may take what is left
        found = await store.scan.devices.slice(org, None, sort, 10, 300, 220)
        assert (len(found.records), found.total) == (210, 220)
        with pytest.raises(Fault, match="ask for fewer") as refused:
            await store.scan.devices.slice(org, None, sort, 0, 300, 220)
        assert refused.value.code == "page_too_large"


async def test_counts_answer_the_usual_questions(store: Store, org: int, elsewhere: int) -> None:
    assert await store.scan.devices.counts(org) == Counts(0, {}, {}, {}, {"true": 0, "false": 0}, {})
    await inserted(store, org, device("a", kind="pump", tags=("x", "y")), device("b", tags=("x",), cohort="beta"))
    await inserted(store, org, device("c", kind="pump"), status=Status.ACTIVE, connected=True)
    await inserted(store, elsewhere, device("d", kind="valve", tags=("x",)), connected=True)
    assert await store.scan.devices.counts(org) == Counts(
        3,
        {"NO_IDENTITY": 2, "ACTIVE": 1},
        {"pump": 2, "": 1},
        {"x": 2, "y": 1},
        {"true": 1, "false": 2},
        {"default": 2, "beta": 1},
    )


async def test_counts_are_in_the_order_of_their_words(store: Store, org: int) -> None:
    for word in ("b", "é", "C", "a", None, "B"):
        await inserted(store, org, device(f"in {word}", kind=word, cohort=word))
    counts = await store.scan.devices.counts(org)
    assert [*counts.by_kind] == ["", "B", "C", "a", "b", "é"]
    assert [*counts.by_cohort] == ["B", "C", "a", "b", "default", "é"]


async def test_a_tally_counts_the_devices_of_each_word(store: Store, org: int, elsewhere: int) -> None:
    named = {"cohort": "beta", "hardware_version": "rev1", "software": document('{"version":"1.0"}'), "tags": ("wet",)}
    await inserted(
        store, org, device("a", **named), device("b", **named), device("c", software=document('{"build":"7"}'))
    )
    await inserted(store, elsewhere, device("d", **named))
    for field, word in (("cohort", "beta"), ("hardware_version", "rev1"), ("software_version", "1.0")):
        assert await store.scan.devices.tally(org, field) == {word: 2}
    assert await store.scan.devices.frequent_tags(org) == {"wet": 2}


async def test_every_kind_of_change_is_counted_at_once(store: Store, org: int, elsewhere: int) -> None:
    """What is counted without being looked at is what a walk finds, whoever came, went or changed."""

    async def changes(records: Records) -> None:
        devices = records.devices
        first = await devices.insert(org, device("a", hardware_version="rev1", cohort="beta"), NOW)
        many = [device(f"b{number}", hardware_version=("rev1", "rev2")[number % 2]) for number in range(5)]
        await devices.insert_many(org, many, NOW)
        assert first is not None
        await counted_as_walked(records)
        software = document('{"version":"2.0","build":"7"}')
        for change in (
            {"software": software},
            {"hardware_version": "rev2"},
            {"cohort": None},
            {"status": Status.ACTIVE},
            {"name": "no difference"},
            {"hardware_version": None, "software": None, "cohort": "beta"},
        ):
            now = changed(first, **change)
            assert await devices.replace(first, now)
            await counted_as_walked(records)
            assert not await devices.replace(first, changed(first, hardware_version="lost"))
            await counted_as_walked(records)
            first = now
        aged = changed(first, status=Status.EXPIRED)
        assert await devices.age(first, aged)
        await counted_as_walked(records)
        moved = changed(aged, org=elsewhere, cohort=None)
        assert await devices.move(aged, moved)
        await counted_as_walked(records)
        assert await devices.delete(moved)
        await counted_as_walked(records)

    async def counted_as_walked(records: Records) -> None:
        for place in (org, elsewhere):
            walked = await records.devices.page(place, None, Sort(), Page(100))
            assert await records.devices.count(place, None) == len(walked)
            for field in ("status", "hardware_version", "software_version", "cohort"):
                words = {str(sort_value(one, field) or "default") for one in walked} | {"default", "rev1", "ACTIVE"}
                for word in words - ({"default"} if field != "cohort" else set()):
                    wanted = Comparison(field, Operator.EQ, word)
                    found = [one for one in walked if (sort_value(one, field) or "default") == word]
                    assert await records.devices.count(place, wanted) == len(found), (field, word)
            some = And((Comparison("hardware_version", Operator.EQ, "rev2"), Comparison("cohort", Operator.EQ, "beta")))
            assert await records.devices.count(place, some) == len(
                [one for one in walked if (one.hardware_version, one.cohort) == ("rev2", "beta")]
            )
            without = Not(Comparison("hardware_version", Operator.EXISTS, None))
            assert await records.devices.count(place, without) == sum(one.hardware_version is None for one in walked)

    await store.write(changes)
    assert await store.scan.devices.count(org, None) == 5
    assert await store.scan.devices.count(elsewhere, None) == 0


async def test_counts_name_the_most_frequent_kinds(store: Store, org: int) -> None:
    kinds = [f"k{number:05}" for number in range(limits.MAX_COUNTED_KINDS)]
    devices = [device(f"d{number}", kind=kind) for number, kind in enumerate([*kinds, "z-last", "z-last", None, None])]
    await store.write(lambda records: records.devices.insert_many(org, devices, NOW))
    by_kind = (await store.scan.devices.counts(org)).by_kind
    assert [*by_kind.items()] == [("", 2), *((kind, 1) for kind in kinds[:-2]), ("z-last", 2)]


async def test_counts_name_the_most_frequent_tags(store: Store, org: int) -> None:
    per_device = 50
    devices = [
        device(f"d{number}", tags=tuple(f"t{number * per_device + tag:05}" for tag in range(per_device)))
        for number in range(limits.MAX_COUNTED_TAGS // per_device)
    ]
    twice = device("twice", tags=("t00000", "z-last"))
    again = device("again", tags=("z-last",))
    await store.write(lambda records: records.devices.insert_many(org, [*devices, twice, again], NOW))
    by_tag = (await store.scan.devices.counts(org)).by_tag
    assert len(by_tag) == limits.MAX_COUNTED_TAGS
    assert (by_tag["t00000"], by_tag["z-last"]) == (2, 2)
    assert f"t{limits.MAX_COUNTED_TAGS - 1:05}" not in by_tag
    assert [*(await store.scan.devices.frequent_tags(org)).items()] == [*by_tag.items()]


async def test_tags_are_walked_through_in_byte_order(store: Store, org: int, elsewhere: int) -> None:
    await inserted(store, org, device("a", tags=("b", "é", "C")), device("b", tags=("b", "a")))
    await inserted(store, elsewhere, device("c", tags=("B",)))
    walk = store.scan.devices.tags
    assert (await walk(org, "", 2), await walk(org, "a", 2), await walk(org, "b", 9)) == (["C", "a"], ["b", "é"], ["é"])


async def test_slots_that_are_due_are_found_over_all_organizations_the_longest_overdue_first(
    store: Store, org: int
) -> None:
    slot = document('{"status":"ACTIVE","active_version":0,"type":"x509","versions":{}}')
    other = await store.write(lambda records: records.organizations.insert(organization(None, "other")))
    assert other is not None
    await inserted(store, org, device("late"), identity=slot, identity_due=3)
    await inserted(store, other.id, device("later"), identity=slot, identity_due=2)
    await inserted(store, org, device("soon"), identity=slot, identity_due=9)
    await inserted(store, org, device("never"), identity=slot)
    assert [one.ident for one in await store.read.devices.due(8, 10)] == ["later", "late"]
    assert [one.ident for one in await store.read.devices.due(9, 1)] == ["later"]
    assert [one.ident for one in await store.read.devices.after(0, 3)] == ["late", "later", "soon"]


async def test_a_slot_ages_over_the_revision_that_was_read(store: Store, org: int) -> None:
    [was] = await inserted(store, org, device("a", tags=("t",)))
    aged = changed(was, status=Status.EXPIRED, identity=document("{}"), identity_due=7)
    assert await store.write(lambda records: records.devices.age(was, aged))
    assert await store.read.devices.get(org, "a") == aged
    assert not await store.write(lambda records: records.devices.age(was, aged))


async def test_a_text_is_counted_as_of_now_however_often_it_was_before(store: Store, org: int, elsewhere: int) -> None:
    async def counts() -> list[tuple[int, int]]:
        for records in (store.scan, store.bulk):
            found = [
                (await records.devices.count(org, Search(text)), await records.devices.count(elsewhere, Search(text)))
                for text in ("PUMP", "um", "d", "valve", "\n", "")
            ]
        return found

    class Undo(Exception):
        pass

    async def fail(records: Records) -> None:
        await records.devices.insert(org, device("d9", name="pump"), NOW)
        assert await records.devices.count(org, Search("pump")) == 2
        raise Undo

    nothing = (0, 0)
    assert await counts() == [nothing] * 6
    [first, second] = await inserted(store, org, device("d1", name="pump"), device("d2", name="Pump"))
    await inserted(store, elsewhere, device("d1", name="valve"))
    assert await counts() == [(2, 0), (2, 0), (2, 1), (0, 1), nothing, (2, 1)]
    was = changed(first, name="valve")
    assert await store.write(lambda records: records.devices.replace(first, was))
    with pytest.raises(Undo):
        await store.write(fail)
    assert await counts() == [(1, 0), (1, 0), (2, 1), (1, 1), nothing, (2, 1)]
    moved = structs.replace(changed(second), org=elsewhere)
    assert await store.write(lambda records: records.devices.move(second, moved))
    assert await counts() == [(0, 1), (0, 1), (1, 2), (1, 1), nothing, (1, 2)]
    many = [device(f"many{number}", name="pump") for number in range(2_500)]
    await store.write(lambda records: records.devices.insert_many(org, many, NOW), bulk=True)
    assert await counts() == [(2_500, 1), (2_500, 1), (1, 2), (1, 1), nothing, (2_501, 2)]
    assert await store.write(lambda records: records.devices.delete(was))
    assert await counts() == [(2_500, 1), (2_500, 1), (0, 2), (0, 1), nothing, (2_500, 2)]


async def test_what_was_seen_between_two_times_is_counted_exactly(store: Store, org: int, elsewhere: int) -> None:
    """At, before and after every time that matters: those of the devices, and where the spans of the tallies begin."""
    span = 1 << 32
    times = [-span - 1, -span, -1, 0, 1, span - 1, span, 3 * span, 3 * span, 3 * span + 7, 9 * span - 1, None]
    bounds = sorted({time + by for time in times if time is not None for by in (-1, 0, 1)})

    async def agree(records: Records, among: list[Device]) -> None:
        for low, high in itertools.product(bounds, (*bounds[::4], None)):
            for above, below in ((Operator.GE, Operator.LT), (Operator.GT, Operator.LE)):
                parts = [Comparison("last_seen", above, low)]
                parts += [] if high is None else [Comparison("last_seen", below, high)]
                found = [one for one in among if all(matches(part, reader(one)) for part in parts)]
                assert await records.devices.count(org, every(*parts)) == len(found), parts
        seen = [one for one in among if one.last_seen is not None]
        assert await records.devices.count(org, Comparison("last_seen", Operator.EXISTS, None)) == len(seen)

    async def fleet(records: Records) -> list[Device]:
        await plant(records, elsewhere, device("other"), last_seen=5)
        return [await plant(records, org, device(f"d{n}"), last_seen=time) for n, time in enumerate(times)]

    devices = await store.write(fleet)
    await agree(store.scan, devices)

    async def work(records: Records) -> list[Device]:
        gone, moved, first, again, *rest = devices
        assert await records.devices.delete(gone)
        assert await records.devices.move(moved, structs.replace(changed(moved), org=elsewhere))
        await records.presence.heard(org, [first.id, again.id], 5 * span)
        heard = [structs.replace(one, last_seen=5 * span, connected=True) for one in (first, again)]
        await agree(records, [*heard, *rest])
        return [*heard, *rest]

    await agree(store.scan, await store.write(work))


# --- pages by number -------------------------------------------------------------------------------------------------

WORDS: dict[str, Filter | None] = {
    "all": None,
    "one hardware": Comparison("hardware_version", Operator.EQ, "rev1"),
    "two hardwares": Or(tuple(Comparison("hardware_version", Operator.EQ, word) for word in ("rev1", "rev2"))),
    "default cohort": Comparison("cohort", Operator.EQ, "default"),
    "two cohorts": Or(tuple(Comparison("cohort", Operator.EQ, word) for word in ("default", "beta"))),
    "several of both": And(
        (
            Or(tuple(Comparison("hardware_version", Operator.EQ, word) for word in ("rev1", "rev2"))),
            Or(tuple(Comparison("cohort", Operator.EQ, word) for word in ("default", "beta"))),
            Not(Comparison("software_version", Operator.EQ, "2.0")),
        )
    ),
    "an owner": Comparison("owners", Operator.HAS, "ann"),
    "software and owner": And(
        (Comparison("software_version", Operator.EQ, "1.0"), Comparison("owners", Operator.HAS, "ann"))
    ),
    "seen lately": Comparison("last_seen", Operator.GE, NOW),
    "nobody": Comparison("hardware_version", Operator.EQ, "rev9"),
}


async def motley(records: Records, org: int) -> list[Device]:
    """Devices of which every filter of `WORDS` finds some and leaves some, but for the last."""
    return [
        await plant(
            records,
            org,
            device(
                f"d{number:02}",
                hardware_version=(None, "rev1", "rev2")[number % 3],
                cohort=(None, "beta")[number % 2],
                software=document('{"version":"1.0"}') if number % 4 else None,
                owners=("ann",) if number % 5 else (),
            ),
            last_seen=(None, NOW - 1, NOW, NOW + number)[number % 4],
        )
        for number in range(40)
    ]


@pytest.mark.parametrize("label", WORDS)
@pytest.mark.parametrize(
    "sort", [Sort(), Sort(descending=True), Sort("last_seen"), Sort("last_seen", descending=True), Sort("ident")]
)
async def test_pages_by_number_are_the_list_cut_up(
    store: Store, org: int, elsewhere: int, label: str, sort: Sort
) -> None:
    await store.write(lambda records: motley(records, org))
    await store.write(lambda records: motley(records, elsewhere))
    wanted = WORDS[label]
    whole = await store.scan.devices.page(org, wanted, sort, Page(100))
    assert (label == "nobody") == (not whole)
    # However many more devices there are, which decides only how a page is found.
    totals = (40,) if label in {"all", "default cohort"} else (40, 4_000_000)
    for size in (1, 7, 40, 50):
        for start in range(0, 60, size):
            for total in totals:
                found = await store.scan.devices.slice(org, wanted, sort, start, size, total)
                assert found == (whole[start : start + size], len(whole))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("label", ["all", "one hardware", "seen lately", "nobody"])
async def test_devices_that_one_order_leaves_equal_are_in_the_next_order(
    store: Store, org: int, label: str, descending: bool
) -> None:
    await store.write(lambda records: motley(records, org))
    sort = Sort("last_seen", descending, then=(Sort("hardware_version", not descending), Sort("ident", descending)))
    expected = await store.scan.devices.page(org, WORDS[label], Sort("ident", descending), Page(100))
    for field, reverse in (("hardware_version", not descending), ("last_seen", descending)):
        present = [one for one in expected if getattr(one, field) is not None]
        absent = [one for one in expected if getattr(one, field) is None]
        expected = sorted(present, key=lambda one, field=field: getattr(one, field), reverse=reverse) + absent
    for start in (0, 3, 30):
        for total in (40,) if label == "all" else (40, 4_000_000):
            found = await store.scan.devices.slice(org, WORDS[label], sort, start, 9, total)
            assert found == (expected[start : start + 9], len(expected))


async def test_a_page_has_each_device_once_while_some_gain_and_lose_the_field_that_orders_it(
    store: Store, org: int
) -> None:
    async def prepare(records: Records) -> list[Device]:
        return [await plant(records, org, device(f"d{number}", name="named")) for number in range(8)]

    devices = await store.write(prepare)

    async def keep_changing() -> None:
        for turn in range(200):
            was = devices[turn % 8]
            now = devices[turn % 8] = changed(was, name=None if was.name else "named")
            await store.write(lambda records, was=was, now=now: records.devices.replace(was, now))

    async def keep_reading() -> None:
        while not changing.done():
            found = await store.scan.devices.page(org, None, Sort("name"), Page(50))
            assert sorted(one.id for one in found) == [one.id for one in devices]
            assert [one.name for one in found] == sorted((one.name for one in found), key=lambda name: name is None)
            await asyncio.sleep(0)

    changing = asyncio.create_task(keep_changing())
    await asyncio.gather(changing, *(keep_reading() for _ in range(3)))
