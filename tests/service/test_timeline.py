"""The timeline tells of every change: what leaves the server, and what an operator finds later, is read from it."""

from pathlib import Path

from fleetroll.service.operations import WRITES
from tests.support.raw import send
from tests.support.samples import World, world_in

EVENTS, READINGS = "timeline", {"reading", "series"}  # readings are announced, and are in no timeline


def kept(world: World) -> tuple[object, object]:
    """The events, and all else that is stored, except readings."""
    rows = world.state.all()
    return rows[EVENTS], {table: rows[table] for table in rows.keys() - READINGS - {EVENTS}}


def test_whatever_changes_a_record_leaves_an_event(tmp_path: Path) -> None:
    with world_in(tmp_path / "data") as world:
        silent, telling = set(), set()
        for sample in world.one_by_one():
            name = sample.route.operation.name
            if sample.route.operation.effect not in WRITES or sample.refused or name in telling:
                continue
            events, records = kept(world)
            assert send(world.app, sample.raw()).status < 300, sample
            now = kept(world)
            if now[0] != events:
                telling.add(name)
            elif now[1] != records:
                silent.add(name)
            if sample.route.status != 201:
                world.prepare()
    assert len(telling) > 50
    assert silent == set()
