"""What a write promises: all or nothing, nobody else's failure, and an answer only once everybody can see it."""

import asyncio
import random
import stat
from pathlib import Path
from typing import Any

import pytest

from fleetroll.core.model import Credential, Link, Reading, StreamPosition
from fleetroll.core.query import Page, Search, Sort
from fleetroll.store.port import Mailbox, Records, Replay, Store
from tests.support.stores import (
    ENGINES,
    NOW,
    authority,
    certificate,
    changed,
    cohort,
    device,
    dms,
    event,
    group,
    hardware_version,
    key,
    metadata_field,
    owner,
    plant,
    software_version,
    tag,
    template,
)

pytestmark = pytest.mark.anyio


class Undo(Exception):
    """Raised by a transaction that is to leave no trace."""


async def everything(store: Store, *orgs: int) -> list[Any]:
    """What a reader can see of all that `furnish` writes, and of the organizations."""
    read = store.read
    seen: list[Any] = [await read.timeline.published(0, 1000), await read.replays.get(orgs[0], 1, "name")]
    for org in orgs:
        seen += [
            await read.organizations.get(org),
            await read.organizations.children(org, "", 100),
            await read.devices.page(org, None, Sort(), Page(1000)),
            await read.devices.counts(org),
            await read.keys.page(org, 0, 100),
            await read.usage.of(org),
            *[await named.page(org, "", 100) for named in (read.owners, read.groups, read.metadata_fields)],
            *[await named.page(org, "", 100) for named in (read.tags, read.templates, read.cohorts)],
            *[await named.page(org, "", 100) for named in (read.dms, read.authorities, read.hardware_versions)],
            await read.software_versions.page(org, ("", ""), 100),
            await read.certificates.page(org, 0, 100),
            *[await read.tokens.get(org, 1, f"digest {name}") for name in ("before", "new", "one", "later")],
            await read.credentials.of_device(org, 1),
            await read.telemetry.last(org, 1),
            await read.checkins.get(org, 1),
            await read.checkins.kept(org, 1),
        ]
    seen += [await read.presence.links(None, 100), await read.credentials.changes(0, 100)]
    return [*seen, (await read.progress.of(["stream"]))["stream"]]


async def furnish(records: Records, org: int, name: str) -> None:
    """Write something with every noun that a transaction may write."""
    await plant(records, org, device(name, tags=("t",), owners=("o",)))
    await records.devices.insert_many(org, [device(f"{name} {number}", tags=("t",)) for number in range(3)], NOW)
    await records.owners.insert(owner(org, name))
    await records.groups.insert(group(org, name))
    await records.metadata_fields.insert(metadata_field(org, name))
    await records.keys.insert(key(org), name, "digest")
    await records.usage.add(org, "devices", 4, 100)
    await records.timeline.append([event(org, number) for number in range(30)])
    await records.replays.put(org, 1, "name", Replay("print", 200, "[]", name, NOW))
    await records.tags.insert(tag(org, name))
    await records.templates.insert(template(org, name))
    await records.cohorts.insert(cohort(org, name))
    await records.dms.insert(dms(org, name))
    await records.authorities.insert(authority(org, name))
    await records.hardware_versions.insert(hardware_version(org, name))
    await records.software_versions.insert(software_version(org, "main", name))
    await records.certificates.insert(certificate(org, name))
    await records.tokens.insert(org, 1, f"digest {name}", NOW, refreshes=False)
    await records.credentials.insert(Credential(0, org, 1, f"A{name}", f"U{name}", "1", NOW))
    await records.credentials.note(org, f"A{name}")
    await records.telemetry.open(org, {(1, "", name)})
    await records.telemetry.append(org, [Reading(1, name, NOW, 1)])
    await records.checkins.put(Mailbox(org, 1, len(name)))
    await records.checkins.keep(org, 1, len(name), NOW, name.encode())
    await records.presence.opened(Link(org, 1, name), NOW)
    await records.progress.put({"stream": StreamPosition(len(name), NOW)})


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_raise_undoes_all_of_a_transaction(store: Store, org: int, elsewhere: int, bulk: bool) -> None:
    await store.write(lambda records: furnish(records, org, "before"))
    before = await everything(store, org, elsewhere)

    async def work(records: Records) -> None:
        await furnish(records, org, "new")
        (was, *_) = await records.devices.page(org, None, Sort(), Page(1))
        assert await records.devices.replace(was, changed(was, ident="renamed", tags=("u",)))
        await records.timeline.forget(org, 1)
        await records.keys.touch({1: NOW + 1})
        for noun in (records.credentials, records.telemetry, records.checkins):
            await noun.forget(org, 1)
        await records.tokens.end(org, 1)
        await records.organizations.delete(elsewhere)
        raise Undo

    with pytest.raises(Undo):
        await store.write(work, bulk=bulk)
    assert await everything(store, org, elsewhere) == before


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_transaction_sees_what_it_wrote_and_answers_with_its_result(store: Store, org: int, bulk: bool) -> None:
    async def work(records: Records) -> tuple[int, int]:
        await records.devices.insert(org, device("a"), NOW)
        first = await records.devices.count(org, None)
        await records.devices.insert_many(org, [device("b"), device("c")], NOW)
        assert await records.devices.insert(org, device("c"), NOW) is None
        return first, await records.devices.count(org, None)

    assert await store.write(work, bulk=bulk) == (1, 3)


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_transaction_searches_what_it_wrote(store: Store, org: int, bulk: bool) -> None:
    kept = await store.write(lambda records: plant(records, org, device("kept", name="boiler")))

    async def found(records: Records, text: str) -> list[str]:
        devices = await records.devices.page(org, Search(text), Sort(), Page(10))
        assert await records.devices.count(org, Search(text)) == len(devices)
        return [one.ident for one in devices]

    async def work(records: Records) -> None:
        gone = await plant(records, org, device("gone", name="pump"))
        await plant(records, org, device("new", name="pump"))
        assert await found(records, "PUMP") == ["gone", "new"]
        assert await records.devices.delete(gone)
        was = changed(kept, name="pump")
        assert await records.devices.replace(kept, was)
        assert await records.devices.replace(was, changed(was, name="valve"))
        assert await found(records, "PUMP") == ["new"]
        assert await found(records, "boiler") == []
        assert await found(records, "valve") == ["kept"]

    await store.write(work, bulk=bulk)
    for records in (store.read, store.scan, store.bulk):
        assert [await found(records, text) for text in ("pump", "boiler", "valve")] == [["new"], [], ["kept"]]


