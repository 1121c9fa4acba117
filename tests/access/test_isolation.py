"""Whatever a tenant asks, by whatever route and with whatever mistakes, it sees and changes nothing of another.

The requests are the samples of every route, changed by a seeded hand. They name the records of the tenant that they
were made for, and are sent with the key of another, below it: to that one, those records must not exist.
"""

import base64
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostile.test_random_requests import SPARED, changed, mutant
from tests.support.app import ADMIN_KEY
from tests.support.effort import often
from tests.support.raw import Raw, send_all
from tests.support.samples import DEVICE, EMAIL, HELD, MEMBERS, World, world_in
from tests.support.state import Rows

REQUESTS = often(4_000)
AT_ONCE = 40
CANARY = "canary"
THIEF = {"fleetroll-organization": "thief"}


def hide(world: World) -> None:
    """Put the canary into whatever the requests are about, and into records of its own; no request has it."""
    ask, email = world.app.request, f"{CANARY}@example.com"
    texts = {
        "kind": CANARY,
        "hardware_version": CANARY,
        "software": {"type": CANARY, "version": CANARY},
        "tags": [CANARY, "production"],
        "owners": [email],
        "cohort": CANARY,
        "dms": CANARY,
    }
    device = {
        "name": CANARY,
        "metadata": {CANARY: CANARY, "location": CANARY},
        "schema": {CANARY: {"type": "string"}, "temp": {"type": "number"}},
        "config": {CANARY: CANARY},
    }
    readings = {"readings": [{"metric": CANARY, "value": CANARY}]}
    new: dict[str, Any] = {
        "owners": {"ref": email, "name": CANARY},
        "cohorts": {"slug": CANARY},
        "dms": {"name": CANARY, "title": CANARY},
        "groups": {"name": CANARY, "filter": f"kind = {CANARY}"},
        "metadata-fields": {"name": CANARY, "type": "string"},
        "templates": {"name": CANARY, "description": CANARY},
        "authorities": {"name": CANARY},
        "organizations": {"slug": CANARY, "name": CANARY},
        "keys": {"name": CANARY, "role": "viewer"},
        "devices": {"ident": CANARY, **device, **texts},
        f"devices/{CANARY}/telemetry": readings,
    }
    known: dict[str, Any] = {
        f"devices/{DEVICE}": device,
        f"devices/{HELD}": device,
        f"owners/{EMAIL}": {"name": CANARY},
        "owners/spare@example.com": {"name": CANARY},
        "groups/pumps": {"description": CANARY},
        "metadata-fields/shelf": {"description": CANARY},
        "dms/line": {"title": CANARY},
        "templates/gauge": {"description": CANARY},
        "templates/meter": {"description": CANARY},
        "cohorts/beta": {"name": CANARY},
        "cohorts/spare": {"name": CANARY},
        "organizations/child": {"name": CANARY},
    }
    replies = [
        *(ask("POST", f"/v1/{path}", body) for path, body in new.items()),
        *(ask("PATCH", f"/v1/{path}", body) for path, body in known.items()),
        ask("POST", f"/v1/devices/{DEVICE}/telemetry", readings),
    ]
    assert {reply.status for reply in replies} <= {200, 201, 204}, replies


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("isolation") / "data") as world:
        hide(world)
        yield world


def thief(world: World) -> str:
    """The key of an administrator of another tenant, who has a device like the other one's."""
    ask = world.app.request
    assert ask("POST", "/v1/organizations", {"slug": "thief"}).status == 201
    ask("POST", "/v1/cohorts", {"slug": "beta"}, headers=THIEF)
    members = {name: value for name, value in MEMBERS.items() if name != "template"}
    assert ask("PUT", "/v1/devices/own", members, headers=THIEF).status == 201
    return str(ask("POST", "/v1/keys", {"name": "k", "role": "admin"}, headers=THIEF).json()["key"])


def taken_over(chance: random.Random, request: Raw, key: str) -> Raw:
    """The request with another key, and mostly to the tenant of that key where the path names one."""
    basic, own_basic = (base64.b64encode(f":{one}".encode()) for one in (ADMIN_KEY, key))
    headers = tuple(
        (name, value.replace(ADMIN_KEY.encode(), key.encode()).replace(basic, own_basic))
        for name, value in request.headers
    )
    target = request.target
    if chance.random() < 0.8:
        target = target.replace(b"/organizations/default", b"/organizations/thief")
    return changed(request, target=target, headers=headers)


def kept(world: World, organizations: set[int]) -> dict[int, Rows]:
    """All that these organizations have; the row of the thief is its own, though it is below one of them."""
    found = {number: world.state.of(number) for number in organizations}
    for rows in found.values():
        rows["organization"] = [row for row in rows["organization"] if row[0] in organizations]
    return found


@pytest.mark.long
def test_nothing_of_another_tenant_is_shown_or_changed(world: World) -> None:
    chance = random.Random(f"isolation {os.environ['FLEETROLL_SEED']}")
    organizations = {row[0] for row in world.state.all()["organization"]}
    key, succeeded = thief(world), 0
    before = kept(world, organizations)
    for number in range(0, REQUESTS, AT_ONCE):
        if number % 2_000 == 0:
            samples = world.samples()
        asked = []
        for _ in range(AT_ONCE):
            request = taken_over(chance, chance.choice(samples).raw(), key)
            asked.append(mutant(chance, request) if chance.random() < 0.6 else request)
        asked = [one for one in asked if not any(part in one.target for part in SPARED)]
        for request, response in zip(asked, send_all(world.app, asked), strict=True):
            assert response.status < 500 or response.status == 503, (request, response)
            assert CANARY not in response.body.decode(errors="replace").lower(), (request, response)
            succeeded += response.status < 300
        assert kept(world, organizations) == before, asked
    assert succeeded > REQUESTS / 20
