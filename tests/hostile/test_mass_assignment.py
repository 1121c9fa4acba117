"""Sending more than a route asks for changes nothing more than it documents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from fleetroll.core import model
from fleetroll.dialects.native.shapes.devices import COLUMNS
from tests.support.app import App, running

RECORDS: tuple[type[Struct], ...] = (
    model.Device,
    model.Organization,
    model.Key,
    model.Owner,
    model.Group,
    model.Template,
)
EVERY_FIELD = {field for record in RECORDS for field in record.__struct_fields__} | set(COLUMNS)
VALUES: tuple[Any, ...] = (1, "admin", True, ["x"], {"x": 1})
READ_ONLY = set(COLUMNS) & {
    "id", "status", "connected", "last_seen", "activated_at", "created_at", "updated_at", "revision",
}  # fmt: skip
OWNER = {"name", "phone", "address", "role", "status", "title", "nickname", "time_zone", "locale"}
GROUP = {"filter", "description", "criteria", "parent_id"}
PROFILE = {"description", "time_zone", "unit_system", "phone", "address", "platform", "os"}
STRICT = {
    ("POST", "/v1/organizations"): ({"slug": "sub"}, {"slug", "name", "quotas", *PROFILE}),
    ("PATCH", "/v1/organizations/child"): ({"name": "Child"}, {"name", "disabled", "quotas", *PROFILE}),
    ("POST", "/v1/keys"): ({"name": "k", "role": "viewer"}, {"name", "role", "kind", "scopes", "expires_at"}),
    ("POST", "/v1/owners"): ({"ref": "a@example.com"}, {"ref", *OWNER}),
    ("PATCH", "/v1/owners/o@example.com"): ({"name": "O"}, OWNER),
    ("POST", "/v1/groups"): ({"name": "g2", "filter": "a"}, {"name", *GROUP}),
    ("PATCH", "/v1/groups/g"): ({"filter": "b"}, GROUP),
    ("POST", "/v1/metadata-fields"): ({"name": "m", "type": "string"}, {"name", "type", "description", "required"}),
    ("POST", "/v1/templates"): (
        {"name": "t2"},
        {"name", "description", "board", "connection", "datastreams", "events", "metafields"},
    ),
    ("POST", "/v1/devices/d:transfer"): ({"owners": []}, {"owners", "organization"}),
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    data: Path = tmp_path_factory.mktemp("mass") / "data"
    with running(data) as found:
        for path, body in (
            ("/v1/organizations", {"slug": "child"}),
            ("/v1/owners", {"ref": "o@example.com"}),
            ("/v1/groups", {"name": "g", "filter": "a"}),
            ("/v1/devices", {"ident": "d", "kind": "sensor"}),
        ):
            assert found.request("POST", path, body).status == 201
        yield found


def snapshot(app: App) -> list[Any]:
    paths = (
        "devices",
        "organizations",
        "organizations/self",
        "keys",
        "owners",
        "groups",
        "metadata-fields",
        "templates",
    )
    return [app.request("GET", f"/v1/{path}").json() for path in paths]


@pytest.mark.parametrize(("method", "path"), STRICT)
def test_a_member_that_a_route_does_not_have_is_refused_and_nothing_changes(app: App, method: str, path: str) -> None:
    body, documented = STRICT[method, path]
    before = snapshot(app)
    for field in sorted(EVERY_FIELD - documented):
        for value in VALUES:
            assert app.request(method, path, {**body, field: value}).status == 400, (field, value)
    assert snapshot(app) == before


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_a_device_only_shows_is_ignored_when_it_is_sent_back(app: App, method: str) -> None:
    sent = {"ident": f"new-{method}", "kind": "sensor", **dict.fromkeys(READ_ONLY, "DECOMMISSIONED"), "revision": 99}
    path = "/v1/devices" if method == "POST" else f"/v1/devices/new-{method}"
    made = app.request(method, path, sent)
    assert made.status == 201
    shown = made.json()
    plain = app.request("POST", "/v1/devices", {"ident": f"plain-{method}", "kind": "sensor"}).json()
    for name in READ_ONLY - {"id", "created_at", "updated_at"}:
        assert shown[name] == plain[name], name
    assert plain["id"] == shown["id"] + 1


def test_a_patch_of_what_a_device_only_shows_is_refused(app: App) -> None:
    before = app.request("GET", "/v1/devices/d").json()
    for name in READ_ONLY:
        for value in ("2020-01-01T00:00:00Z", 77, True, "ACTIVE"):
            if before[name] != value:
                assert app.request("PATCH", "/v1/devices/d", {"name": "x", name: value}).status == 400, (name, value)
    assert app.request("GET", "/v1/devices/d").json() == before


def test_a_telemetron_client_sets_what_its_api_documents_and_nothing_else(app: App) -> None:
    headers = {"x-api-key": app.key}
    more = dict.fromkeys(EVERY_FIELD - {"identifier", "type", "properties"}, "x")
    body = {"identifier": "t", "type": "sensor", "properties": {"a": 1}}
    assert app.request("POST", "/api/ext-v1/device", {**body, **more}, headers=headers).status == 200
    shown = app.request("GET", "/v1/devices/t").json()
    plain = app.request("POST", "/v1/devices", {"ident": "p", "kind": "sensor", "metadata": {"a": 1}}).json()
    differing = {name for name in shown if shown[name] != plain[name]}
    assert differing == {"id", "ident", "created_at", "updated_at"}
