"""One running server per profile, and an organization of its own for each test."""

import itertools
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.support import app
from tests.support.app import App, Response

DEVICES = "/api/devmanager/v1/devices"
_NAMES = itertools.count(1)


class Manager:
    """The device manager of one organization, in one profile."""

    def __init__(self, running: App, profile: str) -> None:
        self.app = running
        self.profile = profile
        self.slug = f"tenant-{next(_NAMES)}"
        self.headers = {"fleetroll-organization": self.slug}
        assert running.request("POST", "/v1/organizations", {"slug": self.slug}).status == 201
        made = running.request("POST", "/v1/keys", {"name": "k", "role": "admin"}, headers=self.headers)
        self.key = made.json()["key"]

    @property
    def upstream(self) -> bool:
        return self.profile == "upstream"

    def send(self, method: str, path: str = "", body: Any = None, **headers: str) -> Response:
        """A request below the devices' path, or anywhere if the path is whole."""
        target = path if path.startswith("/api/") else f"{DEVICES}{path}"
        return self.app.request(method, target, body, key=self.key, headers=headers)

    def create(self, ident: str, **members: Any) -> Any:
        reply = self.send("POST", body={"id": ident, **members})
        assert reply.status == 201, reply.body
        return reply.json()

    def page(self, query: str = "") -> Any:
        reply = self.send("GET", f"?{query}")
        assert reply.status == 200, reply.body
        return reply.json()

    def ids(self, *filters: str, **more: str) -> list[str]:
        pairs = [("filter", text) for text in filters] + list(more.items())
        query = "&".join(f"{name}={quote(value)}" for name, value in pairs)
        return [one["id"] for one in self.page(query)["list"]]

    def err(self, reply: Response, status: int) -> str:
        assert reply.status == status, reply.body
        assert list(reply.json()) == ["err"]
        return str(reply.json()["err"])


@pytest.fixture(scope="session", params=["documented", "upstream"])
def profile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, str]]:
    data = tmp_path_factory.mktemp(request.param) / "data"
    with app.running(data, lamassu_profile=request.param) as running:
        yield running, request.param


@pytest.fixture
def manager(profile: tuple[App, str]) -> Manager:
    return Manager(*profile)
