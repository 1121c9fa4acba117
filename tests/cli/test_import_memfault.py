"""`fleetroll import memfault`, from one server of ours to another."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import counts
from tests.cli.gate import gate
from tests.cli.impostor import impostor
from tests.support import process
from tests.support.transcripts import over_socket

Fleetroll = Callable[..., Any]
COUNT = 250


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Process]:
    """A server with a project of devices, spoken to as Memfault."""
    with process.serving(tmp_path_factory.mktemp("account") / "data") as source:
        call = over_socket(source.port)
        headers = {"authorization": f"Bearer {source.key}", "content-type": "application/json"}
        call("POST", "/v1/organizations", headers, b'{"slug":"sink"}')
        inside = headers | {"fleetroll-organization": "sink"}
        call("POST", "/v1/cohorts", inside, b'{"slug":"beta","name":"Beta Channel"}')
        rows = [
            {
                "ident": f"S{number:04}",
                "name": f"Sink {number}",
                "hardware_version": f"rev{number % 2}",
                "software": {"type": "main", "version": f"1.0.{number % 3}", "build": "abc"},
                "owners": ["ann@example.com"] if number % 2 else [],
                "metadata": {"floor": number % 4, "label": "x", "on": True, "nested": {"a": 1}} if number % 5 else {},
                "cohort": "beta" if number % 10 == 0 else "default",
                **({"description": f"In hall {number}."} if number % 3 else {}),
                **({"seen_at": f"2026-01-02T03:04:05.{number:06}Z"} if number % 2 else {}),
            }
            for number in range(COUNT)
        ]
        body = "".join(json.dumps(row) + "\n" for row in rows).encode()
        stored = call("POST", "/v1/devices:import", inside | {"content-type": "application/x-ndjson"}, body)
        assert stored.status == 200
        yield source


def source(account: process.Process, *more: str) -> list[str]:
    given = ["--url", account.url, "--org", "default", "--project", "sink", "--token", account.key]
    return ["import", "memfault", *given, *more]


def devices_of(url: str, key: str, organization: str) -> dict[str, Any]:
    """All devices as Memfault's API shows them, but for what every server makes for itself."""
    found: dict[str, Any] = {}
    place, last = 1, 1
    while place <= last:
        path = f"{url}/api/v0/organizations/{organization}/projects/default/devices?per_page=100&page={place}"
        page = httpx.get(path, auth=("", key)).raise_for_status().json()
        for device in page["data"]:
            own = {name: device.pop(name) for name in ("id", "created_date", "updated_date", "project")}
            assert all(own.values())
            device["cohort"].pop("id")
            for software in (device["last_seen_release"], device["last_seen_software_version"]):
                if software is not None:
                    software.pop("id")
            assert device["device_serial"] not in found
            found[device["device_serial"]] = device
        place, last = place + 1, page["paging"]["page_count"]
    return found


def test_an_account_is_brought_over_whole_and_again_without_a_change(
    fleetroll: Fleetroll, account: process.Process, work: Path
) -> None:
    fleetroll("org", "create", "first")
    here = {"FLEETROLL_ORGANIZATION": "first"}
    done = fleetroll(*source(account), **here)
    assert done.code == 0, done.err
    assert counts(done.out) == {"created": COUNT, "updated": 0, "unchanged": 0, "failed": 0}
    shown = fleetroll("device", "get", "S0010", "--json", **here).json()
    assert (shown["name"], shown["cohort"], shown["hardware_version"]) == ("Sink 10", "beta", "rev0")
    assert shown["software"] == {"type": "main", "version": "1.0.1", "build": "abc"}
    shown = fleetroll("device", "get", "S0013", "--json", **here).json()
    assert (shown["owners"], shown["metadata"]) == (["ann@example.com"], {"floor": 1, "label": "x", "on": True})
    assert not list(work.glob("*.state"))
    again = fleetroll(*source(account), **here)
    assert counts(again.out) == {"created": 0, "updated": 0, "unchanged": COUNT, "failed": 0}


