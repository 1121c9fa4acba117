"""Every transcript, in process and over a socket, each on a server of its own: numbers are part of what is compared."""

import re
from pathlib import Path
from typing import Any

import pytest

from fleetroll.dialects.memfault.routes import DEVICE, DIALECT
from tests.support import app, transcripts
from tests.support.transcripts import Transport

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.http"))
KINDS = {
    "time": r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00",
    "secret": r"[0-9a-f]{32}",
    "number": r"\d+",  # which one is given next differs between engines
}
ERROR = ["code", "http_code", "message", "type"]
STATUSES = {200, 202, 204, 400, 401, 403, 404, 405, 409, 411, 413, 415}


@pytest.mark.parametrize("transport", transcripts.TRANSPORTS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_transcript_is_answered_as_written(file: Path, transport: str, tmp_path: Path) -> None:
    slug = file.stem
    with transcripts.served(transport, tmp_path / "data") as send:
        key = transcripts.tenant(send, slug)
        transcripts.play(transcripts.read(file), keeping_the_rules(send), KINDS, {"key": key, "org": slug})


def keeping_the_rules(send: Transport) -> Transport:
    """What holds for every reply: a documented status, a length, and in an error all four members."""

    def watched(*request: Any) -> app.Response:
        reply = send(*request)
        assert reply.status in STATUSES
        assert reply.status == 204 or int(reply.headers["content-length"]) == len(reply.body)
        assert reply.status < 400 or list(reply.json()["error"]) == ERROR
        return reply

    return watched


def test_every_operation_of_the_page_and_of_the_api_is_in_a_transcript() -> None:
    asked = {
        tuple(exchange.request.start.split("?")[0].split(" ", 1))
        for file in FILES
        for exchange in transcripts.read(file)
    }
    rows = {(route.method, route.path) for dialect in (DIALECT, DEVICE) for route in dialect.routes}
    left_out = {
        (method, path)
        for method, path in rows
        if not any(verb == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), target) for verb, target in asked)
    }
    assert not left_out
