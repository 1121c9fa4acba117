"""Server-sent events over a real server: every change, in order, resumed without a gap, ended when they must."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import islice, pairwise
from typing import Any

import httpx
import pytest

from fleetroll.core import ids, limits
from tests.support.app import App, Response
from tests.support.process import Process, serving
from tests.support.raw import NATIVE, Raw, assert_refused, deliver
from tests.support.waiting import eventually

NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("events") / "data") as process:
        yield process


@pytest.fixture
def client(server: Process, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Acts in an organization of the test's own, so that tests do not hear each other."""
    slug = request.node.name.split("[")[0][-60:]
    with httpx.Client(base_url=server.url, headers={"x-api-key": server.key}, timeout=20) as client:
        assert client.post("/v1/organizations", json={"slug": slug}).status_code == 201
        client.headers["Fleetroll-Organization"] = slug
        yield client


@contextmanager
def following(client: httpx.Client, query: str = "", last: str | None = None) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of one connection, each as its data; what the stream says around it is checked on the way."""
    headers = {} if last is None else {"Last-Event-ID": last}
    with client.stream("GET", f"/v1/events{query}", headers=headers) as reply:
        assert reply.status_code == 200, reply.read()
        assert reply.headers["content-type"] == "text/event-stream"
        assert reply.headers["x-accel-buffering"] == "no"
        yield events(reply.iter_lines())


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    fields: dict[str, str] = {}
    for line in lines:
        assert line != ": still here", "nothing has come for so long that nothing will"
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            data = json.loads(fields["data"])
            assert (fields.get("id", "0"), fields["event"]) == (str(data["id"]), data["type"])
            fields = {}
            yield data


def until(stream: Iterator[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Everything up to and including the first event about `name`."""
    found = []
    for event in stream:
        found.append(event)
        if event["name"] == name:
            return found
    raise AssertionError(f"the stream ended after {found[-3:]}")


def put(client: httpx.Client, ident: str, **members: Any) -> None:
    assert client.put(f"/v1/devices/{ident}", json=members).status_code in {200, 201}


def test_every_change_is_announced_once_and_in_order(client: httpx.Client) -> None:
    changes: list[tuple[str, str, Any, list[str]]] = [
        ("POST", "/v1/organizations", {"slug": "kid"}, ["organization.created"]),
        ("PATCH", "/v1/organizations/kid", {"name": "Kid"}, ["organization.updated"]),
        ("POST", "/v1/owners", {"ref": "ann"}, ["owner.created"]),
        ("PATCH", "/v1/owners/ann", {"name": "Ann"}, ["owner.updated"]),
        ("DELETE", "/v1/owners/ann", None, ["owner.deleted"]),
        ("POST", "/v1/groups", {"name": "g", "filter": ""}, ["group.created"]),
        ("PATCH", "/v1/groups/g", {"filter": "kind:*"}, ["group.updated"]),
        ("DELETE", "/v1/groups/g", None, ["group.deleted"]),
        ("POST", "/v1/metadata-fields", {"name": "f", "type": "json"}, ["metadata_field.created"]),
        ("PATCH", "/v1/metadata-fields/f", {"description": "d"}, ["metadata_field.updated"]),
        ("DELETE", "/v1/metadata-fields/f", None, ["metadata_field.deleted"]),
        ("POST", "/v1/devices", {"ident": "d", "owners": ["bob"]}, ["owner.created", "device.created"]),
        ("PATCH", "/v1/devices/d", {"name": "n"}, ["device.updated"]),
        ("PATCH", "/v1/devices/d", {"name": "n"}, []),
        ("PUT", "/v1/devices/d", {"id": 7, "name": 7}, []),
        ("POST", "/v1/devices:update", {"set": {"kind": "k"}, "all": True}, ["device.updated"]),
        ("POST", "/v1/devices:tag", {"add": ["t"], "all": True}, ["device.updated"]),
        ("POST", "/v1/devices:delete", {"all": True, "dry_run": True}, []),
        ("POST", "/v1/devices/d:decommission", None, ["device.decommissioned"]),
        ("POST", "/v1/devices/d:transfer", {"owners": ["cleo"]}, ["owner.created", "device.updated"]),
        ("POST", "/v1/devices", {"ident": "e"}, ["device.created"]),
        ("POST", "/v1/devices:delete", {"filter": "ident = e"}, ["device.deleted"]),
        ("DELETE", "/v1/devices/d", None, ["device.deleted"]),
        ("DELETE", "/v1/organizations/kid", None, ["organization.deleted"]),
    ]
    with following(client) as stream:
        for method, path, body, _ in changes:
            client.request(method, path, json=body)
        made = client.post("/v1/keys", json={"name": "k", "role": "viewer"}).json()
        client.delete(f"/v1/keys/{made['id']}")
        client.post("/v1/devices:import", content=b'{"ident":"i"}\n{"ident":"j"}\n', headers=NDJSON)
        put(client, "the-end")
        found = until(stream, "the-end")
    expected = [type for *_, types in changes for type in types]
    expected += ["key.created", "key.revoked", *["device.created"] * 3]
    assert [event["type"] for event in found] == expected
    assert all(left["id"] < right["id"] for left, right in pairwise(found))


