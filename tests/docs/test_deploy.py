"""What operators are given: unit, compose file and image start a command that exists, with next to no rights."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fleetroll.cli.failures import EXIT_CODES
from tests.support.commands import SERVE, variables_of
from tests.support.docs import ROOT
from tests.support.process import fleetroll

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "fleetroll.service"
SOCKET = DEPLOY / "fleetroll.socket"
HARDENED = {
    "CapabilityBoundingSet": "",
    "DynamicUser": "yes",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateTmp": "yes",
    "ProtectHome": "yes",
    "ProtectSystem": "strict",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "StateDirectoryMode": "0700",
    "UMask": "0077",
}
analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="it needs systemd-analyze")


def assert_serves(words: list[str]) -> None:
    """The command line is one that `fleetroll` takes."""
    command, *options = words
    assert command == "serve"
    SERVE.make_context("serve", options)


# --- systemd ---------------------------------------------------------------------------------------------------------


def unit() -> list[tuple[str, str]]:
    """The settings of the unit, in order."""
    lines = (line.partition("=") for line in UNIT.read_text().splitlines() if line[:1].isalpha())
    return [(name, value) for name, _, value in lines]


def test_the_unit_starts_the_server_on_a_directory_of_its_own() -> None:
    settings = dict(unit())
    program, *words = shlex.split(settings["ExecStart"])
    assert (program, words) == ("/opt/fleetroll/bin/fleetroll", ["serve"])
    assert_serves(words)
    name, _, data = settings["Environment"].partition("=")
    assert name in variables_of(SERVE)
    assert data == f"/var/lib/{settings['StateDirectory']}"
    assert set(re.findall(r"FLEETROLL_\w+", UNIT.read_text())) <= variables_of(SERVE)


def test_the_unit_does_not_repeat_a_start_that_was_refused() -> None:
    codes = dict(unit())["RestartPreventExitStatus"].split()
    assert codes == ["2", "65", "78"]
    assert all(f"{code} " in EXIT_CODES for code in codes)


@pytest.mark.parametrize("wrong", [{"FLEETROLL_WORKERS": "x"}, {"FLEETROLL_KEY_RATE": "nan"}, {"FLEETROLL_NATS": "x"}])
def test_the_unit_does_not_repeat_a_start_whose_environment_is_wrong(tmp_path: Path, wrong: dict[str, str]) -> None:
    ended = fleetroll("serve", "--data", str(tmp_path / "data"), "--http", "127.0.0.1:0", **wrong)
    assert str(ended.returncode) in dict(unit())["RestartPreventExitStatus"].split()


def test_the_unit_has_next_to_no_rights() -> None:
    settings = dict(unit())
    assert {name: settings.get(name) for name in HARDENED} == HARDENED
    calls = [value for name, value in unit() if name == "SystemCallFilter"]
    assert calls == ["@system-service", "~@privileged @resources"]


@analyze
def test_systemd_rates_the_unit_as_hardly_exposed_and_finds_no_fault_in_it_or_its_socket(tmp_path: Path) -> None:
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout[-300:] + rated.stderr
    copies = [tmp_path / one.name for one in (UNIT, SOCKET)]
    for copy, one in zip(copies, (UNIT, SOCKET), strict=True):
        copy.write_text(one.read_text().replace("/opt/fleetroll/bin/fleetroll", sys.executable))
        copy.chmod(0o644)  # whatever new files may be here
    found = subprocess.run(
        ["systemd-analyze", "verify", *map(str, copies)], capture_output=True, text=True, check=False
    )
    assert "fleetroll." not in found.stderr
    assert found.returncode == 0, found.stderr


def test_the_socket_is_where_the_server_listens_by_itself() -> None:
    usual = next(option for option in SERVE.params if option.name == "http").default
    assert f"ListenStream={usual}\n" in SOCKET.read_text()


# --- containers ------------------------------------------------------------------------------------------------------


def yaml(text: str) -> dict[str, Any]:
    """The part of YAML that the compose file uses: nested members, lists, and lists within brackets."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found, rest = _block(lines, 0)
    assert rest == []
    assert isinstance(found, dict)
    return found


