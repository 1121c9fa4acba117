"""Lists that are asked for again and again show what is there, whatever has changed since, and how."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from fleetroll.core.lifecycle import Status
from fleetroll.core.model import Device, Link
from fleetroll.core.query import Comparison, Operator, Page, Sort
from fleetroll.store.port import Records, Store
from tests.support.stores import NOW, changed, device, document, plant

pytestmark = pytest.mark.anyio

Change: TypeAlias = Callable[[Records, Device, int], Awaitable[object]]

# What can happen to a device; each is given another organization as well. First what makes no new revision of it.
CHANGES: dict[str, Change] = {
    "heard": lambda records, was, _: records.presence.heard(was.org, [was.id], NOW + 5),
    "heard again": lambda records, was, _: records.presence.heard_again(was.org, [was.id], NOW + 6),
    "spoke": lambda records, was, _: records.presence.spoke(was.org, was.id, NOW + 5),
    "spoke again": lambda records, was, _: records.presence.spoke_again(was.org, was.id, NOW + 6),
    "seen before": lambda records, was, _: records.presence.seen(was.org, {was.id: NOW - 5}),
    "lost": lambda records, was, _: records.presence.lost(was.org, [was.id]),
    "linked": lambda records, was, _: records.presence.opened(Link(was.org, was.id, "link"), NOW),
    "renamed": lambda records, was, _: records.devices.replace(was, changed(was, name="a", ident="new")),
    "described": lambda records, was, _: records.devices.replace(was, changed(was, metadata=document('{"a":1}'))),
    "tagged": lambda records, was, _: records.devices.replace(was, changed(was, tags=("other",))),
    "another token": lambda records, was, _: records.devices.replace(was, changed(was, token_version=2)),
    "aged": lambda records, was, _: records.devices.age(was, changed(was, status=Status.EXPIRED)),
    "moved": lambda records, was, elsewhere: records.devices.move(was, changed(was, org=elsewhere)),
    "deleted": lambda records, was, _: records.devices.delete(was),
    "joined by another": lambda records, was, _: plant(records, was.org, device("another", tags=("t",))),
}


async def listed(store: Store, org: int) -> list[list[Device]]:
    """Pages of one organization: by keys and by place, filtered and not, in order of id and of a name."""
    tagged = Comparison("tags", Operator.HAS, "t")
    found = [await store.scan.devices.page(org, wanted, Sort(), Page(10)) for wanted in (None, tagged)]
    found.append(await store.scan.devices.page(org, None, Sort("name"), Page(10)))
    for wanted in (None, tagged):
        devices, _ = await store.scan.devices.slice(org, wanted, Sort("ident"), 0, 10, 10)
        found.append(devices)
    return found


async def stored(store: Store, org: int) -> dict[int, Device]:
    """The same devices, each looked up by itself."""
    found = await asyncio.gather(*(store.read.devices.by_id(org, number) for number in range(1, 10)))
    return {one.id: one for one in found if one is not None}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_list_that_is_asked_for_again_shows_what_has_changed(
    name: str, store: Store, org: int, elsewhere: int
) -> None:
    async def prepare(records: Records) -> Device:
        first = await plant(records, org, device("first", tags=("t",)))
        for ident in ("second", "third"):
            await plant(records, org, device(ident, tags=("t",)))
        if name in {"heard again", "spoke again", "lost"}:
            await records.presence.spoke(org, first.id, NOW + 3)
        elif name == "seen before":  # it was active before anybody knew since when
            await records.devices.replace(first, changed(first))
        return first

    first = await store.write(prepare)
    for _ in range(3):
        assert len((await listed(store, org))[0]) == 3
    was = await store.read.devices.by_id(org, first.id)
    assert was is not None
    await store.write(lambda records: CHANGES[name](records, was, elsewhere))
    for place in (org, elsewhere):
        there = await stored(store, place)
        for _ in range(2):
            for page in await listed(store, place):
                assert page == [there[one.id] for one in page]
            assert {one.id for one in (await listed(store, place))[0]} == there.keys()


async def test_lists_agree_with_themselves_while_devices_change(store: Store, org: int) -> None:
    """Whatever a page finds is as it was at one time: who has the tag is named so, and nobody is missing."""

    async def prepare(records: Records) -> list[Device]:
        return [await plant(records, org, device(f"d{number}", tags=("even",), name="even")) for number in range(20)]

    devices = await store.write(prepare)
    wanted = Comparison("tags", Operator.HAS, "even")

    async def keep_changing() -> None:
        for turn in range(40):
            for place in range(turn % 3, 20, 3):
                was = devices[place]
                name = "odd" if was.name == "even" else "even"
                now = devices[place] = changed(was, tags=(name,), name=name)
                await store.write(lambda records, was=was, now=now: records.devices.replace(was, now))

    async def keep_reading() -> None:
        while not changing.done():
            found = await store.scan.devices.page(org, wanted, Sort(), Page(50))
            assert {(one.tags, one.name) for one in found} <= {(("even",), "even")}
            everybody = await store.scan.devices.page(org, None, Sort(), Page(50))
            assert [one.id for one in everybody] == [one.id for one in devices]
            await asyncio.sleep(0)

    changing = asyncio.create_task(keep_changing())
    await asyncio.gather(changing, *(keep_reading() for _ in range(3)))


async def test_a_list_of_devices_with_long_documents_is_whole(store: Store, org: int) -> None:
    """More of them than are kept in memory."""
    long = document(f'{{"text":"{"x" * 60_000}"}}')

    async def prepare(records: Records) -> None:
        for number in range(400):
            await plant(records, org, device(f"d{number}", metadata=long))

    await store.write(prepare, bulk=True)
    for _ in range(3):
        found = await store.scan.devices.page(org, None, Sort(), Page(1_000))
        assert [one.ident for one in found] == [f"d{number}" for number in range(400)]
        assert {bytes(one.metadata) for one in found} == {bytes(long)}
