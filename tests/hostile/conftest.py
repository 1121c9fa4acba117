"""One application per module: its tests share a world that refuses them, and put right what they change in it."""

from collections.abc import Iterator

import pytest

from tests.support.samples import World, world_in


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("hostile") / "data") as world:
        yield world
