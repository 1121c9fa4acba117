"""What all commands share: help, exit codes, completion, where the server is."""

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.impostor import impostor
from tests.support import process
from tests.support.app import about_sqlite
from tests.support.commands import COMMAND, SERVE, variables_of
from tests.support.ports import free_port

Fleetroll = Callable[..., Any]
OPTIONS = [option.opts[0].removeprefix("--") for option in SERVE.params if not option.hidden]
KEY = "a-key-that-is-none"


def test_help_needs_no_server_and_explains_the_exit_codes(alone: Fleetroll) -> None:
    shown = alone("--help")
    assert shown.code == 0
    for code in ("0", "1", "2", "3", "4", "5", "6", "7", "130"):
        assert any(line.split()[:1] == [code] for line in shown.out.splitlines())
    for command in COMMAND.commands:
        assert f"\n  {command} " in shown.out
        assert alone(command, "--help").code == 0


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_serve_has_a_variable(alone: Fleetroll, option: str) -> None:
    shown = " ".join(alone("serve", "--help").out.split())
    _, _, about = shown.partition(f" --{option} ")
    variable = f"FLEETROLL_{option.upper().replace('-', '_')}"
    assert about.partition("[env var: ")[2].startswith((f"{variable};", f"{variable}]"))


@pytest.mark.parametrize("command", ["restore", "doctor", "recover", "migrate"])
def test_what_reads_a_variable_of_serve_says_so(alone: Fleetroll, command: str) -> None:
    shown = alone(command, "--help").out
    assert "FLEETROLL_DATA;" in shown
    assert ("FLEETROLL_DATABASE]" in shown) == ("--database" in shown)


def test_serve_takes_its_options_from_the_environment(alone: Fleetroll) -> None:
    for place in ("nonsense", ":8080", "a..b:8080"):
        refused = alone("serve", FLEETROLL_HTTP=place)
        assert (refused.code, "--http" in refused.err) == (78, True), place
    assert alone("serve", FLEETROLL_WORKERS="2").code == 78
    for broker in (
        "nowhere",
        "nats://",
        "localhost:x",
        "http://127.0.0.1:4222",
        "nats://a:4222,b:4222",
        "nats://a:99999",
        "a..b:4222",
    ):
        refused = alone("serve", "--nats", broker)
        assert (refused.code, "--nats" in refused.err, "off" in refused.err) == (78, True, True), broker
    assert alone("serve", FLEETROLL_ADMIN_KEY="short").code == 78
    refused = alone("serve", FLEETROLL_CORS="https://one.example.com https://two.example.com/")
    assert (refused.code, "--cors" in refused.err, "two.example.com/" in refused.err) == (78, True, True)


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--public-url", "fleet.example.com", 78),
        ("--public-url", "https://fleet.example.com:99999", 78),
        ("--public-url", "ftp://fleet.example.com", 78),
        ("--public-url", "http://a..b", 78),
        ("--database", "mysql://127.0.0.1/x", 78),
        ("--database", "postgresql://127.0.0.1:port/x", 78),
        ("--est-name", "", 78),
        ("--est-name", "münchen.example.com", 78),
        ("--key-rate", "nan", 2),
        ("--organization-rate", "inf", 2),
        ("--key-rate", "1e308", 2),
        ("--nats-silence", "nan", 2),
        ("--nats-replicas", "6", 2),
        ("--nats-replicas", "3", 78),  # the embedded broker is one server
        ("--keep-events", "-1", 2),
        ("--keep-readings", "1.5", 2),
    ],
)
def test_what_an_option_of_serve_cannot_be_is_said_before_anything_starts(
    alone: Fleetroll, work: Path, option: str, value: str, code: int
) -> None:
    # With too many workers as well, so that no server starts where the option is taken.
    refused = alone("serve", option, value, "--http", "127.0.0.1:0", "--est", "127.0.0.1:0", "--workers", "99")
    assert (refused.code, option in refused.err) == (code, True)
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("FLEETROLL_KEEP_EVENT", "FLEETROLL_KEEP_EVENTS"),
        ("FLEETROLL_ORGANISATION", "FLEETROLL_ORGANIZATION"),
        ("FLEETROLL_DATA_DIR", "FLEETROLL_DATA"),
    ],
)
def test_a_variable_that_is_misspelt_is_told(alone: Fleetroll, name: str, meant: str) -> None:
    told = alone("completion", "bash", **{name: "x"})
    assert (told.code, told.err) == (0, f"fleetroll: {name} has no effect: is {meant} meant?\n")


