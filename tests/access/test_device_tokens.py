"""A device's token reaches that device alone, and only by the devices' own routes; and nothing else opens those."""

import itertools
import json
from typing import Any

import pytest

from fleetroll.application import DIALECTS
from fleetroll.core import tokens
from fleetroll.core.policy import Action, Role, allows
from fleetroll.core.secrets import Issuer
from fleetroll.wire.dialect import Dialect, Route
from tests.access.table import ACCEPTED, MARK
from tests.access.test_matrix import takes
from tests.access.world import ROLES, World
from tests.support.app import Response
from tests.support.principals import ACTS_IN, FORMS, SCOPES, Headers, Tenant
from tests.support.quiet import assert_quiet
from tests.support.raw import Raw, assert_refused, send, verdict
from tests.support.state import State

# What each route is asked, besides the token. A device's route without an entry fails here.
ASKED = {
    "GET /external/api/get": "&v1",
    "GET /external/api/getAll": "",
    "GET /external/api/update": "&v1=7",
    "GET /external/api/batch/update": "&v1=7&v2=8",
    "POST /external/api/batch/update": "&pin=v1",
    "GET /external/api/update/property": "&pin=v1&color=red",
    "GET /external/api/isHardwareConnected": "",
    "GET /external/api/logEvent": "&code=hot",
    "GET /external/api/device/meta": "&metaFieldId=4",
    "GET /external/api/device/meta/update": "&metaFieldName=Room&value=other",
    "GET /external/api/data/get": "&pin=v1",
    "GET /external/api/data/file/{name}": "",
}
TEMPLATE = {
    "datastreams": [{"pin": "v1", "label": MARK}, {"pin": "v2"}],
    "events": [{"code": "hot", "name": MARK, "type": "WARNING"}],
    "metafields": [{"name": "Room", "type": "Text"}],
}
BODY = json.dumps([[1_700_000_000_000, 7]]).encode()
ROUTES = [(dialect, route) for dialect in DIALECTS for route in dialect.routes if takes(dialect, Issuer.DEVICE)]
NAMES = [f"{route.method} {route.path}" for _, route in ROUTES]
_numbers = itertools.count()


def ask(world: World, route: Route, token: str | None, headers: Headers | None = None) -> Response:
    given = "" if token is None else f"token={token}"
    target = f"{route.path}?{given}{ASKED[f'{route.method} {route.path}']}"
    if "{name}" in target:
        target = file(world, given)
    fields = {"content-type": "application/json", **(headers or {})}
    encoded = tuple((name.encode(), value.encode("latin-1")) for name, value in fields.items())
    return send(world.app, Raw(route.method, target.encode(), encoded, (BODY,) if route.body is not None else (b"",)))


def file(world: World, given: str) -> str:
    """The path of a file that was ordered, or a made-up one for whoever cannot order any."""
    response = send(world.app, Raw("GET", f"/external/api/data/get?{given}&pin=v1".encode()))
    if response.status != 200:
        return f"/external/api/data/file/device_data_1.zip?{given}&pin=v1&ordered=1&proof=x"
    return str(response.json()["link"])


def device(tenant: Tenant) -> dict[str, Any]:
    """A new device with a template of its own and a value, and its token."""
    name = f"spoken-{next(_numbers)}"
    template = tenant.make("/v1/templates", {"name": name, **TEMPLATE})
    made = dict(tenant.make("/v1/devices", {"ident": name, "name": MARK, "template": template["id"]}))
    tenant.make(f"/v1/devices/{name}/telemetry", {"readings": [{"metric": "v1", "value": 1}]})
    shown = tenant.app.request("GET", f"/v1/devices/{name}/credentials", headers={ACTS_IN: tenant.path})
    return made | {"token": shown.json()["device_token"]}


def test_a_device_may_speak_for_itself_and_nothing_more() -> None:
    assert {action for action in Action if allows(Role.DEVICE, (), action)} == {Action.SELF}
    assert {role for role in Role if allows(role, (), Action.SELF)} == {Role.DEVICE}
    assert Action.SELF.value not in SCOPES
    assert {route.operation.action for _, route in ROUTES} == {Action.SELF}
    assert set(ASKED) == set(NAMES)


@pytest.mark.parametrize(("dialect", "route"), ROUTES, ids=NAMES)
def test_only_the_token_of_a_device_speaks_for_it(dialect: Dialect, route: Route, world: World, state: State) -> None:
    own, gone, retired, rotated = (device(world.own) for _ in range(4))
    acting = {ACTS_IN: world.own.path}
    assert world.app.request("DELETE", f"/v1/devices/{gone['ident']}", headers=acting).status == 204
    for one, verb in ((retired, "decommission"), (rotated, "rotate-credentials")):
        assert world.app.request("POST", f"/v1/devices/{one['ident']}:{verb}", headers=acting).status == 200
    token = own["token"]
    wrong = [
        None, "", "x", token[:-1], token[:-1] + ("A" if token[-1] != "A" else "B"), token.swapcase(),
        tokens.device_token(b"guess" * 8, own["id"], 1), gone["token"], retired["token"], rotated["token"],
        *(world.own.key(role) for role in ROLES), world.root.key("admin"), "%00", "../", token + "=",
    ]  # fmt: skip
    assert world.app.request("GET", "/v1/me", key=world.own.key("admin")).status == 200
    before = state.all()
    unknown = verdict(ask(world, route, "x"))
    for bad in wrong:
        refused(dialect, reply := ask(world, route, bad))
        assert verdict(reply) == unknown or bad in {None, "", "%00"}, "not even a key that the server remembers"
    for form in FORMS.values():  # a key is no token, and a token is looked for in one place alone
        for secret in (world.own.key("admin"), token):
            refused(dialect, ask(world, route, None, form(secret)))
    assert state.all() == before
    assert ask(world, route, token).status == 200


def refused(dialect: Dialect, response: Response) -> None:
    assert response.status == 400, response
    assert_refused(response, dialect, 400)
    assert_quiet(response)


@pytest.mark.parametrize(("dialect", "route"), ROUTES, ids=NAMES)
def test_a_device_touches_no_other_device(dialect: Dialect, route: Route, world: World, state: State) -> None:
    stranger, own = device(world.rival), device(world.own)
    before = state.of(world.own.number)
    response = ask(world, route, stranger["token"])
    assert response.status == 200, response
    assert state.of(world.own.number) == before
    assert own["token"].encode() not in response.body


@pytest.mark.parametrize(("dialect", "route"), ROUTES, ids=NAMES)
def test_the_devices_of_a_disabled_organization_are_refused(
    dialect: Dialect, route: Route, world: World, state: State
) -> None:
    tenant = world.root.child(f"mute-{next(_numbers)}")
    below = tenant.child("below")
    speakers = [device(tenant), device(below)]
    assert world.app.request("PATCH", f"/v1/organizations/{tenant.path}", {"disabled": True}).status == 200
    before = state.all()
    for speaker in speakers:
        response = ask(world, route, speaker["token"])
        assert response.status == 403
        assert_quiet(response)
    assert state.all() == before


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_a_token_is_no_key(name: str, world: World, state: State) -> None:
    token = device(world.own)["token"]
    dialect = next(one for one in DIALECTS if one.name == name)
    before = state.all()
    for route in dialect.routes:
        for form in ACCEPTED[name]:
            path = route.path.replace("{", "").replace("}", "")
            fields = tuple((key.encode(), value.encode()) for key, value in FORMS[form](token).items())
            response = send(world.app, Raw(route.method, f"{path}?token={token}".encode(), fields))
            assert response.status in {400, 401}, (path, response)
    assert state.all() == before
