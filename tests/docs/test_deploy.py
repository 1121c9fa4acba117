"""What operators are given: unit, compose file and image start a command that exists, with next to no rights."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fleetroll.cli.failures import EXIT_CODES
from fleetroll.wire.metrics import Condition, Metrics
from tests.support.commands import SERVE, variables_of
from tests.support.docs import ROOT
from tests.support.process import fleetroll

DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "alerts.yaml"
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


# --- alerts ----------------------------------------------------------------------------------------------------------


def rules() -> dict[str, str]:
    """The expression of each alert."""
    found = re.findall(r"- alert: (\w+)\n +expr:(?: >-)?\s+((?:.+\n)+?) +(?:for|annotations):", ALERTS.read_text())
    assert len(found) == ALERTS.read_text().count("alert:")
    return {name: " ".join(expression.split()) for name, expression in found}


def test_the_alerts_are_about_metrics_that_the_server_shows_from_its_start() -> None:
    """A rule on a metric that is not there is silent for ever. `up` is Prometheus's own."""
    shown = Metrics(worker=1).render(Condition(free=1, reaches_broker=True)).decode()
    samples = [line for line in shown.splitlines() if not line.startswith("#")]
    known = {re.split("[{ ]", line)[0] for line in samples} | {"up", "fleetroll_requests_total"}
    for name, expression in rules().items():
        metrics = set(re.findall(r"\b(?:fleetroll_\w+|up\b)", re.sub(r"{.*?}", "", expression)))
        assert metrics, name
        assert metrics <= known, name
        reasons = re.findall(r'reason="(\w+)"', expression)
        assert all(any(f'reason="{reason}"' in line for line in samples) for reason in reasons), name


def test_the_alerts_look_at_all_workers_although_a_scrape_shows_one_of_them() -> None:
    for name, expression in rules().items():
        if "fleetroll_" in re.sub(r"{.*?}", "", expression):
            assert re.search(r"without \(worker\b.*\[\d+m]", expression), name


# What scrapes every fifteen seconds see of one process, or of two of which each sees one; and when the alert fires.
ONE, TURNS = ('instance="x"',), ('instance="x",worker="1"', 'instance="x",worker="2"')
FIRES: list[tuple[str, str, tuple[str, ...], str, dict[str, bool]]] = [
    ("FleetrollDown", "up", ONE, "1x8 0x20 1x20", {"2m": False, "5m": True, "8m": False}),
    ("FleetrollNotReady", "fleetroll_ready", ONE, "1x8 0x30 1x20", {"3m": False, "9m": True, "11m": False}),
    ("FleetrollNotReady", "fleetroll_ready", TURNS, "0", {"6m": True}),
    ("FleetrollNotReady", "fleetroll_ready", TURNS, "1", {"6m": False}),
    ("FleetrollFailed", "fleetroll_failures_total", ONE, "0x8 1x99", {"2m": False, "3m": True, "18m": False}),
    ("FleetrollDiskFull", "fleetroll_failures_total", ONE, "0x8 1x99", {"2m": False, "3m": True, "8m": False}),
    ("FleetrollDiskAlmostFull", "fleetroll_disk_free_bytes", ONE, "1e9x40 3e9x40", {"6m": True, "16m": False}),
    ("FleetrollUnavailable", "fleetroll_failures_total", ONE, "0+0.01x80", {"20m": False}),
    ("FleetrollUnavailable", "fleetroll_failures_total", ONE, "0+1x40", {"4m": False, "9m": True}),
    ("FleetrollBrokerAway", "fleetroll_broker_up", TURNS, "0", {"0m": False, "7m": True}),
    ("FleetrollBehind", "fleetroll_broker_delay_seconds", TURNS, "99", {"0m": False, "7m": True}),
    ("FleetrollBehind", "fleetroll_broker_delay_seconds", ONE, "0x9 99x8 0x99", {"3m": False, "5m": False}),
    ("FleetrollStalled", "fleetroll_loop_stall_seconds", TURNS, "3", {"9m": False, "15m": True}),
    ("FleetrollStalled", "fleetroll_loop_stall_seconds", ONE, "0x9 3x8 0x99", {"5m": False, "11m": False}),
    ("FleetrollStreams", "fleetroll_event_streams", TURNS, "950", {"0m": False, "7m": True}),
]


def test_every_alert_has_a_story() -> None:
    assert {alert for alert, *_ in FIRES} == set(rules())


@pytest.mark.skipif(not shutil.which("promtool"), reason="it needs promtool")
@pytest.mark.parametrize(("alert", "metric", "processes", "values", "times"), FIRES)
def test_an_alert_fires_and_ends_when_it_should(
    tmp_path: Path, alert: str, metric: str, processes: tuple[str, ...], values: str, times: dict[str, bool]
) -> None:
    reason = re.search(r'reason="\w+"', rules()[alert]) if metric == "fleetroll_failures_total" else None
    taken = [values] if processes == ONE else [f"{values} stale " * 40, "_ " + f"{values} stale " * 40]
    labels = ", ".join(filter(None, ('job="fleetroll"', reason and reason[0])))
    series = [
        {"series": f"{metric}{{{labels},{process}}}", "values": shown}
        for process, shown in zip(processes, taken, strict=True)
    ]
    if alert == "FleetrollUnavailable":
        asked = 'fleetroll_requests_total{job="fleetroll",instance="x",operation="any",status="200"}'
        series.append({"series": asked, "values": "0+1x80"})
    summary = re.search(rf"alert: {alert}\n(?:.*\n)*?.*summary: (.+)", ALERTS.read_text())
    assert summary is not None
    told = {"job": "fleetroll", "instance": "x"}
    if reason and alert != "FleetrollUnavailable":
        told["reason"] = reason[0].split('"')[1]
    fired = [{"exp_labels": told, "exp_annotations": {"summary": summary[1]}}]
    story = {
        "interval": "15s",
        "input_series": series,
        "alert_rule_test": [
            {"eval_time": at, "alertname": alert, "exp_alerts": fired if fires else []} for at, fires in times.items()
        ],
    }
    file = tmp_path / "story.yaml"  # JSON is YAML
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "15s", "tests": [story]}))
    told_by = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert told_by.returncode == 0, told_by.stdout + told_by.stderr


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