def stops_at_page_three(target: str) -> bool:
    return "/devices?" in target and "page=3" in target.partition("?")[2].split("&")


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "source fails"])
def test_a_run_that_was_broken_off_goes_on_where_it_stopped_and_brings_all_that_is_shown(
    fleetroll: Fleetroll, server: process.Process, account: process.Process, work: Path, killed: bool
) -> None:
    organization = f"broken-{killed}".lower()
    fleetroll("org", "create", organization)
    here = {"FLEETROLL_ORGANIZATION": organization}
    state = work / "far.state"
    with gate(account.port, stops_at_page_three) as source_gate:
        command = source(account, "--state", "far.state", "--no-attributes")
        command[command.index(account.url)] = source_gate.url
        environment = {**os.environ, "FLEETROLL_URL": server.url, "FLEETROLL_KEY": server.key, **here}
        run = subprocess.Popen(
            [sys.executable, "-m", "fleetroll", *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert source_gate.reached.wait(60)
        if killed:
            run.kill()
            assert run.wait(30) < 0
        source_gate.given_up.set()
        _, said = run.communicate(timeout=30)
        assert killed or (run.returncode, b"answers 400" in said) == (1, True), said
        assert json.loads(state.read_text())["source"].startswith(source_gate.url)
        assert len(devices_of(server.url, server.key, organization)) == 200
        source_gate.opened.set()
        assert fleetroll(*command, "--dry-run", **here).code == 0
        assert state.exists(), "a rehearsal goes nowhere"
        done = fleetroll(*command, **here)
        assert done.code == 0, done.err
        assert "Continuing where the last run stopped" in done.err
        assert counts(done.out) == {"created": 50, "updated": 0, "unchanged": 0, "failed": 0}
    assert not state.exists()
    brought = devices_of(server.url, server.key, organization)
    assert len(brought) == COUNT
    assert brought == devices_of(account.url, account.key, "sink")
    assert brought["S0001"]["description"] == "In hall 1."
    assert brought["S0001"]["last_seen"] == "2026-01-02T03:04:05.000001+00:00"


def test_a_state_file_of_another_import_is_refused(fleetroll: Fleetroll, account: process.Process, work: Path) -> None:
    fleetroll("org", "create", "second")
    here = {"FLEETROLL_ORGANIZATION": "second"}
    state = work / "far.state"
    state.write_text(json.dumps({"source": "elsewhere", "place": 3}))
    assert "belongs to an import from elsewhere" in fleetroll(*source(account, "--state", "far.state"), **here).err
    for text in (b"?", b'{"source": "\xe9"}'):
        state.write_bytes(text)
        assert fleetroll(*source(account, "--state", "far.state"), **here).code == 7


def test_a_source_on_this_machine_is_reached_without_a_proxy(fleetroll: Fleetroll, account: process.Process) -> None:
    assert fleetroll(*source(account, "--dry-run"), HTTP_PROXY="http://127.0.0.1:9").code == 0


def test_a_rehearsal_changes_nothing(fleetroll: Fleetroll, account: process.Process, work: Path) -> None:
    fleetroll("org", "create", "third")
    here = {"FLEETROLL_ORGANIZATION": "third"}
    done = fleetroll(*source(account, "--dry-run", "--no-attributes"), **here)
    assert done.out.startswith("Dry run: nothing was changed.\n")
    for_programs = fleetroll(*source(account, "--dry-run", "--no-attributes", "--json"), **here)
    told = [json.loads(line) for line in for_programs.out.splitlines()]
    assert (len(told), told[0]) == (COUNT, {"ident": "S0000", "outcome": "created"})
    assert fleetroll("device", "list", "--json", **here).json()["devices"] == []


def test_a_source_that_refuses_or_is_not_there_is_told_of(
    fleetroll: Fleetroll, account: process.Process, work: Path
) -> None:
    wrong = ["import", "memfault", "--url", account.url, "--org", "default", "--project", "sink", "--token", "no"]
    refused = fleetroll(*wrong)
    assert (refused.code, "401" in refused.err) == (4, True)
    lost = [*wrong[:3], "http://127.0.0.1:9", *wrong[4:]]
    assert fleetroll(*lost).code == 3
    nowhere = [*wrong[:7], "nowhere", "--token", account.key]
    assert fleetroll(*nowhere).code == 5


@pytest.mark.parametrize(
    "arguments",
    [["--url", "fleet.example.com"], ["--url", "http://a..b"], ["--token", "ä"], ["--token", ""], ["--token", " "]],
)
def test_what_is_no_source_is_wrong_usage(fleetroll: Fleetroll, arguments: list[str]) -> None:
    given = ["--url", "http://127.0.0.1:9", "--token", "no", *arguments]
    for maker in (["lamassu"], ["memfault", "--org", "a", "--project", "b"]):
        refused = fleetroll("import", *maker, *given)
        assert (refused.code, refused.out) == (2, "")
        assert f"Error: {arguments[0]} " in refused.err


@pytest.mark.parametrize(
    "body", [b"<html>", b"{}", b"[]", b"null", b'{"list": 1, "data": 1}', b'{"data": [{}]}', b"[" * 10_000]
)
def test_a_server_that_is_no_source_is_told_apart(fleetroll: Fleetroll, body: bytes) -> None:
    for maker in (["lamassu"], ["memfault", "--org", "a", "--project", "b"]):
        with impostor(body) as url:
            refused = fleetroll("import", *maker, "--url", url, "--token", "no")
        assert (refused.code, refused.out) == (1, "")
        assert "--url" in refused.err


def test_a_device_that_cannot_be_stored_is_named(fleetroll: Fleetroll) -> None:
    body = b'{"data": [{"device_serial": "D1", "last_seen": "soon"}, {"device_serial": "D2"}]}'
    with impostor(body) as url:
        given = dry(url)
        told = fleetroll("import", *given)
        rows = [json.loads(line) for line in fleetroll("import", *given, "--json").out.splitlines()]
    assert told.code == 6
    assert "D1: seen_at" in told.err
    assert {row["ident"]: row["outcome"] for row in rows} == {"D1": "failed", "D2": "created"}


def test_of_many_that_cannot_be_stored_the_first_are_named_and_the_others_counted(fleetroll: Fleetroll) -> None:
    rows = [{"device_serial": f"D{number}", "last_seen": "soon"} for number in range(23)]
    with impostor(json.dumps({"data": rows}).encode()) as url:
        told = fleetroll("import", *dry(url))
    assert told.code == 6
    assert [name for name in ("D0", "D19", "D20") if f"{name}: seen_at" in told.err] == ["D0", "D19"]
    assert "... and 3 more" in told.err
    assert told.err.endswith("23 of 23 devices failed.\n"), "of a rehearsal nothing is stored"


def dry(url: str) -> list[str]:
    there = ["--url", url, "--org", "a", "--project", "b", "--token", "t"]
    return ["memfault", *there, "--no-attributes", "--dry-run"]
