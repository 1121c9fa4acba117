"""Revocation: once it is answered, the next request with that key is refused, and what the key left open ends."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.app import ADMIN_KEY, App, running
from tests.support.principals import ACTS_IN, Tenant, token_of
from tests.support.process import Process, serving
from tests.support.raw import Raw

RACES = 100


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("revocation") / "data") as app:
        yield app


@pytest.fixture(scope="module")
def root(app: App) -> Tenant:
    return Tenant(app, "self", 1)


def works(app: App, token: str) -> bool:
    """Whether the key opens anything, asked twice because the first answer might be remembered."""
    statuses = {app.request("GET", "/v1/stats", key=token).status for _ in range(2)}
    assert len(statuses) == 1
    return statuses == {200}


@pytest.mark.parametrize("kind", ["api", "oauth"])
def test_a_revoked_key_stops_working_at_once(kind: str, app: App, root: Tenant) -> None:
    key = root.new_key("viewer", kind=kind)
    token = token_of(key)
    assert works(app, token)
    assert app.request("DELETE", f"/v1/keys/{key['id']}").status == 204
    assert not works(app, token)


def test_a_key_may_revoke_itself_and_is_gone(app: App, root: Tenant) -> None:
    key = root.new_key("admin")
    assert app.request("DELETE", f"/v1/keys/{key['id']}", key=key["key"]).status == 204
    assert app.request("DELETE", f"/v1/keys/{key['id']}", key=key["key"]).status == 401
    shown = app.request("GET", f"/v1/keys/{key['id']}").json()
    assert shown["revoked_at"] is not None
    assert "key" not in shown


def test_revoking_one_key_leaves_the_others(app: App, root: Tenant) -> None:
    one, other = root.new_key("viewer"), root.new_key("viewer")
    assert works(app, one["key"])
    assert works(app, other["key"])
    assert app.request("DELETE", f"/v1/keys/{one['id']}").status == 204
    assert not works(app, one["key"])
    assert works(app, other["key"])


def test_a_disabled_organization_shuts_out_its_keys_and_those_below_until_it_is_enabled(app: App, root: Tenant) -> None:
    above = root.child("above")
    below = above.child("below")
    keys = [above.key("admin"), below.key("viewer")]
    assert all(works(app, token) for token in keys)
    app.request("PATCH", "/v1/organizations/above", {"disabled": True})
    assert not any(works(app, token) for token in keys)
    app.request("PATCH", "/v1/organizations/above", {"disabled": False})
    assert all(works(app, token) for token in keys)


def test_a_deleted_organization_takes_its_keys_with_it(app: App, root: Tenant) -> None:
    gone = root.child("gone")
    token = gone.key("admin")
    assert works(app, token)
    assert app.request("DELETE", "/v1/organizations/gone").status == 204
    assert not works(app, token)
    root.child("gone")
    assert not works(app, token)  # another organization of the same name is not the one that the key was for


def test_a_key_cannot_be_given_another_role_but_only_another_key(app: App, root: Tenant) -> None:
    """A change of role is a new key and the end of the old one, so nobody keeps what they had."""
    key = root.new_key("admin")
    for method in ("PATCH", "PUT", "POST"):
        assert app.request(method, f"/v1/keys/{key['id']}", {"role": "viewer"}).status == 405
    body = {"name": "weaker", "role": "viewer"}
    weaker = app.request("POST", "/v1/keys", body, key=key["key"]).json()
    app.request("DELETE", f"/v1/keys/{key['id']}")
    assert app.request("GET", "/v1/keys", key=key["key"]).status == 401
    assert app.request("GET", "/v1/keys", key=weaker["key"]).status == 403


def test_what_a_revoked_key_did_once_is_not_repeated_to_it(app: App, root: Tenant) -> None:
    key = root.new_key("admin")
    headers = {"idempotency-key": "once"}
    body = {"name": "made", "role": "viewer"}
    assert app.request("POST", "/v1/keys", body, key=key["key"], headers=headers).status == 201
    app.request("DELETE", f"/v1/keys/{key['id']}")
    assert app.request("POST", "/v1/keys", body, key=key["key"], headers=headers).status == 401


def test_no_request_that_begins_after_the_answer_succeeds(app: App, root: Tenant) -> None:
    """Requests race with the revocation; whatever is asked after its answer is refused."""

    async def race(key: dict[str, str]) -> None:
        answered = asyncio.Event()

        async def hammer() -> None:
            for _ in range(10):
                late = answered.is_set()
                status = (await app.call("GET", "/v1/stats", key=key["key"])).status
                assert status == 401 if late else status in {200, 401}
                await asyncio.sleep(0)

        racing = [asyncio.ensure_future(hammer()) for _ in range(3)]
        await asyncio.sleep(0)
        assert (await app.call("DELETE", f"/v1/keys/{key['id']}")).status == 204
        answered.set()
        await asyncio.gather(hammer(), *racing)

    for _ in range(RACES):
        app.runner.run(race(root.new_key("viewer")))


# --- what is still open ----------------------------------------------------------------------------------------------


class Upload:
    """A client that sends a body line by line, and deletes something after the first."""

    def __init__(self, app: App, path: str, token: str, *headers: tuple[bytes, bytes]) -> None:
        self._app = app
        self._path = path
        self._token = token
        self._headers = headers
        self.body = b""

    async def send(self, lines: list[str], revoke: str) -> None:
        inbox: asyncio.Queue[bytes] = asyncio.Queue()
        headers = (
            (b"authorization", f"Bearer {self._token}".encode()),
            (b"content-type", b"application/x-ndjson" if self._path.endswith(":import") else b"application/json"),
            *self._headers,
        )
        await inbox.put(json.dumps({"ident": lines[0]}).encode() + b"\n")
        waiting = asyncio.Event()

        async def receive() -> dict[str, object]:
            if inbox.empty():
                waiting.set()
            part = await inbox.get()
            return {"type": "http.request", "body": part, "more_body": part != b""}

        async def answer(message: dict[str, object]) -> None:
            self.body += bytes(message.get("body", b""))  # type: ignore[call-overload]

        scope = scope_of(Raw("POST", self._path.encode(), headers))
        running = asyncio.ensure_future(self._app.application.asgi(scope, receive, answer))
        await waiting.wait()
        assert (await self._app.call("DELETE", revoke)).status == 204
        for ident in lines[1:]:
            await inbox.put(json.dumps({"ident": ident}).encode() + b"\n")
        await inbox.put(b"")
        await asyncio.wait_for(running, 20)


def scope_of(request: Raw) -> dict[str, object]:
    path, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        "path": path.decode(),
        "raw_path": path,
        "query_string": query,
        "headers": list(request.headers),
        "state": {},
    }


def test_an_import_stops_where_its_key_was_revoked(app: App, root: Tenant) -> None:
    key = root.new_key("operator")
    upload = Upload(app, "/v1/devices:import", key["key"])
    app.runner.run(upload.send(["late-0", "late-1", "late-2"], f"/v1/keys/{key['id']}"))
    assert b"unauthenticated" in upload.body
    found = app.request("GET", "/v1/devices?filter=ident%20%3D%20%22late-*%22").json()["devices"]
    assert [device["ident"] for device in found] in ([], ["late-0"])


@pytest.mark.parametrize(("path", "count"), [("/v1/devices:import", 2_500), ("/v1/devices", 1)])
def test_nothing_is_stored_in_an_organization_that_was_deleted_meanwhile(app: App, path: str, count: int) -> None:
    app.request("POST", "/v1/organizations", {"slug": "gone"})
    upload = Upload(app, path, ADMIN_KEY, (b"fleetroll-organization", b"gone"))
    app.runner.run(upload.send([f"late-{number}" for number in range(count)], "/v1/organizations/gone"))
    assert b"organization_not_found" in upload.body
    assert b"created" not in upload.body


def test_a_key_that_is_revoked_while_its_request_arrives_is_good_for_nothing(app: App, root: Tenant) -> None:
    key = root.new_key("admin")
    upload = Upload(app, "/v1/devices", key["key"])
    app.runner.run(upload.send(["too-late"], f"/v1/keys/{key['id']}"))
    assert b"unauthenticated" in upload.body
    assert app.request("GET", "/v1/devices/too-late").status == 404


def test_a_device_that_is_deleted_while_its_request_arrives_is_nobody(app: App, root: Tenant) -> None:
    root.make("/v1/devices", {"ident": "brief"})
    token = app.request("GET", "/v1/devices/brief/credentials").json()["device_token"]
    upload = Upload(app, f"/external/api/batch/update?token={token}&pin=V1", ADMIN_KEY)
    app.runner.run(upload.send(["brief"], "/v1/devices/brief"))
    assert b"Invalid token" in upload.body


def test_nothing_is_stored_in_an_organization_that_is_deleted_at_that_moment(app: App, root: Tenant) -> None:
    """The caller was let in before its own organization was gone, and writes after that."""
    key = root.child("going").key("admin")
    assert works(app, key)
    assert works(app, ADMIN_KEY)  # both are known without waiting, so the deletion is the first to write

    async def race() -> list[int]:
        deleted = app.call("DELETE", "/v1/organizations/going")
        made = app.call("POST", "/v1/devices", {"ident": "nowhere"}, key=key)
        return [response.status for response in await asyncio.gather(deleted, made)]

    assert app.runner.run(race()) == [204, 404]


def test_an_export_stops_where_its_key_was_revoked(app: App, root: Tenant) -> None:
    rows = b"".join(b'{"ident":"many-%d"}\n' % number for number in range(2_500))
    headers = {"content-type": "application/x-ndjson"}
    assert app.request("POST", "/v1/devices:import", raw=rows, headers=headers).status == 200
    key = root.new_key("viewer")
    lines = app.runner.run(download(app, key["key"], f"/v1/keys/{key['id']}"))
    assert json.loads(lines[-1])["error"]["code"] == "unauthenticated"
    assert len(lines) < 2_500


async def download(app: App, token: str, revoke: str) -> list[bytes]:
    """The lines of an export, during whose first part the key is revoked."""
    parts: list[bytes] = []
    inbox: list[dict[str, object]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, object]:
        if not inbox:
            await asyncio.Event().wait()
        return inbox.pop()

    async def answer(message: dict[str, object]) -> None:
        if message["type"] == "http.response.body":
            if not parts:
                assert (await app.call("DELETE", revoke)).status == 204
            parts.append(bytes(message.get("body", b"")))  # type: ignore[call-overload]

    scope = scope_of(Raw("GET", b"/v1/devices:export", ((b"authorization", f"Bearer {token}".encode()),)))
    await asyncio.wait_for(app.application.asgi(scope, receive, answer), 20)
    return b"".join(parts).splitlines()


def test_a_stream_of_events_ends_when_its_key_is_revoked(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        keeper, key = Client(server), new_key(server)
        with following(server, key["key"]) as stream:
            assert keeper.request("DELETE", f"/v1/keys/{key['id']}") == 204
            assert drained(stream).endswith(b"0\r\n\r\n")


def test_a_stream_of_events_ends_when_its_organization_is_disabled(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        keeper = Client(server)
        assert keeper.request("POST", "/v1/organizations", {"slug": "acme"}) == 201
        key = new_key(server, acts_in="acme")
        with following(server, key["key"]) as stream:
            assert keeper.request("PATCH", "/v1/organizations/acme", {"disabled": True}) == 200
            assert b"organization.updated" not in drained(stream)


def test_a_stream_of_events_ends_when_its_organization_is_deleted(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        keeper = Client(server)
        assert keeper.request("POST", "/v1/organizations", {"slug": "acme"}) == 201
        with following(server, ADMIN_KEY, acts_in="acme") as stream:
            assert keeper.request("DELETE", "/v1/organizations/acme") == 204
            assert drained(stream).endswith(b"0\r\n\r\n")


class Client:
    """An administrator, over a real socket."""

    def __init__(self, server: Process) -> None:
        self._server = server
        self.reply: dict[str, str] = {}

    def request(self, method: str, path: str, body: object = None, **headers: str) -> int:
        sent = {"authorization": f"Bearer {ADMIN_KEY}", **headers}
        reply = httpx.request(method, self._server.url + path, json=body, headers=sent, timeout=20)
        self.reply = reply.json() if reply.content else {}
        return reply.status_code


def new_key(server: Process, acts_in: str = "self") -> dict[str, str]:
    client = Client(server)
    assert client.request("POST", "/v1/keys", {"name": "watcher", "role": "viewer"}, **{ACTS_IN: acts_in}) == 201
    return client.reply


def following(server: Process, token: str, acts_in: str = "self") -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    headers = f"host: x\r\nauthorization: Bearer {token}\r\n{ACTS_IN}: {acts_in}\r\n"
    stream.sendall(f"GET /v1/events HTTP/1.1\r\n{headers}\r\n".encode())
    begun = b""
    while b": following" not in begun:
        begun += stream.recv(4096)
    return stream


def drained(stream: socket.socket) -> bytes:
    """All that comes until the reply ends. A stream that stays open is silent for 15 seconds: this would time out."""
    received = b""
    stream.settimeout(12)
    while not received.endswith(b"0\r\n\r\n") and (part := stream.recv(4096)):
        received += part
    return received
