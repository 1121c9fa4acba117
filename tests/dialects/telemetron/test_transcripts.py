"""Every transcript, in process and over a socket, each in an organization of its own."""

from pathlib import Path

import pytest

from tests.support import transcripts
from tests.support.transcripts import Transport

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.http"))
KINDS = {
    "device": r"dev_[0-9a-z]{1,13}",
    "customer": r"cus_[0-9a-z]{1,13}",
    "organization": r"org_[0-9a-z]{1,13}",
    "time": r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z",
    "challenge": r"Bearer .+",
}


@pytest.mark.parametrize("transport", transcripts.TRANSPORTS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_transcript_is_answered_as_written(file: Path, transport: str, request: pytest.FixtureRequest) -> None:
    send: Transport = request.getfixturevalue(transport)
    slug = file.stem
    key = transcripts.tenant(send, slug)
    transcripts.play(transcripts.read(file), send, KINDS, {"key": key})
