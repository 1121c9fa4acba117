"""API keys: made once, shown once, held to role, scopes and expiry, revoked at once."""

from base64 import b64encode
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support.app import ADMIN_KEY, App


def make(app: App, role: str = "admin", *, key: str = ADMIN_KEY, **members: Any) -> dict[str, Any]:
    made = app.request("POST", "/v1/keys", {"name": "k", "role": role, **members}, key=key)
    assert made.status == 201, made.body
    return dict(made.json())


def test_a_key_is_shown_once_and_never_cached(app: App) -> None:
    made = app.request("POST", "/v1/keys", {"name": "ci", "role": "operator"})
    assert (made.status, made.headers["cache-control"]) == (201, "no-store")
    assert app.request("GET", "/v1/devices", key=made.json()["key"]).status == 200
    read = app.request("GET", made.headers["location"])
    listed = app.request("GET", "/v1/keys")
    secret = made.json()["key"].encode()
    assert secret not in read.body + listed.body
    assert read.json() == {name: value for name, value in made.json().items() if name != "key"}
    assert read.json() in listed.json()["keys"]


def test_an_oauth_client_gets_two_halves_that_work_as_basic_credentials(app: App) -> None:
    made = make(app, kind="oauth")
    assert "key" not in made
    pair = b64encode(f"{made['client_id']}:{made['client_secret']}".encode()).decode()
    me = app.request("GET", "/v1/me", key=None, headers={"Authorization": f"Basic {pair}"})
    assert me.json()["key"]["id"] == made["id"]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Authorization", "Bearer {key}"),
        ("Authorization", "bearer {key}"),
        ("X-Api-Key", "{key}"),
        ("Authorization", "basic::{key}"),
        ("Authorization", "basic:{key}:"),
        ("Authorization", "basic:ann@example.com:{key}"),
    ],
)
def test_a_key_works_in_every_form(app: App, header: str, value: str) -> None:
    text = value.format(key=make(app)["key"])
    if text.startswith("basic:"):
        text = "Basic " + b64encode(text.removeprefix("basic:").encode()).decode()
    assert app.request("GET", "/v1/me", key=None, headers={header: text}).status == 200


def test_no_key_and_a_wrong_key_are_refused_in_the_same_words(app: App) -> None:
    good = make(app)["key"]
    typo = good[:-1] + ("A" if good[-1] != "A" else "B")
    replies = [app.request("GET", "/v1/me", key=key) for key in (None, "", "nonsense", typo, good[:20], "x" * 5000)]
    assert {reply.status for reply in replies} == {401}
    assert len({(reply.json()["code"], reply.json()["detail"]) for reply in replies}) == 1
    assert replies[0].headers["www-authenticate"] == 'Bearer realm="fleetroll"'


def test_a_revoked_key_stops_working_at_once(app: App) -> None:
    made = make(app)
    assert app.request("GET", "/v1/me", key=made["key"]).status == 200
    assert app.request("DELETE", f"/v1/keys/{made['id']}").status == 204
    assert app.request("GET", "/v1/me", key=made["key"]).status == 401
    assert app.request("DELETE", f"/v1/keys/{made['id']}").status == 204
    assert app.request("GET", f"/v1/keys/{made['id']}").json()["revoked_at"] is not None


def test_a_key_can_revoke_itself_and_only_once(app: App) -> None:
    made = make(app)
    assert app.request("DELETE", f"/v1/keys/{made['id']}", key=made["key"]).status == 204
    assert app.request("DELETE", f"/v1/keys/{made['id']}", key=made["key"]).status == 401


def test_an_expiry_must_lie_ahead_and_have_a_zone(app: App) -> None:
    for expiry, code in (("2001-01-01T00:00:00Z", "invalid_expiry"), ("2999-01-01T00:00:00", "invalid_time")):
        body = {"name": "k", "role": "viewer", "expires_at": expiry}
        refused = app.request("POST", "/v1/keys", body)
        assert (refused.status, refused.json()["code"]) == (400, code)
    assert make(app, expires_at="2999-01-01T00:00:00+01:00")["expires_at"] == "2998-12-31T23:00:00Z"


