"""Any sequence of transactions leaves every engine as it leaves the reference, with the same answers on the way.

The numbers of new records are each engine's own affair (but for their order), so records are compared without them.
"""

import asyncio
import functools
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec import Struct, structs

from fleetroll.core import limits
from fleetroll.core.faults import Fault
from fleetroll.core.fields import sort_value
from fleetroll.core.model import Device, Organization, Reading, Span
from fleetroll.core.names import identity_key
from fleetroll.core.query import Filter, Page, Search, Sort
from fleetroll.store.port import Identity, Records, Replay, Store
from tests.support import filters
from tests.support.effort import often
from tests.support.stores import ENGINES, NOW, changed, event, group, key, metadata_field, organization, owner

ORGS = (0, 1)
EVER = Span(0, 1 << 62)
NAMED = {"owners": (owner, "ref"), "groups": (group, "name"), "metadata_fields": (metadata_field, "name")}
names = st.sampled_from(("a", "b", "B", "\u00e9", "e\u0301"))
few = st.integers(0, 3)
places = st.sampled_from(ORGS)
Step = Callable[["Tenants", Records], Awaitable[Any]]


class Undo(Exception):
    """Raised by a transaction that is to leave no trace."""


class Tenants(Struct):
    """The organizations of one store by their place in the test, where their numbers may differ."""

    ids: list[int]

    def __getitem__(self, place: int) -> int:
        return self.ids[place]


def bare(answer: Any) -> Any:
    """An answer without the numbers that an engine gave."""
    match answer:
        case list() | tuple():
            return [bare(one) for one in answer]
        case dict():
            return {name: bare(one) for name, one in answer.items()}
        case Organization():
            return structs.replace(answer, id=0, parent=0, lineage=())
        case Identity():
            return bare(answer.key), answer.digest, bare(answer.org)
        case Struct() if hasattr(answer, "org"):
            return structs.replace(answer, id=0, org=0)
    return answer


# --- steps -----------------------------------------------------------------------------------------------------------


def insert_device(place: int, new: Any) -> Step:
    return lambda tenants, records: records.devices.insert(tenants[place], new, NOW)


def insert_devices(place: int, new: list[Any]) -> Step:
    async def step(tenants: Tenants, records: Records) -> Any:
        taken = await records.devices.by_idents(tenants[place], [one.ident for one in new])
        free = [one for one in new if identity_key(one.ident) not in taken]
        return await records.devices.insert_many(tenants[place], free, NOW)

    return step


async def nth(tenants: Tenants, records: Records, place: int, number: int) -> Device | None:
    devices = await records.devices.page(tenants[place], None, Sort(), Page(100))
    return devices[number % len(devices)] if devices else None


def stale(device: Device) -> Device:
    return structs.replace(device, revision=device.revision - 1)


def replace_device(place: int, number: int, other: Any, later: dict[str, Any], out_of_date: bool) -> Step:
    async def step(tenants: Tenants, records: Records) -> Any:
        was = await nth(tenants, records, place, number)
        if was is None:
            return None
        now = changed(was, **structs.asdict(other))
        now = structs.replace(now, **later)
        try:
            return await records.devices.replace(stale(was) if out_of_date else was, now)
        except Fault as fault:
            return fault.code

    return step


def delete_device(place: int, number: int, out_of_date: bool) -> Step:
    async def step(tenants: Tenants, records: Records) -> Any:
        was = await nth(tenants, records, place, number)
        return was and await records.devices.delete(stale(was) if out_of_date else was)

    return step


def move_device(place: int, number: int, to: int) -> Step:
    async def step(tenants: Tenants, records: Records) -> Any:
        was = await nth(tenants, records, place, number)
        if was is None or await records.devices.get(tenants[to], was.ident):
            return None
        return await records.devices.move(was, changed(was, org=tenants[to]))

    return step


