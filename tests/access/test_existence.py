"""Existence is hidden: what is somebody else's is answered, to the byte, like what nobody has."""

import json
import re
from typing import Any

import pytest

from fleetroll.wire.dialect import Dialect, Route
from tests.access.table import ROWS
from tests.access.world import Caller, World, present, row_of
from tests.support.app import Response
from tests.support.principals import ACTS_IN, FORMS
from tests.support.raw import KEYED, send

REQUEST = {"x-request-id": "the-same"}
GUARDS: dict[str, dict[str, str]] = {
    "unguarded": {},
    "If-Match any": {"if-match": "*"},
    "If-Match one": {"if-match": '"1.1"'},
    "If-None-Match any": {"if-none-match": "*"},
    "to be done once": {"idempotency-key": "for each its own"},
}


def names_a_record(route: Route) -> bool:
    row = row_of(route)
    return "{" in route.path or (row.needs != "nothing" and "$" in json.dumps([row.body, row.query]))


NAMING = [(dialect, route) for dialect in KEYED for route in dialect.routes if names_a_record(route)]
IDS = [f"{route.method} {route.path}" for _, route in NAMING]


def nobodys(parts: dict[str, str], instead: str) -> dict[str, str]:
    """Parts of the same form that name nothing."""
    return {name: _nobodys(value, instead) for name, value in parts.items()}


def _nobodys(value: str, instead: str) -> str:
    if value.isdigit():
        return "9" * 12  # a short number may be that of a record which another test made
    if re.fullmatch(r"[0-9a-f]{32}", value):
        return "7" * 32
    if value.startswith("TMPL"):
        return "TMPL" + "_" * (len(value) - 4)
    if value.startswith("cus_"):
        return "cus_" + "z" * (len(value) - 4)
    return value.replace("sample", instead)


def blurred(response: Response, parts: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """The reply without the names that the request itself held, and with the length that is then left."""
    body = response.body
    for value in sorted(parts.values(), key=len, reverse=True):
        body = re.sub(rb"(?<![0-9A-Za-z])%b(?![0-9A-Za-z])" % re.escape(value.encode()), b"<name>", body)
    headers = (
        response.headers | {"content-length": str(len(body))}
        if "content-length" in response.headers
        else response.headers
    )
    return response.status, headers, body


def shape_of(response: Response) -> tuple[int, str]:
    """What is left of a success when numbers, and what is made of them, are taken away."""
    text = re.sub(r"absent|sample", "", response.body.decode())
    return response.status, re.sub(r"(dev|cus)_\w+|[0-9a-z]*\d[0-9a-z]*", "#", text)


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize(("dialect", "route"), NAMING, ids=IDS)
def test_a_foreign_record_is_answered_like_one_that_never_was(
    dialect: Dialect, route: Route, guard: str, world: World
) -> None:
    row, key = row_of(route), world.rival.key("admin")
    foreign = world.sample(row)

    def asked(parts: dict[str, str], once: str) -> Response:
        headers = present(dialect, key) | REQUEST | GUARDS[guard]
        if "idempotency-key" in headers:
            headers["idempotency-key"] = parts["new"] + once
        return send(world.app, world.request(route, row, parts, Caller("rival", headers, row.foreign)))

    asked(
        nobodys(foreign, "hidden"), "0"
    )  # whatever a first call makes in the caller's own organization exists for both that follow
    there, nowhere = asked(foreign, "1"), asked(nobodys(foreign, "absent"), "2")
    if there.status >= 400:
        assert blurred(there, foreign) == blurred(nowhere, nobodys(foreign, "absent"))
    else:
        assert shape_of(there) == shape_of(nowhere)


@pytest.mark.parametrize(
    ("foreign", "random"), [("own", "nwo"), ("own.below", "nwo.below"), ("default", "tluafed"), ("closed", "nobody")]
)
def test_an_organization_elsewhere_is_answered_like_one_that_never_was(foreign: str, random: str, world: World) -> None:
    headers = FORMS["Bearer"](world.rival.key("admin")) | REQUEST

    def asked(name: str) -> list[tuple[int, dict[str, str], bytes]]:
        acting = world.app.request("GET", "/v1/me", key=None, headers=headers | {ACTS_IN: name})
        reading = world.app.request("GET", f"/v1/organizations/{name}", key=None, headers=headers)
        device = world.rival.make("/v1/devices", {"ident": next(world.names)})["ident"]
        path = f"/v1/devices/{device}:transfer"
        giving = world.app.request("POST", path, {"organization": name}, key=None, headers=headers)
        return [blurred(response, {"name": name}) for response in (acting, reading, giving)]

    assert asked(foreign) == asked(random)
    assert {status for status, _, _ in asked(foreign)} == {404}


def test_a_cursor_of_another_tenant_is_answered_like_one_that_never_was(world: World) -> None:
    for _ in range(2):
        world.sample(ROWS["GET /v1/devices/{ident}"])
    page = world.app.request("GET", "/v1/devices?limit=1", key=world.own.key("viewer"))
    cursor = page.json()["next_cursor"]
    key = world.rival.key("viewer")
    forged = ("B" if cursor[0] == "A" else "A") + cursor[1:]

    def asked(text: str) -> Response:
        return world.app.request("GET", f"/v1/devices?limit=1&cursor={text}", key=key, headers=REQUEST)

    assert asked(cursor) == asked(forged)
    assert asked(cursor).status == 400


def test_tenants_may_use_the_same_names_and_each_sees_its_own(world: World) -> None:
    """A name that is taken elsewhere is free, for a conflict would tell that somebody has it."""
    bodies: dict[str, dict[str, Any]] = {
        "/v1/devices": {"ident": "shared"},
        "/v1/owners": {"ref": "shared"},
        "/v1/groups": {"name": "shared", "filter": 'kind = "a"'},
        "/v1/metadata-fields": {"name": "shared", "type": "string"},
        "/v1/templates": {"name": "shared"},
        "/v1/organizations": {"slug": "shared"},
    }
    for path, body in bodies.items():
        for tenant in (world.own, world.rival, world.below_own):
            made = world.app.request(
                "POST", path, body, key=tenant.key("admin"), headers={"idempotency-key": f"the same {path}"}
            )
            assert (made.status, "idempotency-replayed" in made.headers) == (201, False)