async def test_a_search_in_a_failing_transaction_takes_nothing_from_its_neighbours(store: Store, org: int) -> None:
    async def write(number: int) -> None:
        async def work(records: Records) -> None:
            assert await records.devices.insert(org, device(f"d{number}", name="pump"), NOW)
            if number % 2:
                assert await records.devices.count(org, Search(f"d{number}")) == 1
                raise Undo

        await store.write(work)

    await asyncio.gather(*(write(number) for number in range(10, 20)), return_exceptions=True)
    kept = [f"d{number}" for number in range(10, 20, 2)]
    assert [one.ident for one in await store.scan.devices.page(org, Search("pump"), Sort(), Page(20))] == kept
    for number in range(10, 20):
        assert await store.scan.devices.count(org, Search(f"d{number}")) == (number + 1) % 2


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_write_that_is_answered_is_seen_by_every_reader(store: Store, org: int, bulk: bool) -> None:
    for number in range(20):
        ident = f"d{number}"
        assert await store.read.devices.get(org, ident) is None
        await store.write(lambda records, ident=ident: records.devices.insert(org, device(ident), NOW), bulk=bulk)
        for records in (store.read, store.scan, store.bulk):
            assert await records.devices.get(org, ident) is not None
            assert await records.devices.count(org, None) == number + 1


async def test_the_failures_in_a_crowd_are_their_own(store: Store, org: int) -> None:
    async def write(number: int) -> None:
        async def work(records: Records) -> None:
            assert await records.devices.insert(org, device(f"d{number}", tags=("t",)), NOW)
            await records.usage.add(org, "devices", 1, 1000)
            await records.timeline.append([event(org, number)])
            if number % 3 == 0:
                raise Undo

        await store.write(work, bulk=number % 7 == 0)

    outcomes = await asyncio.gather(*(write(number) for number in range(60)), return_exceptions=True)
    assert [isinstance(outcome, Undo) for outcome in outcomes] == [number % 3 == 0 for number in range(60)]
    kept = {number for number in range(60) if number % 3}
    devices = await store.scan.devices.page(org, None, Sort(), Page(100))
    assert {one.ident for one in devices} == {f"d{number}" for number in kept}
    assert {one.subject_id for one in await store.read.timeline.since(org, 0, 100)} == kept
    assert (await store.scan.devices.counts(org)).by_tag == {"t": len(kept)}
    assert await store.read.usage.of(org) == {"devices": len(kept)}


async def test_concurrent_changes_of_one_device_lose_nothing(store: Store, org: int) -> None:
    await store.write(lambda records: plant(records, org, device("counter", kind="0")))

    async def increment(bulk: bool) -> bool:
        was = await store.read.devices.get(org, "counter")
        assert was is not None
        assert was.kind is not None
        now = changed(was, kind=str(int(was.kind) + 1))
        return await store.write(lambda records: records.devices.replace(was, now), bulk=bulk)

    won = 0
    for _ in range(15):
        won += sum(await asyncio.gather(*(increment(random.random() < 0.3) for _ in range(8))))
    final = await store.read.devices.get(org, "counter")
    assert final is not None
    assert (final.kind, final.revision) == (str(won), won + 1)
    assert won >= 15


