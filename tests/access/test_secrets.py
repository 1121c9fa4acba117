"""Secrets are shown once and kept nowhere: one long session, and then a search through every byte it left behind."""

import asyncio
import base64
import json
import re
import socket
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest
from msgspec import Struct

from fleetroll.core import tokens
from tests.support import postgres
from tests.support.app import ON_POSTGRES, database_of
from tests.support.canaries import found_in, traces
from tests.support.principals import FORMS, MALFORMED, Headers, client, forged, misplaced, token_of
from tests.support.process import Process, serving

CANARY = "canary-in-the-open"
PRESET = "preset-admin-key-A1b2C3d4E5f6G7h8J9k0"


class Reply(Struct):
    """What came back. `shows` is the secret that the reply is there to show, if any."""

    request: str
    status: int
    headers: dict[str, str]
    body: bytes
    shows: str | None = None

    @property
    def whole(self) -> bytes:
        return "\n".join(f"{name}: {value}" for name, value in self.headers.items()).encode() + b"\n\n" + self.body


class Session:
    """A client that keeps every reply, and every secret that it was given."""

    def __init__(self, server: Process, http: httpx.Client, admin: str) -> None:
        self._server = server
        self._http = http
        self._admin = admin
        self.replies: list[Reply] = []
        self.secrets = {admin}

    def ask(self, method: str, path: str, body: Any = None, headers: Headers | None = None, raw: bytes = b"") -> Reply:
        """One request as the administrator, unless the headers say otherwise."""
        sent = FORMS["Bearer"](self._admin) if headers is None else headers
        content = raw or (b"" if body is None else json.dumps(body).encode())
        latin = [(name.encode(), value.strip().encode("latin-1")) for name, value in sent.items()]
        latin.append((b"content-type", b"application/json"))
        response = self._http.request(method, path, content=content, headers=latin)
        reply = Reply(f"{method} {path}", response.status_code, dict(response.headers), response.content)
        self.replies.append(reply)
        return reply

    def mistake(self, path: str, headers: Headers) -> None:
        """A request with a key in its path. Its reply may repeat the path to its sender; the log may not keep it."""
        self.ask("GET", path, headers=headers)
        self.replies.pop()

    def new_key(self, body: dict[str, Any], once: str) -> str:
        reply = self.ask("POST", "/v1/keys", body, FORMS["Bearer"](self._admin) | {"idempotency-key": once})
        assert reply.status == 201, reply.body
        token = token_of(json.loads(reply.body))
        reply.shows = token
        self.secrets |= {token, tokens.halves(token)[1]}
        return token

    def follow(self) -> None:
        """All events so far, as a follower gets them."""
        with socket.create_connection(("127.0.0.1", self._server.port), timeout=20) as stream:
            authorization = FORMS["Bearer"](self._admin)["authorization"]
            stream.sendall(
                f"GET /v1/events?after=0 HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\n\r\n".encode()
            )
            received = b""
            while b"key.revoked" not in received:
                received += stream.recv(65_536)
        self.replies.append(Reply("GET /v1/events", 200, {}, received))


def session_of(server: Process, http: httpx.Client, admin: str) -> Session:
    """A little of everything: keys of both kinds made, used in every form, misused, repeated, revoked."""
    session = Session(server, http, admin)
    keys = [
        session.new_key({"name": CANARY, "role": role, "kind": kind}, f"{role} {kind}")
        for role in ("viewer", "operator", "admin")
        for kind in ("api", "oauth")
    ]
    for role, kind in (("viewer", "api"), ("admin", "oauth")):
        session.new_key({"name": CANARY, "role": role, "kind": kind}, f"{role} {kind}")
        assert session.replies[-1].headers["idempotency-replayed"] == "true"
    for token in keys:
        use(session, token)
        misuse(session, token)
    session.ask("POST", "/v1/devices", {"ident": CANARY})
    for path in (
        "/v1/devices",
        f"/v1/devices/{CANARY}",
        f"/v1/devices/{CANARY}/timeline",
        "/v1/stats",
        "/v1/devices:export",
    ):
        session.ask("GET", path)
    session.ask("GET", "/v1/devices:export?format=csv")
    session.ask("DELETE", "/v1/keys/3")
    for path in ("/v1/keys", "/v1/keys?limit=1", "/v1/keys/2", "/v1/keys/3", "/v1/me", "/v1/organizations/self"):
        session.ask("GET", path)
    session.follow()
    for path in ("/metrics", "/openapi.json", "/docs", "/health", "/ready"):
        session.ask("GET", path, headers={})
    return session


def use(session: Session, token: str) -> None:
    for form in FORMS.values():
        assert session.ask("GET", "/v1/me", headers=form(token)).status == 200
    halves = session.ask("GET", "/v1/me", headers=client(token))
    assert halves.status == (200 if token.startswith("flr_o_") else 401)
    session.ask("POST", "/api/ext-v1/device", {"identifier": CANARY, "type": "a"}, {"x-api-key": token})
    session.ask("POST", "/api/ext-v1/device", {"identifier": 1}, {"x-api-key": token})


