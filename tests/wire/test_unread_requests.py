"""What the server refuses before any dialect sees it is refused in the form of the API that it was meant for."""

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from fleetroll.application import DIALECTS
from fleetroll.core import limits
from tests.support.app import Response
from tests.support.process import Process, serving
from tests.support.raw import assert_refused

HOST = b" HTTP/1.1\r\nHost: a\r\n"
UNREAD = {
    "a target that is too long": (b"x" * limits.MAX_TARGET + HOST, 414),
    "a header field that is too large": (HOST + b"X: " + b"x" * limits.MAX_HEADER_BLOCK + b"\r\n", 431),
    "a second Host": (HOST + b"Host: b\r\n", 400),
    "another method than the first line's": (HOST + b"X-HTTP-Method: PUT\r\n", 400),
    "a body that is no body": (HOST + b"Transfer-Encoding: chunked\r\n", 400),
}
PREFIXES = {prefix: dialect for dialect in DIALECTS for prefix in dialect.prefixes}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("server") / "data", "--nats", "off") as process:
        yield process


def reply(server: Process, sent: bytes) -> Response:
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(sent + b"\r\nzz\r\n")
        received = http.client.HTTPResponse(client)
        received.begin()
        return Response(
            received.status, {name.lower(): value for name, value in received.getheaders()}, received.read()
        )


@pytest.mark.parametrize("row", UNREAD)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_request_that_no_dialect_sees_is_refused_in_the_form_of_its_paths_api(
    server: Process, prefix: str, row: str
) -> None:
    rest, status = UNREAD[row]
    assert_refused(reply(server, b"POST " + prefix.encode() + rest), PREFIXES[prefix], status)


@pytest.mark.parametrize("row", UNREAD)
def test_a_problem_document_has_the_id_of_its_header_field(server: Process, row: str) -> None:
    refused = reply(server, b"GET /v1/" + UNREAD[row][0])
    assert json.loads(refused.body)["request_id"] == refused.headers["x-request-id"]


@pytest.mark.parametrize("line", [b"NONSENSE", b"GET http://a/iot/db/ HTTP/1.1", b""])
def test_what_is_below_no_path_is_refused_in_a_problem_document(server: Process, line: bytes) -> None:
    assert_refused(reply(server, line + b"\r\n"), PREFIXES["/v1/"], 400)
