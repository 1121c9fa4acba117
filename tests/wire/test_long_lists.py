"""Lists of thousands: others have their turn while one is made, and it is the same list in portions of any size."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from fleetroll.core import limits
from fleetroll.core.model import NewEvent
from fleetroll.service import portions
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
TEMPLATES = [f"t{number}" for number in range(7)]
LARGE = {"metafields": [{"name": "One of", "type": "List", "options": [f"{number}" for number in range(20)]}]}


def walked(app: App, target: str, member: str, name: str) -> list[list[str]]:
    """The names on each page of a list, to its end."""
    pages, cursor = [], ""
    while True:
        found = app.request("GET", target + cursor).json()
        pages.append([record[name] for record in found[member]])
        if found["next_cursor"] is None:
            return pages
        cursor = f"&cursor={found['next_cursor']}"


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


def test_a_page_of_large_templates_has_fewer_of_them(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TEMPLATES:
        assert app.request("POST", "/v1/templates", {"name": name, **LARGE}).status == 201
    blynk = "/api/v1/organization/templates?size=6&page=0"
    assert walked(app, "/v1/templates?limit=1000", "templates", "name") == [TEMPLATES]
    for at_a_time, parts in ((1, 10_000), (2, 50), (3, 1), (10, 100)):
        monkeypatch.setattr(limits, "HEAVY_AT_A_TIME", at_a_time)
        monkeypatch.setattr(limits, "MAX_PAGE_PARTS", parts)
        for limit in (1, 2, 1000):
            pages = walked(app, f"/v1/templates?limit={limit}", "templates", "name")
            assert [name for page in pages for name in page] == TEMPLATES
            assert all(0 < len(page) <= limit for page in pages)
            assert len(pages) > 1 or limit == 1000
        assert [one["name"] for one in app.request("GET", blynk).json()["content"]] == TEMPLATES[:6]
    assert len(walked(app, "/v1/templates?limit=1000", "templates", "name")) > 1


def test_a_template_says_no_more_than_so_much(app: App) -> None:
    options = [f"{number}" * 50 for number in range(100, 356)]
    fields = [{"name": f"f{number}", "type": "List", "options": options} for number in range(8)]
    refused = app.request("POST", "/v1/templates", {"name": "huge", "metafields": fields})
    assert (refused.status, refused.json()["code"]) == (400, "template_too_large")
    assert app.request("POST", "/v1/templates", {"name": "large", "metafields": fields[:5]}).status == 201
    assert app.request("PATCH", "/v1/templates/large", {"metafields": fields}).json()["code"] == "template_too_large"
    assert app.request("DELETE", "/v1/templates/large").status == 204


def test_a_page_of_large_devices_has_fewer_of_them(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = walked(app, "/v1/devices?limit=1000", "devices", "ident")
    assert [len(page) for page in everything] == [2 * MANY]
    for size in (1, 2_000, 10_000):
        monkeypatch.setattr(limits, "MAX_PAGE_BYTES", size)
        for order in ("ident", "-id"):
            pages = walked(app, f"/v1/devices?limit=1000&sort={order}", "devices", "ident")
            assert sorted(name for page in pages for name in page) == sorted(everything[0])
            assert len(pages) > 1
    assert len(walked(app, "/v1/devices?limit=50", "devices", "ident")) == 2


@pytest.fixture
def wordy(tmp_path: Path) -> Iterator[App]:
    """A server with a device `wordy` that has said much."""
    with running(tmp_path / "data") as app:
        number = app.request("POST", "/v1/devices", {"ident": "wordy"}).json()["id"]
        services, said = app.services, msgspec.Raw(msgspec.json.encode({"name": "e", "value": "long" * 500}))
        held = app.runner.run(services.store.read.devices.token(number))
        assert held is not None
        event = NewEvent(held.org, services.clock(), "device.event", "device", number, "wordy", "test", "test", said)
        app.runner.run(services.store.write(lambda records: records.timeline.append([event] * 40)))
        value = {"text": "long" * 500}
        readings = [{"metric": "m", "value": value, "at": f"2026-01-01T00:00:{second:02}Z"} for second in range(40)]
        assert app.request("POST", "/v1/devices/wordy/telemetry", {"readings": readings}).status == 200
        yield app


@pytest.mark.parametrize(
    ("target", "member", "name"),
    [
        ("timeline?limit=1000", "events", "id"),
        ("telemetry?metric=m&limit=1000", "readings", "at"),
        ("telemetry?metric=m&order=desc&limit=1000", "readings", "at"),
    ],
)
def test_a_page_of_what_devices_said_at_length_has_less_of_it(
    wordy: App, monkeypatch: pytest.MonkeyPatch, target: str, member: str, name: str
) -> None:
    [everything] = walked(wordy, f"/v1/devices/wordy/{target}", member, name)
    monkeypatch.setattr(limits, "READINGS_AT_A_TIME", 7)
    for size in (1, 10_000, 40_000):
        monkeypatch.setattr(limits, "MAX_PAGE_BYTES", size)
        pages = walked(wordy, f"/v1/devices/wordy/{target}", member, name)
        assert [one for page in pages for one in page] == everything
        assert max(map(len, pages)) < 40


def test_a_page_of_large_dms_has_fewer_of_them(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"line-{number}" for number in range(9)]
    for name in names:
        assert app.request("POST", "/v1/dms", {"name": name, "metadata": {"text": "long" * 500}}).status == 201
    assert walked(app, "/v1/dms?limit=1000", "dms", "name") == [names]
    for at_a_time, size in ((1, 5_000), (1, 1), (4, 1), (10, 5_000)):
        monkeypatch.setattr(limits, "HEAVY_AT_A_TIME", at_a_time)
        monkeypatch.setattr(limits, "MAX_PAGE_BYTES", size)
        pages = walked(app, "/v1/dms?limit=1000", "dms", "name")
        assert [name for page in pages for name in page] == names
        assert len(pages) > 1


def test_a_page_of_devices_with_many_names_has_fewer_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"tags": [f"{'漢' * 120}{number}" for number in range(64)], "owners": ["o" * 250 + "x"]}
    with running(tmp_path / "data") as app:
        sizes = [len(app.request("PUT", f"/v1/devices/d{number}", names).body) for number in range(9)]
        monkeypatch.setattr(limits, "MAX_PAGE_BYTES", 4 * sizes[0])
        page = app.request("GET", "/v1/devices?limit=1000")
        assert 3 * sizes[0] < len(page.body) < 5 * sizes[0]
        pages = walked(app, "/v1/devices?limit=1000", "devices", "ident")
        assert [name for page in pages for name in page] == [f"d{number}" for number in range(9)]


def test_an_export_takes_so_many_bytes_at_a_time(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = app.request("GET", "/v1/devices:export").body
    for size in (1, 3_000, 1_000_000):
        monkeypatch.setattr(limits, "BATCH_BYTES", size)
        assert app.request("GET", "/v1/devices:export").body == whole


def test_a_search_for_users_keeps_those_of_the_page(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    refs = [f"{name}{number}@example.com" for number in range(9) for name in ("ann", "bob")]
    for ref in refs:
        assert app.request("POST", "/v1/owners", {"ref": ref}).status == 201
    wanted = sorted(ref for ref in refs if "bob" in ref)
    for portion in (1, 3, 8):
        for size in (2, 4):
            pages = []
            for page in range(9 // size + 2):
                target = f"/api/v1/organization/search/users?query=BOB&size={size}&page={page}"
                with monkeypatch.context() as patch:
                    patch.setattr(portions, "limits", SimpleNamespace(MAX_PAGE=portion))
                    found = app.request("GET", target).json()
                assert found["totalElements"] == len(wanted)
                pages.append([one["email"] for one in found["content"]])
            assert [email for page in pages for email in page] == wanted
            assert all(len(page) <= size for page in pages)
