"""A real browser: pages of the configured origin use every API and follow events, other pages learn nothing.

What the two web interfaces of a vendor call is in `tests/dialects/lamassu/test_interfaces.py`.
"""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from fleetroll.application import DIALECTS
from fleetroll.core import limits
from tests.support.browser import Blocked
from tests.support.chromium import NOBODYS, Chromium, RealPage, chromium, needs_chromium, page
from tests.support.ports import free_port
from tests.support.process import Process, serving
from tests.support.relay import run, vendor

pytestmark = needs_chromium

JSON = "application/json"
MEMFAULT = "/api/v0/organizations/default/projects/default"
EXPOSED = {"etag", "location", "x-request-id"}


class Site(Struct):
    """A server, the origin that it is configured for, and a browser."""

    browser: Chromium
    origin: str
    server: Process

    def page(self, url: str | None = None) -> RealPage:
        return RealPage(self.browser, url or self.origin, self.server)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("browser")
    with page() as origin, chromium(folder) as browser, serving(folder / "data", "--cors", origin) as server:
        yield Site(browser, origin, server)


def test_a_page_writes_on_conditions_and_reads_the_headers_that_it_needs(site: Site) -> None:
    ours = site.page()
    made = ours.fetch("POST", "/v1/devices", {"ident": "lamp"}, content_type=JSON, idempotency_key="once")
    assert made.status == 201
    assert set(made.headers) >= EXPOSED
    again = ours.fetch("POST", "/v1/devices", {"ident": "lamp"}, content_type=JSON, idempotency_key="once")
    assert (again.status, again.headers["idempotency-replayed"]) == (201, "true")
    found = ours.fetch("GET", made.headers["location"], x_request_id="from-a-page")
    assert (found.json()["ident"], found.headers["x-request-id"]) == ("lamp", "from-a-page")
    tag = found.headers["etag"]
    changed = ours.fetch("PATCH", "/v1/devices/lamp", {"name": "Lamp"}, content_type=JSON, if_match=tag)
    assert (changed.status, changed.json()["name"]) == (200, "Lamp")
    assert ours.fetch("PATCH", "/v1/devices/lamp", {"name": "Sun"}, content_type=JSON, if_match=tag).status == 412
    known = ours.fetch("GET", "/v1/devices/lamp", if_none_match=changed.headers["etag"])
    assert (known.status, known.body) == (304, b"")
    assert ours.fetch("DELETE", "/v1/devices/lamp").status == 204
    gone = ours.fetch("GET", "/v1/devices/lamp")
    assert (gone.status, gone.json()["request_id"]) == (404, gone.headers["x-request-id"])


