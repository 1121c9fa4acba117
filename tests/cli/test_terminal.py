"""What only a terminal gets: tables that fit, progress, and Ctrl-C."""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import process

Fleetroll = Callable[..., Any]
PROGRAM = [sys.executable, "-m", "fleetroll"]


def on_a_terminal(server: process.Process, *arguments: str, columns: int = 80) -> list[str]:
    """The lines that a terminal of this width gets, without colours and cursor movements."""
    written = written_to_terminal(server, *arguments, COLUMNS=str(columns), TERM="xterm")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written).replace("\r", "\n").split("\n")


def written_to_terminal(server: process.Process, *arguments: str, **terminal: str) -> str:
    variables = {"FLEETROLL_URL": server.url, "FLEETROLL_KEY": server.key, **terminal}
    master, slave = pty.openpty()
    with subprocess.Popen([*PROGRAM, *arguments], env={**os.environ, **variables}, stdout=slave, stderr=slave):
        os.close(slave)
        written = b"".join(iter(lambda: _read(master), b""))
    os.close(master)
    return written.decode()


def _read(master: int) -> bytes:
    try:
        return os.read(master, 1 << 16)
    except OSError:  # how Linux says that the other end is closed
        return b""


@pytest.mark.parametrize("columns", [80, 100, 400])
def test_a_table_fits_the_terminal_and_keeps_identifiers_whole(
    fleetroll: Fleetroll, server: process.Process, columns: int
) -> None:
    ident = "a-rather-long-identifier-0001"
    fleetroll("device", "create", ident, f"name={'long name ' * 20}".strip(), "tags=" + ",".join("abcdefghij"))
    lines = on_a_terminal(server, "device", "list", columns=columns)
    assert max(map(len, lines)) <= columns
    (row,) = [line for line in lines if line.startswith(ident)]
    assert re.search("lo[a-z ]*…  -  ", row)
    piped = fleetroll("device", "list").out
    assert ("long name " * 20).strip() in piped


def test_a_table_that_cannot_fit_is_shown_a_record_at_a_time(fleetroll: Fleetroll, server: process.Process) -> None:
    fleetroll("key", "create", "narrow", "--role", "viewer", "--scope", "devices:read")
    shown = (on_a_terminal(server, "key", "list", columns=columns) for columns in (200, 40))
    wide, narrow = ([line for line in lines if line] for lines in shown)
    (row,) = [line for line in wide if " narrow " in line]
    at = narrow.index("NAME       narrow") - 1
    titles = ["ID", "NAME", "KIND", "ROLE", "SCOPES", "EXPIRES", "REVOKED", "LAST USED"]
    assert narrow[at : at + 8] == [f"{title:11}{cell}" for title, cell in zip(titles, row.split(), strict=True)]


def test_what_doctor_finds_is_whole_on_any_terminal(server: process.Process, work: Path) -> None:
    lines = on_a_terminal(server, "doctor", "--data", str(work / "nowhere"))
    assert {"CHECK       directory", "STATE       fail"} <= set(lines)
    assert any(
        "Name the server's data directory with --data; the first `fleetroll serve` makes one." in x for x in lines
    )


@pytest.mark.parametrize("command", ["whoami", "device list", "device export x.csv"])
def test_a_terminal_that_can_only_show_text_gets_nothing_else(
    server: process.Process, work: Path, command: str
) -> None:
    assert "\x1b" not in written_to_terminal(server, *command.split(), TERM="dumb")
    assert "\x1b" in written_to_terminal(server, *command.split(), TERM="xterm")


def test_help_fits_a_terminal(server: process.Process) -> None:
    lines = on_a_terminal(server, "device", "set", "--help")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("arguments", "label"),
    [
        (["device", "export", "x.csv"], "Exporting"),
        (["device", "import", "rows.csv"], "Importing"),
        (["backup", "x.db"], "Saving"),
    ],
)
def test_long_work_shows_its_progress(server: process.Process, work: Path, arguments: list[str], label: str) -> None:
    (work / "rows.csv").write_text("ident\nshown\n")
    lines = on_a_terminal(server, *arguments)
    assert any(line.startswith(label) and "━" in line for line in lines)


def test_a_remark_stands_above_the_bar(server: process.Process, work: Path) -> None:
    (work / "rows.csv").write_text('ident,tags\nbarred,"[""a,b""]"\n')
    lines = on_a_terminal(server, "device", "import", "rows.csv")
    remark = next(place for place, line in enumerate(lines) if line.startswith("line 2: "))
    assert any(line.startswith("Importing") for line in lines[remark:])


@pytest.mark.parametrize(
    ("loaded", "command", "said"), [("click", "whoami", ""), ("apsw", "serve", "fleetroll: interrupted")]
)
def test_ctrl_c_is_heard_while_the_command_is_still_being_loaded(
    tmp_path: Path, loaded: str, command: str, said: str
) -> None:
    (tmp_path / f"{loaded}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [*PROGRAM, command], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr.strip()) == (130, "", said)


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "fleetroll: interrupted"), (signal.SIGTERM, -15, ""), (signal.SIGHUP, -1, "")],
)
def test_who_is_told_to_end_leaves_no_half_written_file(
    work: Path, number: signal.Signals, code: int, said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        variables = {"FLEETROLL_URL": f"http://127.0.0.1:{listening.getsockname()[1]}", "FLEETROLL_KEY": "x" * 32}
        program = [*PROGRAM, "device", "export", "x.ndjson"]
        with subprocess.Popen(program, env={**os.environ, **variables}, stderr=subprocess.PIPE, text=True) as export:
            connection, _ = listening.accept()
            connection.recv(1 << 16)
            connection.sendall(b'HTTP/1.1 200 OK\r\nx-request-id: 1\r\ncontent-length: 999\r\n\r\n{"id":1}\n{"id":2}\n')
            while not list(work.iterdir()):
                assert export.poll() is None
                time.sleep(0.01)
            export.send_signal(number)
            _, errors = export.communicate(timeout=30)
            connection.close()
    assert (export.returncode, errors.strip()) == (code, said)
    assert list(work.iterdir()) == []


def test_what_becomes_of_the_first_rows_is_told_before_the_last_ones_are_sent(work: Path) -> None:
    with (work / "x.ndjson").open("wb") as file:
        file.truncate(64 << 20)  # more than an unread connection holds
    reply = b"HTTP/1.1 200 OK\r\nx-request-id: 1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    results = b'{"outcome":"created","line":1}\n{"outcome":"failed","line":2,"error":{"message":"No."}}\n'
    with socket.create_server(("127.0.0.1", 0)) as listening:
        variables = {"FLEETROLL_URL": f"http://127.0.0.1:{listening.getsockname()[1]}", "FLEETROLL_KEY": "x" * 32}
        program = [*PROGRAM, "device", "import", "x.ndjson"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(program, env={**os.environ, **variables}, **pipes) as loading:  # type: ignore[call-overload]
            with listening.accept()[0] as asking:
                asking.recv(1 << 16)
                asking.sendall(reply % 0)
            with listening.accept()[0] as sending:
                sending.recv(1 << 16)
                sending.sendall(reply % 999 + results)
                assert select.select([loading.stderr], [], [], 10)[0], "it only sends"
                assert loading.stderr.readline() == b"line 2: No.\n"
                loading.send_signal(signal.SIGINT)
                out, errors = loading.communicate(timeout=30)
    uncounted = b"Rows that were sent after these may be stored as well."
    assert (loading.returncode, errors.split(b"\n")) == (130, [uncounted, b"", b"fleetroll: interrupted", b""])
    assert out.split() == b"created 1 updated 0 unchanged 0 failed 1".split()