def test_a_key_that_expires_makes_none_that_expires_later(app: App) -> None:
    soon = "2998-12-31T23:00:00Z"
    maker = make(app, expires_at=soon)["key"]
    body = {"name": "k", "role": "viewer", "expires_at": "2998-12-31T23:00:01Z"}
    refused = app.request("POST", "/v1/keys", body, key=maker)
    assert (refused.status, refused.json()["code"], refused.json()["field"]) == (403, "permission_denied", "expires_at")
    for kind in ("api", "oauth"):
        assert make(app, key=maker, kind=kind)["expires_at"] == soon
        assert make(app, key=maker, kind=kind, expires_at="2998-01-01T00:00:00Z")["expires_at"] < soon
        assert make(app, key=maker, kind=kind, expires_at=soon)["expires_at"] == soon
    assert app.request("POST", "/v1/organizations", {"slug": "below"}, key=maker).status == 201
    below = {"Fleetroll-Organization": "below"}
    made = app.request("POST", "/v1/keys", {"name": "k", "role": "admin"}, key=maker, headers=below)
    assert made.json()["expires_at"] == soon
    assert make(app)["expires_at"] is None


@pytest.mark.parametrize(
    ("role", "allowed", "refused"),
    [
        ("viewer", ["GET /v1/devices", "GET /v1/owners"], ["PUT /v1/devices/d", "POST /v1/keys", "GET /v1/keys"]),
        ("operator", ["PUT /v1/devices/d", "DELETE /v1/devices/d"], ["POST /v1/keys", "POST /v1/organizations"]),
        ("admin", ["GET /v1/keys", "PUT /v1/devices/d"], []),
    ],
)
def test_a_role_reaches_as_far_as_it_says(app: App, role: str, allowed: list[str], refused: list[str]) -> None:
    key = make(app, role)["key"]
    bodies: dict[str, Any] = {
        "/v1/devices/d": {},
        "/v1/keys": {"name": "k", "role": "viewer"},
        "/v1/organizations": {"slug": "s"},
    }
    for expected, requests in ((False, refused), (True, allowed)):
        for request in requests:
            method, path = request.split()
            body = bodies.get(path) if method in {"PUT", "POST"} else None
            reply = app.request(method, path, body, key=key)
            assert (reply.status < 300) is expected, request
            assert expected or reply.json()["code"] == "permission_denied"


def test_scopes_narrow_what_a_role_allows(app: App) -> None:
    key = make(app, "operator", scopes=["devices:write", "devices:read"])["key"]
    assert app.request("PUT", "/v1/devices/d", {}, key=key).status == 201
    assert app.request("DELETE", "/v1/devices/d", key=key).status == 403
    assert app.request("GET", "/v1/owners", key=key).status == 403


def test_a_key_of_any_scope_learns_whose_it_is_and_of_the_organization_what_it_may_read(app: App) -> None:
    gateway, reader = (make(app, "viewer", scopes=[scope]) for scope in ("devices:read", "organizations:read"))
    replies = [app.request("GET", "/v1/me", key=one["key"]) for one in (gateway, reader)]
    assert [reply.json()["key"]["id"] for reply in replies] == [gateway["id"], reader["id"]]
    named, known = (reply.json()["organization"] for reply in replies)
    assert named == {"id": 1, "slug": "default", "name": "Default"}
    whole = app.request("GET", "/v1/organizations/self").json()
    assert known == {name: value for name, value in whole.items() if name != "usage"}


