"""One application for all tests of a module: what they share is a world that refuses them and does not change."""

from collections.abc import Iterator

import pytest

from tests.support.samples import World, world_in


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("hostile") / "data") as world:
        yield world
