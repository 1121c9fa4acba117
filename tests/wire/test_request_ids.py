"""Every reply carries a request id, whoever made the reply and whatever the request was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.app import App, running

REQUESTS = [
    ("GET", "/v1/devices", None),
    ("POST", "/v1/devices", {"ident": "d"}),
    ("POST", "/v1/devices", {}),
    ("DELETE", "/v1/devices/none", None),
    ("GET", "/nowhere", None),
    ("PUT", "/v1/devices", {}),
    ("GET", "/v1/devices:export", None),
    ("GET", "/v1/devices?filter=(", None),
    ("GET", "/health", None),
    ("GET", "/ready", None),
    ("GET", "/metrics", None),
    ("GET", "/openapi.json", None),
    ("GET", "/docs", None),
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("ids") / "data") as app:
        yield app


def test_every_reply_has_an_id_of_its_own(app: App) -> None:
    replies = [app.request(method, path, body) for method, path, body in REQUESTS for _ in "ab"]
    replies += [app.request("GET", "/v1/devices", key=None)]
    ids = [reply.headers["x-request-id"] for reply in replies]
    assert len(set(ids)) == len(replies)
    assert all(0 < len(found) <= 64 for found in ids)


@pytest.mark.parametrize("origin", ["https://ours.example.com", "https://theirs.example.com"])
def test_a_preflight_is_answered_with_an_id(tmp_path: Path, origin: str) -> None:
    asking = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
    with running(tmp_path / "data", cors_origins=("https://ours.example.com",)) as app:
        replies = [app.request("OPTIONS", "/v1/devices/d", key=None, headers=asking) for _ in "ab"]
        traced = app.request("OPTIONS", "/v1/devices/d", key=None, headers=asking | {"X-Request-Id": "trace-1"})
    assert len({reply.headers["x-request-id"] for reply in replies}) == 2
    assert traced.headers["x-request-id"] == "trace-1"


def test_a_decent_id_of_the_client_is_kept(app: App) -> None:
    for given in ("a", "trace-1.2_3:4", "f" * 64):
        for method, path, body in REQUESTS:
            assert app.request(method, path, body, headers={"X-Request-Id": given}).headers["x-request-id"] == given


def test_an_id_that_could_do_harm_is_replaced(app: App) -> None:
    for given in ("", " ", "a b", "f" * 65, "<script>", 'a"b', "a\tb", "ä", "../../x", "a;b"):
        reply = app.request("GET", "/v1/devices", headers={"X-Request-Id": given})
        assert reply.headers["x-request-id"] != given, given


def test_the_id_is_told_in_refusals_and_kept_in_the_timeline(app: App) -> None:
    refused = app.request("GET", "/v1/devices/none", headers={"X-Request-Id": "req-1"})
    assert refused.json()["request_id"] == "req-1"
    app.request("PUT", "/v1/devices/told", {}, headers={"X-Request-Id": "req-2"})
    assert app.request("GET", "/v1/devices/told/timeline").json()["events"][0]["request_id"] == "req-2"


def test_two_servers_do_not_give_the_same_ids(app: App, tmp_path: Path) -> None:
    with running(tmp_path / "data") as other:
        ids = {server.request("GET", "/health").headers["x-request-id"].rpartition("-")[0] for server in (app, other)}
    assert len(ids) == 2
