"""Enrolment needs no key, so it is open to everybody, but only at one DMS, over TLS, and for nothing else."""

import base64

import pytest

from fleetroll.application import DIALECTS
from fleetroll.core.policy import Action, Role, allows
from fleetroll.core.secrets import Issuer
from tests.access.test_matrix import UNKEYED
from tests.access.world import World
from tests.support import der
from tests.support.app import asgi
from tests.support.enrolling import enrolled
from tests.support.quiet import assert_quiet
from tests.support.state import State

OPEN = {"admission": {"proof": "NO_AUTH"}, "keygen": {"type": "EC", "bits": 256}}
REQUEST = base64.b64encode(der.device("pump-1"))
HEADERS = {"content-type": "application/pkcs10"}
VERBS = ("simpleenroll", "simplereenroll", "serverkeygen")
PLACES = ("/.well-known/est/", "/api/dmsmanager/.well-known/est/")


def ask(world: World, label: str, verb: str, headers: dict[str, str] | None = None) -> int:
    """The status of a request over plain HTTP, the same in both places. A refusal must give nothing away."""
    method, body = ("GET", b"") if verb in {"cacerts", "crl"} else ("POST", REQUEST)
    found = set()
    for place in PLACES:
        call = asgi(world.app.application.asgi, method, f"{place}{label}/{verb}", HEADERS | (headers or {}), body)
        reply = world.app.runner.run(call)
        if reply.status >= 400:
            assert_quiet(reply)
        found.add(reply.status)
    [status] = found
    return status


@pytest.fixture(autouse=True, scope="module")
def dms(world: World) -> None:
    for tenant in (world.own, world.below_own):
        tenant.make("/v1/dms", {"name": "line", "settings": OPEN})


def test_the_routes_without_a_key_are_those_of_the_enrollee_alone() -> None:
    found = {
        f"{route.method} {route.path}"
        for dialect in DIALECTS
        for route in dialect.routes
        if any(form.issuer is Issuer.ENROLLEE for form in dialect.credentials)
    }
    assert found == UNKEYED


def test_an_enrollee_may_do_nothing_but_enrol() -> None:
    assert {action for action in Action if allows(Role.ENROLLEE, (), action)} == {Action.ENROL}
    assert {role for role in Role if allows(role, (), Action.ENROL)} == {Role.ENROLLEE}


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_enrols_over_plain_http_whatever_the_headers_claim(world: World, state: State, verb: str) -> None:
    key, before = world.own.key("admin"), state.all()
    forged = {"x-forwarded-proto": "https", "x-forwarded-for": "10.0.0.1", "x-forwarded-client-cert": "Cert=AAAA"}
    for headers in ({}, forged, {"authorization": f"Bearer {key}"}):
        assert ask(world, "own~line", verb, headers) == 403
    assert state.all() == before


@pytest.mark.parametrize("verb", ["cacerts", "crl"])
def test_whom_to_trust_is_no_secret(world: World, state: State, verb: str) -> None:
    before = state.all()
    assert ask(world, "own~line", verb) == 200
    assert ask(world, "own.below~line", verb) == 200
    assert state.all() == before


@pytest.mark.parametrize("verb", [*VERBS, "cacerts", "crl"])
def test_a_label_names_one_dms_of_one_organization(world: World, verb: str) -> None:
    for label in (
        "line",
        "rival~line",
        "own~other",
        "own~",
        "~line",
        "own.~line",
        "own~line~line",
        "nowhere~line",
        "nowhere.below~line",
        "*",
    ):
        assert ask(world, label, verb) == 404, label
    assert ask(world, "closed~line", verb) in {403, 404}


@pytest.mark.parametrize("verb", [*VERBS, "cacerts", "crl"])
def test_without_a_label_nothing_is_chosen(world: World, verb: str) -> None:
    method, body = ("GET", b"") if verb in {"cacerts", "crl"} else ("POST", REQUEST)
    for place in PLACES:
        call = asgi(world.app.application.asgi, method, f"{place}{verb}", HEADERS, body)
        assert world.app.runner.run(call).status == 400


def test_who_enrols_at_one_tenants_dms_is_no_device_of_another(world: World, state: State) -> None:
    before = state.of(world.rival.number)
    enrolled(world.app, "own~line", "pump-1")
    assert state.of(world.rival.number) == before
    assert world.app.request("GET", "/v1/devices/pump-1", key=world.own.key("viewer")).status == 200
    assert world.app.request("GET", "/v1/devices/pump-1", key=world.below_own.key("viewer")).status == 404
    assert enrolled(world.app, "own.below~line", "pump-1")


def test_a_disabled_organization_enrols_nobody(world: World) -> None:
    world.root.make("/v1/organizations", {"slug": "later"})
    world.app.request("POST", "/v1/dms", {"name": "line"}, headers={"fleetroll-organization": "later"})
    assert ask(world, "later~line", "cacerts") == 200
    world.app.request("PATCH", "/v1/organizations/later", {"disabled": True})
    for verb in (*VERBS, "cacerts", "crl"):
        assert ask(world, "later~line", verb) == 403
