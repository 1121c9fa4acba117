"""Idempotency-Key: a client that sends a POST again gets the answer that it missed, and nothing happens twice."""

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import structs

from fleetroll.application import Application
from fleetroll.config import Config
from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.dialects.native.routes import DIALECT
from fleetroll.wire.log import AccessLog
from tests.support.app import ADMIN_KEY, App, Response, running, stored
from tests.support.effort import often
from tests.support.enrolling import enrolled, make_line
from tests.support.process import Process, serving
from tests.support.proxy import cutting

SECONDS = 60  # far beyond what any of this takes: what never answers fails instead of hanging
ONCE = {"Idempotency-Key": "once"}
OWN = {"x-request-id", "idempotency-replayed"}  # the fields that belong to one sending
KEY = {"name": "k", "role": "viewer"}

POSTS: dict[str, tuple[str, Any]] = {
    "/v1/devices": ("/v1/devices", {"ident": "new"}),
    "/v1/devices/{ident}:decommission": ("/v1/devices/d:decommission", None),
    "/v1/devices/{ident}:transfer": ("/v1/devices/d:transfer", {"organization": "east"}),
    "/v1/organizations": ("/v1/organizations", {"slug": "new"}),
    "/v1/keys": ("/v1/keys", KEY),
    "/v1/owners": ("/v1/owners", {"ref": "new"}),
    "/v1/groups": ("/v1/groups", {"name": "new", "filter": ""}),
    "/v1/dms": ("/v1/dms", {"name": "new"}),
    "/v1/authorities": ("/v1/authorities", {"name": "new"}),
    "/v1/cohorts": ("/v1/cohorts", {"slug": "new"}),
    "/v1/hardware-versions": ("/v1/hardware-versions", {"name": "new"}),
    "/v1/templates": ("/v1/templates", {"name": "new"}),
    "/v1/devices/{ident}:log-event": ("/v1/devices/d:log-event", {"code": "hot"}),
    "/v1/devices/{ident}/credentials": ("/v1/devices/d/credentials", {}),
    "/v1/devices/{ident}:rotate-credentials": ("/v1/devices/d:rotate-credentials", None),
    "/v1/metadata-fields": ("/v1/metadata-fields", {"name": "new", "type": "json"}),
}
"""A request for every route that keeps its answers, on what `app` has."""
IDENTITY = {"/v1/devices/{ident}/identity:bind", "/v1/devices/{ident}/identity:revoke"}
"""Those that need a device which has enrolled."""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        app.request("POST", "/v1/organizations", {"slug": "east"})
        events = [{"name": "Hot", "type": "WARNING", "code": "hot"}]
        template = app.request("POST", "/v1/templates", {"name": "meter", "events": events}).json()["id"]
        app.request("PUT", "/v1/devices/d", {"template": template})
        yield app


def post(app: App, target: str, body: Any, name: str = "once", key: str = ADMIN_KEY) -> Response:
    return app.request("POST", target, body, key=key, headers={"Idempotency-Key": name})


def devices(app: App) -> list[str]:
    return [device["ident"] for device in app.request("GET", "/v1/devices").json()["devices"]]


def keys(app: App) -> int:
    return len(app.request("GET", "/v1/keys").json()["keys"])


def assert_replayed(again: Response, first: Response) -> None:
    """The same answer, marked, under a request id of its own."""
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert said(again) == said(first)


def said(reply: Response) -> tuple[int, bytes, dict[str, str]]:
    return reply.status, reply.body, {name: value for name, value in reply.headers.items() if name not in OWN}


def with_services(app: App, **members: Any) -> App:
    """The same store behind another clock or another source of randomness."""
    services = structs.replace(app.services, **members)
    config = Config(data=Path(), key_rate=0, organization_rate=0)
    return App(Application(config, services, AccessLog(None, app.runner.get_loop())), services, app.runner)


def test_every_route_that_keeps_its_answers_is_tried_here() -> None:
    assert POSTS.keys() | IDENTITY == {route.path for route in DIALECT.routes if route.idempotent}
    assert {route.method for route in DIALECT.routes if route.idempotent} == {"POST"}


@pytest.mark.parametrize("path", POSTS)
def test_a_request_that_is_sent_again_gets_the_same_answer(app: App, path: str) -> None:
    target, body = POSTS[path]
    first = post(app, target, body)
    assert first.status in {200, 201, 204}, first.body
    assert "idempotency-replayed" not in first.headers
    for _ in "ab":
        assert_replayed(post(app, target, body), first)


