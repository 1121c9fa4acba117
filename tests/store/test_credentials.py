"""Devices' credentials on the broker, what it is to be told of them, and how far its streams are read."""

import pytest
from msgspec import structs

from fleetroll.core.model import Credential, KeyKind, Protocol, Span, StreamPosition
from fleetroll.core.policy import Role
from fleetroll.store.port import AccountChange, KeyGroup, KeyUser, Records, Store
from tests.support.stores import NOW, event, key

pytestmark = pytest.mark.anyio


def credential(org: int, device: int, name: str) -> Credential:
    kind = Protocol.MQTT if name == "b" else Protocol.NATS
    return Credential(0, org, device, f"A{name}", f"U{name}", f"{device:024x}", NOW, kind)


async def make(store: Store, *new: Credential) -> list[Credential]:
    async def work(records: Records) -> list[Credential]:
        return [await records.credentials.insert(one) for one in new]

    return await store.write(work)


async def test_a_credential_is_kept_and_found_by_each_of_its_names(store: Store, org: int, elsewhere: int) -> None:
    first, second, foreign = await make(
        store, credential(org, 1, "a"), credential(org, 1, "b"), credential(elsewhere, 1, "c")
    )
    assert first.id < second.id < foreign.id
    assert await store.read.credentials.identify("Ua") == first
    assert await store.read.credentials.of_account("Ac") == foreign
    assert await store.read.credentials.identify("Aa") is None
    assert await store.read.credentials.of_device(org, 1) == [first, second]
    assert await store.read.credentials.of_device(org, 2) == []
    assert await store.read.credentials.has_any(org)
    assert not await store.read.credentials.has_any(org + 1_000)
    assert await store.scan.credentials.all(0, 2) == [first, second]
    assert await store.scan.credentials.all(second.id, 2) == [foreign]


async def test_whatever_changes_is_noted_for_the_broker(store: Store, org: int, elsewhere: int) -> None:
    (beside,) = await make(store, credential(org, 2, "d"))
    (known,) = await store.read.credentials.changes(0, 10)
    await store.write(lambda records: records.credentials.settle([known.number]))
    first, second, foreign = await make(
        store, credential(org, 1, "a"), credential(org, 1, "b"), credential(elsewhere, 1, "c")
    )
    made = await store.read.credentials.changes(0, 10)
    assert [(change.org, change.account) for change in made] == [(org, "Aa"), (org, "Ab"), (elsewhere, "Ac")]
    await store.write(lambda records: records.credentials.settle([made[0].number, made[2].number]))
    assert await store.read.credentials.changes(0, 10) == [made[1]]
    await store.write(lambda records: records.credentials.settle([made[1].number]))
    assert not await store.write(lambda records: records.credentials.delete(org, 1, foreign.id))
    assert not await store.write(lambda records: records.credentials.delete(elsewhere, 1, first.id))
    assert await store.write(lambda records: records.credentials.delete(org, 1, first.id))
    assert await store.write(lambda records: records.credentials.forget(org, 1)) == 1
    assert await store.write(lambda records: records.credentials.forget(org, 1)) == 0
    assert await store.read.credentials.of_device(org, 2) == [beside]
    await store.write(lambda records: records.credentials.note(org, "operator"))
    gone = await store.read.credentials.changes(0, 10)
    assert [(change.org, change.account) for change in gone] == [(org, "Aa"), (org, "Ab"), (org, "operator")]
    assert await store.read.credentials.changes(gone[0].number, 1) == [
        AccountChange(gone[1].number, org, "Ab"),
    ]
    assert await store.read.credentials.identify(second.user) is None
    assert await store.read.credentials.identify(foreign.user) == foreign


async def test_all_of_an_organization_and_below_it_are_noted_at_once(store: Store, org: int, elsewhere: int) -> None:
    """`elsewhere` is below `org`."""
    made = await make(store, credential(org, 1, "a"), credential(org, 2, "b"), credential(elsewhere, 1, "c"))
    above = [(org, made[0].account), (org, made[1].account), (org, "admin"), (org, "admin devices:read owners:read")]
    below = [(elsewhere, made[2].account), (elsewhere, "viewer")]

    async def work(records: Records) -> None:
        for place, role, kind, name in (
            (org, Role.ADMIN, KeyKind.NATS, "Ua"),
            (org, Role.ADMIN, KeyKind.NATS, "Ub"),
            (org, Role.OPERATOR, KeyKind.API, "c"),
            (elsewhere, Role.VIEWER, KeyKind.NATS, "Ud"),
        ):
            await records.keys.insert(structs.replace(key(place), role=role, kind=kind), name, "")
        narrow = structs.replace(key(org), role=Role.ADMIN, kind=KeyKind.NATS, scopes=("devices:read", "owners:read"))
        await records.keys.insert(narrow, "Ue", "")

    async def noted(there: int) -> list[tuple[int, str]]:
        known = await store.read.credentials.changes(0, 10)
        await store.write(lambda records: records.credentials.settle([change.number for change in known]))
        await store.write(lambda records: records.credentials.note_below(there))
        return sorted((change.org, change.account) for change in await store.read.credentials.changes(0, 10))

    await store.write(work)
    assert await noted(elsewhere) == sorted(below)
    assert await noted(org) == sorted(above + below)