def report(place: int, number: int, metric: str, values: list[Any], opened: bool) -> Step:
    async def step(tenants: Tenants, records: Records) -> Any:
        device = await nth(tenants, records, place, number)
        if device is None:
            return None
        if opened:
            await records.telemetry.open(tenants[place], {(device.id, "", metric)})
        made = [Reading(device.id, metric, NOW + at, value) for at, value in enumerate(values)]
        return len(await records.telemetry.append(tenants[place], made))

    return step


def lose_readings(place: int, number: int, to: int) -> Step:
    """Forget a device's readings, or give them to another organization as a device that moves does."""

    async def step(tenants: Tenants, records: Records) -> Any:
        device = await nth(tenants, records, place, number)
        if device is None or await records.devices.get(tenants[to], device.ident):
            return device and await records.telemetry.forget(tenants[place], device.id)
        await records.telemetry.move(tenants[place], device.id, tenants[to])
        return await records.devices.move(device, changed(device, org=tenants[to]))

    return step


def see(place: int, number: int, at: int, gone: bool) -> Step:
    async def step(tenants: Tenants, records: Records) -> Any:
        device = await nth(tenants, records, place, number)
        if device is None:
            return None
        if gone:
            return await records.presence.lost(tenants[place], [device.id])
        return await records.presence.heard(tenants[place], [device.id], NOW + at)

    return step


def insert_named(noun: str, place: int, name: str) -> Step:
    return lambda tenants, records: getattr(records, noun).insert(NAMED[noun][0](tenants[place], name))


def change_named(noun: str, place: int, name: str, new: str, skipped: bool) -> Step:
    async def step(tenants: Tenants, records: Records) -> Any:
        verbs, label = getattr(records, noun), NAMED[noun][1]
        was = await verbs.get(tenants[place], name)
        if was is None or (new != name and await verbs.get(tenants[place], new)):
            return None
        now = structs.replace(was, **{label: new}, revision=was.revision + 1 + skipped)
        return await verbs.replace(now)

    return step


def delete_named(noun: str, place: int, name: str) -> Step:
    async def step(tenants: Tenants, records: Records) -> Any:
        found = await getattr(records, noun).get(tenants[place], name)
        return found and await getattr(records, noun).delete(tenants[place], found.id)

    return step


def count_usage(place: int, noun: str, count: int, quota: int) -> Step:
    return lambda tenants, records: records.usage.add(tenants[place], noun, count, quota)


def append_events(place: int, subject: int, count: int) -> Step:
    return lambda tenants, records: records.timeline.append([event(tenants[place], subject)] * count)


def forget_events(place: int, subject: int) -> Step:
    return lambda tenants, records: records.timeline.forget(tenants[place], subject)


def move_events(place: int, subject: int, to: int) -> Step:
    return lambda tenants, records: records.timeline.move(tenants[place], subject, tenants[to])


def insert_key(place: int, name: str) -> Step:
    async def step(tenants: Tenants, records: Records) -> Any:
        if await records.keys.identify(name):
            return None
        return await records.keys.insert(key(tenants[place]), name, f"digest {name}")

    return step


def use_key(place: int, name: str, at: int, revoked: bool) -> Step:
    async def step(tenants: Tenants, records: Records) -> Any:
        identity = await records.keys.identify(name)
        if identity is None:
            return None
        if revoked:
            return await records.keys.revoke(tenants[place], identity.key.id, at)
        return await records.keys.touch({identity.key.id: at})

    return step


def look_for_devices(place: int, wanted: Filter) -> Step:
    return lambda tenants, records: records.devices.page(tenants[place], wanted, Sort("ident"), Page(100))


def keep_replay(place: int, name: str, at: int) -> Step:
    replay = Replay("print", 200, "[]", name, at)
    return lambda tenants, records: records.replays.put(tenants[place], 1, name, replay)


def purge_replays(before: int) -> Step:
    return lambda tenants, records: records.replays.purge(before, limits.ALL)


def purge_events(before: int) -> Step:
    async def step(tenants: Tenants, records: Records) -> Any:
        await records.timeline.purge(Span(before, before + 1), 0, limits.ALL)

    return step


