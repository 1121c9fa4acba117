"""Every example of the vendor's page, in the documented profile, in process and over a socket."""

from pathlib import Path

import pytest

from tests.support import transcripts
from tests.support.transcripts import Transport

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.http"))
DEVICES = "/api/devmanager/v1/devices"
PAGE = {
    f"GET {DEVICES}?page_size=50&sort_by=creation_timestamp&sort_mode=desc",
    f"GET {DEVICES}?filter=dms_owner[eq]:dms-production",
    f"GET {DEVICES}?filter=tags[contains_ic]:sensor",
    f"GET {DEVICES}?filter=status[eq]:ACTIVE",
    f"GET {DEVICES}?filter=status[eq]:ACTIVE&filter=tags[contains]:production",
    f"GET {DEVICES}?filter=creation_timestamp[af]:2024-01-01T00:00:00Z",
    f"POST {DEVICES}",
    f"GET {DEVICES}/device-12345",
    f"DELETE {DEVICES}/device-12345",
    f"PUT {DEVICES}/device-12345/idslot",
    f"PUT {DEVICES}/device-12345/metadata",
    f"PATCH {DEVICES}/device-12345/metadata",
    f"DELETE {DEVICES}/device-12345/decommission",
    f"GET {DEVICES}/dms/dms-production?filter=status[eq]:ACTIVE",
}
KINDS = {"time": r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", "text": r".+"}


@pytest.mark.parametrize("transport", transcripts.TRANSPORTS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_transcript_is_answered_as_written(file: Path, transport: str, request: pytest.FixtureRequest) -> None:
    send: Transport = request.getfixturevalue(transport)
    transcripts.play(transcripts.read(file), send, KINDS, {"key": transcripts.tenant(send, file.stem)})


def test_every_request_of_the_page_is_in_a_transcript() -> None:
    assert {exchange.request.start for file in FILES for exchange in transcripts.read(file)} >= PAGE
