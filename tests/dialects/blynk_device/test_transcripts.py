"""Every transcript, in process and over a socket, each by a device of one template in an organization of its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import transcripts
from tests.support.app import ADMIN_KEY
from tests.support.transcripts import Transport

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.http"))
KINDS = {
    "link": r"(http://[a-z0-9.:]+)?/external/api/data/file/device_data_[0-9]+\.zip\?token=\S+",
    "seconds": r"[0-9]+",
}
TEMPLATE = {
    "name": "Weather station",
    "datastreams": [
        {"pin": "v1", "type": "double", "alias": "temperature"},
        {"pin": "v2", "type": "integer"},
        {"pin": "v3", "type": "string"},
        {"pin": "v4", "type": "location"},
        {"pin": "v5", "type": "integer", "default": 7},
        {"pin": "v6", "type": "double"},
    ],
    "events": [{"code": "too_hot", "name": "Too hot", "type": "WARNING", "daily_limit": 2}],
    "metafields": [{"name": "Serial Number", "type": "Text"}, {"name": "Rooms", "type": "Number"}],
}


@pytest.mark.parametrize("transport", transcripts.TRANSPORTS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_transcript_is_answered_as_written(file: Path, transport: str, request: pytest.FixtureRequest) -> None:
    send: Transport = request.getfixturevalue(transport)
    transcripts.play(transcripts.read(file), send, KINDS, parts(send, file.stem.replace("_", "-")))


def parts(send: Transport, slug: str) -> dict[str, str]:
    """A new device in a new organization: its token, that of one without a template, and numbers of the template."""

    def make(path: str, body: Any, **headers: str) -> Any:
        fixed = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}
        reply = send("POST" if body else "GET", path, {**fixed, **headers}, json.dumps(body).encode() if body else b"")
        assert reply.status in {200, 201}, reply.body
        return reply.json()

    make("/v1/organizations", {"slug": slug})
    acting = {"fleetroll-organization": slug}
    template = make("/v1/templates", TEMPLATE, **acting)
    make("/v1/devices", {"ident": "station", "template": template["id"]}, **acting)
    make("/v1/devices", {"ident": "bare"}, **acting)
    numbers = {f"stream.{one['pin']}": str(one["id"]) for one in template["datastreams"]}
    fields = {f"field.{place}": str(one["id"]) for place, one in enumerate(template["metafields"])}
    tokens = {
        "token": make("/v1/devices/station/credentials", None, **acting)["device_token"],
        "token.bare": make("/v1/devices/bare/credentials", None, **acting)["device_token"],
    }
    return numbers | fields | tokens
