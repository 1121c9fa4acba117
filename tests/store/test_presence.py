"""Presence: it moves forward, it is no revision, and connections end one by one."""

import pytest

from fleetroll.core import limits
from fleetroll.core.model import Device, KnownAs, Link, Reporter, Span
from fleetroll.store.port import Records, Store
from tests.support.stores import NOW, changed, device, document

pytestmark = pytest.mark.anyio


async def made(store: Store, org: int, ident: str) -> Device:
    stored = await store.write(
        lambda records: records.devices.insert(org, device(ident, schema=document('{"m":{"type":"number"}}')), NOW)
    )
    assert stored is not None
    return stored


async def heard(store: Store, org: int, at: int, *devices: int) -> None:
    await store.write(lambda records: records.presence.heard(org, devices, at))


async def test_who_is_heard_is_there_and_it_is_no_revision(store: Store, org: int, elsewhere: int) -> None:
    one, other = await made(store, org, "a"), await made(store, org, "b")
    await heard(store, org, NOW + 5, one.id)
    await heard(store, org, NOW + 3, one.id)
    await heard(store, elsewhere, NOW + 9, one.id)
    now = await store.read.devices.by_id(org, one.id)
    assert now is not None
    assert (now.connected, now.last_seen, now.activated_at) == (True, NOW + 5, NOW + 5)
    assert (now.revision, now.updated_at) == (one.revision, one.updated_at)
    await store.write(lambda records: records.presence.lost(elsewhere, [one.id]))
    assert (await store.read.devices.counts(org)).by_connected == {"true": 1, "false": 1}
    await store.write(lambda records: records.presence.lost(org, [one.id]))
    await heard(store, org, NOW + 6, other.id)
    gone = await store.read.devices.by_id(org, one.id)
    assert gone is not None
    assert (gone.connected, gone.last_seen, gone.activated_at) == (False, NOW + 5, NOW + 5)


async def test_who_is_there_and_heard_again_stays_there(store: Store, org: int, elsewhere: int) -> None:
    one = await made(store, org, "a")
    await heard(store, org, NOW + 5, one.id)
    for place, at in ((org, NOW + 7), (org, NOW + 6), (elsewhere, NOW + 9)):
        await store.write(lambda records, place=place, at=at: records.presence.heard_again(place, [one.id], at))
    now = await store.read.devices.by_id(org, one.id)
    assert now is not None
    assert (now.connected, now.last_seen, now.activated_at) == (True, NOW + 7, NOW + 5)
    assert (now.revision, now.updated_at) == (one.revision, one.updated_at)
    assert await store.read.presence.quiet(Span(0, NOW + 8), 5) == [(org, one.id, "a")]
    assert await store.read.presence.quiet(Span(0, NOW + 7), 5) == []


async def test_who_was_seen_elsewhere_is_not_there_for_that(store: Store, org: int, elsewhere: int) -> None:
    one, other, unseen = [await made(store, org, ident) for ident in ("a", "b", "c")]
    await heard(store, org, NOW + 5, other.id)
    for place in (org, elsewhere):
        times = {one.id: NOW - 9, other.id: NOW - 9} if place == org else {one.id: NOW + 9}
        await store.write(lambda records, place=place, times=times: records.presence.seen(place, times))
    found = [await store.read.devices.by_id(org, device.id) for device in (one, other, unseen)]
    shown = [(now.connected, now.last_seen, now.activated_at) for now in found if now]
    assert shown == [(False, NOW - 9, NOW - 9), (True, NOW + 5, NOW + 5), (False, None, None)]


async def test_who_speaks_for_itself_is_there_and_it_is_remembered_apart(
    store: Store, org: int, elsewhere: int
) -> None:
    one, other = await made(store, org, "a"), await made(store, org, "b")
    await heard(store, org, NOW + 5, other.id)

    async def work(records: Records) -> None:
        for place, at in ((org, NOW + 2), (org, NOW + 1), (elsewhere, NOW + 9)):
            await records.presence.spoke(place, one.id, at)
            await records.presence.spoke_again(place, other.id, at)

    await store.write(work)
    await heard(store, org, NOW + 7, one.id)
    found = [await store.read.devices.by_id(org, number) for number in (one.id, other.id)]
    shown = [(now.connected, now.last_seen, now.activated_at, now.spoke_at, now.revision) for now in found if now]
    assert shown == [(True, NOW + 7, NOW + 2, NOW + 2, 1), (True, NOW + 5, NOW + 5, NOW + 2, 1)]
    (reporter,) = (await store.read.presence.reporters(org, [one.id])).values()
    assert (reporter.last_seen, reporter.spoke_at) == (NOW + 7, NOW + 2)
    was = found[0]
    assert was
    assert await store.write(lambda records: records.devices.replace(was, changed(was, kind="pump")))
    now = await store.read.devices.by_id(org, one.id)
    assert now
    assert now.spoke_at == NOW + 2


async def test_a_change_made_from_an_older_look_does_not_undo_presence(store: Store, org: int) -> None:
    was = await made(store, org, "a")
    await heard(store, org, NOW + 5, was.id)
    now = changed(was, kind="pump", activated_at=NOW + 5)
    assert await store.write(lambda records: records.devices.replace(was, now))
    found = await store.read.devices.by_id(org, was.id)
    assert found is not None
    assert (found.kind, found.connected, found.last_seen) == ("pump", True, NOW + 5)