def test_a_variable_that_is_read_or_belongs_to_somebody_else_is_not(alone: Fleetroll) -> None:
    mine = {variable: "x" for command in (SERVE, COMMAND) for variable in variables_of(command)}
    kubernetes = {"FLEETROLL_PORT": "tcp://10.0.0.1:8080", "FLEETROLL_SERVICE_HOST": "10.0.0.1"}
    assert alone("completion", "bash", **mine, **kubernetes, FLEETROLL_BACKUP_DIR="x").err == ""
    completing = {"_FLEETROLL_COMPLETE": "bash_complete", "COMP_WORDS": "x", "COMP_CWORD": "1"}
    assert alone(**completing, FLEETROLL_KEEP_EVENT="1").err == ""


@pytest.mark.parametrize("name", ["FLEETROLL_DATA", "FLEETROLL_ORGANIZATION"])
def test_a_variable_that_is_not_text_is_wrong_usage(alone: Fleetroll, work: Path, name: str) -> None:
    refused = alone("whoami", FLEETROLL_KEY=KEY, **{name: "\udcff"})
    assert (refused.code, f"{name} is not UTF-8 text" in refused.err) == (2, True)


@pytest.mark.parametrize("option", ["--nats-ws", "--mqtt"])
@pytest.mark.parametrize("broker", ["off", "nats://127.0.0.1:1"])
def test_a_listener_of_the_embedded_broker_is_refused_without_it(
    alone: Fleetroll, work: Path, option: str, broker: str
) -> None:
    refused = alone("serve", "--http", "127.0.0.1:0", "--nats", broker, option, "127.0.0.1:0")
    assert (refused.code, f"{option} needs the embedded broker" in refused.err) == (78, True)
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["whoami"],
        ["device", "list"],
        ["device", "import", "-", "--format", "csv"],
        ["device", "export"],
        ["org", "list"],
        ["key", "list"],
        ["group", "list"],
        ["event", "tail"],
        ["backup", "x"],
    ],
)
def test_a_server_that_is_not_there_is_reported_with_its_address(
    alone: Fleetroll, work: Any, arguments: list[str]
) -> None:
    missed = alone(*arguments, FLEETROLL_URL="http://127.0.0.1:1", FLEETROLL_KEY=KEY)
    assert (missed.code, missed.out) == (3, "")
    assert "http://127.0.0.1:1" in missed.err
    assert "--url" in missed.err
    assert list(work.iterdir()) == []


def test_who_calls_a_server_without_tls_by_https_is_told(alone: Fleetroll, server: Any) -> None:
    missed = alone("whoami", "--url", server.url.replace("http:", "https:"), FLEETROLL_KEY=KEY)
    assert (missed.code, "http://," in missed.err) == (3, True)


@pytest.mark.parametrize("option", ["--http", "--est", "--nats", "--nats-ws", "--mqtt"])
def test_an_address_that_is_taken_is_named_with_its_option(option: str, server: Any, work: Path) -> None:
    taken = server.url.removeprefix("http://")
    serve = [sys.executable, "-m", "fleetroll", "serve", "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"]
    ended = subprocess.run([*serve, option, taken], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 78
    reason = f"cannot listen on {taken}: the address is already in use; name another address with {option}."
    assert ended.stderr.splitlines()[-1] == f"fleetroll: {reason}"


@about_sqlite
@pytest.mark.parametrize("option", ["--http", "--est", "--nats-ws", "--mqtt"])
def test_the_broker_is_not_given_the_address_of_another_listener(option: str, work: Path) -> None:
    """It would be restarted for ever, by a server that has said where the broker is."""
    same = f"127.0.0.1:{free_port()}"
    serve = [sys.executable, "-m", "fleetroll", "serve", "--http", "127.0.0.1:0", "--nats", same, option, same]
    ended = subprocess.run(serve, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 78
    assert f"cannot listen on {same}: the address is already in use; name another address with --" in ended.stderr


@about_sqlite
def test_where_the_brokers_usual_address_is_taken_a_server_says_so_and_goes_on(tmp_path: Path) -> None:
    """It is the default, which nobody may have asked for, and HTTP needs no broker."""
    with contextlib.ExitStack() as kept:
        with contextlib.suppress(OSError):  # somebody has it already
            kept.enter_context(socket.create_server(("127.0.0.1", 4222)))
        served = kept.enter_context(process.serving(tmp_path / "data", FLEETROLL_NATS="127.0.0.1:4222"))
        assert served.popen.stdout is not None
        said = served.popen.stdout.readline()
    assert said == "  NATS  off while something else uses 127.0.0.1:4222; name another address with --nats\n"


@pytest.mark.parametrize("option", ["--http", "--est", "--nats"])
def test_an_address_of_another_machine_is_told_in_the_words_of_the_system(option: str, work: Path) -> None:
    serve = [sys.executable, "-m", "fleetroll", "serve", "--http", "127.0.0.1:0", option, "192.0.2.1:8080"]
    ended = subprocess.run(serve, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 78
    reason = f"cannot listen on 192.0.2.1:8080: Cannot assign requested address; name another address with {option}."
    assert ended.stderr.splitlines()[-1] == f"fleetroll: {reason}"


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["migrate", "--data", "nowhere"], "--data"),
        (["copy", "--from", "sqlite:nowhere", "--to", "postgresql://127.0.0.1:1/x"], "--from"),
    ],
)
def test_a_data_directory_that_is_not_there_is_named_with_its_option(
    alone: Fleetroll, work: Path, arguments: list[str], option: str
) -> None:
    refused = alone(*arguments)
    assert refused.code == 1
    assert "fleetroll.db does not exist" in refused.err
    assert option in refused.err


