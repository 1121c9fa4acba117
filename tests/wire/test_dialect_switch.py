"""A dialect that is switched off is not there: its paths answer 404 and nothing describes it; the others stay."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fleetroll.application import DIALECTS
from fleetroll.wire.dialect import Dialect
from tests.support.app import App, running


def answers(app: App, dialect: Dialect) -> set[bool]:
    """Whether there is anything at the dialect's paths, for a caller without a credential."""
    paths = {(route.method, re.sub(r"{\w+}", "x", route.path)) for route in dialect.routes}
    replies = [app.request(method, path, key=None) for method, path in paths]
    return {reply.status != 404 or b"nothing at this path" not in reply.body for reply in replies}


@pytest.mark.parametrize("name", [dialect.name for dialect in DIALECTS])
def test_a_disabled_dialect_answers_404_everywhere(tmp_path: Path, name: str) -> None:
    with running(tmp_path / "data", disabled_dialects=(name,)) as app:
        described = app.request("GET", "/openapi.json").json()
        page = app.request("GET", "/docs").body.decode().split("<nav>")[1]
        for dialect in DIALECTS:
            there = name not in {dialect.name, dialect.part_of}
            assert answers(app, dialect) == {there}, dialect.name
            assert (dialect.name in {tag["name"] for tag in described["tags"]}) is there
            assert ({route.path for route in dialect.routes} <= set(described["paths"])) is there
            assert (f">{dialect.title}</h2>" in page) is there


@pytest.mark.parametrize(
    ("vendor", "path"),
    [
        ("memfault", "/api/v0/events"),
        ("blynk", "/external/api/getAll"),
        ("blynk", "/oauth2/token"),
        ("lamassu", "/api/dmsmanager/v1/dms"),
        ("lamassu", "/api/ca/v1/cas"),
    ],
)
def test_a_vendors_name_switches_off_all_of_its_paths(tmp_path: Path, vendor: str, path: str) -> None:
    with running(tmp_path / "all") as app:
        assert app.request("POST", path, {}, key=None).status != 404
    with running(tmp_path / "data", disabled_dialects=(vendor,)) as app:
        assert app.request("POST", path, {}, key=None).status == 404


def test_all_dialects_answer_unless_told_otherwise(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        for dialect in DIALECTS:
            assert dialect.routes, dialect.name
            assert answers(app, dialect) == {True}, dialect.name


def test_the_server_itself_answers_without_any_dialect(tmp_path: Path) -> None:
    with running(tmp_path / "data", disabled_dialects=tuple(dialect.name for dialect in DIALECTS)) as app:
        for path in ("/health", "/ready", "/metrics", "/openapi.json", "/docs"):
            assert app.request("GET", path, key=None).status == 200
        assert app.request("GET", "/v1/devices").json()["code"] == "unknown_path"


def test_a_dialect_that_does_not_exist_cannot_be_switched_off_by_mistake(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fleetroll", "serve", "--data", str(tmp_path / "data"), "--disable", "natvie"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (refused.returncode, refused.stdout) == (78, "")
    assert "natvie" in refused.stderr
    assert not (tmp_path / "data").exists()
