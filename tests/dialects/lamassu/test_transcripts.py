"""Every example of the vendor's page, in the documented profile, in process and over a socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dialects.telemetron.test_transcripts import tenant
from tests.support import app, process, transcripts
from tests.support.transcripts import Transport

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.http"))
KINDS = {"time": r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", "text": r".+"}


@pytest.fixture(scope="module")
def in_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    with app.running(tmp_path_factory.mktemp("asgi") / "data") as running:
        yield transcripts.over_asgi(running)


@pytest.fixture(scope="module")
def over_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    with process.serving(tmp_path_factory.mktemp("socket") / "data") as server:
        yield transcripts.over_socket(server.port)


@pytest.mark.parametrize("transport", ["in_process", "over_socket"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_transcript_is_answered_as_written(file: Path, transport: str, request: pytest.FixtureRequest) -> None:
    send: Transport = request.getfixturevalue(transport)
    transcripts.play(transcripts.read(file), send, KINDS, {"key": tenant(send, file.stem)})