@pytest.mark.parametrize("command", ["migrate", "doctor"])
@pytest.mark.parametrize("url", ["mysql://127.0.0.1/x", "postgresql://127.0.0.1:99999/x"])
def test_what_is_no_database_is_wrong_usage(alone: Fleetroll, work: Path, command: str, url: str) -> None:
    refused = alone(command, "--database", url)
    assert (refused.code, "--database must be" in refused.err) == (2, True)


def test_without_a_key_nothing_is_asked(alone: Fleetroll) -> None:
    missed = alone("device", "list")
    assert missed.code == 4
    assert "FLEETROLL_KEY" in missed.err


@pytest.mark.parametrize("key", ["two words", "line\nend", "schlüssel"])
def test_what_cannot_be_a_key_is_not_sent(alone: Fleetroll, key: str) -> None:
    assert alone("whoami", FLEETROLL_KEY=key).code == 4


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "ftp://x", "http://", "http://a b", "http://a..b", "http://[::1", "http://a/?x"]
)
def test_what_is_no_address_is_wrong_usage(alone: Fleetroll, url: str) -> None:
    assert alone("whoami", "--url", url, FLEETROLL_KEY=KEY).code == 2


@pytest.mark.parametrize(("status", "code"), [(200, 3), (302, 1), (404, 5), (502, 1)])
def test_a_server_that_is_not_fleetroll_is_told_apart(alone: Fleetroll, status: int, code: int) -> None:
    with impostor(b"<html>\x1b[31m", status, request_id=False) as url:
        answered = alone("device", "list", FLEETROLL_URL=url, FLEETROLL_KEY=KEY)
    assert answered.code == code
    assert "--url" in answered.err


def test_who_takes_the_address_of_the_api_for_that_of_the_server_is_told(alone: Fleetroll, server: Any) -> None:
    refused = alone("whoami", FLEETROLL_URL=f"{server.url}/v1", FLEETROLL_KEY=server.key)
    assert (refused.code, "ends before /v1" in refused.err) == (5, True)


def test_a_proxy_that_takes_no_large_request_is_named(alone: Fleetroll, work: Path) -> None:
    (work / "x.ndjson").write_text('{"ident":"a"}\n')
    with impostor(b"<html>", 413, request_id=False) as url:
        refused = alone("device", "import", "x.ndjson", FLEETROLL_URL=url, FLEETROLL_KEY=KEY)
    assert (refused.code, "client_max_body_size" in refused.err) == (1, True)


@pytest.mark.parametrize(("shell", "words"), [("bash", "complete"), ("zsh", "#compdef"), ("fish", "complete")])
def test_completion_prints_a_script_for_the_shell(alone: Fleetroll, shell: str, words: str) -> None:
    script = alone("completion", shell)
    assert script.code == 0
    assert words in script.out
    assert "_FLEETROLL_COMPLETE" in script.out


