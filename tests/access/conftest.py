"""One application per module, whose tests leave each other's records as they were."""

from collections.abc import Iterator

import pytest

from fleetroll.data_directory import DATABASE
from tests.access.world import World
from tests.support.app import running
from tests.support.state import State


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data = tmp_path_factory.mktemp("access") / "data"
    with running(data) as app:
        yield World(app, data / DATABASE)


@pytest.fixture(scope="module")
def state(world: World) -> Iterator[State]:
    state = State(world.database)
    yield state
    state.close()