async def test_a_writer_that_is_given_up_on_stops_nobody(store: Store, org: int) -> None:
    async def write(number: int) -> None:
        await store.write(lambda records: records.devices.insert(org, device(f"d{number}"), NOW))

    tasks = [asyncio.ensure_future(write(number)) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await write(99)
    idents = {one.ident for one in await store.scan.devices.page(org, None, Sort(), Page(100))}
    assert idents >= {f"d{number}" for number in (*range(1, 20, 2), 99)}


async def test_nobody_is_refused_for_what_somebody_was_about_to_do(store: Store, org: int) -> None:
    """A transaction may be undone for a neighbour's sake, and not come again: its client has gone meanwhile."""
    kept = await store.write(lambda records: plant(records, org, device("kept")))

    async def find(records: Records) -> None:
        if await records.devices.get(org, "kept") is None:
            raise Undo

    async def spoil(records: Records) -> None:
        await records.owners.insert(owner(org, "new"))
        removing.cancel()
        raise Undo

    removing = asyncio.ensure_future(store.write(lambda records: records.devices.delete(kept)))
    outcomes = await asyncio.gather(removing, store.write(find), store.write(spoil), return_exceptions=True)
    is_there = await store.read.devices.get(org, "kept") is not None
    assert [is_there, isinstance(outcomes[1], Undo), isinstance(outcomes[2], Undo)] == [is_there, not is_there, True]


async def test_a_store_tells_whether_transactions_wait(engine: str, store: Store, org: int) -> None:
    async def write(name: str, bulk: bool) -> bool:
        await store.write(lambda records: records.devices.insert(org, device(name), NOW), bulk=bulk)
        return store.has_waiting

    writes = [asyncio.ensure_future(write(f"d{number}", bulk=number == 0)) for number in range(2)]
    await asyncio.sleep(0)
    assert store.has_waiting == (engine != "memory")
    assert (await asyncio.gather(*writes))[-1] is False


async def test_listeners_are_told_after_a_commit_and_find_it(store: Store, org: int) -> None:
    told: list[int] = []
    store.on_commit(lambda: told.append(1))
    await store.write(lambda records: records.devices.insert(org, device("a"), NOW))
    assert told
    told.clear()
    await store.write(lambda records: records.devices.insert(org, device("b"), NOW), bulk=True)
    assert told


# --- backup ----------------------------------------------------------------------------------------------------------


async def test_a_backup_is_a_store_with_everything_in_it(
    engine: str, store: Store, org: int, elsewhere: int, tmp_path: Path
) -> None:
    await store.write(lambda records: furnish(records, org, "one"))
    target = tmp_path / "copy"
    await store.backup(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    seen = await everything(store, org, elsewhere)
    await store.write(lambda records: furnish(records, org, "later"))
    copy = await ENGINES[engine](target)
    try:
        assert await everything(copy, org, elsewhere) == seen
        assert await copy.write(lambda records: records.devices.insert(org, device("one"), NOW)) is None
        added = await copy.write(lambda records: records.devices.insert(org, device("added", name="found"), NOW))
        assert added is not None
        assert added.id > max(one.id for one in seen[4])
    finally:
        await copy.close()


async def test_a_backup_overwrites_nothing(store: Store, org: int, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    with pytest.raises(FileExistsError):
        await store.backup(target)
    assert target.read_text() == "kept"


async def test_a_backup_taken_while_writing_is_consistent(engine: str, store: Store, org: int, tmp_path: Path) -> None:
    async def write(number: int) -> None:
        async def work(records: Records) -> None:
            new = [device(f"d{number}-{part}", tags=("t",)) for part in range(3)]
            made = await records.devices.insert_many(org, new, NOW)
            await records.usage.add(org, "devices", len(made), 100_000)
            await records.timeline.append([event(org, one.id) for one in made])

        await store.write(work)

    backups = []
    for turn in range(4):
        writers = [asyncio.ensure_future(write(turn * 50 + number)) for number in range(50)]
        await asyncio.sleep(0)
        backups.append(tmp_path / f"copy-{turn}")
        await asyncio.gather(store.backup(backups[-1]), *writers)
    for target in backups:
        copy = await ENGINES[engine](target)
        try:
            total = await copy.scan.devices.count(org, None)
            assert await copy.read.usage.of(org) == ({"devices": total} if total else {})
            assert len(await copy.read.timeline.since(org, 0, 10_000)) == total
            assert (await copy.scan.devices.counts(org)).by_tag.get("t", 0) == total
        finally:
            await copy.close()
