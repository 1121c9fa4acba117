"""OAuth2: a stock client library over a real server, and what a token is good for, how long, and for whom."""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from oauthlib.oauth2 import BackendApplicationClient, InvalidGrantError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from fleetroll.core import limits, tokens
from fleetroll.core.times import SECOND, to_datetime
from fleetroll.core.tokens import Grant
from fleetroll.store.port import Records
from tests.support import process
from tests.support.app import ADMIN_KEY, App, Response, running

TOKEN = "/oauth2/token"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def client(app: App, **members: Any) -> dict[str, Any]:
    made = app.request("POST", "/v1/keys", {"name": "app", "role": "operator", "kind": "oauth", **members})
    assert made.status == 201, made.body
    found: dict[str, Any] = made.json()
    return found


def basic(key: dict[str, Any]) -> dict[str, str]:
    pair = f"{key['client_id']}:{key['client_secret']}"
    return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def granted(app: App, key: dict[str, Any], **parameters: str) -> Response:
    query = urlencode({"grant_type": "client_credentials", **parameters})
    return app.request("POST", f"{TOKEN}?{query}", key=None, headers=basic(key))


def refused(reply: Response) -> tuple[int, str]:
    assert set(reply.json()) == {"error", "error_description"}
    return reply.status, reply.json()["error"]


def test_a_stock_client_gets_tokens_calls_with_them_and_refreshes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # TLS is for a proxy in front, and here is none
    with process.serving(tmp_path / "data") as server:
        url = f"http://127.0.0.1:{server.port}"
        admin = {"Authorization": f"Bearer {ADMIN_KEY}"}
        plain = OAuth2Session(token={"access_token": ADMIN_KEY, "token_type": "Bearer"})
        key = plain.post(
            f"{url}/v1/keys", json={"name": "app", "role": "operator", "kind": "oauth"}, headers=admin
        ).json()
        client_id, secret = key["client_id"], key["client_secret"]
        session = OAuth2Session(client=BackendApplicationClient(client_id))
        for form in ({"auth": HTTPBasicAuth(client_id, secret)}, {"client_secret": secret, "include_client_id": True}):
            token = session.fetch_token(f"{url}{TOKEN}", **form)
            assert (token["token_type"], token["expires_in"]) == ("Bearer", 86_400)
            assert session.get(f"{url}/v1/me").json()["key"]["id"] == key["id"]
        before = token["access_token"]
        auth = HTTPBasicAuth(client_id, secret)
        after = session.refresh_token(f"{url}{TOKEN}", auth=auth)
        assert after["access_token"] != before
        assert session.get(f"{url}/v1/me").status_code == 200
        with pytest.raises(InvalidGrantError):
            session.refresh_token(f"{url}{TOKEN}", refresh_token=token["refresh_token"], auth=auth)


def test_a_client_may_show_itself_in_basic_in_the_query_and_in_a_form(app: App) -> None:
    key = client(app)
    pair = {"client_id": key["client_id"], "client_secret": key["client_secret"]}
    parameters = urlencode({"grant_type": "client_credentials", **pair})
    replies = [
        granted(app, key),
        app.request("POST", f"{TOKEN}?{parameters}", key=None),
        app.request("POST", TOKEN, key=None, headers=FORM, raw=parameters.encode()),
        app.request("POST", TOKEN, key=None, headers=basic(key) | FORM, raw=b"grant_type=client_credentials"),
    ]
    for reply in replies:
        assert reply.status == 200, reply.body
        assert list(reply.json()) == ["access_token", "token_type", "expires_in", "refresh_token"]
        assert reply.headers["cache-control"] == "no-store"
        assert app.request("GET", "/v1/me", key=reply.json()["access_token"]).json()["key"]["id"] == key["id"]


@pytest.mark.parametrize(
    ("query", "status", "error"),
    [
        ("", 400, "invalid_request"),
        ("grant_type=", 400, "invalid_request"),
        ("grant_type=password", 400, "unsupported_grant_type"),
        ("grant_type=refresh_token", 400, "invalid_request"),
        ("grant_type=refresh_token&refresh_token=x", 400, "invalid_grant"),
        ("grant_type=client_credentials&grant_type=client_credentials", 400, "invalid_request"),
    ],
)
def test_a_bad_request_is_told_in_the_codes_of_the_standard(app: App, query: str, status: int, error: str) -> None:
    reply = app.request("POST", f"{TOKEN}?{query}", key=None, headers=basic(client(app)))
    assert refused(reply) == (status, error)


def test_a_wrong_secret_is_a_bad_request(app: App) -> None:
    key = client(app)
    wrong = key["client_secret"].swapcase()  # among 38 characters there are letters
    assert wrong != key["client_secret"]
    assert refused(granted(app, {**key, "client_secret": wrong})) == (400, "invalid_client")
    assert refused(app.request("POST", f"{TOKEN}?grant_type=client_credentials", key=None)) == (400, "invalid_client")


def test_a_form_of_another_type_or_too_long_is_refused_before_anything_else(app: App) -> None:
    json = {"content-type": "application/json"}
    reply = app.request("POST", TOKEN, key=None, headers=json, raw=b"{}")
    assert (reply.status, reply.json()["error"]) == (415, "invalid_request")
    long = b"x=" + b"a" * limits.MAX_FORM
    assert app.request("POST", TOKEN, key=None, headers=FORM, raw=long).status == 413