def test_a_new_stream_begins_now_and_an_old_one_where_it_stopped(client: httpx.Client) -> None:
    put(client, "before")
    with following(client) as stream:
        put(client, "a")
        put(client, "b")
        seen = until(stream, "b")
    assert [event["name"] for event in seen] == ["a", "b"]
    put(client, "c")
    with following(client, last=str(seen[0]["id"])) as stream:
        assert [event["name"] for event in until(stream, "c")] == ["b", "c"]
    with following(client, f"?after={seen[1]['id']}") as stream:
        assert next(stream)["name"] == "c"
    with following(client, "?after=0") as stream:
        assert [event["name"] for event in until(stream, "c")] == ["before", "a", "b", "c"]


def test_a_number_that_no_event_has_yet_is_refused_and_not_waited_for(client: httpx.Client) -> None:
    with following(client) as stream:
        put(client, "d")
        newest = until(stream, "d")[-1]["id"]
    # Others write too, so only a number far beyond the newest is sure to be of no event.
    unknown = str(newest + 1_000_000)
    for query, headers in ((f"?after={unknown}", {}), ("", {"Last-Event-ID": unknown})):
        refused = client.get(f"/v1/events{query}", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (410, "unknown_event")


def test_the_newest_number_stays_good_when_what_it_told_of_is_deleted(client: httpx.Client) -> None:
    with following(client) as stream:
        put(client, "d")
        newest = until(stream, "d")[-1]["id"]
    assert client.delete("/v1/devices/d").status_code == 204
    with following(client, last=str(newest)) as stream:
        assert next(stream)["type"] == "device.deleted"


def test_no_event_is_lost_or_repeated_across_reconnections_under_load(client: httpx.Client) -> None:
    total, writers = 120, 3

    def write(number: int) -> None:
        for step in range(total // writers):
            put(client, f"w{number}-{step}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    found: list[dict[str, Any]] = []
    for thread in threads:
        thread.start()
    while len(found) < total:
        with following(client, last=str(found[-1]["id"]) if found else "0") as stream:
            found += islice(stream, min(17, total - len(found)))
    for thread in threads:
        thread.join()
    assert {event["name"] for event in found} == {f"w{n}-{s}" for n in range(writers) for s in range(total // writers)}
    assert all(left["id"] < right["id"] for left, right in pairwise(found))


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ('type = "device.*"', ["a", "b", "a", "end"]),
        ("type = device.updated OR name = end", ["a", "end"]),
        ("subject = owner OR name = end", ["ann", "end"]),
        ("name = a OR name = end", ["a", "a", "end"]),
        ('at < "2001-01-01" OR name = end', ["end"]),
    ],
)
def test_a_filter_lets_through_what_it_names(server: Process, filter: str, names: list[str]) -> None:
    with httpx.Client(base_url=server.url, headers={"x-api-key": server.key}, timeout=20) as client:
        slug = f"filter-{len(filter)}"
        client.post("/v1/organizations", json={"slug": slug})
        client.headers["Fleetroll-Organization"] = slug
        for ident, members in (("a", {}), ("b", {"owners": ["ann"]}), ("a", {"name": "n"}), ("end", {})):
            put(client, ident, **members)
        query = str(httpx.QueryParams({"filter": filter, "after": "0"}))
        with following(client, f"?{query}") as stream:
            assert [event["name"] for event in until(stream, "end")] == names


def test_nobody_hears_of_another_organization(client: httpx.Client) -> None:
    client.post("/v1/organizations", json={"slug": "kid"})
    path = client.headers["Fleetroll-Organization"]
    inside = {"Fleetroll-Organization": f"{path}.kid"}
    with following(client) as stream:
        client.put("/v1/devices/theirs", json={}, headers=inside)
        put(client, "ours")
        assert next(stream)["name"] == "ours"


def test_a_deleted_device_is_told_of_only_as_deleted(client: httpx.Client) -> None:
    put(client, "d", name="secret plan")
    client.delete("/v1/devices/d")
    put(client, "end")
    with following(client, "?after=0") as stream:
        assert [event["type"] for event in until(stream, "end")] == ["device.deleted", "device.created"]


def test_a_stream_ends_with_its_key(client: httpx.Client, server: Process) -> None:
    made = client.post("/v1/keys", json={"name": "k", "role": "viewer"}).json()
    with httpx.Client(base_url=server.url, headers={"x-api-key": made["key"]}, timeout=20) as theirs:
        put(client, "before")
        with following(theirs) as stream:
            client.delete(f"/v1/keys/{made['id']}")
            put(client, "after")
            assert "after" not in [event["name"] for event in stream]


def test_followers_do_not_share_a_place_and_a_closed_one_is_let_go(client: httpx.Client) -> None:
    def open_streams() -> float:
        lines = client.get("/metrics").text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("fleetroll_event_streams "))

    with following(client, "?after=0") as first, following(client, "?after=0") as second:
        put(client, "a")
        put(client, "b")
        assert [event["name"] for event in until(first, "b")] == [event["name"] for event in until(second, "b")]
        assert open_streams() >= 2
    for _ in range(200):
        if open_streams() == 0:
            break
        threading.Event().wait(0.05)
    assert open_streams() == 0


# --- in process ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["x", "-1", "1.5", "9" * 30, "007"])
def test_a_malformed_place_is_refused(app: App, place: str) -> None:
    by_query = app.request("GET", f"/v1/events?after={place}")
    by_header = app.request("GET", "/v1/events", headers={"Last-Event-ID": place})
    assert [(reply.status, reply.json()["code"]) for reply in (by_query, by_header)] == [(400, "out_of_range")] * 2
    assert [reply.json()["field"] for reply in (by_query, by_header)] == ["after", "Last-Event-ID"]
    assert all(f"a whole number from 0 to {ids.MAX_ID}" in reply.json()["detail"] for reply in (by_query, by_header))


@pytest.mark.parametrize("filter", ["colour+%3D+red", "red", "type+%3D+a+AND+red"])
def test_a_filter_that_makes_no_sense_is_refused_before_the_stream_begins(app: App, filter: str) -> None:
    refused = app.request("GET", f"/v1/events?filter={filter}")
    assert (refused.status, refused.json()["code"]) == (400, "invalid_filter")


def scope_of(key: str) -> dict[str, Any]:
    headers = [(b"x-api-key", key.encode())]
    scope = {"type": "http", "method": "GET", "scheme": "http", "path": "/v1/events", "raw_path": b"/v1/events"}
    return {**scope, "query_string": b"", "headers": headers, "state": {}}


def test_too_many_streams_are_refused_before_they_begin(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_EVENT_STREAMS", 0)
    refused = app.request("GET", "/v1/events")
    assert (refused.status, refused.json()["code"], refused.headers["retry-after"]) == (503, "too_many_streams", "10")


def key_of(app: App, path: str) -> str:
    """A key of a new organization with this path."""
    above, _, slug = path.rpartition(".")
    acts_in = {"Fleetroll-Organization": above or "self"}
    assert app.request("POST", "/v1/organizations", {"slug": slug}, headers=acts_in).status == 201
    body = {"name": "watcher", "role": "viewer"}
    made = app.request("POST", "/v1/keys", body, headers={"Fleetroll-Organization": path})
    return str(made.json()["key"])


def request_of(key: str) -> Raw:
    return Raw("GET", b"/v1/events", ((b"x-api-key", key.encode()),))


@asynccontextmanager
async def held(app: App, key: str) -> AsyncIterator[None]:
    """A stream that is open meanwhile."""
    begun, over = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        begun.set()

    stream = asyncio.ensure_future(app.application.asgi(scope_of(key), receive, send))
    await begun.wait()
    try:
        yield
    finally:
        over.set()
        await stream


def test_a_tenant_takes_its_share_of_the_streams_and_no_more(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_TENANT_STREAMS", 2)
    acme, below, other = (key_of(app, path) for path in ("acme", "acme.plant", "other"))

    async def statuses(*keys: str) -> list[int]:
        return [(await deliver(app, request_of(key))).status for key in keys]

    async def follow() -> Response:
        async with held(app, acme):
            async with held(app, below):
                assert await statuses(other, app.key, acme, below) == [200, 200, 429, 429]
                refused = await deliver(app, request_of(acme))

            async def is_free() -> bool:  # once what held the place is closed by the loop
                return await statuses(below) == [200]

            assert await eventually(is_free)
        return refused

    refused = app.runner.run(follow())
    problem = assert_refused(refused, NATIVE, 429)
    assert (problem["code"], refused.headers["retry-after"]) == ("too_many_streams", "10")
    assert "2 event streams" in problem["detail"]


def test_head_of_the_stream_ends(app: App) -> None:
    head = app.request("HEAD", "/v1/events")
    assert (head.status, head.headers["content-type"], head.body) == (200, "text/event-stream", b"")


def test_a_silent_stream_says_that_it_is_there(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EVENT_HEARTBEAT", 0.0)
    gone, said = asyncio.Event(), []

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message.get("body", b""))
        if said.count(b": still here\n\n") == 2:
            gone.set()

    app.runner.run(app.application.asgi(scope_of(app.key), receive, send))
    assert said[1:] == [b": following\n\n", b": still here\n\n", b": still here\n\n"]


# --- readings --------------------------------------------------------------------------------------------------------


def post(client: httpx.Client, ident: str, *values: Any) -> None:
    points = [
        {"metric": "t", "value": value, "at": f"2026-01-01T00:00:{place:02d}Z"} for place, value in enumerate(values)
    ]
    assert client.post(f"/v1/devices/{ident}/telemetry", json={"readings": points}).is_success


def test_readings_are_shown_to_those_who_ask_as_they_come(client: httpx.Client) -> None:
    put(client, "d")
    with following(client) as plain, following(client, "?telemetry=true") as stream:
        post(client, "d", 1, "two", {"three": [3]})
        told = list(islice(stream, 3))
        put(client, "the-end")
        assert [event["name"] for event in until(plain, "the-end")] == ["the-end"]
        assert [event["name"] for event in until(stream, "the-end")] == ["the-end"]
    assert [event["data"] for event in told] == [
        {"metric": "t", "value": value} for value in (1, "two", {"three": [3]})
    ]
    assert {(one["id"], one["type"], one["subject"], one["name"]) for one in told} == {
        (0, "device.telemetry", "device", "d")
    }
    assert [one["at"] for one in told] == [f"2026-01-01T00:00:0{second}Z" for second in range(3)]


def test_readings_are_filtered_as_events_are(client: httpx.Client) -> None:
    for ident in ("a", "b"):
        put(client, ident)
    with following(client, '?telemetry=true&filter=type = "device.telemetry" AND name = "b"') as stream:
        post(client, "a", 1)
        put(client, "c")
        post(client, "b", 2)
        assert next(stream)["data"] == {"metric": "t", "value": 2}


def test_readings_of_others_are_not_shown(client: httpx.Client) -> None:
    put(client, "d")
    assert client.post("/v1/organizations", json={"slug": "kid"}).is_success
    within = f"{client.headers['Fleetroll-Organization']}.kid"
    with httpx.Client(base_url=client.base_url, headers={**client.headers, "fleetroll-organization": within}) as kid:
        put(kid, "d")
        with following(client, "?telemetry=true") as above, following(kid, "?telemetry=true") as below:
            post(kid, "d", "below")
            post(client, "d", "above")
            assert [next(stream)["data"]["value"] for stream in (above, below)] == ["above", "below"]
            put(client, "the-end")
            put(kid, "the-end")
            for stream in (above, below):
                assert [event["name"] for event in until(stream, "the-end")] == ["the-end"]


def test_what_was_refused_is_not_shown(client: httpx.Client) -> None:
    put(client, "d", schema={"t": {"type": "number"}})
    with following(client, "?telemetry=true") as stream:
        refused = client.post("/v1/devices/d/telemetry", json={"readings": [{"metric": "t", "value": "word"}]})
        assert refused.status_code == 400
        put(client, "the-end")
        assert len(until(stream, "the-end")) == 1


def test_a_reading_does_not_move_the_place_of_a_follower(client: httpx.Client) -> None:
    put(client, "d")
    with following(client, "?telemetry=true") as stream:
        put(client, "e")
        last = str(next(stream)["id"])
        post(client, "d", 1)
        assert next(stream)["id"] == 0
    post(client, "d", 2)
    put(client, "the-end")
    with following(client, "?telemetry=true", last) as stream:
        assert next(stream)["name"] == "the-end"


def test_a_key_that_may_not_read_devices_is_not_shown_their_readings(client: httpx.Client) -> None:
    made = client.post("/v1/keys", json={"name": "k", "role": "viewer", "scopes": ["timeline:read"]}).json()
    with httpx.Client(base_url=client.base_url, headers={"x-api-key": made["key"]}) as narrow:
        with narrow.stream("GET", "/v1/events") as reply:
            assert reply.status_code == 200
        assert narrow.get("/v1/events?telemetry=true").status_code == 403
