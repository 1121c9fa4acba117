"""PATCH of a device: merge patch and JSON Patch, both over the device as GET shows it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from fleetroll.core import limits
from fleetroll.core.names import ABOVE_ROOT, ROOT
from fleetroll.store.port import Records
from tests.support.app import App, Response, running

MERGE = {"content-type": "application/merge-patch+json"}
STEPS = {"content-type": "application/json-patch+json"}
BEFORE: dict[str, Any] = {
    "name": "old",
    "kind": "valve",
    "metadata": {"a": 1, "b": {"c": 2}},
    "tags": ["x", "y"],
    "config": {"interval": 60},
}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        app.request("PUT", "/v1/devices/d", BEFORE)
        yield app


def patch(app: App, body: Any, headers: dict[str, str] | None = None) -> Response:
    chosen = headers or (STEPS if isinstance(body, list) else MERGE)
    return app.request("PATCH", "/v1/devices/d", body, headers=chosen)


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ({"name": "new"}, {"name": "new"}),
        ({"name": None}, {"name": None}),
        ({"metadata": {"a": None, "b": {"d": 3}}}, {"metadata": {"b": {"c": 2, "d": 3}}}),
        ({"metadata": {"b": 7}}, {"metadata": {"a": 1, "b": 7}}),
        ({"tags": ["z"]}, {"tags": ["z"]}),
        ({"software": {"version": "1"}}, {"software": {"type": None, "version": "1", "build": None}}),
        ([{"op": "replace", "path": "/name", "value": "new"}], {"name": "new"}),
        ([{"op": "add", "path": "/metadata/e", "value": [1]}], {"metadata": {"a": 1, "b": {"c": 2}, "e": [1]}}),
        ([{"op": "add", "path": "/tags/-", "value": "z"}], {"tags": ["x", "y", "z"]}),
        ([{"op": "remove", "path": "/tags/0"}], {"tags": ["y"]}),
        (
            [{"op": "move", "from": "/metadata/b", "path": "/config/b"}],
            {"config": {"interval": 60, "b": {"c": 2}}, "metadata": {"a": 1}},
        ),
        ([{"op": "test", "path": "/kind", "value": "valve"}, {"op": "remove", "path": "/kind"}], {"kind": None}),
        ([{"op": "replace", "path": "/name", "value": None}], {"name": None}),
        ({"metadata": {}}, {}),
        ([], {}),
    ],
)
def test_a_patch_changes_what_it_names_and_nothing_else(app: App, body: Any, after: dict[str, Any]) -> None:
    before = app.request("GET", "/v1/devices/d").json()
    changed = patch(app, body)
    assert changed.status == 200, changed.body
    shown = changed.json()
    if "software" in after:
        after = {"software": {name: text for name, text in after["software"].items() if text}}
    untouched = before.keys() - after.keys() - {"updated_at", "revision"}
    assert {name: shown[name] for name in after} == after
    assert {name: shown[name] for name in untouched} == {name: before[name] for name in untouched}
    assert app.request("GET", "/v1/devices/d").json() == shown


@pytest.mark.parametrize(
    "body", [{"name": "old"}, {"tags": ["x", "y"]}, {}, [{"op": "test", "path": "/name", "value": "old"}]]
)
def test_a_patch_that_changes_nothing_keeps_revision_and_timeline(app: App, body: Any) -> None:
    before = app.request("GET", "/v1/devices/d")
    after = patch(app, body)
    assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])
    assert len(app.request("GET", "/v1/devices/d/timeline").json()["events"]) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"id": 9}, 400, "read_only"),
        ({"status": "ACTIVE"}, 400, "read_only"),
        ({"revision": 9}, 400, "read_only"),
        ({"connected": True}, 400, "read_only"),
        ({"created_at": None}, 400, "read_only"),
        ({"colour": "red"}, 400, "invalid_body"),
        ({"name": 7}, 400, "invalid_body"),
        ({"metadata": None, "tags": "x"}, 400, "invalid_body"),
        ({"tags": ["a,b"]}, 400, "invalid_tag"),
        ([{"op": "replace", "path": "/id", "value": 2}], 400, "read_only"),
        ([{"op": "add", "path": "/colour", "value": "red"}], 400, "invalid_body"),
        ([{"op": "remove", "path": "/metadata/zz"}], 400, "invalid_patch"),
        ([{"op": "rename", "path": "/name"}], 400, "invalid_patch"),
        ([{"op": "test", "path": "/name", "value": "other"}], 409, "patch_test_failed"),
        (
            [{"op": "replace", "path": "/name", "value": "z"}, {"op": "test", "path": "/kind", "value": 1}],
            409,
            "patch_test_failed",
        ),
        ("text", 400, "invalid_body"),
        (7, 400, "invalid_body"),
    ],
)
def test_a_patch_that_may_not_be_changes_nothing(app: App, body: Any, status: int, code: str) -> None:
    before = app.request("GET", "/v1/devices/d").json()
    refused = patch(app, body)
    assert (refused.status, refused.json()["code"]) == (status, code)
    assert app.request("GET", "/v1/devices/d").json() == before


def test_a_failed_operation_is_named(app: App) -> None:
    refused = patch(app, [{"op": "add", "path": "/name", "value": "n"}, {"op": "remove", "path": "/metadata/zz"}])
    assert refused.json()["errors"] == {"operation": 1, "path": "/metadata/zz"}


def test_copies_cannot_blow_a_device_up(app: App) -> None:
    doubling = [{"op": "copy", "from": "/metadata", "path": f"/metadata/n{step}"} for step in range(30)]
    before = app.request("GET", "/v1/devices/d").json()
    assert patch(app, doubling).status == 400
    assert app.request("GET", "/v1/devices/d").json() == before


def test_the_largest_device_can_be_patched(app: App) -> None:
    face = "\U0001f600"  # four bytes long
    full = {"k": "x" * (limits.MAX_DOCUMENT - len('{"k":""}'))}
    metrics = {f"m{number:0119}": {"type": "number", "unit": "", "unit_symbol": ""} for number in range(360)}
    largest = {
        "name": face * limits.MAX_NAME,
        "metadata": full,
        "config": full,
        "schema": metrics,
        "tags": [f"{number:02}" + face * (limits.MAX_TAG - 2) for number in range(limits.MAX_TAGS)],
        "owners": [f"{number:02}" + face * (limits.MAX_EMAIL - 2) for number in range(limits.MAX_OWNERS_PER_DEVICE)],
        "extras": {"blynk": {"properties": {f"v{pin}": {"label": "x" * 1024} for pin in range(62)}}},
    }
    shown = app.request("PUT", "/v1/devices/d", largest)
    assert len(shown.body) > 5.4 * limits.MAX_DOCUMENT
    assert patch(app, [{"op": "replace", "path": "/name", "value": "short"}]).json()["name"] == "short"


def test_a_device_can_be_renamed_unless_the_name_is_taken(app: App) -> None:
    app.request("PUT", "/v1/devices/other", {})
    taken = patch(app, {"ident": "other"})
    assert (taken.status, taken.json()["code"]) == (409, "ident_taken")
    assert patch(app, {"ident": "renamed"}).json()["ident"] == "renamed"
    assert app.request("GET", "/v1/devices/d").status == 404
    assert app.request("GET", "/v1/devices/renamed").json()["metadata"] == BEFORE["metadata"]


def test_plain_json_is_taken_as_the_patch_that_it_looks_like(app: App) -> None:
    plain = {"content-type": "application/json"}
    assert patch(app, {"name": "n"}, plain).json()["name"] == "n"
    assert patch(app, [{"op": "remove", "path": "/name"}], plain).json()["name"] is None


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "", "application/json; charset=latin-1"])
def test_any_other_media_type_is_refused(app: App, media_type: str) -> None:
    refused = patch(app, {"name": "n"}, {"content-type": media_type})
    assert (refused.status, refused.json()["code"]) == (415, "unsupported_media_type")


def test_a_patch_of_a_missing_device_is_not_found(app: App) -> None:
    missing = app.request("PATCH", "/v1/devices/none", {"name": "n"}, headers=MERGE)
    assert (missing.status, missing.json()["code"]) == (404, "device_not_found")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "new"}, 200),
        ([{"op": "add", "path": "/name", "value": "new"}], 200),
        ({"metadata": {"b": None}}, 200),
        ({"metadata": {"z": 1}}, 400),
        ([{"op": "copy", "from": "/metadata", "path": "/config"}], 400),
    ],
)
def test_a_document_from_before_a_bound_stays_until_a_patch_changes_it(app: App, body: Any, status: int) -> None:
    deep = msgspec.Raw(b'{"b":' + (limits.MAX_JSON_DEPTH - 1) * b"[" + (limits.MAX_JSON_DEPTH - 1) * b"]" + b"}")

    async def keep(records: Records) -> None:
        root = await records.organizations.child(ABOVE_ROOT, ROOT)
        assert root is not None
        was = await records.devices.get(root.id, "d")
        assert was is not None
        await records.devices.replace(was, structs.replace(was, metadata=deep, revision=was.revision + 1))

    app.runner.run(app.services.store.write(keep))
    before = app.request("GET", "/v1/devices/d").json()
    assert patch(app, body).status == status
    after = app.request("GET", "/v1/devices/d").json()
    assert (after == before) == (status == 400)
    assert after["metadata"] == ({} if body == {"metadata": {"b": None}} else before["metadata"])
