"""A project's key lets devices of that project report, and nothing else; and nothing else lets them."""

import itertools
import json
from typing import Any

import pytest

from fleetroll.application import DIALECTS
from fleetroll.core import tokens
from fleetroll.core.policy import Action, Role, allows
from fleetroll.core.secrets import Issuer
from fleetroll.wire.dialect import Dialect, Route
from tests.access.table import MARK
from tests.access.test_matrix import takes
from tests.access.world import ROLES, World
from tests.support.app import Response
from tests.support.principals import ACTS_IN, FORMS, Headers, Tenant
from tests.support.quiet import assert_quiet
from tests.support.raw import Raw, assert_refused, send
from tests.support.state import State

_OCTETS = "application/octet-stream"
# What each route is asked for: the rest of the target, the type of the body, the body, and what it answers.
ASKED: dict[str, tuple[str, str, Any, int]] = {
    "PATCH /api/v0/attributes": (
        "?device_serial=$serial", "application/json", [{"string_key": "a", "value": 1}], 204,
    ),
    "POST /api/v0/chunks/{device_serial}": ("", _OCTETS, b"\x08x", 202),
    "POST /api/v0/events": ("", "application/json", [{"device_serial": "$serial"}], 202),
    "GET /api/v0/queue/{task}": ("", "", None, 200),
    "POST /api/v0/device-config": ("", "application/json", {"device": {"device_serial": "$serial"}}, 200),
    "GET /api/v0/releases/latest": ("?device_serial=$serial&hardware_version=a&software_type=b", "", None, 204),
    "GET /api/v0/releases/latest/url": ("?device_serial=$serial&hardware_version=a&software_type=b", "", None, 204),
}  # fmt: skip
ROUTES = [(dialect, route) for dialect in DIALECTS for route in dialect.routes if takes(dialect, Issuer.PROJECT)]
NAMES = [f"{route.method} {route.path}" for _, route in ROUTES]
_numbers = itertools.count()


def ask(world: World, route: Route, serial: str, headers: Headers) -> Response:
    target, kind, body, _ = ASKED[f"{route.method} {route.path}"]
    path = route.path.replace("{device_serial}", serial).replace("{task}", "any") + target.replace("$serial", serial)
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    fields = {"content-type": kind, **headers} if kind else headers
    encoded = tuple((name.encode(), value.encode("latin-1")) for name, value in fields.items())
    return send(world.app, Raw(route.method, path.encode(), encoded, (content.replace(b"$serial", serial.encode()),)))


def project_key(world: World, tenant: Tenant) -> str:
    org = world.app.runner.run(world.app.services.store.read.organizations.get(tenant.number))
    assert org is not None
    return tokens.project_key(world.app.services.server_key, org.id, org.key_version)


def device(tenant: Tenant) -> str:
    serial = f"reporter-{next(_numbers)}"
    tenant.make("/v1/devices", {"ident": serial, "name": MARK})
    return serial


def test_only_a_project_may_check_in_and_it_may_nothing_else() -> None:
    assert {action for action in Action if allows(Role.PROJECT, (), action)} == {Action.CHECK_IN}
    assert {role for role in Role if allows(role, (), Action.CHECK_IN)} == {Role.PROJECT}
    assert set(ASKED) == set(NAMES)


@pytest.mark.parametrize(("dialect", "route"), ROUTES, ids=NAMES)
def test_nothing_but_the_key_of_a_project_lets_devices_report(
    dialect: Dialect, route: Route, world: World, state: State
) -> None:
    serial, good = device(world.own), project_key(world, world.own)
    refused: dict[str, Headers] = {
        "nobody": {},
        "nothing": {"memfault-project-key": ""},
        "almost": {"memfault-project-key": good[:-1] + ("0" if good[-1] != "0" else "1")},
        "in another place": {"authorization": f"Bearer {good}", "x-api-key": good},
        "of a disabled organization": {"memfault-project-key": project_key(world, world.closed)},
        "of one below it": {"memfault-project-key": project_key(world, world.below_closed)},
    }
    for role in ROLES:
        token = world.own.key(role)
        refused[f"a key of role {role}"] = {**FORMS["Bearer"](token), "memfault-project-key": token}
    before = state.all()
    for name, headers in refused.items():
        response = ask(world, route, serial, headers)
        assert response.status == 403, (name, response)
        assert_refused(response, dialect, 403)
        assert_quiet(response)
        assert state.all() == before, name
    found = ask(world, route, serial, {"memfault-project-key": good})
    assert found.status == ASKED[f"{route.method} {route.path}"][3], found


@pytest.mark.parametrize(("dialect", "route"), ROUTES, ids=NAMES)
def test_the_key_of_one_project_reaches_no_other(dialect: Dialect, route: Route, world: World, state: State) -> None:
    serial, before = device(world.own), state.of(world.own.number)
    for tenant in (world.rival, world.below_own, world.root):
        headers = {"memfault-project-key": project_key(world, tenant), ACTS_IN: "own"}
        response = ask(world, route, serial, headers)
        assert MARK.encode() not in response.body
        assert response.status in {404, ASKED[f"{route.method} {route.path}"][3]}
    assert [rows for table, rows in state.of(world.own.number).items() if table == "device"] == [before["device"]]
