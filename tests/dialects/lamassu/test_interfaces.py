"""What the vendor's two web interfaces call, with the parameters and headers that they send, from another origin.

A browser is simulated by its rules and, where there is Chromium, is that.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import app
from tests.support.app import App, above_the_store
from tests.support.browser import Blocked, Page
from tests.support.chromium import Chromium, RealPage, chromium, needs_chromium, page
from tests.support.enrolling import enrolled
from tests.support.process import serving

ORIGIN = "https://ui.example.com"
UPSTREAM = ("--lamassu-profile", "upstream")
MANAGER, DMS, CA = "/api/devmanager", "/api/dmsmanager/v1", "/api/ca/v1"
DEVICES = f"{MANAGER}/v1/devices"
NEW = {
    "id": "pump-2", "alias": "", "tags": ["pump", "a"], "metadata": {}, "dms_id": "line",
    "icon": "CgSmartphoneChip", "icon_color": "#25ee32-#222222",
}  # fmt: skip
WHOLE = {"patches": [{"op": "add", "path": "", "value": {"note": "text"}}]}
SLOT = {"status": "ACTIVE", "active_version": 0, "type": "x509", "versions": {"0": "$sn"}}
COLUMNS = (
    "sort_by=creation_timestamp&sort_mode=desc&page_size=25&filter=dms_owner%5Bequal%5Dline"
    "&filter=tags%5Bcontains%5Dpump&filter=status%5Bequal%5DACTIVE&filter=id%5Bcontains%5Dpump"
)
# Every call of each interface, in the order of its pages, and the status that it counts on.
CALLS: dict[str, list[tuple[str, str, Any, int]]] = {
    "lamassu-ui": [
        ("GET", f"{MANAGER}/health", None, 200),
        ("GET", f"{CA}/stats", None, 200),
        ("GET", f"{DMS}/stats", None, 200),
        ("GET", f"{MANAGER}/v1/stats", None, 200),
        ("GET", f"{DEVICES}?sort_by=id&sort_mode=asc&page_size=15", None, 200),
        ("GET", f"{DEVICES}?filter=tags%5Bequal%5Dpump&filter=id%5Bequals%5Dpump-1", None, 200),
        ("GET", f"{DEVICES}?filter=status%5Bis%5DACTIVE&filter=creation_timestamp%5Bbefore%5D2999-01-01", None, 200),
        ("GET", f"{DMS}/dms", None, 200),
        ("POST", DEVICES, NEW, 201),
        ("GET", f"{DEVICES}/pump-1", None, 200),
        ("GET", f"{CA}/certificates/$sn", None, 200),
        ("PUT", f"{DEVICES}/pump-1/metadata", WHOLE, 200),
        ("PUT", f"{DEVICES}/pump-1/idslot", SLOT, 200),
        ("DELETE", f"{DEVICES}/pump-2/decommission", None, 200),
    ],
    "dashboard": [
        ("GET", f"{DEVICES}?{COLUMNS}", None, 200),
        ("GET", f"{DEVICES}?sort_by=id&sort_mode=asc&page_size=10", None, 200),
        ("GET", f"{MANAGER}/v1/stats", None, 200),
        ("GET", f"{DMS}/dms?page_size=100", None, 200),
        ("POST", DEVICES, NEW, 201),
        ("GET", f"{DEVICES}/pump-1", None, 200),
        ("GET", f"{CA}/certificates?filter=serial_number%5Bequal%5D$sn&page_size=1", None, 200),
        ("GET", f"{CA}/cas", None, 200),
        ("PUT", f"{DEVICES}/pump-1/metadata", WHOLE, 200),
        ("POST", f"{DMS}/dms/bind-identity", {"device_id": "pump-1", "certificate_serial_number": "$sn"}, 200),
        ("PUT", f"{CA}/certificates/$sn/status", {"status": "REVOKED", "revocation_reason": "Superseded"}, 200),
        ("DELETE", f"{DEVICES}/pump-1/decommission", None, 200),
        ("DELETE", f"{DEVICES}/pump-1", None, 204),
    ],
}
# One names no type of a body, so that the browser says it is text; the other says that it is JSON.
HEADERS = {"lamassu-ui": {}, "dashboard": {"content_type": "application/json", "accept": "application/json"}}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[App]:
    with app.running(tmp_path / "data", cors_origins=(ORIGIN,), lamassu_profile="upstream") as started:
        prepare(started)
        yield started


def prepare(started: App) -> None:
    settings = {"admission": {"proof": "NO_AUTH"}}
    assert started.request("POST", "/v1/dms", {"name": "line", "settings": settings}).status == 201


def pump(started: App) -> str:
    """The serial number of the certificate of the one device that there is."""
    serial = enrolled(started, "line", "pump-1")
    assert started.request("PATCH", "/v1/devices/pump-1", {"tags": ["pump"]}).status == 200
    return serial


def spelled(value: Any, serial: str) -> Any:
    if isinstance(value, dict):
        return {name: spelled(inner, serial) for name, inner in value.items()}
    return value.replace("$sn", serial) if isinstance(value, str) else value


def call_all(ours: Page | RealPage, interface: str, serial: str) -> None:
    for method, target, body, status in CALLS[interface]:
        reply = ours.fetch(method, spelled(target, serial), spelled(body, serial), **HEADERS[interface])
        assert reply.status == status, (method, target, reply.body)
        if target.startswith((f"{DEVICES}?", f"{CA}/certificates?")):
            assert len(reply.json()["list"]) == 1, target
        elif target.startswith(f"{DEVICES}/pump-1") and reply.body:
            assert reply.json()["id"] == "pump-1", target


@pytest.mark.parametrize("interface", CALLS)
def test_every_call_of_an_interface_succeeds_from_a_page_of_its_own(running: App, interface: str) -> None:
    call_all(Page(running, ORIGIN), interface, pump(running))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("browser")) as started:
        yield started


@above_the_store
@needs_chromium
@pytest.mark.parametrize("interface", CALLS)
def test_every_call_of_an_interface_succeeds_in_a_browser(tmp_path: Path, browser: Chromium, interface: str) -> None:
    data = tmp_path / "data"
    with app.running(data) as before:
        prepare(before)
        serial = pump(before)
    with page() as origin, serving(data, "--cors", origin, *UPSTREAM) as server:
        ours = RealPage(browser, origin, server)
        call_all(ours, interface, serial)
        refused = ours.fetch("GET", f"{DEVICES}/gone")
        assert refused.json() == {"err": "device not found"}
        # A request with a token has a preflight before it.
        for method, target, _, _ in CALLS[interface]:
            url = server.url + spelled(target, serial)
            ours.tab.await_requests(("OPTIONS", url), (method, url))
        theirs = RealPage(browser, origin.replace("127.0.0.1", "localhost"), server)
        for method, target, body, _ in CALLS[interface]:
            with pytest.raises(Blocked):
                theirs.fetch(method, spelled(target, serial), spelled(body, serial), **HEADERS[interface])


def test_a_refusal_is_readable_too(running: App) -> None:
    assert Page(running, ORIGIN).fetch("GET", f"{DEVICES}/gone").json() == {"err": "device not found"}


def page_through(ours: Page | RealPage, repeats: bool) -> None:
    for number in range(5):
        ours.fetch("POST", DEVICES, NEW | {"id": f"other-{number}"})
    query = "sort_by=creation_timestamp&sort_mode=desc&page_size=2&filter=dms_owner%5Bequal%5Dline"
    found = ours.fetch("GET", f"{DEVICES}?{query}").json()
    shown = found["list"]
    while found["next"]:
        again = f"{query}&" if repeats else ""
        found = ours.fetch("GET", f"{DEVICES}?{again}bookmark={found['next']}").json()
        shown += found["list"]
    assert [one["id"] for one in shown] == [f"other-{number}" for number in (4, 3, 2, 1, 0)]
    assert shown[0]["icon_color"] == NEW["icon_color"]


@pytest.mark.parametrize("repeats", [True, False], ids=["all again", "the bookmark alone"])
def test_pages_go_on_by_their_bookmark(running: App, repeats: bool) -> None:
    page_through(Page(running, ORIGIN), repeats)


@above_the_store
@needs_chromium
def test_pages_go_on_by_their_bookmark_in_a_browser(tmp_path: Path, browser: Chromium) -> None:
    with page() as origin, serving(tmp_path / "data", "--cors", origin, *UPSTREAM) as server:
        page_through(RealPage(browser, origin, server), repeats=True)


def test_the_page_of_another_origin_is_not_let_in(running: App, tmp_path: Path) -> None:
    for origin in ("https://elsewhere.example.com", "null"):
        with pytest.raises(Blocked):
            Page(running, origin).fetch("GET", DEVICES)
    with app.running(tmp_path / "other") as closed, pytest.raises(Blocked):
        Page(closed, ORIGIN).fetch("GET", DEVICES)
