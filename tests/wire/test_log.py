"""One JSON object per line for every request and every record, whatever they hold, and no secret among it."""

import io
import json
import logging
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetroll.wire import log
from tests.support.process import Process, serving

HOSTILE = [
    "\n",
    "\r",
    "\r\n",
    "\x00",
    "\x1b[31m",
    "\x08",
    "\x7f",
    "\x85",
    "\x9b31m",
    "\u2028",
    "\u2029",
    '"',
    "\\",
    "\t",
]
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Process]:
    with serving(folder / "data") as process:
        yield process


@pytest.fixture(scope="module")
def logged(folder: Path) -> Path:
    return folder / "data.log"


def send(server: Process, raw: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(raw)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def get(server: Process, target: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", f"X-Api-Key: {server.key}", *headers]
    return send(server, ("\r\n".join(lines) + "\r\n\r\n").encode())


def entries(logged: Path, request: str) -> list[dict[str, Any]]:
    """The lines about a request, once it is logged. Every line of the whole log must be what it should be."""
    for _ in range(200):
        text = logged.read_text()
        lines = text.split("\n")
        assert not UNSAFE.search(text)
        found = [entry for entry in map(json.loads, filter(None, lines[:-1])) if entry.get("request") == request]
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{request} was never logged")


def test_a_request_is_one_line_with_who_did_what(server: Process, logged: Path) -> None:
    get(server, "/v1/devices/none?filter=secret", "X-Request-Id: plain-1")
    (entry,) = entries(logged, "plain-1")
    assert entry.pop("ms") >= 0
    assert entry.pop("at").endswith("Z")
    assert entry == {
        "method": "GET",
        "path": "/v1/devices/none",
        "status": 400,
        "request": "plain-1",
        "operation": "native.devices.get",
        "key": 1,
        "org": 1,
        "code": "unknown_parameter",
        "logger": "fleetroll.access",
    }


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_nothing_in_a_path_breaks_a_line_or_reaches_a_terminal(server: Process, logged: Path, number: int) -> None:
    text = f"a{HOSTILE[number]}b"
    target = "/v1/devices/" + "".join(f"%{byte:02X}" for byte in text.encode())
    get(server, target, f"X-Request-Id: hostile-{number}")
    (entry,) = entries(logged, f"hostile-{number}")
    assert entry["path"] == f"/v1/devices/{text}"


@pytest.mark.parametrize(
    "target",
    ["/%FF%FE", "/%ED%A0%80", "/%C0%8A", "/v1/devices/%", "/" + "x" * 8000, "/v1/%00", "/v1?a=%0A", "/%25%30%41"],
)
def test_a_path_that_is_no_text_is_logged_all_the_same(server: Process, logged: Path, target: str) -> None:
    name = f"strange-{sum(target.encode())}"
    get(server, target, f"X-Request-Id: {name}")
    assert len(entries(logged, name)) == 1


def test_no_credential_query_or_body_is_ever_logged(server: Process, logged: Path) -> None:
    made = get(server, "/v1/devices?q=canary-query", "X-Request-Id: canary-1", "X-Note: canary-header")
    assert b" 200 " in made
    body = '{"name":"canary-body","role":"viewer"}'
    headers = (f"Content-Length: {len(body)}", "Content-Type: application/json", "X-Request-Id: canary-2")
    head = "\r\n".join(["POST /v1/keys HTTP/1.1", "Host: x", "Connection: close", f"X-Api-Key: {server.key}", *headers])
    reply = send(server, f"{head}\r\n\r\n{body}".encode())
    secret = json.loads(reply.partition(b"\r\n\r\n")[2])["key"]
    entries(logged, "canary-2")
    get(server, f"/v1/devices/{secret}", "X-Request-Id: canary-3")
    (misplaced,) = entries(logged, "canary-3")
    assert misplaced["path"] == f"/v1/devices/{secret[:18]}_***"  # what finds the key, and is none
    text = logged.read_text()
    assert not [word for word in (secret, server.key, "canary-query", "canary-header", "canary-body") if word in text]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_record_of_any_logger_is_one_line(hostile: str) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log.JsonLines())
    record = logging.LogRecord("a" + hostile, logging.ERROR, "", 1, "%s!", ("b" + hostile,), None)
    try:
        raise ValueError(hostile)
    except ValueError as problem:
        record.exc_info = (type(problem), problem, problem.__traceback__)
    handler.emit(record)
    text = stream.getvalue()
    assert text.endswith("\n")
    assert not UNSAFE.search(text)
    entry = json.loads(text)
    assert text.count("\n") == 1
    assert (entry["logger"], entry["message"]) == ("a" + hostile, f"b{hostile}!")
    assert hostile in entry["exception"]


def test_a_log_that_cannot_be_written_is_no_failure_of_the_server(tmp_path: Path) -> None:
    head = "POST /v1/devices:import HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 14\r\n"
    with serving(tmp_path / "data", "--nats", "off", log=Path("/dev/full")) as server:
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            connection.sendall(f"{head}X-Api-Key: {server.key}\r\n\r\n".encode() + b'{"ident":"a"}')
            assert get(server, "/health").startswith(b"HTTP/1.1 200 ")  # by now it has read what came before
            server.popen.send_signal(signal.SIGTERM)
            time.sleep(0.5)  # until it waits for this request alone, whose line is the last that is written
            connection.sendall(b"\n")
            assert b"created" in b"".join(iter(lambda: connection.recv(65536), b""))
        assert server.popen.wait(15) == 0
