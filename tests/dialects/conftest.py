"""What tests of dialects run against: an application in process, or one server for all transcripts of a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import transcripts
from tests.support.app import App, running
from tests.support.process import serving
from tests.support.transcripts import Transport


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        yield app


@pytest.fixture(scope="module")
def in_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    with running(tmp_path_factory.mktemp("asgi") / "data") as app:
        yield transcripts.over_asgi(app)


@pytest.fixture(scope="module")
def over_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    with serving(tmp_path_factory.mktemp("socket") / "data") as server:
        yield transcripts.over_socket(server.port)
