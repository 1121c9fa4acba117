"""A HEAD changes nothing: where a GET only reads, it is answered as that is, and where a GET writes, it is refused."""

import re

import pytest

from fleetroll.application import DIALECTS
from fleetroll.core.secrets import Issuer
from fleetroll.service.operations import WRITES
from fleetroll.wire.dialect import Dialect, Route, Stream
from tests.access import test_device_tokens, test_project_keys
from tests.access.test_matrix import UNKEYED, takes
from tests.access.world import World, insiders, row_of
from tests.support.raw import Raw, assert_refused, send
from tests.support.state import State

ROUTES = [(dialect, route) for dialect in DIALECTS for route in dialect.routes if route.method == "GET"]
NAMES = [f"GET {route.path}" for _, route in ROUTES]
# Whoever adds a GET that writes adds it here too; the only excuse is that the vendor's own form is one.
WRITING = {
    "GET /api/v0/releases/latest",
    "GET /api/v0/releases/latest/url",
    "GET /external/api/update",
    "GET /external/api/batch/update",
    "GET /external/api/update/property",
    "GET /external/api/logEvent",
    "GET /external/api/device/meta/update",
    "GET /external/api/data/get",
}


READ_BY_POST = sorted(
    {
        route.path
        for dialect in DIALECTS
        for route in dialect.routes
        if route.method != "GET" and route.operation.effect not in WRITES
    }
    - {route.path for _, route in ROUTES}
)


def request(world: World, dialect: Dialect, route: Route, method: str) -> Raw:
    """A request by somebody who may make it, about records that exist."""
    name = f"GET {route.path}"
    if takes(dialect, Issuer.DEVICE):
        token = test_device_tokens.device(world.own)["token"]
        path = route.path.replace("{name}", "device_data.zip")
        return Raw(method, f"{path}?token={token}{test_device_tokens.ASKED[name]}".encode())
    if takes(dialect, Issuer.PROJECT):
        serial = test_project_keys.device(world.own)
        target = route.path.replace("{task}", "any") + test_project_keys.ASKED[name][0].replace("$serial", serial)
        key = test_project_keys.project_key(world, world.own).encode()
        return Raw(method, target.encode(), ((b"memfault-project-key", key),))
    if name in UNKEYED:
        return Raw(method, route.path.replace("{aps}", "none").encode())
    row = row_of(route)
    asked = world.request(route, row, world.sample(row), next(insiders(world, dialect, row)))
    return Raw(method, asked.target, asked.headers, asked.parts)


def test_a_get_that_writes_is_one_of_a_few() -> None:
    assert {f"GET {route.path}" for _, route in ROUTES if route.operation.effect in WRITES} == WRITING


@pytest.mark.parametrize(("dialect", "route"), ROUTES, ids=NAMES)
def test_a_head_changes_nothing(dialect: Dialect, route: Route, world: World, state: State) -> None:
    asked = request(world, dialect, route, "HEAD")
    before = state.all()
    head = send(world.app, asked)
    assert state.all() == before
    if route.stream is Stream.EVENTS:
        assert head.status == 200
        return
    got = send(world.app, Raw("GET", asked.target, asked.headers, asked.parts))
    if f"GET {route.path}" not in WRITING:
        assert head.status == got.status
        assert state.all() == before
        return
    assert_refused(head, dialect, 405)
    methods = sorted(one.method for one in dialect.routes if one.path == route.path)
    assert head.headers["allow"] == ", ".join(methods)
    # The very same as a GET succeeds, so the HEAD was not refused for another mistake.
    assert got.status < 300
    assert state.all() != before


@pytest.mark.parametrize("path", READ_BY_POST)
def test_a_head_is_no_post_that_only_reads(path: str, world: World) -> None:
    head = send(world.app, Raw("HEAD", re.sub("{[a-z_]+}", "x", path).encode()))
    assert (head.status, head.headers["allow"]) == (405, "POST")