def test_a_certificate_is_bound_and_taken_back_once(app: App) -> None:
    make_line(app, {"enrollment_settings": {"est_rfc7030_settings": {"auth_mode": "NO_AUTH"}}})
    serial = enrolled(app, "line", "d")
    bound = post(app, "/v1/devices/d/identity:bind", {"serial": serial})
    assert_replayed(post(app, "/v1/devices/d/identity:bind", {"serial": serial}), bound)
    assert app.request("GET", "/v1/devices/d/identity").json()["active_version"] == 1
    revoked = post(app, "/v1/devices/d/identity:revoke", {"reason": "certificate_hold"}, "other")
    assert app.request("POST", f"/v1/certificates/{serial}:restore").status == 200
    assert_replayed(post(app, "/v1/devices/d/identity:revoke", {"reason": "certificate_hold"}, "other"), revoked)
    assert app.request("GET", "/v1/devices/d/identity").json()["status"] == "ACTIVE"


def test_a_request_that_is_sent_again_does_nothing(app: App) -> None:
    post(app, "/v1/devices", {"ident": "new"})
    assert app.request("DELETE", "/v1/devices/new").status == 204
    assert post(app, "/v1/devices", {"ident": "new"}).status == 201
    assert devices(app) == ["d"]


@pytest.mark.parametrize(
    ("target", "body"),
    [("/v1/devices", {"ident": "b"}), ("/v1/devices", {"ident": "a", "name": "n"}), ("/v1/owners", {"ref": "a"})],
)
def test_a_name_used_for_another_request_is_refused_and_stays_good_for_its_own(
    app: App, target: str, body: Any
) -> None:
    first = post(app, "/v1/devices", {"ident": "a"})
    other = post(app, target, body)
    assert (other.status, other.json()["code"]) == (422, "idempotency_key_reused")
    assert other.headers["content-type"] == "application/problem+json"
    assert sorted(devices(app)) == ["a", "d"]
    assert app.request("GET", "/v1/owners").json()["owners"] == []
    assert_replayed(post(app, "/v1/devices", {"ident": "a"}), first)


def test_a_request_that_is_forbidden_does_not_take_the_place_of_an_answer(app: App) -> None:
    operator = app.request("POST", "/v1/keys", {"name": "o", "role": "operator"}).json()["key"]
    first = post(app, "/v1/devices", {"ident": "a"}, key=operator)
    assert post(app, "/v1/keys", KEY, key=operator).status == 403
    assert_replayed(post(app, "/v1/devices", {"ident": "a"}, key=operator), first)


@pytest.mark.parametrize("may", [{"role": "viewer"}, {"role": "admin", "scopes": ["devices:read"]}], ids=str)
def test_a_key_that_may_only_read_writes_nothing(app: App, may: dict[str, Any]) -> None:
    made = app.request("POST", "/v1/keys", {"name": "r", **may}).json()
    replays, root = app.services.store.read.replays, app.request("GET", "/v1/me").json()["organization"]["id"]
    for number, (target, body) in enumerate(POSTS.values()):
        assert post(app, target, body, f"name {number}", key=made["key"]).status == 403
        assert app.runner.run(replays.get(root, made["id"], f"name {number}")) is None


@pytest.mark.parametrize("path", ["/v1/devices", "/v1/keys"])
def test_the_same_request_many_times_at_once_is_executed_once(app: App, path: str) -> None:
    target, body = POSTS[path]
    before = len(devices(app)) + keys(app)

    async def gathered() -> list[Response]:
        calls = (app.call("POST", target, body, headers=ONCE) for _ in range(20))
        return list(await asyncio.wait_for(asyncio.gather(*calls), SECONDS))

    replies = app.runner.run(gathered())
    assert all(said(reply) == said(replies[0]) for reply in replies)
    assert (replies[0].status, len([r for r in replies if "idempotency-replayed" in r.headers])) == (201, 19)
    assert len(devices(app)) + keys(app) == before + 1


def test_who_is_refused_while_the_same_request_is_about_to_succeed_gets_its_answer(app: App) -> None:
    async def gathered() -> list[Response]:
        again = app.call("POST", "/v1/devices", {"ident": "d"}, headers=ONCE)
        calls = (app.call("POST", "/v1/devices", {"ident": "d"}, headers=ONCE), app.call("DELETE", "/v1/devices/d"))
        return list(await asyncio.wait_for(asyncio.gather(*calls, again), SECONDS))

    refused, _, made = app.runner.run(gathered())
    assert made.status == 201
    assert_replayed(refused, made)


