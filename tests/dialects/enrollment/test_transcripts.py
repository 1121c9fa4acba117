"""The DMS manager and the CA by transcript, in process."""

from pathlib import Path

import pytest

from tests.support.app import ADMIN_KEY, running
from tests.support.transcripts import over_asgi, play, read

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.http"))
KINDS = {"time": r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{6})?Z"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_request_gets_its_reply(file: Path, tmp_path: Path) -> None:
    exchanges = read(file)
    assert exchanges
    with running(tmp_path / "data") as app:
        play(exchanges, over_asgi(app), KINDS, {"key": ADMIN_KEY})
