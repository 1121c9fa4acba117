"""Entity tags: reads that need not be sent again, and writes to the version that was meant or to none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.app import App, running

NOUNS: dict[str, tuple[str, Any, Any]] = {
    "/v1/devices/d": ("/v1/devices", {"ident": "d"}, {"name": "n"}),
    "/v1/owners/d": ("/v1/owners", {"ref": "d"}, {"name": "n"}),
    "/v1/groups/d": ("/v1/groups", {"name": "d", "filter": ""}, {"filter": "kind:*"}),
    "/v1/metadata-fields/d": ("/v1/metadata-fields", {"name": "d", "type": "json"}, {"description": "n"}),
    "/v1/organizations/d": ("/v1/organizations", {"slug": "d"}, {"name": "n"}),
}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        yield app


def tag(app: App, path: str) -> str:
    """The present entity tag of a record, which is made where it does not exist."""
    collection, body, _ = NOUNS[path]
    if app.request("GET", path).status == 404:
        assert app.request("POST", collection, body).status == 201
    return app.request("GET", path).headers["etag"]


@pytest.mark.parametrize("path", NOUNS)
def test_a_tag_changes_with_the_record_and_only_with_it(app: App, path: str) -> None:
    before = tag(app, path)
    assert tag(app, path) == before
    assert app.request("PATCH", path, NOUNS[path][2]).headers["etag"] != before
    changed = tag(app, path)
    assert app.request("PATCH", path, NOUNS[path][2]).headers["etag"] == changed


@pytest.mark.parametrize("path", NOUNS)
@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If-None-Match", "{tag}", 304),
        ("If-None-Match", "W/{tag}", 304),
        ("If-None-Match", '"other", {tag}', 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", '"other"', 200),
        ("If-Match", "{tag}", 200),
        ("If-Match", "*", 200),
        ("If-Match", '"other"', 412),
        ("If-Match", "W/{tag}", 412),
        ("If-Match", "unquoted", 400),
        ("If-None-Match", "", 400),
    ],
)
def test_a_read_answers_for_the_version_that_was_named(
    app: App, path: str, header: str, value: str, status: int
) -> None:
    present = tag(app, path)
    for method in ("GET", "HEAD"):
        reply = app.request(method, path, headers={header: value.format(tag=present)})
        assert reply.status == status
        if status == 304:
            assert (reply.body, reply.headers["etag"], "content-length" in reply.headers) == (b"", present, False)


@pytest.mark.parametrize("path", NOUNS)
def test_a_change_of_another_version_is_refused_and_changes_nothing(app: App, path: str) -> None:
    old = tag(app, path)
    app.request("PATCH", path, NOUNS[path][2])
    before = app.request("GET", path).body
    for method, body in (("PATCH", NOUNS[path][2]), ("DELETE", None)):
        for headers in ({"If-Match": old}, {"If-None-Match": "*"}, {"If-Match": "W/" + tag(app, path)}):
            refused = app.request(method, path, body, headers=headers)
            assert (refused.status, refused.json()["code"]) == (412, "precondition_failed"), (method, headers)
    assert app.request("GET", path).body == before
    assert app.request("DELETE", path, headers={"If-Match": f'"x", {tag(app, path)}'}).status == 204


@pytest.mark.parametrize("path", NOUNS)
def test_what_is_not_there_matches_nothing(app: App, path: str) -> None:
    for method, body in (("PATCH", NOUNS[path][2]), ("DELETE", None)):
        expected = 404 if "organizations" in path else 412
        assert app.request(method, path, body, headers={"If-Match": "*"}).status == expected


def test_put_creates_only_if_there_is_none_or_replaces_only_if_there_is_one(app: App) -> None:
    path = "/v1/devices/d"
    refused = app.request("PUT", path, {}, headers={"If-Match": "*"})
    assert (refused.status, "or is gone" in refused.json()["detail"]) == (412, True)
    assert app.request("GET", path).status == 404
    assert app.request("PUT", path, {}, headers={"If-None-Match": "*"}).status == 201
    assert app.request("PUT", path, {"name": "n"}, headers={"If-None-Match": "*"}).status == 412
    assert app.request("PUT", path, {"name": "n"}, headers={"If-Match": "*"}).status == 200
    old = tag(app, path)
    assert app.request("PUT", path, {"name": "m"}, headers={"If-Match": old}).status == 200
    assert app.request("PUT", path, {"name": "o"}, headers={"If-Match": old}).status == 412
    assert app.request("GET", path).json()["name"] == "m"


def test_a_change_where_there_is_no_tag_is_refused_whatever_tag_is_named(app: App) -> None:
    old = tag(app, "/v1/devices/d")
    viewer = app.request("POST", "/v1/keys", {"name": "v", "role": "viewer"}).json()["key"]
    rows = {"headers": {"If-Match": old, "Content-Type": "application/x-ndjson"}, "raw": b'{"ident": "n"}'}
    before = app.request("GET", "/v1/devices").body
    for refused in (
        app.request("POST", "/v1/devices", {"ident": "n"}, headers={"If-Match": old}),
        app.request("POST", "/v1/devices:update", {"all": True, "set": {"name": "n"}}, headers={"If-Match": old}),
        app.request("POST", "/v1/devices:import", **rows),
    ):
        assert (refused.status, refused.json()["code"]) == (412, "precondition_failed")
    assert app.request("GET", "/v1/devices").body == before
    assert app.request("POST", "/v1/devices", {"ident": "n"}, headers={"If-Match": old}, key=viewer).status == 403
    for present in ({"If-Match": "*"}, {"If-None-Match": "*"}):
        assert app.request("POST", "/v1/devices", {"ident": "d"}, headers=present).status == 409
    assert app.request("POST", "/v1/devices", {"ident": "n"}, headers={"If-Match": "*"}).status == 201


def test_verbs_are_guarded_too(app: App) -> None:
    path = "/v1/devices/d"
    old = tag(app, path)
    app.request("PATCH", path, {"name": "n"})
    assert app.request("POST", f"{path}:decommission", headers={"If-Match": old}).status == 412
    assert app.request("GET", path).json()["status"] == "NO_IDENTITY"
    assert app.request("POST", f"{path}:decommission", headers={"If-Match": tag(app, path)}).status == 200


def test_what_changes_without_a_revision_is_read_anew_and_stands_in_no_writers_way(app: App) -> None:
    path, home = "/v1/devices/d", "/v1/organizations/self"
    before = tag(app, path), app.request("GET", home).headers["etag"]
    token = app.request("GET", f"{path}/credentials").json()["device_token"]
    assert app.request("GET", f"/external/api/update?token={token}&v1=1", key=None).status == 200
    app.request("POST", "/v1/owners", {"ref": "ann"})
    for place, old in zip((path, home), before, strict=True):
        read = app.request("GET", place, headers={"If-None-Match": old})
        assert read.status == 200
        assert app.request("GET", place, headers={"If-None-Match": read.headers["etag"]}).status == 304
        assert app.request("GET", place, headers={"If-Match": old}).status == 200
    assert app.request("PATCH", path, {"name": "n"}, headers={"If-Match": before[0]}).status == 200
    assert app.request("PATCH", path, {"name": "m"}, headers={"If-Match": before[0]}).status == 412


def test_a_recreated_device_has_no_tag_of_its_predecessor(app: App) -> None:
    old = tag(app, "/v1/devices/d")
    app.request("DELETE", "/v1/devices/d")
    assert tag(app, "/v1/devices/d") != old


def test_increments_under_a_guard_lose_nothing(app: App) -> None:
    app.request("PUT", "/v1/devices/d", {"metadata": {"n": 0}})
    for number in range(1, 6):
        held = app.request("GET", "/v1/devices/d").headers["etag"]
        replies = [
            app.request("PATCH", "/v1/devices/d", {"metadata": {"n": number}, "name": who}, headers={"If-Match": held})
            for who in ("first", "second")
        ]
        assert [reply.status for reply in replies] == [200, 412]
    assert app.request("GET", "/v1/devices/d").json()["metadata"] == {"n": 5}