def _block(lines: list[str], depth: int) -> tuple[Any, list[str]]:
    members: dict[str, Any] = {}
    items: list[Any] = []
    while lines and (indent := len(lines[0]) - len(lines[0].lstrip())) >= depth:
        assert indent == depth, lines[0]
        text, lines = lines[0].strip(), lines[1:]
        if text.startswith("- "):
            items.append(_scalar(text[2:]))
            continue
        name, separator, value = text.partition(":")
        assert separator, text
        if value.strip():
            members[name] = _scalar(value.strip())
        else:
            deeper = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
            members[name], lines = _block(lines, deeper) if deeper > depth else (None, lines)
    return items or members, lines


def _scalar(text: str) -> Any:
    if text.startswith("["):
        return [_scalar(part.strip()) for part in text.strip("[]").split(",")]
    return text.strip('"')


def dockerfile() -> list[tuple[str, str]]:
    lines = re.sub(r" *\\\n *", " ", (DEPLOY / "Dockerfile").read_text()).splitlines()
    return [(words[0], words[2]) for line in lines if (words := line.partition(" "))[0]]


def test_the_image_is_made_of_files_that_exist_and_runs_without_privileges() -> None:
    steps = dockerfile()
    last = dict(steps[max(number for number, step in enumerate(steps) if step[0] == "FROM") :])
    assert (last["USER"], last["ENTRYPOINT"]) == ("fleetroll", '["fleetroll"]')
    assert_serves(_scalar(last["CMD"]))
    assert set(re.findall(r"FLEETROLL_\w+", last["ENV"])) <= variables_of(SERVE)
    named = re.findall(r"requirements/\w+\.txt", " ".join(text for _, text in steps))
    assert named
    assert all((ROOT / name).is_file() for name in named)


def test_the_image_is_made_of_the_listed_files_alone() -> None:
    first, *taken = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()[1:]
    assert first == "*"
    wanted = [line.removeprefix("!") for line in taken if line.startswith("!")]
    assert {"src", "requirements", "pyproject.toml"} <= set(wanted)
    assert all((ROOT / name).exists() for name in wanted)


def test_the_compose_file_starts_the_server_on_its_database() -> None:
    compose = yaml((DEPLOY / "compose.yaml").read_text())
    server, database = compose["services"]["fleetroll"], compose["services"]["database"]
    assert_serves(server["command"])
    assert set(server["environment"]) <= variables_of(SERVE)
    user, name = database["environment"]["POSTGRES_USER"], server["environment"]["FLEETROLL_DATABASE"]
    assert name == f"postgresql://{user}:${{POSTGRES_PASSWORD:?}}@database/{user}"
    assert server["depends_on"] == {"database": {"condition": "service_healthy"}}
    ports = re.findall(r"[\d.]+:(\d+)", " ".join(server["command"]))
    assert server["ports"] == [f"127.0.0.1:{port}:{port}" for port in ports]
    assert dict(dockerfile())["EXPOSE"].split() == ports
    assert re.findall(r":(\d+)/ready", " ".join(server["healthcheck"]["test"])) == ports[:1]
    assert server["volumes"] == [f"data:{dict(dockerfile())['VOLUME']}"]
    assert {volume.partition(":")[0] for volume in (*server["volumes"], *database["volumes"])} == set(
        compose["volumes"]
    )
    assert (DEPLOY / server["build"]["context"] / server["build"]["dockerfile"]).is_file()


def test_the_compose_file_gives_the_server_next_to_no_rights() -> None:
    server = yaml((DEPLOY / "compose.yaml").read_text())["services"]["fleetroll"]
    assert (server["read_only"], server["cap_drop"]) == ("true", ["ALL"])
    assert server["security_opt"] == ["no-new-privileges:true"]
