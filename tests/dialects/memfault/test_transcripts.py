"""Every transcript, in process and over a socket, each on a server of its own: numbers are part of what is compared."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import app, process, transcripts
from tests.support.app import ADMIN_KEY
from tests.support.transcripts import Transport

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.http"))
KINDS = {
    "time": r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00",
    "slug": r"[0-9a-z]{8}",
}


@pytest.fixture
def in_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    with app.running(tmp_path_factory.mktemp("asgi") / "data") as running:
        yield transcripts.over_asgi(running)


@pytest.fixture
def over_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    with process.serving(tmp_path_factory.mktemp("socket") / "data") as server:
        yield transcripts.over_socket(server.port)


@pytest.mark.parametrize("transport", ["in_process", "over_socket"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_transcript_is_answered_as_written(file: Path, transport: str, request: pytest.FixtureRequest) -> None:
    send: Transport = request.getfixturevalue(transport)
    slug = file.stem
    key = tenant(send, slug)
    transcripts.play(transcripts.read(file), send, KINDS, {"key": key, "org": slug})


def tenant(send: Callable[..., app.Response], slug: str) -> str:
    """An organization for one transcript, and a key to it."""
    headers = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}
    made = send("POST", "/v1/organizations", headers, b'{"slug": "%s"}' % slug.encode())
    assert made.status == 201, made.body
    acting = headers | {"fleetroll-organization": slug}
    key: str = send("POST", "/v1/keys", acting, b'{"name": "sync", "role": "admin"}').json()["key"]
    return key