async def test_keys_that_the_broker_knows_are_found_by_role(store: Store, org: int, elsewhere: int) -> None:
    async def work(records: Records) -> None:
        for place, role, kind, name in (
            (org, Role.ADMIN, KeyKind.NATS, "Ua"),
            (org, Role.VIEWER, KeyKind.NATS, "Ub"),
            (org, Role.ADMIN, KeyKind.API, "c"),
            (org, Role.ADMIN, KeyKind.NATS, "Ud"),
            (elsewhere, Role.ADMIN, KeyKind.NATS, "Ue"),
        ):
            scopes = ("devices:read",) if name == "Ud" else ()
            await records.keys.insert(structs.replace(key(place), role=role, kind=kind, scopes=scopes), name, "")

    await store.write(work)
    first = await store.read.keys.identify("Ua")
    assert first is not None
    await store.write(lambda records: records.keys.revoke(org, first.key.id, NOW))
    assert await store.read.keys.users(org, Role.ADMIN) == [KeyUser("Ua", NOW, NOW), KeyUser("Ud", NOW, None)]
    assert await store.read.keys.users(org, Role.OPERATOR) == []
    found = await store.scan.keys.groups_of_users()
    assert sorted((place, role.value, scopes) for place, role, scopes in found) == [
        (org, "admin", ()), (org, "admin", ("devices:read",)), (org, "viewer", ()), (elsewhere, "admin", ()),
    ]  # fmt: skip


async def test_keys_that_are_good_for_the_broker_are_found_by_time(store: Store, org: int, elsewhere: int) -> None:
    async def work(records: Records) -> None:
        for place, role, kind, expires_at, name in (
            (org, Role.ADMIN, KeyKind.NATS, None, "Ua"),
            (org, Role.VIEWER, KeyKind.NATS, NOW, "Ub"),
            (org, Role.OPERATOR, KeyKind.NATS, NOW + 1, "Uc"),
            (org, Role.OPERATOR, KeyKind.NATS, None, "Ud"),
            (org, Role.VIEWER, KeyKind.API, None, "e"),
            (elsewhere, Role.VIEWER, KeyKind.NATS, None, "Uf"),
        ):
            scopes = ("devices:read",) if name == "Ud" else ()
            described = structs.replace(key(place), role=role, kind=kind, scopes=scopes, expires_at=expires_at)
            await records.keys.insert(described, name, "")

    await store.write(work)
    revoked = await store.read.keys.identify("Ua")
    assert revoked is not None
    assert KeyGroup(org, Role.ADMIN, ()) in await store.read.keys.valid_groups(org, NOW)
    await store.write(lambda records: records.keys.revoke(org, revoked.key.id, NOW))
    assert sorted(await store.read.keys.valid_groups(org, NOW), key=lambda one: one.scopes) == [
        KeyGroup(org, Role.OPERATOR, ()),
        KeyGroup(org, Role.OPERATOR, ("devices:read",)),
    ]


async def test_progress_is_kept_by_stream_until_it_is_gone(store: Store) -> None:
    assert await store.read.progress.of(["a"]) == {"a": StreamPosition()}
    many = {f"stream {number}": StreamPosition(number, NOW) for number in range(1, 20)}
    first, second = StreamPosition(5, NOW), StreamPosition(6, NOW + 2)
    for reached in ({"a": first, "b": first}, {"a": second}, many):
        await store.write(lambda records, reached=reached: records.progress.put(reached))
    assert await store.read.progress.of(["a", "b", "c"]) == {"a": second, "b": first, "c": StreamPosition()}
    assert await store.read.progress.of([*many, "c"]) == {**many, "c": StreamPosition()}
    await store.write(lambda records: records.progress.forget(["b", *many, "never"]))
    assert await store.read.progress.all() == {"a": second}
    await store.write(lambda records: records.progress.forget([]))


async def test_what_was_reported_comes_by_the_time_that_was_given(store: Store, org: int, elsewhere: int) -> None:
    async def work(records: Records) -> None:
        await records.timeline.append(
            [
                event(org, 1, type="device.log", reported_at=30, name="c"),
                event(org, 1, type="device.log", reported_at=10, name="a"),
                event(org, 1, type="device.log", reported_at=10, name="b"),
                event(org, 1, type="device.log", name="no time"),
                event(org, 1, type="device.event", reported_at=10, name="another type"),
                event(org, 2, type="device.log", reported_at=10, name="another device"),
                event(elsewhere, 1, type="device.log", reported_at=10, name="another tenant"),
            ]
        )
        await records.timeline.append(
            [event(org, 1, type="device.log", reported_at=100 + number, name="many") for number in range(20)]
        )

    await store.write(work)

    async def names(since: int, until: int, limit: int = 100, offset: int = 0) -> list[str]:
        found = await store.scan.timeline.reported(org, 1, "device.log", Span(since, until), limit, offset)
        return [one.name for one in found]

    assert await names(0, 31) == ["a", "b", "c"]
    assert await names(10, 30) == ["a", "b"]
    assert await names(11, 30) == []
    assert await names(0, 31, limit=1, offset=1) == ["b"]
    assert len(await names(100, 200)) == 20
