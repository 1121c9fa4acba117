"""The server's own pages: alive, ready, counted and described, for whoever asks and without a credential."""

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fleetroll import __version__
from fleetroll.application import DIALECTS
from fleetroll.core.faults import Kind
from fleetroll.wire.dialect import Dialect, Route
from fleetroll.wire.metrics import Condition, Metrics
from tests.support.app import App, running

ROUTES = [(dialect, route) for dialect in DIALECTS for route in dialect.routes]
PAGES = ["/health", "/ready", "/metrics", "/openapi.json", "/docs"]
TYPES = {"string", "integer", "number", "boolean", "object", "array", "null"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("pages") / "data") as app:
        yield app


@pytest.fixture(scope="module")
def description(app: App) -> Any:
    return app.request("GET", "/openapi.json", key=None).json()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_no_credential_and_takes_no_notice_of_one(app: App, path: str) -> None:
    for key in (None, "wrong", app.key):
        reply = app.request("GET", path, key=key)
        assert reply.status == 200
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert int(reply.headers["content-length"]) > 0
        assert app.request("HEAD", path, key=key).status == 200
    for method in ("POST", "DELETE", "OPTIONS"):
        refused = app.request(method, path, key=None)
        assert (refused.status, refused.headers.get("allow")) == (405, "GET, HEAD")
        assert refused.json()["code"] == "method_not_allowed"


def test_who_opens_the_address_of_the_server_is_shown_its_reference(app: App) -> None:
    for method in ("GET", "HEAD"):
        shown = app.request(method, "/", key=None)
        assert (shown.status, shown.headers["location"]) == (302, "/docs")
    assert app.request("POST", "/", {}, key=None).status == 405


def test_a_method_that_a_path_does_not_have_is_answered_by_those_that_it_has(app: App) -> None:
    refused = app.request("PUT", "/v1/devices", {})
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, POST")
    assert app.request("HEAD", "/v1/devices").status == 200


def test_health_tells_the_version(app: App) -> None:
    assert app.request("GET", "/health", key=None).json() == {"status": "alive", "version": __version__}