def test_a_refresh_token_is_good_once_for_its_own_client_and_for_nothing_else(app: App) -> None:
    key, other = client(app), client(app, name="other")
    refresh = granted(app, key).json()["refresh_token"]
    again = {"grant_type": "refresh_token", "refresh_token": refresh}
    assert app.request("GET", "/v1/me", key=refresh).status == 401
    assert refused(granted(app, other, **again)) == (400, "invalid_grant")
    assert granted(app, key, **again).status == 200
    assert refused(granted(app, key, **again)) == (400, "invalid_grant")


def test_an_access_token_cannot_get_the_next_one(app: App) -> None:
    access = granted(app, client(app)).json()["access_token"]
    for user, password in (("", access), (access, ""), tokens.halves(access)):
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers = {"authorization": f"Basic {pair}"}
        reply = app.request("POST", f"{TOKEN}?grant_type=client_credentials", key=None, headers=headers)
        assert refused(reply) == (400, "invalid_client")


def test_a_revoked_client_has_no_tokens_at_once(app: App) -> None:
    key = client(app)
    token = granted(app, key).json()
    assert app.request("GET", "/v1/me", key=token["access_token"]).status == 200
    assert kept(app, key) == 2
    assert app.request("DELETE", f"/v1/keys/{key['id']}").status == 204
    assert app.request("GET", "/v1/me", key=token["access_token"]).status == 401
    again = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    assert refused(granted(app, key, **again)) == (400, "invalid_client")
    assert kept(app, key) == 0


def kept(app: App, key: dict[str, Any]) -> int:
    """How many tokens of a key are stored, whether they are good or not."""
    return app.runner.run(app.services.store.write(lambda records: records.tokens.purge(1, key["id"], 0)))


def planted(app: App, key: dict[str, Any], grant: Grant, seconds: int) -> str:
    """A token that is good for so many seconds from now. The API makes none that has already expired."""
    services = app.services
    text = tokens.assemble_grant(grant, 1, key["id"], services.random_text(tokens.SECRET_LENGTH))
    digest, until = tokens.digest(services.server_key, text), services.clock() + seconds * 1_000_000

    async def work(records: Records) -> None:
        await records.tokens.insert(1, key["id"], digest, until, refreshes=grant is Grant.REFRESH)

    app.runner.run(services.store.write(work))
    return text


def test_tokens_end_by_themselves(app: App) -> None:
    key = client(app)
    for seconds, status in ((60, 200), (0, 401), (-1, 401)):
        assert app.request("GET", "/v1/me", key=planted(app, key, Grant.ACCESS, seconds)).status == status
    for seconds, status in ((60, 200), (0, 400), (-1, 400)):
        refresh = planted(app, key, Grant.REFRESH, seconds)
        assert granted(app, key, grant_type="refresh_token", refresh_token=refresh).status == status


def test_a_client_has_no_more_valid_tokens_than_it_may(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_GRANTS", 10)
    for seconds, status in ((60, 429), (-1, 200)):
        key = client(app)

        async def fill(
            records: Records, key: int = key["id"], until: int = app.services.clock() + seconds * SECOND
        ) -> None:
            for number in range(limits.MAX_GRANTS + 1):
                await records.tokens.insert(1, key, f"digest {number}", until, refreshes=False)

        app.runner.run(app.services.store.write(fill))
        reply = granted(app, key)
        assert reply.status == status
        assert reply.headers.get("retry-after") == (str(limits.ACCESS_TOKEN_LIFETIME) if status == 429 else None)
    assert kept(app, key) == 2  # those that had expired are gone


def test_a_token_is_said_to_be_good_for_no_longer_than_its_client(app: App) -> None:
    until = to_datetime(app.services.clock() + 90 * 1_000_000).isoformat()
    short, lasting = client(app, name="short", expires_at=until), client(app)
    token = granted(app, short).json()
    assert 60 < token["expires_in"] <= 90
    again = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    assert 60 < granted(app, short, **again).json()["expires_in"] <= 90
    assert granted(app, lasting).json()["expires_in"] == limits.ACCESS_TOKEN_LIFETIME


def test_a_token_can_do_what_its_client_can(app: App) -> None:
    narrow = client(app, scopes=["devices:read"])
    assert narrow["scopes"] == ["devices:read", "tokens:issue"]
    access = granted(app, narrow).json()["access_token"]
    assert app.request("GET", "/v1/devices", key=access).status == 200
    assert app.request("PUT", "/v1/devices/d", {}, key=access).status == 403
    assert app.request("GET", "/v1/owners", key=access).status == 403


def test_no_token_is_in_what_the_server_keeps(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as app:
        token = granted(app, client(app)).json()
    kept = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    for text in (token["access_token"], token["refresh_token"]):
        assert text.encode() not in kept
        assert text[-38:].encode() not in kept


def test_a_client_created_with_an_access_token_lasts_as_long_as_the_tokens_client(app: App) -> None:
    path = "/api/v1/organization/oauth/clients/create"
    for expiry in (None, "2998-12-31T23:00:00Z"):
        key = client(app, role="admin", expires_at=expiry)
        access = granted(app, key).json()["access_token"]
        assert app.request("POST", path, {"name": str(expiry)}, key=access).status == 201
        made = app.request("GET", "/v1/keys?limit=1000").json()["keys"]
        assert [one["expires_at"] for one in made if one["name"] == str(expiry)] == [expiry]
