"""Every request over the broker against everybody, as the matrix does for routes over HTTP.

Whoever asks is known by the name that the broker has verified; what accounts would have kept out is asked too.
"""

import json
from collections.abc import Mapping
from string import Template
from typing import Any

import pytest
from msgspec import Struct

from fleetroll.application import DIALECTS
from fleetroll.bus.port import Request
from fleetroll.core.ids import broker_org
from fleetroll.wire.dialect import Subject
from tests.access.table import MARK
from tests.access.world import ROLES, World
from tests.support.jwt import claims
from tests.support.principals import ACTS_IN, SCOPES, Tenant
from tests.support.state import State


class Row(Struct, frozen=True):
    """One subject: who may use it (`device`: the device itself alone), its body, and the status of a success."""

    least: str
    scope: str
    done: str
    body: dict[str, Any]
    reads: bool = False


ROWS: Mapping[str, Row] = {
    "api.iot.devices.{org}.create": Row(
        "operator", "devices:write", "DEVICE_CREATE_SUCCESS", {"ident": "$new", "schema": {}, "config": {}}
    ),
    "api.iot.devices.{org}.update": Row(
        "operator", "devices:write", "DEVICE_UPDATE_SUCCESS", {"id": "$id", "config": {"other": 1}}
    ),
    "api.iot.devices.{org}.delete": Row("operator", "devices:delete", "DEVICE_DELETE_SUCCESS", {"ident": "$ident"}),
    "api.iot.devices.{org}.list": Row("viewer", "devices:read", "DEVICE_FETCH_SUCCESS", {}, reads=True),
    "api.iot.devices.{org}.get": Row("viewer", "devices:read", "DEVICE_GET_SUCCESS", {"ident": "$ident"}, reads=True),
    "api.iot.devices.{org}.sdk.schema.get": Row("device", "", "DEVICE_SCHEMA_FETCH_SUCCESS", {"id": "$id"}, reads=True),
    "api.iot.devices.{org}.sdk.config.get": Row("device", "", "DEVICE_CONFIG_FETCH_SUCCESS", {"id": "$id"}, reads=True),
    "api.iot.devices.{org}.sdk.config.update": Row(
        "device", "", "DEVICE_CONFIG_UPDATE_SUCCESS", {"id": "$id", "config": {"other": 1}}
    ),
    "accounts.user.get_http_token": Row("viewer", "devices:read", "HTTP_TOKEN_SUCCESS", {"service": "influx"}),
}

SUBJECTS = [subject for dialect in DIALECTS for subject in dialect.subjects]
NAMES = [subject.subject for subject in SUBJECTS]


def test_every_subject_has_a_row_and_every_row_a_subject() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert set(ROWS) == set(NAMES)


class Desk:
    """Requests as the broker would bring them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._users: dict[tuple[Any, ...], str] = {}

    def user(self, tenant: Tenant, role: str, scopes: frozenset[str] = frozenset()) -> str:
        """The name by which the broker knows a key."""
        known = (tenant.number, role, scopes)
        if known not in self._users:
            made = tenant.new_key(role, scopes, "nats")
            self._users[known] = self.name_of(made)
        return self._users[known]

    def name_of(self, made: dict[str, Any]) -> str:
        return str(claims(made["nats"]["api_key"])["sub"])

    def device(self, tenant: Tenant) -> tuple[dict[str, str], str]:
        """A device: the values that a row's body names, and its own name on the broker."""
        ident = next(self.world.names)
        tenant.make("/v1/devices", {"ident": ident, "name": MARK, "config": {"note": MARK}, "schema": {MARK: "json"}})
        made = tenant.make(f"/v1/devices/{ident}/credentials", {})
        said = claims(made["nats"]["api_key"])
        return {"ident": ident, "id": said["nats"]["org_data"]["api_key_id"], "new": next(self.world.names)}, said[
            "sub"
        ]

    def ask(self, subject: Subject, user: str, parts: dict[str, str], tenant: Tenant) -> dict[str, Any]:
        body = Template(json.dumps(ROWS[subject.subject].body)).substitute(parts).encode()
        name = subject.subject.replace("{org}", broker_org(tenant.number))
        app = self.world.app
        return dict(json.loads(app.runner.run(app.application.subjects.answer(Request(name, user, body)))))


