"""`fleetroll event tail`."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import process
from tests.support.app import about_sqlite
from tests.support.ports import free_port

Fleetroll = Callable[..., Any]
PATIENCE = 60.0  # after which a tail that waits for ever has failed


@pytest.fixture(autouse=True)
def _impatience() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(int(PATIENCE))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@contextmanager
def tail(server: process.Process, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """A started `event tail --json`. With `--since 0` it misses nothing, however late it connects."""
    started = subprocess.Popen(
        [sys.executable, "-m", "fleetroll", "event", "tail", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FLEETROLL_URL": server.url, "FLEETROLL_KEY": server.key},
    )
    patience = threading.Timer(PATIENCE, started.kill)
    patience.start()
    try:
        yield started
    finally:
        patience.cancel()
        started.kill()
        started.communicate()


def until(tailing: "subprocess.Popen[str]", kind: str, name: str) -> list[dict[str, Any]]:
    """The events up to the one of this type and name."""
    assert tailing.stdout is not None
    seen = []
    for line in tailing.stdout:
        seen.append(json.loads(line))
        if (seen[-1]["type"], seen[-1]["name"]) == (kind, name):
            return seen
    raise AssertionError(f"the tail ended without {kind} of {name}")


def test_a_change_is_seen_as_it_happens_and_ctrl_c_ends_it(fleetroll: Fleetroll, server: process.Process) -> None:
    fleetroll("device", "create", "seen")
    with tail(server, "--since", "0") as tailing:
        until(tailing, "device.created", "seen")
        fleetroll("device", "set", "seen", "name=Changed")
        assert until(tailing, "device.updated", "seen")[-1]["actor"].startswith("key:")
        tailing.send_signal(signal.SIGINT)
        _, errors = tailing.communicate()
        assert tailing.returncode == 130
        assert errors.strip() == "fleetroll: interrupted"


def hang_up_once(port: int) -> None:
    """Take the next connection to this port, and end it without a word."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        listening.accept()[0].close()


def test_nothing_is_lost_or_repeated_over_a_restart_of_the_server(tmp_path: Path, alone: Fleetroll) -> None:
    with process.serving(tmp_path / "data", "--http", f"127.0.0.1:{free_port()}") as first:
        connected = {"FLEETROLL_URL": first.url, "FLEETROLL_KEY": first.key}
        alone("device", "create", "one", **connected)
        with tail(first, "--since", "0") as tailing:
            before = until(tailing, "device.created", "one")
            first.popen.terminate()
            first.popen.wait(15)
            hang_up_once(first.port)
            with process.serving(tmp_path / "data", "--http", f"127.0.0.1:{first.port}"):
                alone("device", "create", "two", **connected)
                after = until(tailing, "device.created", "two")
    numbers = [event["id"] for event in before + after]
    assert numbers == sorted(set(numbers))
    assert [event["name"] for event in after] == ["two"]


@about_sqlite
@pytest.mark.parametrize("saved", ["before", "after"])
def test_a_tail_goes_on_with_what_is_new_after_a_backup_was_restored(
    tmp_path: Path, alone: Fleetroll, saved: str
) -> None:
    backup = tmp_path / "backup.db"
    with process.serving(tmp_path / "data", "--http", f"127.0.0.1:{free_port()}") as first:
        connected = {"FLEETROLL_URL": first.url, "FLEETROLL_KEY": first.key}
        alone("device", "create", "one", **connected)
        with tail(first, "--since", "0", "--filter", "type = device.created OR type = none") as tailing:
            until(tailing, "device.created", "one")
            if saved == "before":
                alone("backup", str(backup), **connected)
            for ident in ("two", "three", "four"):
                alone("device", "create", ident, **connected)
            until(tailing, "device.created", "four")
            if saved == "after":
                alone("backup", str(backup), **connected)
            first.popen.terminate()
            first.popen.wait(15)
            key = ["--server-key-file", str(tmp_path / "data" / "server.key")]
            alone("restore", "--from", str(backup), *key, "--data", str(tmp_path / "restored"))
            with process.serving(tmp_path / "restored", "--http", f"127.0.0.1:{first.port}"):
                alone("device", "create", "five", **connected)
                assert [event["name"] for event in until(tailing, "device.created", "five")] == ["five"]


def test_events_of_the_past_are_chosen_by_number_time_and_filter(fleetroll: Fleetroll) -> None:
    for ident in ("past-1", "past-2"):
        fleetroll("device", "create", ident)
    made = 'type = "device.created" AND name = "past-*"'

    def names(*options: str) -> list[str]:
        tailed = fleetroll("event", "tail", "--json", "--filter", made, *options)
        return [event["name"] for event in tailed.lines()]

    assert names("--since", "0", "--count", "2") == ["past-1", "past-2"]
    assert names("--since", "1h", "--count", "2") == ["past-1", "past-2"]
    assert names("--since", "2020-01-01T00:00:00+01:00", "--count", "1") == ["past-1"]
    first = fleetroll("event", "tail", "--json", "--filter", made, "--since", "0", "--count", "1").json()
    assert names("--since", str(first["id"]), "--count", "1") == ["past-2"]


def test_people_get_one_line_an_event(fleetroll: Fleetroll) -> None:
    shown = fleetroll("event", "tail", "--since", "0", "--count", "2").out.splitlines()
    assert len(shown) == 2
    assert "organization.created" in shown[0]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--since", "yesterday"], 2),
        (["--since", "2026-01-01"], 2),
        (["--count", "0"], 2),
        (["--filter", "("], 1),
        (["--key", "wrong"], 4),
        (["--url", "http://127.0.0.1:1"], 3),
    ],
)
def test_a_tail_that_cannot_begin_ends_at_once(fleetroll: Fleetroll, arguments: list[str], code: int) -> None:
    assert fleetroll("event", "tail", *arguments).code == code


def test_a_tail_ends_when_its_key_is_revoked(fleetroll: Fleetroll, server: process.Process) -> None:
    key = fleetroll("key", "create", "tailing", "--role", "viewer", "--json").json()
    with tail(server, "--since", "0", "--key", key["key"]) as tailing:
        until(tailing, "key.created", "tailing")
        fleetroll("key", "revoke", str(key["id"]))
        tailing.communicate(timeout=30)
        assert tailing.returncode == 4


def test_readings_are_seen_by_who_asks_for_them(fleetroll: Fleetroll, server: process.Process) -> None:
    fleetroll("device", "create", "probe")
    with tail(server, "--since", "0", "--telemetry") as tailing:
        until(tailing, "device.created", "probe")
        body = {"readings": [{"metric": "level", "value": 4}]}
        headers = {"authorization": f"Bearer {server.key}"}
        assert httpx.post(f"{server.url}/v1/devices/probe/telemetry", json=body, headers=headers).is_success
        assert until(tailing, "device.telemetry", "probe")[-1]["data"] == {"metric": "level", "value": 4}
