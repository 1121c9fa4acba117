"""Lists of thousands: others have their turn while one is made, and it is the same list in portions of any size."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from fleetroll.core import limits
from fleetroll.wire import answers
from tests.support.app import App, running

PROJECTS = "/api/v0/organizations/default/projects"
PROJECT = f"{PROJECTS}/default"
MANY = 30
LISTS = [
    PROJECTS,
    f"{PROJECT}/devices",
    f"{PROJECT}/devices?sort=-nickname",
    f"{PROJECT}/cohorts",
    f"{PROJECT}/cohorts/default/devices",
    f"{PROJECT}/hardware_versions",
    f"{PROJECT}/software_types",
    f"{PROJECT}/software_types/of-0/software_versions",
    f"{PROJECT}/custom-metrics",
    f"{PROJECT}/devices/d0/attributes",
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("lists") / "data") as app:
        many = {f"a{number}": 1 for number in range(MANY)}
        rows = [
            {
                "ident": f"d{number}",
                "hardware_version": f"h{number}",
                "software": {"type": f"of-{number if number % 2 else 0}", "version": f"1.{number}"},
                "metadata": many,
            }
            for number in range(2 * MANY)
        ]
        lines = "\n".join(map(json.dumps, rows)).encode()
        assert app.request("POST", "/v1/devices:import", raw=lines, headers=NDJSON).body.count(b'"created"') == 2 * MANY
        for number in range(MANY):
            assert app.request("POST", PROJECTS, {"slug": f"p{number}", "name": "P"}).status == 200
            assert app.request("POST", "/v1/cohorts", {"slug": f"c{number}", "name": "C"}).status == 201
            assert app.request("POST", "/v1/metadata-fields", {"name": f"a{number}", "type": "integer"}).status == 201
        yield app


NDJSON = {"content-type": "application/x-ndjson"}


@pytest.mark.parametrize("target", LISTS)
def test_others_have_their_turn_while_a_list_is_made(app: App, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setattr(answers, "_TURN", 0.0)

    async def turns() -> int:
        asked, found = asyncio.ensure_future(app.call("GET", target)), 0
        while not asked.done():
            await asyncio.sleep(0)
            found += 1
        assert asked.result().json()["paging"]["item_count"] >= MANY
        return found

    assert app.runner.run(turns()) > MANY


@pytest.mark.parametrize("target", LISTS)
def test_a_list_that_is_read_in_portions_is_the_same(app: App, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    separator = "&" if "?" in target else "?"
    for page in (f"{separator}per_page=5000", f"{separator}per_page=4&page=3"):
        found = app.request("GET", target + page)
        assert found.status == 200
        for portion in (1, 2, 7):
            with monkeypatch.context() as patch:
                patch.setattr(limits, "MAX_PAGE", portion)
                assert app.request("GET", target + page).body == found.body