def purge_readings(before: int) -> Step:
    async def step(tenants: Tenants, records: Records) -> Any:
        await records.telemetry.purge(before, 0, limits.ALL)

    return step


def change_organization(place: int, name: str, skipped: bool) -> Step:
    async def step(tenants: Tenants, records: Records) -> Any:
        was = await records.organizations.get(tenants[place])
        assert was is not None
        return await records.organizations.replace(structs.replace(was, name=name, revision=was.revision + 1 + skipped))

    return step


flags = st.sampled_from((False, False, True))
# Few identifiers, so that they are taken, and few subjects, so that there is something to forget.
devices = st.builds(lambda new, ident: structs.replace(new, ident=ident), filters.new_devices, names)
subjects = st.sampled_from((1, 2))
nouns = st.sampled_from(sorted(NAMED))
values = st.sampled_from((0, 1.5, 2.0, -3, True, "text", [1, 2], {"a": 1}, 1 << 60))
opened = st.sampled_from((True, True, False))
times = st.integers(NOW, NOW + 3)
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(insert_device, places, devices),
    st.builds(insert_devices, places, filters.fleets.map(lambda fleet: [new for new, _ in fleet])),
    st.builds(replace_device, places, few, devices | filters.new_devices, filters.later, flags),
    st.builds(delete_device, places, few, flags),
    st.builds(move_device, places, few, places),
    st.builds(report, places, few, st.sampled_from(("m", "M")), st.lists(values, max_size=4), opened),
    st.builds(lose_readings, places, few, places),
    st.builds(see, places, few, few, flags),
    st.builds(insert_named, nouns, places, names),
    st.builds(change_named, nouns, places, names, names, flags),
    st.builds(delete_named, nouns, places, names),
    st.builds(count_usage, places, st.sampled_from(("devices", "keys")), st.integers(-1, 3), st.integers(0, 5)),
    st.builds(append_events, places, subjects, st.sampled_from((1, 2, 20))),
    st.builds(forget_events, places, subjects),
    st.builds(move_events, places, subjects, places),
    st.builds(insert_key, places, names),
    st.builds(use_key, places, names, few, flags),
    st.builds(look_for_devices, places, filters.filters | st.builds(Search, st.sampled_from(("aba", "100", "stra")))),
    st.builds(keep_replay, places, names, few),
    st.builds(purge_replays, few),
    st.builds(purge_events, times),
    st.builds(purge_readings, times),
    st.builds(change_organization, places, names, flags),
)


class Transaction(Struct):
    """Steps to take together; if `undone`, it ends with a raise and must leave no trace."""

    steps: list[Step]
    undone: bool
    bulk: bool

    async def run(self, tenants: Tenants, store: Store) -> Any:
        async def work(records: Records) -> Any:
            answers = [bare(await step(tenants, records)) for step in self.steps]
            if self.undone:
                raise Undo
            return answers

        try:
            return await store.write(work, bulk=self.bulk)
        except Undo:
            return "undone"


@st.composite
def transaction_of(draw: st.DrawFn) -> Transaction:
    """A strategy of its own, so that nobody prints the table of steps, which is a long one."""
    return Transaction(draw(st.lists(steps, min_size=1, max_size=5)), draw(flags), draw(st.booleans()))


transactions = transaction_of()


# --- the machine -----------------------------------------------------------------------------------------------------


class Side(Struct):
    """One store and its tenants."""

    engine: str
    file: Path
    store: Store
    tenants: Tenants


