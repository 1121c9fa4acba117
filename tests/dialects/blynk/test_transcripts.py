"""Every block of the vendor's page in its order, in process and over a socket, each on a server of its own."""

from pathlib import Path

import pytest

from tests.support import transcripts
from tests.support.app import ADMIN_KEY
from tests.support.transcripts import Transport

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.http"))
KINDS = {
    "time": r"1[0-9]{12}",
    "iso": r"20\d\d-[0-9T:.-]+Z",
    "token": r"[A-Za-z0-9_-]{32}",
    "challenge": "Bearer .+",
    "number": r"[1-9][0-9]*",  # after a refusal: PostgreSQL gives no number twice
}
BLOCKS = 21


def test_every_block_has_its_transcript() -> None:
    assert {int(file.stem[:2]) for file in FILES} == set(range(1, BLOCKS + 1)) | {22, 23}


@pytest.mark.parametrize("transport", transcripts.TRANSPORTS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_transcript_is_answered_as_written(file: Path, transport: str, tmp_path: Path) -> None:
    with transcripts.served(transport, tmp_path / "data") as send:
        transcripts.play(transcripts.read(file), send, KINDS, keys(send))


def keys(send: Transport) -> dict[str, str]:
    """Keys of an organization, and a device of another one: its number is 1."""
    headers = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}
    assert send("PUT", "/v1/devices/foreign", headers, b"{}").status == 201
    assert send("POST", "/v1/organizations", headers, b'{"slug": "acme", "name": "Acme"}').status == 201
    bodies = {
        "key": b'{"name": "all", "role": "admin"}',
        "viewer": b'{"name": "read", "role": "viewer"}',
        "narrow": b'{"name": "keys", "role": "admin", "scopes": ["keys:read"]}',
    }
    inside = headers | {"fleetroll-organization": "acme"}
    return {name: send("POST", "/v1/keys", inside, body).json()["key"] for name, body in bodies.items()}