def test_readiness_is_told_while_the_server_still_answers(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        assert app.request("GET", "/ready").json() == {"status": "ready"}
        app.application.ready = False
        assert (app.request("GET", "/ready").status, app.request("GET", "/health").status) == (503, 200)


def test_metrics_count_requests_by_operation_and_status(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        for _ in range(3):
            app.request("GET", "/v1/devices/none")
        app.request("PUT", "/v1/devices/d", {})
        reply = app.request("GET", "/metrics", key=None)
    assert reply.headers["content-type"].startswith("text/plain; version=")
    lines = reply.body.decode().splitlines()
    assert 'fleetroll_requests_total{operation="native.devices.get",status="404"} 3.0' in lines
    assert 'fleetroll_requests_total{operation="native.devices.put",status="201"} 1.0' in lines
    assert 'fleetroll_request_seconds_count{operation="native.devices.get"} 3.0' in lines
    assert any(line.startswith("fleetroll_loop_stall_seconds ") for line in lines)
    assert not any("broker" in line for line in lines), "there is none"
    assert all(re.fullmatch(r"# (HELP|TYPE) .+|\w+(\{.*\})? [-+.\deInfNa]+", line) for line in lines)


def failures(metrics: Metrics) -> dict[str, float]:
    text = metrics.render(Condition()).decode()
    return {
        reason: float(count)
        for reason, count in re.findall(r'^fleetroll_failures_total{reason="(\w+)"} (\S+)$', text, re.MULTILINE)
    }


def test_failures_of_the_server_are_counted_from_zero_and_by_their_reason_whatever_status_a_vendor_has_for_them() -> (
    None
):
    metrics = Metrics()
    assert failures(metrics) == {"internal": 0, "storage_full": 0, "unavailable": 0}
    for status, code in ((500, "internal"), (503, "storage_full"), (507, "storage_full"), (503, "too_many_bodies")):
        metrics.count("any", status, code, 0.1)
    for status, code in ((500, "not_admitted"), (404, "not_found"), (200, None)):  # as upstream Lamassu's EST says it
        metrics.count("any", status, code, 0.1)
    assert failures(metrics) == {"internal": 1, "storage_full": 2, "unavailable": 1}


def test_metrics_tell_how_the_server_is_now(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        shown = app.request("GET", "/metrics").body.decode()
        assert "\nfleetroll_ready 1.0\n" in shown
        free = re.search(r"^fleetroll_disk_free_bytes (\S+)$", shown, re.MULTILINE)
        assert free is not None
        assert float(free[1]) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.5)
        app.application.ready = False
        assert "\nfleetroll_ready 0.0\n" in app.request("GET", "/metrics").body.decode()


def test_metrics_do_not_grow_with_what_strangers_send(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        sizes = []
        for start in (0, 100):
            for number in range(start, start + 100):
                app.request("GET", f"/v1/devices/n{number}")
                app.request("GET", f"/nowhere/n{number}", key=None)
            sizes.append(len(app.request("GET", "/metrics").body.splitlines()))
    assert sizes[0] == sizes[1]


# --- OpenAPI ---------------------------------------------------------------------------------------------------------


def operation(description: Any, route: Route) -> Any:
    return description["paths"][route.path][route.method.lower()]


@pytest.mark.parametrize(("dialect", "route"), ROUTES, ids=lambda part: getattr(part, "path", None))
def test_every_route_is_described_as_it_is(description: Any, dialect: Dialect, route: Route) -> None:
    told = operation(description, route)
    assert told["tags"] == [dialect.name]
    assert told["summary"] == route.about
    assert (str(route.status) in told["responses"]) is not route.refused
    assert ("requestBody" in told) is (route.body is not None or route.lines is not None or route.form)
    found = {place: {p["name"] for p in told["parameters"] if p["in"] == place} for place in ("path", "query")}
    assert found["path"] == set(re.findall(r"{(\w+)}", route.path))
    assert found["query"] == {parameter.name for parameter in route.query}
    assert all(parameter["required"] for parameter in told["parameters"] if parameter["in"] == "path")
    assert len(told["security"]) == len(dialect.credentials) + route.peer


def test_nothing_is_described_that_is_not_routed(description: Any) -> None:
    told = {(path, method) for path, methods in description["paths"].items() for method in methods}
    assert told == {(route.path, route.method.lower()) for _, route in ROUTES}
    assert [tag["name"] for tag in description["tags"]] == [dialect.name for dialect in DIALECTS]


def test_operations_have_names_of_their_own(description: Any) -> None:
    names = [told["operationId"] for methods in description["paths"].values() for told in methods.values()]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[A-Za-z0-9._]+", name) for name in names)


def nodes(value: Any) -> Iterator[Any]:
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def test_every_reference_leads_somewhere_and_every_component_is_referred_to(description: Any) -> None:
    references = {node["$ref"] for node in nodes(description) if isinstance(node, dict) and "$ref" in node}
    components = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "responses", "headers")
        for name in description["components"][kind]
    }
    assert references == components
    assert all(re.fullmatch(r"#/components/\w+/[A-Za-z0-9._-]+", reference) for reference in references)


def test_schemas_use_the_words_of_json_schema(description: Any) -> None:
    assert description["openapi"].startswith("3.1.")
    for node in nodes(description["components"]["schemas"]):
        if isinstance(node, dict) and isinstance(node.get("type"), str | list):
            types = [node["type"]] if isinstance(node["type"], str) else node["type"]
            assert set(types) <= TYPES
        if isinstance(node, dict) and isinstance(node.get("required"), list) and "properties" in node:
            assert set(node["required"]) <= set(node["properties"])


def test_security_schemes_are_defined_where_they_are_used(description: Any) -> None:
    defined = description["components"]["securitySchemes"]
    used = {
        name
        for node in nodes(description["paths"])
        if isinstance(node, dict)
        for s in node.get("security", [])
        for name in s
    }
    assert used == set(defined)


def test_what_is_shown_fits_its_schema(app: App, description: Any) -> None:
    device = app.request("PUT", "/v1/devices/fits", {"metadata": {"a": 1}, "tags": ["x"]}).json()
    schema = description["components"]["schemas"]["native.Device"]
    assert set(device) == set(schema["properties"]) == set(schema["required"])


# --- the page for people ---------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """The text of a page, and whatever in it could load or run something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.active: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "iframe", "object", "embed", "form", "img", "link"}:
            self.active.append(tag)
        self.active += [
            name for name, value in attrs if name.startswith("on") or (value or "").startswith(("http", "//"))
        ]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_lists_every_route_and_runs_nothing(app: App) -> None:
    reply = app.request("GET", "/docs", key=None)
    page = Reader(reply.body.decode())
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert page.active == []
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    for _, route in ROUTES:
        assert f"{route.method} {route.path}" in page.text


def test_the_page_says_how_callers_are_known_and_what_they_must_give(app: App) -> None:
    text = Reader(app.request("GET", "/docs", key=None).body.decode()).text
    assert "Credential: a client's certificate, or none" in text
    assert "Credential: basic, client_id and client_secret" in text
    assert "deviceId (required): the number of the device" in text


def test_the_page_shows_names_in_prose_as_names(app: App) -> None:
    page = app.request("GET", "/docs", key=None).body.decode()
    assert "<code>cursor</code>: <code>next_cursor</code> of the previous page" in page
    assert "`" not in page


def test_the_page_says_what_bodies_hold(app: App) -> None:
    text = Reader(app.request("GET", "/docs", key=None).body.decode()).text
    assert "Body: application/x-ndjson or text/csv" in text
    assert "name (required) string, role (required) viewer or operator or admin, kind api or oauth or nats" in text
    assert "readings (required) list of object (metric (required) string, value (required) anything" in text
    assert "admission object (proof CLIENT_CERTIFICATE or NO_AUTH, authorities list of string" in text


def test_every_dialect_answers_every_kind_of_failure() -> None:
    for dialect in DIALECTS:
        assert set(dialect.envelope.statuses) == set(Kind), dialect.name
        assert all(400 <= status < 600 for status in dialect.envelope.statuses.values()), dialect.name