@pytest.fixture(scope="module")
def desk(world: World) -> Desk:
    return Desk(world)


@pytest.mark.parametrize("subject", SUBJECTS, ids=NAMES)
def test_who_may_not_use_a_subject_is_told_so_and_changes_nothing(
    subject: Subject, desk: Desk, world: World, state: State
) -> None:
    row, own = ROWS[subject.subject], world.own
    parts, itself = desk.device(own)
    _, sibling = desk.device(own)
    _, foreign = desk.device(world.rival)
    revoked = own.new_key("admin", kind="nats")
    name = desk.name_of(revoked)
    gone = world.app.request("DELETE", f"/v1/keys/{revoked['id']}", headers={ACTS_IN: own.path})
    assert gone.status == 204
    refused = {
        "nobody": "", "a stranger": "U" + "A" * 55, "a token of HTTP": own.key("admin"), "revoked": name,
        "another device": sibling, "a foreign device": foreign,
        "the rival's admin": desk.user(world.rival, "admin"), "one below": desk.user(world.below_own, "admin"),
        "the parent's admin": desk.user(world.root, "admin"),
    }  # fmt: skip
    if row.least == "device":
        refused |= {role: desk.user(own, role) for role in ROLES}
    else:
        refused |= {role: desk.user(own, role) for role in ROLES[: ROLES.index(row.least)]}
        refused |= {"lacking": desk.user(own, "admin", SCOPES - {row.scope}), "the device itself": itself}
    allowed = itself if row.least == "device" else desk.user(own, row.least)
    before = state.all()
    for who, user in refused.items():
        if "{org}" not in subject.subject and who in {"the rival's admin", "one below", "the parent's admin"}:
            continue  # it names no organization: everybody gets their own
        answer = desk.ask(subject, user, parts, own)
        assert answer["status"] != row.done, who
        assert isinstance(answer["data"], dict)
        assert MARK not in json.dumps(answer), who
        assert state.all() == before, who
    assert desk.ask(subject, allowed, parts, own)["status"] == row.done
    assert (state.all() == before) == row.reads


@pytest.mark.parametrize("subject", SUBJECTS, ids=NAMES)
def test_who_may_use_a_subject_can(subject: Subject, desk: Desk, world: World) -> None:
    row = ROWS[subject.subject]
    if row.least == "device":
        parts, itself = desk.device(world.own)
        assert desk.ask(subject, itself, parts, world.own)["status"] == row.done
        return
    allowed = [desk.user(world.own, role) for role in ROLES[ROLES.index(row.least) :]]
    for user in [*allowed, desk.user(world.own, "admin", frozenset({row.scope}))]:
        parts, _ = desk.device(world.own)
        assert desk.ask(subject, user, parts, world.own)["status"] == row.done


@pytest.mark.parametrize("subject", SUBJECTS, ids=NAMES)
def test_of_a_disabled_organization_and_all_below_it_nobody_may_use_a_subject(
    subject: Subject, desk: Desk, world: World, state: State
) -> None:
    """The broker cuts them off, but what they asked may be on its way."""
    row, tenant = ROWS[subject.subject], world.root.child(next(world.names))
    asked = []
    for asker in (tenant, tenant.child("below")):
        parts, itself = desk.device(asker)
        asked.append((itself if row.least == "device" else desk.user(asker, "admin"), parts, asker))
    assert world.app.request("PATCH", f"/v1/organizations/{tenant.path}", {"disabled": True}).status == 200
    before = state.all()
    assert all(desk.ask(subject, *one)["status"] != row.done for one in asked)
    assert state.all() == before
    assert world.app.request("PATCH", f"/v1/organizations/{tenant.path}", {"disabled": False}).status == 200
    assert all(desk.ask(subject, *one)["status"] == row.done for one in asked)