def test_a_page_reads_what_is_refused_before_any_application_sees_it(site: Site) -> None:
    refused = site.page().fetch("GET", "/v1/devices", x_vast="x" * limits.MAX_HEADER_BLOCK)
    assert (refused.status, refused.json()["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 200), ("HEAD", 200), ("POST", 409), ("PUT", 200), ("PATCH", 200), ("DELETE", 204)]
)
def test_a_preflight_allows_every_method(site: Site, method: str, status: int) -> None:
    ident = f"d-{method}"
    assert site.page().fetch("PUT", f"/v1/devices/{ident}", {}, content_type=JSON).status == 201
    path = "/v1/devices" if method == "POST" else f"/v1/devices/{ident}"
    body = {"ident": ident} if method in {"POST", "PUT", "PATCH"} else None
    ours = site.page()  # a new page needs a new preflight
    assert ours.fetch(method, path, body, content_type=JSON).status == status
    url = site.server.url + path
    ours.tab.await_requests(("OPTIONS", url), (method, url))


def test_a_page_is_told_why_it_is_refused_and_when_to_come_back(tmp_path: Path, site: Site) -> None:
    with serving(tmp_path / "data", "--cors", site.origin, FLEETROLL_KEY_RATE="1") as server:
        ours = RealPage(site.browser, site.origin, server)
        assert ours.fetch("GET", "/v1/devices", authorization="Bearer wrong").status == 401
        while (reply := ours.fetch("GET", "/v1/devices")).status == 200:
            pass
        assert (reply.status, reply.json()["code"]) == (429, "rate_limited")
        assert int(reply.headers["retry-after"]) >= 1


@pytest.mark.parametrize("whose", ["another host's", "another port's", "nobody's"])
def test_a_page_of_another_origin_learns_nothing(site: Site, whose: str) -> None:
    with page() as elsewhere:
        urls = {
            "another host's": site.origin.replace("127.0.0.1", "localhost"),
            "another port's": elsewhere,
            "nobody's": site.origin + NOBODYS,
        }
        theirs = site.page(urls[whose])
        assert theirs.tab.run("origin") != site.origin
        for method in ("GET", "POST", "PUT", "DELETE"):
            with pytest.raises(Blocked):
                theirs.fetch(method, "/v1/devices")
        # Without a credential the browser sends no preflight, and withholds the reply.
        for path in ("/v1/devices", "/health", "/openapi.json"):
            with pytest.raises(Blocked):
                theirs.send("GET", path, None, {})
        theirs.tab.await_requests(("OPTIONS", f"{site.server.url}/v1/devices"))
    assert site.page().fetch("GET", "/v1/devices").status == 200


def test_no_page_is_let_in_unless_an_origin_is_configured(tmp_path: Path, site: Site) -> None:
    with serving(tmp_path / "data") as server, pytest.raises(Blocked):
        RealPage(site.browser, site.origin, server).fetch("GET", "/v1/devices")


def test_a_page_calls_the_apis_of_vendors_that_carry_credentials_otherwise(site: Site) -> None:
    ours = site.page()
    basic = "Basic " + base64.b64encode(f":{site.server.key}".encode()).decode()
    device = {"device_serial": "ABCD1234", "hardware_version": "hwrev1"}
    assert ours.fetch("POST", f"{MEMFAULT}/devices", device, content_type=JSON, authorization=basic).status == 200
    listed = ours.fetch("GET", f"{MEMFAULT}/devices", authorization=basic).json()["data"]
    assert "ABCD1234" in [one["device_serial"] for one in listed]
    project = ours.fetch("GET", f"{MEMFAULT}/api_key", authorization=basic).json()["data"]["api_key"]
    chunk = ours.send(
        "POST",
        "/api/v0/chunks/ABCD1234",
        "text",
        {"memfault-project-key": project, "content-type": "application/octet-stream"},
    )
    assert chunk.status == 202, chunk.body

    wanted = {"name": "page", "role": "admin", "kind": "oauth"}
    client = ours.fetch("POST", "/v1/keys", wanted, content_type=JSON).json()
    form = f"grant_type=client_credentials&client_id={client['client_id']}&client_secret={client['client_secret']}"
    bought = ours.send("POST", "/oauth2/token", form, {"content-type": "application/x-www-form-urlencoded"})
    bearer = f"Bearer {bought.json()['access_token']}"
    found = ours.fetch("GET", "/api/v1/organization/devices?page=0&size=100", authorization=bearer)
    assert "ABCD1234" in [one["name"] for one in found.json()["content"]], found.body
    token = ours.fetch("GET", "/v1/devices/ABCD1234/credentials").json()["device_token"]
    assert ours.send("GET", f"/external/api/update?token={token}&v1=20.5", None, {}).status == 200
    assert ours.send("GET", f"/external/api/get?token={token}&v1", None, {}).body == b"20.5"


FOLLOW = """
(async () => {
  const headers = {authorization: "Bearer KEY", ...LAST}, stop = new AbortController()
  const reply = await fetch("URL/v1/events?filter=type%20%3D%20device.created", {headers, signal: stop.signal})
  const parts = reply.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = (await parts.read()).value
  const put = {method: "PUT", headers: {authorization: "Bearer KEY", "content-type": "application/json"}, body: "{}"}
  await fetch("URL/v1/devices/NAME", put)
  while (!text.includes('"name":"NAME"') || !text.endsWith("\\n\\n")) text += (await parts.read()).value
  stop.abort()
  return {type: reply.headers.get("content-type"), text}
})()
"""


def test_a_page_follows_events_and_goes_on_where_it_was(site: Site) -> None:
    ours = site.page()

    def follow(name: str, last: dict[str, str]) -> list[str]:
        words = {"KEY": site.server.key, "LAST": json.dumps(last), "URL": site.server.url, "NAME": name}
        script = FOLLOW
        for word, meant in words.items():
            script = script.replace(word, meant)
        told = ours.tab.run(script)
        assert told["type"] == "text/event-stream"
        data = [line.removeprefix("data: ") for line in told["text"].splitlines() if line.startswith("data: ")]
        seen = [json.loads(one) for one in data]
        place.update({one["name"]: str(one["id"]) for one in seen})
        return [one["name"] for one in seen]

    place: dict[str, str] = {}
    assert follow("first", {}) == ["first"]
    assert follow("second", {}) == ["second"]
    assert follow("third", {"Last-Event-ID": place["first"]}) == ["second", "third"]


GREETING = """
new Promise((fulfil, refuse) => {
  const socket = new WebSocket("ws://ADDRESS")
  socket.binaryType = "arraybuffer"
  socket.onmessage = message => fulfil(new TextDecoder().decode(message.data))
  socket.onerror = () => refuse(new Error("no connection"))
})
"""


def test_a_page_of_any_origin_meets_the_broker(tmp_path: Path, site: Site) -> None:
    address = f"127.0.0.1:{free_port()}"

    async def story() -> None:
        async with vendor(tmp_path / "data", "--nats-ws", address) as served:
            await served.point()
            tab = site.browser.open(site.origin)
            greeting = await asyncio.to_thread(tab.run, GREETING.replace("ADDRESS", address))
            kind, _, told = greeting.partition(" ")
            assert kind == "INFO"
            assert json.loads(told)["nonce"]  # which a client signs

    run(story())


def test_the_reference_is_shown_without_a_complaint_and_without_a_request_to_anybody_else(site: Site) -> None:
    tab = site.browser.open(f"{site.server.url}/docs")
    shown = tab.run("document.body.innerText")
    for dialect in DIALECTS:
        assert dialect.title in shown
        for route in dialect.routes:
            assert f"{route.method} {route.path}" in shown
    # Its styles are applied, which the policy of the page must permit.
    assert tab.run("getComputedStyle(document.querySelector('table')).borderCollapse") == "collapse"
    # Each of its links leads somewhere.
    assert tab.run("[...document.links].filter(one => one.hash && !document.querySelector(one.hash)).length") == 0
    tab.run("document.links[document.links.length - 1].click()")
    assert tab.run("location.hash") == f"#{DIALECTS[-1].name}"
    tab.go(f"{site.server.url}/openapi.json")
    assert json.loads(tab.run("document.body.innerText"))["openapi"].startswith("3.1")
    assert tab.complaints() == []
    assert set(tab.requests()) == {("GET", f"{site.server.url}/{name}") for name in ("docs", "openapi.json")}


@pytest.mark.parametrize("width", [320, 800, 1280])
def test_the_reference_fits_the_screen(site: Site, width: int) -> None:
    tab = site.browser.open(f"{site.server.url}/docs")
    tab.resize(width)
    assert tab.run("document.documentElement.scrollWidth") == width
    label = tab.run("getComputedStyle(document.querySelector('td:last-child'), '::before').content")
    titles = tab.run("getComputedStyle(document.querySelector('th')).display")
    assert (label, titles) == (('"Success: "', "none") if width < 640 else ("none", "table-cell"))
