"""One application for all tests of a module: what they share is a world that refuses them and does not change."""

from collections.abc import Iterator

import pytest

from tests.support.app import running
from tests.support.samples import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data = tmp_path_factory.mktemp("hostile") / "data"
    with running(data) as app:
        made = World(app, data)
        yield made
        made.state.close()