async def test_reporters_are_devices_of_one_organization(store: Store, org: int, elsewhere: int) -> None:
    one, foreign = await made(store, org, "a"), await made(store, elsewhere, "a")
    await heard(store, org, NOW + 1, one.id)
    assert await store.read.presence.reporters(org, [one.id, foreign.id, 999]) == {
        one.id: Reporter(one.id, "a", one.schema, True, NOW + 1)
    }
    assert await store.read.presence.reporters(org, []) == {}
    await store.write(lambda records: records.presence.opened(Link(org, one.id, "link"), NOW))
    assert [found.linked for found in (await store.read.presence.reporters(org, [one.id])).values()] == [True]
    await store.write(lambda records: records.presence.closed(Link(org, one.id, "link")))
    assert [found.linked for found in (await store.read.presence.reporters(org, [one.id])).values()] == [False]


async def test_the_longest_quiet_come_first_and_connections_are_not_quiet(
    store: Store, org: int, elsewhere: int
) -> None:
    devices = [await made(store, place, ident) for place in (org, elsewhere) for ident in ("a", "b")]
    for number, one in enumerate(devices):
        await heard(store, one.org, NOW - number, one.id)
    await store.write(lambda records: records.presence.opened(Link(org, devices[0].id, "c"), NOW))
    await store.write(lambda records: records.presence.lost(elsewhere, [devices[2].id]))
    expected = [(one.org, one.id, one.ident) for one in (devices[3], devices[1])]
    assert await store.scan.presence.quiet(Span(0, NOW + 1), 10) == expected
    assert await store.scan.presence.quiet(Span(0, NOW + 1), 1) == expected[:1]
    assert await store.scan.presence.quiet(Span(0, NOW - 1), 10) == expected[:1]


async def test_a_device_has_connections_until_the_last_has_ended(store: Store, org: int, elsewhere: int) -> None:
    one = await made(store, org, "a")
    first, second = Link(org, one.id, "1"), Link(org, one.id, "2")
    await heard(store, org, NOW, one.id)

    async def opened(records: Records) -> list[bool]:
        return [await records.presence.opened(link, NOW + at) for at, link in enumerate((first, second, first))]

    assert await store.write(opened) == [True, False, False]
    assert await store.scan.presence.links(None, 10) == [first, second]
    others = [Link(elsewhere, one.id, "1"), Link(org, one.id + 1, "1"), Link(org, one.id, "3")]
    ends = [*others, first, first, second, second]
    closed = [await store.write(lambda records, end=end: records.presence.closed(end)) for end in ends]
    assert closed == [None, None, None, None, None, NOW, None], "since the first, which has ended before the last"
    await store.write(lambda records: records.presence.opened(second, NOW + 9))
    assert await store.write(lambda records: records.presence.closed(second)) == NOW + 9
    assert await store.scan.presence.links(None, 10) == []
    assert [found[1] for found in await store.scan.presence.quiet(Span(0, NOW + 1), 10)] == [one.id]


async def test_connections_are_listed_in_order_over_all_tenants(store: Store, org: int, elsewhere: int) -> None:
    links = [Link(place, number, name) for place in (org, elsewhere) for number in (1, 2) for name in ("B", "a")]
    for link in reversed(links):
        await store.write(lambda records, link=link: records.presence.opened(link, NOW))
    assert await store.scan.presence.links(None, 100) == links
    assert await store.scan.presence.links(links[2], 3) == links[3:6]


async def test_connections_of_a_device_that_leaves_say_what_it_was_known_by_until_they_end(
    store: Store, org: int, elsewhere: int
) -> None:
    one, known = await made(store, org, "a"), KnownAs("a", "test", "0" * 24)
    links = [Link(org, one.id, name) for name in ("a", "b")]

    async def leave(number: int, place: int = org) -> bool:
        return await store.write(lambda records: records.presence.leave(place, number, known))

    async def left() -> list[KnownAs | None]:
        return [await store.scan.presence.left(link) for link in links]

    assert not await leave(one.id)
    for link in links:
        await store.write(lambda records, link=link: records.presence.opened(link, NOW))
    assert [await leave(one.id, elsewhere), await leave(one.id + 1)] == [False, False]
    assert await left() == [None, None]
    assert await leave(one.id)
    assert await left() == [known, known]
    assert await store.scan.presence.links(None, 10) == links
    assert not (await store.scan.presence.reporters(org, [one.id]))[one.id].linked
    closed = [await store.write(lambda records, link=link: records.presence.closed(link)) for link in links]
    assert closed == [None, NOW]
    assert await left() == [None, None]


async def test_times_of_a_clock_that_was_ahead_give_way(store: Store, org: int) -> None:
    devices = [await made(store, org, ident) for ident in "abc"]
    wrong = NOW + limits.CLOCK_LEEWAY + 100
    await heard(store, org, wrong, *(one.id for one in devices))
    await store.write(lambda records: records.presence.spoke_again(org, devices[0].id, wrong))
    assert len(await store.scan.presence.quiet(Span(wrong, wrong + 1), 10)) == 3
    assert await store.scan.presence.quiet(Span(0, wrong), 10) == []

    async def work(records: Records) -> None:
        await records.presence.spoke(org, devices[0].id, NOW)
        await records.presence.heard_again(org, [devices[1].id], NOW)
        await records.presence.heard(org, [devices[2].id], NOW + 100)

    await store.write(work)
    found = [await store.read.devices.by_id(org, one.id) for one in devices]
    assert [(now.last_seen, now.spoke_at) for now in found if now] == [(NOW, NOW), (NOW, None), (wrong, None)]
