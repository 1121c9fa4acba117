"""Everybody who may knock: tenants with keys of every role and fate, and every way to carry a key in a request."""

import base64
import json
from collections.abc import Callable
from string import ascii_lowercase
from typing import Any

from fleetroll.core import tokens
from fleetroll.core.model import Key, KeyKind
from fleetroll.core.policy import MINIMUM_ROLE, Role
from fleetroll.store.port import Records
from tests.support.app import App, Response

SCOPES = frozenset(action.value for action in MINIMUM_ROLE)
ACTS_IN = "fleetroll-organization"
Headers = dict[str, str]


def _basic(text: str) -> Headers:
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


FORMS: dict[str, Callable[[str], Headers]] = {
    "x-api-key": lambda token: {"x-api-key": token},
    "Bearer": lambda token: {"authorization": f"Bearer {token}"},
    "Basic :key": lambda token: _basic(f":{token}"),
    "Basic key:": lambda token: _basic(f"{token}:"),
    "Basic email:key": lambda token: _basic(f"ann@example.com:{token}"),
}
"""Where a key may stand, by the name under which the access table lists the forms of each dialect."""


def client(token: str) -> Headers:
    """An OAuth2 client's id and secret, as its client sends them."""
    return _basic(":".join(tokens.halves(token)))


class Tenant:
    """One organization. Its keys are made when they are first asked for."""

    def __init__(self, app: App, path: str, number: int) -> None:
        self.app = app
        self.path = path
        self.number = number
        self._tokens: dict[tuple[Any, ...], str] = {}

    def child(self, slug: str) -> "Tenant":
        """A new organization below this one."""
        made = self.make("/v1/organizations", {"slug": slug})
        return Tenant(self.app, slug if self.path == "self" else f"{self.path}.{slug}", made["id"])

    def key(self, role: str, scopes: frozenset[str] = frozenset(), kind: str = "api") -> str:
        """The token of a key that works."""
        known = (role, scopes, kind)
        if known not in self._tokens:
            self._tokens[known] = token_of(self.new_key(role, scopes, kind))
        return self._tokens[known]

    def new_key(self, role: str, scopes: frozenset[str] = frozenset(), kind: str = "api") -> dict[str, Any]:
        """A key made through the API, as its one reply shows it."""
        body = {"name": f"{role} of {self.path}", "role": role, "kind": kind, "scopes": sorted(scopes)}
        return dict(self.make("/v1/keys", body))

    def make(self, path: str, body: Any) -> Any:
        """A record made by the administrator of everything, acting in this organization."""
        made = self.app.request("POST", path, body, headers={ACTS_IN: self.path})
        assert made.status in {200, 201}, (path, made.body)
        return made.json()

    def revoked(self) -> str:
        """The token of a key that worked until it was revoked."""
        key = self.new_key("admin")
        assert self.asks(key["key"]).status == 200
        gone = self.app.request("DELETE", f"/v1/keys/{key['id']}", headers={ACTS_IN: self.path})
        assert gone.status == 204, gone.body
        return str(key["key"])

    def expired(self) -> str:
        """The token of a key whose time is over. The API makes no such key, so it is put into the store."""
        services = self.app.services
        token = tokens.assemble(KeyKind.API, services.random_text(tokens.PREFIX_LENGTH), "x" * tokens.SECRET_LENGTH)
        key = Key(0, self.number, "expired", KeyKind.API, Role.ADMIN, (), 1, services.clock() - 1, None, None)

        async def work(records: Records) -> None:
            digest = tokens.digest(services.server_key, token)
            await records.keys.insert(key, token[6 : 6 + tokens.PREFIX_LENGTH], digest)

        self.app.runner.run(services.store.write(work))
        return token

    def asks(self, token: str) -> Response:
        """The reply to a token that asks who it is."""
        return self.app.request("GET", "/v1/me", key=token)


def token_of(key: dict[str, Any]) -> str:
    """The token of a key as its creation shows it, of either kind."""
    return str(key["key"]) if "key" in key else tokens.join(key["client_id"], key["client_secret"])


def forged(token: str) -> dict[str, str]:
    """Tokens that are almost this one, by what is wrong with them."""
    other = ascii_lowercase[token[25] == "a"]
    secret = tokens.ALPHABET[:32]
    prefix = token[6:18]
    return {
        "one character is wrong": token[:25] + other + token[26:],
        "the last character is missing": token[:-1],
        "nobody has it": tokens.assemble(KeyKind.API, prefix[::-1], secret),
        "another secret under a known prefix": tokens.assemble(KeyKind.API, prefix, secret),
        "of another kind": tokens.assemble(KeyKind.OAUTH, prefix, token[19:51]),
        "a digest of it": tokens.digest(b"guess", token),
    }


MALFORMED: dict[str, Headers] = {
    "nothing at all": {},
    "empty x-api-key": {"x-api-key": ""},
    "empty Authorization": {"authorization": ""},
    "Bearer of nothing": {"authorization": "Bearer "},
    "one letter": {"authorization": "Bearer x"},
    "Latin-1": {"authorization": "Bearer \xe9\xff"},
    "too long": {"authorization": "Bearer " + "a" * 5_000},
    "Basic that is not base64": {"authorization": "Basic ::::"},
    "Basic that is not UTF-8": {"authorization": "Basic //79"},
    "Basic of nothing": _basic(":"),
    "no colon": _basic("admin"),
    "a default password": _basic("admin:admin"),
    "an unsigned JWT": {"authorization": "Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ."},
    "a JSON body": {"authorization": "Bearer " + json.dumps({"role": "admin"})},
}
"""Headers that hold no key of anybody's."""


def misplaced(token: str) -> dict[str, tuple[Headers, str]]:
    """A good token where no dialect looks for one: headers, and a query string."""
    return {
        "bare": ({"authorization": token}, ""),
        "another scheme": ({"authorization": f"Token {token}"}, ""),
        "a cookie": ({"cookie": f"token={token}; session={token}; x-api-key={token}"}, ""),
        "another header": ({"x-auth-token": token, "api-key": token, "proxy-authorization": f"Bearer {token}"}, ""),
        "in the query": ({}, f"api_key={token}&access_token={token}&token={token}&x-api-key={token}&key={token}"),
    }