def misuse(session: Session, token: str) -> None:
    for wrong in forged(token).values():
        session.ask("GET", "/v1/me", headers=FORMS["Bearer"](wrong))
        session.ask("GET", "/v1/me", headers=FORMS["x-api-key"](wrong))
    for headers, query in misplaced(token).values():
        assert session.ask("GET", f"/v1/me?{query}", headers=headers).status == 401
    for headers in MALFORMED.values():
        session.ask("GET", "/v1/me", headers=headers)
    good = FORMS["Bearer"](token)
    session.ask("GET", "/v1/nosuch", headers=good)
    session.ask("TRACE", "/v1/me", headers=good)
    session.ask("GET", f"/v1/devices?token={token}&nosuch={token}", headers=good)
    session.ask("POST", "/v1/devices", {"ident": 1, "name": token}, good)
    session.ask("POST", "/v1/devices", headers=good, raw=b'{"ident": "' + token.encode())
    session.ask("POST", "/v1/keys", {"name": token, "role": "nosuch"}, good)
    session.ask("PUT", "/v1/devices/x", {"ident": token}, good)
    session.mistake(f"/v1/devices/{token}", good)
    session.mistake(f"/{token}/{token}", {})


class Leavings(Struct):
    """What a session and its server left behind."""

    session: Session
    artefacts: dict[str, bytes]
    announced: list[str]
    secrets: set[str]


@pytest.fixture(scope="module", params=["generated", "preset"])
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Leavings:
    data = tmp_path_factory.mktemp("secrets") / "data"
    preset = PRESET if request.param == "preset" else ""
    settings = {"FLEETROLL_ADMIN_KEY": preset, "FLEETROLL_LOG_LEVEL": "debug"}
    with serving(data, **settings) as first:
        announced = first.announced if preset else first.announced + line_of(first)
        printed = re.search(tokens.TOKEN_PATTERN, announced)
        with httpx.Client(base_url=first.url, timeout=20) as http:
            session = session_of(first, http, printed[0] if printed else preset)
            backup = session.ask("GET", "/v1/backup")
        artefacts = {"the backup": backup.body, **files(data, "while serving")}
    with serving(data, **settings) as second:
        pass
    artefacts |= files(data, "at rest") | {"the log": data.with_name("data.log").read_bytes()}
    server_key = (data / "server.key").read_text().strip()
    return Leavings(session, artefacts, [announced, second.announced], session.secrets | {server_key})


def line_of(server: Process) -> str:
    """The line that follows the addresses: the key, where one was made."""
    assert server.popen.stdout is not None
    return server.popen.stdout.readline()


def files(data: Path, when: str) -> dict[str, bytes]:
    """All that is kept: the files, and the rows of the database where that is elsewhere."""
    kept = {f"{file.name} {when}": file.read_bytes() for file in data.iterdir() if file.name != "server.key"}
    if url := database_of(data):
        kept[f"the rows {when}"] = b"\n".join(asyncio.run(postgres.rows(url)))
    return kept


KEPT = (
    ("the backup", "the rows at rest", "the rows while serving")
    if ON_POSTGRES
    else ("the backup", "fleetroll.db at rest", "fleetroll.db-wal while serving")
)


def test_no_secret_is_in_anything_that_the_server_writes(left: Leavings) -> None:
    assert {"the log", *KEPT} <= left.artefacts.keys()
    # The search is not blind: what is no secret is found in the same places.
    assert [name for name in KEPT if CANARY.encode() not in left.artefacts[name]] == []
    assert b'"path":"/v1/me"' in left.artefacts["the log"]
    assert len(left.secrets) >= 14
    assert found_in(left.artefacts, left.secrets) == []


def test_no_reply_shows_a_secret_but_the_one_that_made_it(left: Leavings) -> None:
    replies = {
        f"{number} {reply.request}": reply.whole for number, reply in enumerate(left.session.replies) if not reply.shows
    }
    assert len(replies) > 200
    assert found_in(replies, left.secrets) == []


def test_a_reply_with_a_secret_shows_no_other_and_is_not_to_be_stored(left: Leavings) -> None:
    showing = [reply for reply in left.session.replies if reply.shows]
    assert len(showing) == 8
    for reply in showing:
        others = {secret for secret in left.secrets if secret not in {reply.shows, tokens.halves(reply.shows or "")[1]}}
        assert reply.headers["cache-control"] == "no-store"
        assert found_in({"the reply": reply.whole}, others) == []


def test_a_repeated_request_is_answered_from_a_sealed_copy(left: Leavings, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(left.artefacts["the backup"])
    rows = (
        apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READONLY)
        .execute("SELECT status, body FROM replay")
        .fetchall()
    )
    assert len(rows) >= 6
    for status, body in rows:
        assert status == 201
        assert not re.search(rb"flr_|client|viewer|" + CANARY.encode(), base64.b64decode(str(body)))


def test_only_a_generated_key_is_printed_and_only_once(left: Leavings) -> None:
    first, again = (re.findall(tokens.TOKEN_PATTERN, announced) for announced in left.announced)
    assert set(first) <= left.secrets
    assert (len(first), len(again)) == (0 if PRESET in left.secrets else 1, 0)
    assert PRESET not in "".join(left.announced)


def test_the_search_finds_a_secret_in_every_disguise() -> None:
    secret = "flr_a_0123456789ab_0123456789abcdefghijklmnopqrstuvwxyz01"
    disguises = [
        secret,
        json.dumps({"key": secret}),
        secret.encode().hex(),
        secret.encode().hex().upper(),
        *(
            base64.b64encode(f"{'x' * lead}{secret}{'y' * tail}".encode()).decode()
            for lead in range(4)
            for tail in range(3)
        ),
        *(base64.urlsafe_b64encode(f"{'~' * lead}{secret}".encode()).decode() for lead in range(3)),
    ]
    for disguise in disguises:
        assert found_in({"here": f"before {disguise} after".encode()}, [secret]), disguise
    assert not found_in({"here": b"flr_a_ and 0123456789ab alone are public"}, [secret])
    assert all(len(trace) >= 20 for trace in traces(secret))