def test_the_largest_records_are_answered_again_as_well(app: App) -> None:
    full = {"k": "x" * (limits.MAX_DOCUMENT - len('{"k":""}'))}
    metrics = {f"m{number}": {"type": "number", "unit": "u" * 50, "unit_symbol": ""} for number in range(600)}
    tags = [f"{number:02}" + "\U0001f600" * (limits.MAX_TAG - 2) for number in range(limits.MAX_TAGS)]
    properties = {f"v{pin}": {"label": "x" * 1000} for pin in range(60)}
    device = {"ident": "new", "metadata": full, "config": full, "schema": metrics, "tags": tags}
    device["extras"] = {"blynk": {"properties": properties}}
    template = {
        "name": "new",
        "datastreams": [{"pin": f"v{pin}", "type": "string", "label": "\U0001f600" * 200} for pin in range(256)],
        "metafields": [{"name": f"m{number}", "type": "Text"} for number in range(256)],
    }
    for path, body in (("/v1/devices", device), ("/v1/templates", template)):
        first, again = (app.request("POST", path, body, headers=ONCE | {"Idempotency-Key": path}) for _ in range(2))
        assert (first.status, again.headers.get("idempotency-replayed")) == (201, "true")
        assert len(first.body) > 4 * limits.MAX_DOCUMENT
        assert again.body == first.body


