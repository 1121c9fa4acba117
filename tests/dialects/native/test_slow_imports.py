"""An import by a program that sends rows as it gets them, and goes on by the results of those before."""

import http.client
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from fleetroll.core import limits
from tests.support.app import ADMIN_KEY
from tests.support.process import Process, serving

SECONDS = 20  # less than the server waits for a body, far more than a row takes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("slow-imports") / "data") as process:
        yield process


class Import:
    """A request whose body is still being sent when its reply is read."""

    def __init__(self, server: Process, query: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
        self._connection.putrequest("POST", f"/v1/devices:import{query}")
        self._connection.putheader("Authorization", f"Bearer {ADMIN_KEY}")
        self._connection.putheader("Content-Type", "application/x-ndjson")
        self._connection.putheader("Transfer-Encoding", "chunked")
        self._connection.endheaders()
        self._reply: http.client.HTTPResponse | None = None

    def send(self, idents: Iterable[str]) -> None:
        rows = b"".join(json.dumps({"ident": ident}).encode() + b"\n" for ident in idents)
        self._connection.send(b"%x\r\n%b\r\n" % (len(rows), rows))

    def result(self) -> Any:
        self._reply = self._reply or self._connection.getresponse()
        assert self._reply.status == 200
        return json.loads(self._reply.readline())

    def end(self) -> bytes:
        assert self._reply is not None
        self._connection.send(b"0\r\n\r\n")
        rest = self._reply.read()
        self._connection.close()
        return rest


@pytest.mark.parametrize(("query", "again"), [("", "unchanged"), ("?dry_run=true", "created")])
def test_rows_are_answered_where_the_file_pauses(server: Process, query: str, again: str) -> None:
    for outcome in ("created", again):
        rows = Import(server, query)
        for line, ident in enumerate(("a", "b", "c"), start=1):
            rows.send([f"{ident}{query}"])
            assert rows.result() == {"outcome": outcome, "ident": f"{ident}{query}", "line": line}
        assert rows.end() == b""


def test_a_full_batch_is_answered_before_the_next_row_comes(server: Process) -> None:
    rows = Import(server)
    rows.send(f"full-{number}" for number in range(limits.IMPORT_BATCH))
    assert [rows.result()["line"] for _ in range(limits.IMPORT_BATCH)] == [*range(1, limits.IMPORT_BATCH + 1)]
    assert rows.end() == b""