def test_the_script_completes_commands_and_options(tmp_path: Any) -> None:
    def complete(line: str) -> list[str]:
        words = {"_FLEETROLL_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        ended = subprocess.run(
            [sys.executable, "-m", "fleetroll"],
            env={**os.environ, **words},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return [one.partition(",")[2] for one in ended.stdout.splitlines()]

    assert complete("fleetroll dev") == ["device"]
    assert "--filter" in complete("fleetroll device list --")


def test_in_fish_a_comma_is_part_of_what_a_command_is_about(alone: Fleetroll) -> None:
    assert 'string split --max 1 "," $completion' in alone("completion", "fish").out


@pytest.mark.skipif(not shutil.which("fish"), reason="it needs fish")
def test_fish_shows_what_commands_are_about(tmp_path: Path, alone: Fleetroll) -> None:
    program = tmp_path / "fleetroll"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m fleetroll "$@"\n')
    program.chmod(0o755)
    (tmp_path / "script").write_text(f'{alone("completion", "fish").out}\ncomplete -C "fleetroll dev"\n')
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run(
        ["fish", str(tmp_path / "script")], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    assert ended.stdout == "device\tDevices: find, read, create, change,...\n"


@pytest.mark.parametrize("arguments", ["--help", "completion bash", "device list", "serve --http nonsense"])
def test_what_runs_no_server_loads_none(arguments: str) -> None:
    program = [sys.executable, "-X", "importtime", "-m", "fleetroll", *arguments.split()]
    away = {"FLEETROLL_KEY": KEY, "FLEETROLL_URL": "http://127.0.0.1:1"}
    ended = subprocess.run(program, env={**os.environ, **away}, capture_output=True, check=False)
    loaded = {line.rpartition("|")[2].strip() for line in ended.stderr.decode().splitlines()}
    assert "fleetroll.cli.app" in loaded
    assert not loaded & {"fleetroll.main", "apsw", "asyncpg", "cryptography", "nats", "starlette", "uvicorn", "uvloop"}


def test_what_cannot_be_printed_is_a_failure() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "fleetroll", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (ended.returncode, ended.stderr) == (7, "fleetroll: standard output: No space left on device.\n")


def test_unknown_commands_and_options_are_wrong_usage(alone: Fleetroll) -> None:
    for arguments in (["devices"], ["device", "lst"], ["device", "list", "--wat"], ["device", "get"], ["\udcff"]):
        assert alone(*arguments).code == 2


@pytest.mark.parametrize("command", ["device get", "device delete", "org get", "group devices", "ca show", "dms get"])
def test_an_empty_name_is_wrong_usage(alone: Fleetroll, command: str) -> None:
    refused = alone(*command.split(), "", FLEETROLL_KEY=KEY)
    assert (refused.code, "A name is empty" in refused.err) == (2, True)


def test_a_pipe_that_closes_early_ends_quietly(server: Any) -> None:
    program = [sys.executable, "-m", "fleetroll", "event", "tail", "--since", "0", "--json"]
    connected = {"FLEETROLL_URL": server.url, "FLEETROLL_KEY": server.key}
    with subprocess.Popen(
        program, env={**os.environ, **connected}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        tail.stdout.readline()
        tail.stdout.close()
        subprocess.run(
            [*program[:3], "group", "create", "closing", "id > 0"], env={**os.environ, **connected}, check=True
        )
        assert tail.wait(30) == 1
        assert tail.stderr.read() == b""


def test_a_tail_that_nobody_reads_any_more_ends_while_nothing_happens() -> None:
    read, write = os.pipe()
    os.close(read)
    with impostor(b": there is nothing to tell\n\n") as url, os.fdopen(write, "wb") as unread:
        ended = subprocess.run(
            [sys.executable, "-m", "fleetroll", "event", "tail"],
            env={**os.environ, "FLEETROLL_URL": url, "FLEETROLL_KEY": KEY},
            stdout=unread,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("arguments", "closed"),
    [
        ("device import - --format csv", "<&-"),
        ("device list", ">&-"),
        ("device export", ">&-"),
        ("device export x.csv", "2>&-"),
        ("device export x.csv", "<&- >&- 2>&-"),
    ],
)
def test_streams_that_the_caller_has_closed_lead_nowhere(
    server: process.Process, work: Path, arguments: str, closed: str
) -> None:
    command = ["sh", "-c", f'"$0" -m fleetroll {arguments} {closed}', sys.executable]
    connected = {"FLEETROLL_URL": server.url, "FLEETROLL_KEY": server.key}
    ended = subprocess.run(command, env={**os.environ, **connected}, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr.count(b"Traceback")) == (0, 0)


def test_no_socket_of_a_server_has_the_number_of_a_stream_that_is_closed(work: Path) -> None:
    closing = ("sh", "-c", 'exec "$@" <&- 2>&-', "sh")
    with process.serving(work / "data", "--nats", "off", under=closing) as started:
        assert httpx.get(f"{started.url}/health").status_code == 200
    assert started.popen.returncode == 0