def test_an_answer_survives_a_restart(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        first = post(app, "/v1/keys", KEY)
        refused = post(app, "/v1/owners", {"ref": ""}, "refused")
    with running(tmp_path / "data") as app:
        again = post(app, "/v1/keys", KEY)
        assert said(again) == said(first)
        assert said(post(app, "/v1/owners", {"ref": ""}, "refused"))[:1] == said(refused)[:1]
        assert (again.headers["idempotency-replayed"], keys(app)) == ("true", 2)


def test_two_callers_may_choose_the_same_name(app: App) -> None:
    other = app.request("POST", "/v1/keys", {"name": "o", "role": "operator"}).json()["key"]
    first = post(app, "/v1/devices", {"ident": "mine"})
    theirs = post(app, "/v1/devices", {"ident": "theirs"}, key=other)
    assert (theirs.status, "idempotency-replayed" in theirs.headers) == (201, False)
    assert sorted(devices(app)) == ["d", "mine", "theirs"]
    assert_replayed(post(app, "/v1/devices", {"ident": "mine"}), first)


def test_one_caller_may_choose_the_same_name_in_two_organizations(app: App) -> None:
    here = post(app, "/v1/devices", {"ident": "new"})
    acting = {**ONCE, "Fleetroll-Organization": "east"}
    there = app.request("POST", "/v1/devices", {"ident": "new"}, headers=acting)
    assert (there.status, "idempotency-replayed" in there.headers) == (201, False)
    assert there.json()["id"] != here.json()["id"]


def test_a_refusal_is_the_answer_even_when_its_cause_is_gone(app: App) -> None:
    refused = post(app, "/v1/devices", {"ident": "d"})
    assert refused.status == 409
    assert app.request("DELETE", "/v1/devices/d").status == 204
    assert_replayed(post(app, "/v1/devices", {"ident": "d"}), refused)
    assert post(app, "/v1/devices", {"ident": "d"}, "another").status == 201


def test_a_stale_precondition_is_no_answer_so_whoever_reads_again_and_retries_gets_through(app: App) -> None:
    def decommission(etag: str) -> Response:
        return app.request("POST", "/v1/devices/d:decommission", headers={**ONCE, "If-Match": etag})

    read = app.request("GET", "/v1/devices/d").headers["etag"]
    app.request("PATCH", "/v1/devices/d", {"name": "changed meanwhile"})
    assert decommission(read).status == 412
    done = decommission(app.request("GET", "/v1/devices/d").headers["etag"])
    assert (done.status, done.json()["status"]) == (200, "DECOMMISSIONED")
    assert_replayed(decommission(read), done)


@pytest.mark.parametrize(
    ("problem", "status"),
    [(OSError(), 500), (Fault(Kind.UNAVAILABLE, "storage_failed", "Nothing is stored now."), 503)],
)
def test_a_failure_of_the_server_is_no_answer(app: App, problem: Exception, status: int) -> None:
    def exhausted(_length: int) -> str:
        raise problem

    assert post(with_services(app, random_text=exhausted), "/v1/keys", KEY).status == status
    retried = post(app, "/v1/keys", KEY)
    assert (retried.status, "idempotency-replayed" in retried.headers, keys(app)) == (201, False, 2)


def test_a_replayed_secret_is_the_same_and_stands_nowhere_on_disk(tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        made, again = (post(app, "/v1/keys", KEY).json()["key"] for _ in "ab")
        assert again == made
        assert app.request("GET", "/v1/me", key=made).status == 200
        on_disk = stored(app, tmp_path / "data")
    assert any(b"once" in content for content in on_disk)
    assert not any(made[-20:].encode() in content for content in on_disk)


@pytest.mark.parametrize("name", ["", "a" * (limits.MAX_IDEMPOTENCY_KEY + 1), "tab\there", "\xe9", "\x7f"])
def test_a_malformed_name_is_refused_and_nothing_happens(app: App, name: str) -> None:
    refused = post(app, "/v1/devices", {"ident": "new"}, name)
    assert (refused.status, refused.json()["code"]) == (400, "invalid_idempotency_key")
    assert devices(app) == ["d"]


@pytest.mark.parametrize("name", ["a", "a" * limits.MAX_IDEMPOTENCY_KEY, 'with spaces, and "quotes" ~!\'%'])
def test_any_printable_name_will_do(app: App, name: str) -> None:
    first = post(app, "/v1/devices", {"ident": "new"}, name)
    assert_replayed(post(app, "/v1/devices", {"ident": "new"}, name), first)


@pytest.mark.parametrize(("seconds", "count"), [(-1, 2), (1, 3)])
def test_an_answer_is_kept_for_its_lifetime_and_no_longer(app: App, seconds: int, count: int) -> None:
    start = app.services.clock()

    def at(now: int) -> App:
        return with_services(app, clock=lambda: now)

    later = start + (limits.IDEMPOTENCY_LIFETIME + seconds) * 1_000_000
    first = post(at(start), "/v1/keys", KEY)
    again = post(at(later), "/v1/keys", KEY)
    assert (again.body == first.body, keys(app)) == (count == 2, count)
    assert_replayed(post(at(later), "/v1/keys", KEY), again)


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("PUT", "/v1/devices/d", {"name": "n"}),
        ("PATCH", "/v1/devices/d", {"name": "n"}),
        ("POST", "/v1/devices:tag", {"all": True, "add": ["t"]}),
        ("GET", "/v1/devices/d", None),
    ],
)
def test_other_routes_take_no_notice_of_a_name(app: App, method: str, target: str, body: Any) -> None:
    assert post(app, "/v1/keys", KEY).status == 201
    for _ in "ab":
        reply = app.request(method, target, body, headers=ONCE)
        assert (reply.status, "idempotency-replayed" in reply.headers) == (200, False), reply.body


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("idempotency") / "data") as process:
        yield process


def test_a_client_whose_replies_get_lost_retries_until_it_has_one_and_makes_one_device(server: Process) -> None:
    chance = random.Random(os.environ["FLEETROLL_SEED"])
    for number in range(often(1)):
        # All of one reply, its first byte, the middle of its head, and anywhere.
        cuts = [0, 1, 40, *(chance.randrange(300) for _ in range(chance.randrange(3)))]
        work = created_through_losses(server, f"lost-{number}", cuts)
        reply, lost = asyncio.run(asyncio.wait_for(work, SECONDS))
        assert (reply.status_code, reply.headers["idempotency-replayed"]) == (201, "true")
        assert lost == len(cuts)
        with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as client:
            found = client.get(f"/v1/devices?filter=ident=lost-{number}").json()["devices"]
            assert [device["id"] for device in found] == [reply.json()["id"]]
            assert len(client.get(f"/v1/devices/lost-{number}/timeline").json()["events"]) == 1


async def created_through_losses(server: Process, ident: str, cuts: list[int]) -> tuple[httpx.Response, int]:
    """The reply that came through, and how many were lost, each after so many bytes."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Idempotency-Key": ident}
    async with (
        cutting(server.port, *cuts) as proxy,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.port}", headers=headers, trust_env=False) as client,
    ):
        while True:
            try:
                return await client.post("/v1/devices", json={"ident": ident}), proxy.cut
            except httpx.TransportError:
                continue
