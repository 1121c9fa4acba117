"""Every example of the vendor's page, in the documented profile, in process and over a socket."""

from pathlib import Path

import pytest

from tests.support import transcripts
from tests.support.transcripts import Transport

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.http"))
KINDS = {"time": r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", "text": r".+"}


@pytest.mark.parametrize("transport", transcripts.TRANSPORTS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_transcript_is_answered_as_written(file: Path, transport: str, request: pytest.FixtureRequest) -> None:
    send: Transport = request.getfixturevalue(transport)
    transcripts.play(transcripts.read(file), send, KINDS, {"key": transcripts.tenant(send, file.stem)})