def test_nobody_makes_a_key_that_may_do_more_than_their_own(app: App) -> None:
    scoped = make(app, "admin", scopes=["keys:write", "devices:read"])["key"]
    for members in ({}, {"scopes": ["devices:write"]}, {"scopes": ["devices:read", "devices:write"]}):
        refused = app.request("POST", "/v1/keys", {"name": "k", "role": "viewer", **members}, key=scoped)
        assert (refused.status, refused.json()["code"]) == (403, "permission_denied"), members
    assert make(app, "viewer", key=scoped, scopes=["devices:read"])["scopes"] == ["devices:read"]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"role": "root"}, "invalid_body"),
        ({"role": "device"}, "invalid_body"),
        ({"kind": "carrier pigeon"}, "invalid_body"),
        ({"scopes": ["devices:fly"]}, "unknown_scope"),
        ({"name": ""}, "invalid_text"),
        ({"name": None}, "invalid_body"),
    ],
)
def test_a_key_that_cannot_be_is_refused(app: App, members: dict[str, Any], code: str) -> None:
    refused = app.request("POST", "/v1/keys", {"name": "k", "role": "admin", **members})
    assert (refused.status, refused.json()["code"]) == (400, code)
    assert len(app.request("GET", "/v1/keys").json()["keys"]) == 1


def test_an_unknown_role_is_answered_with_those_that_may_be_given(app: App) -> None:
    refused = app.request("POST", "/v1/keys", {"name": "k", "role": "root"})
    assert refused.json()["detail"] == "role must be one of viewer, operator, admin."


def test_an_unknown_scope_is_named_beside_those_that_exist(app: App) -> None:
    refused = app.request("POST", "/v1/keys", {"name": "k", "role": "viewer", "scopes": ["devices:read,owners:read"]})
    assert refused.json()["detail"].startswith(
        "Unknown scope devices:read,owners:read; known scopes are certificates:read,"
    )


@pytest.mark.parametrize("number", ["0", "99", "x", "-1", "1.0", "9" * 40, "%D9%A1"])
def test_a_number_that_names_no_key_is_not_found(app: App, number: str) -> None:
    refused = app.request("GET", f"/v1/keys/{number}")
    assert (refused.status, refused.json()["detail"]) == (404, f"Key {unquote(number)} was not found.")


def test_keys_are_listed_in_pages(app: App) -> None:
    made = [make(app)["id"] for _ in range(3)]
    first = app.request("GET", "/v1/keys?limit=2").json()
    rest = app.request("GET", f"/v1/keys?limit=2&cursor={first['next_cursor']}").json()
    assert [key["id"] for key in first["keys"] + rest["keys"]] == [1, *made]
    assert rest["next_cursor"] is None


def test_a_retried_creation_gives_the_same_key_again(app: App) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first, again = (app.request("POST", "/v1/keys", {"name": "k", "role": "viewer"}, headers=headers) for _ in "ab")
    assert again.body == first.body
    assert again.headers["cache-control"] == "no-store"
    assert len(app.request("GET", "/v1/keys").json()["keys"]) == 2


def test_the_last_key_that_may_do_everything_stays(app: App) -> None:
    """Without it nobody could make a key for the root any more."""
    others = [make(app, "operator"), make(app, scopes=["keys:write"]), make(app, kind="nats"), make(app)]
    peer = others.pop()
    assert app.request("DELETE", f"/v1/keys/{peer['id']}").status == 204
    for _ in range(2):
        refused = app.request("DELETE", "/v1/keys/1")
        assert (refused.status, refused.json()["code"]) == (409, "last_admin_key")
    successor = make(app)
    assert app.request("DELETE", "/v1/keys/1").status == 204
    again = app.request("DELETE", f"/v1/keys/{successor['id']}", key=successor["key"])
    assert (again.status, again.json()["code"]) == (409, "last_admin_key")
    for other in others:
        assert app.request("DELETE", f"/v1/keys/{other['id']}", key=successor["key"]).status == 204


def test_the_last_key_below_the_root_can_be_revoked_from_above_it(app: App) -> None:
    app.request("POST", "/v1/organizations", {"slug": "keyless"})
    inside = {"fleetroll-organization": "keyless"}
    made = app.request("POST", "/v1/keys", {"name": "k", "role": "admin"}, headers=inside).json()
    assert app.request("DELETE", f"/v1/keys/{made['id']}", headers=inside).status == 204