class Machine(RuleBasedStateMachine):
    def __init__(self, engine: str) -> None:
        super().__init__()
        self.engine = engine

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.sides = [self.runner.run(self.opened(engine)) for engine in ("memory", self.engine)]

    async def opened(self, engine: str) -> Side:
        file = Path(self.folder.name) / engine
        store = await ENGINES[engine](file)

        async def work(records: Records) -> Tenants:
            made = [await records.organizations.insert(organization(None, f"tenant-{place}")) for place in ORGS]
            return Tenants([one.id for one in made if one])

        return Side(engine, file, store, await store.write(work))

    def teardown(self) -> None:
        if hasattr(self, "sides"):
            for side in self.sides:
                self.runner.run(side.store.close())
            self.runner.close()
            self.folder.cleanup()

    def agree(self, ask: Callable[[Side], Awaitable[Any]]) -> None:
        reference, answer = (self.runner.run(_awaited(ask(side))) for side in self.sides)
        assert answer == reference

    @rule(transaction=transactions)
    def one_transaction(self, transaction: Transaction) -> None:
        self.agree(lambda side: transaction.run(side.tenants, side.store))

    @rule(crowd=st.lists(transactions, min_size=2, max_size=5))
    def many_at_once(self, crowd: list[Transaction]) -> None:
        self.agree(lambda side: asyncio.gather(*(one.run(side.tenants, side.store) for one in crowd)))

    @rule(place=places, wanted=filters.filters, sort=filters.sorts, limit=st.integers(1, 4), last=few)
    def a_page(self, place: int, wanted: Filter, sort: Sort, limit: int, last: int) -> None:
        async def ask(side: Side) -> Any:
            devices, org = side.store.scan.devices, side.tenants[place]
            first = await devices.page(org, wanted, sort, Page(100))
            after = (sort_value(first[last % len(first)], sort.field), first[last % len(first)].id) if first else None
            rest = await devices.page(org, wanted, sort, Page(limit, after))
            return bare(first), bare(rest), await devices.count(org, wanted)

        self.agree(ask)

    @rule()
    def open_again(self) -> None:
        side = self.sides[1]
        self.runner.run(side.store.close())
        side.store = self.runner.run(_awaited(ENGINES[side.engine](side.file)))

    @invariant()
    def all_is_the_same(self) -> None:
        if hasattr(self, "sides"):
            self.agree(lambda side: everything(side.store, side.tenants))


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


async def everything(store: Store, tenants: Tenants) -> Any:
    read = store.read
    seen: list[Any] = [bare(await read.timeline.published(0, 1000))]
    for org in tenants.ids:
        devices = await read.devices.page(org, None, Sort("ident"), Page(1000))
        seen += [bare(devices), await store.scan.devices.counts(org), await read.usage.of(org)]
        seen += [await store.scan.devices.tags(org, after, 2) for after in ("", "a")]
        seen += [await store.scan.devices.count(org, Search(text)) for text in ("a", "aba", "100")]
        seen += [bare(await getattr(read, noun).page(org, "", 100)) for noun in NAMED]
        seen += [bare(await read.keys.page(org, 0, 100)), bare(await read.organizations.get(org))]
        for name in ("a", "b", "B"):
            seen += [await read.replays.get(org, 1, name), bare(await read.keys.identify(name))]
        seen += [bare(await read.timeline.since(org, 0, 1000))]
        seen += [bare(await read.timeline.of_device(org, subject, 1 << 62, 3)) for subject in range(4)]
        for one in devices:
            last = await read.telemetry.last(org, one.id)
            seen += [[structs.replace(reading, device=0) for reading in last], await read.telemetry.count(org, one.id)]
            for metric in ("m", "M"):
                seen += [await read.telemetry.buckets(org, (one.id, "", metric), EVER, 2, spread=True)]
        assert {one.ident for one in devices} == {
            found.ident for one in devices if (found := await read.devices.get(org, one.ident))
        }
    return seen


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine != "memory"])
def test_an_engine_does_what_the_reference_does(engine: str) -> None:
    machine = hypothesis.seed(int(os.environ["FLEETROLL_SEED"]))(functools.partial(Machine, engine))
    run_state_machine_as_test(
        machine,
        settings=hypothesis.settings(
            max_examples=often(20),
            stateful_step_count=12,
            suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
        ),
    )
