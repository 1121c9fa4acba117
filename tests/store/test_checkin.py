"""What devices send in chunks: a count, the beginning of a message, and the last few chunks."""

import pytest

from fleetroll.store.port import Mailbox, Records, Store
from tests.support.stores import NOW

pytestmark = pytest.mark.anyio


async def test_a_mailbox_is_empty_until_something_comes_and_then_holds_what_was_put_last(
    store: Store, org: int, elsewhere: int
) -> None:
    assert await store.read.checkins.get(org, 1) == Mailbox(org, 1)
    first, second = Mailbox(org, 1, 1, 0, '{"length":5}'), Mailbox(org, 1, 2, 1)
    for box in (first, second):
        await store.write(lambda records, box=box: records.checkins.put(box))
        assert await store.read.checkins.get(org, 1) == box
    assert await store.read.checkins.get(elsewhere, 1) == Mailbox(elsewhere, 1)


async def test_a_chunk_takes_the_place_of_what_was_in_its_slot(store: Store, org: int, elsewhere: int) -> None:
    async def work(records: Records) -> None:
        for at, (slot, chunk) in enumerate([(0, b"a\x00"), (1, b"b"), (0, b"\xff")]):
            await records.checkins.keep(org, 1, slot, NOW + at, chunk)
        await records.checkins.keep(org, 2, 0, NOW, b"other device")

    await store.write(work)
    assert await store.read.checkins.kept(org, 1) == [(NOW + 1, b"b"), (NOW + 2, b"\xff")]
    assert await store.read.checkins.kept(elsewhere, 1) == []


async def test_a_device_takes_its_chunks_along_and_leaves_nothing_when_it_goes(
    store: Store, org: int, elsewhere: int
) -> None:
    async def fill(records: Records) -> None:
        for device in (1, 2, 3):
            await records.checkins.put(Mailbox(org, device, 3, 1))
            await records.checkins.keep(org, device, 0, NOW, b"chunk")

    await store.write(fill)
    await store.write(lambda records: records.checkins.move(org, 1, elsewhere))
    assert await store.read.checkins.get(elsewhere, 1) == Mailbox(elsewhere, 1, 3, 1)
    assert await store.read.checkins.kept(elsewhere, 1) == [(NOW, b"chunk")]
    assert await store.read.checkins.get(org, 1) == Mailbox(org, 1)
    await store.write(lambda records: records.checkins.forget(org, 2))
    assert await store.read.checkins.get(org, 2) == Mailbox(org, 2)
    assert await store.read.checkins.kept(org, 2) == []
    assert await store.read.checkins.get(org, 3) == Mailbox(org, 3, 3, 1)
    assert await store.read.checkins.kept(org, 3) == [(NOW, b"chunk")]
