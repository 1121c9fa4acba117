"""Credentials through the native API: shown to who may write the device, and ended by a rotation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetroll.core import limits
from fleetroll.core.secrets import Issuer, Presented
from tests.support.app import App, running

URL = "/v1/devices/d-1/credentials"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        assert app.request("POST", "/v1/devices", {"ident": "d-1"}).status == 201
        yield app


def key(app: App, **members: Any) -> str:
    return str(app.request("POST", "/v1/keys", {"name": "k", **members}).json()["key"])


def is_good(app: App, token: str) -> bool:
    """Whether the token still names its device."""
    presented = Presented(Issuer.DEVICE, token)
    try:
        principal = app.runner.run(app.services.keyring.identify(presented, app.services.clock()))
    except Exception:  # noqa: BLE001  # whatever the refusal is
        return False
    return principal.device is not None


def test_a_device_has_a_token_that_only_writers_see(app: App) -> None:
    shown = app.request("GET", URL)
    assert shown.headers["cache-control"] == "no-store"
    assert shown.json()["kinds"] == ["device_token"]
    assert len(shown.json()["device_token"]) == 32
    assert is_good(app, shown.json()["device_token"])
    assert app.request("GET", URL).json() == shown.json()
    assert app.request("GET", URL, key=key(app, role="operator")).json() == shown.json()
    for other in (key(app, role="viewer"), key(app, role="admin", scopes=["devices:read"])):
        assert app.request("GET", URL, key=other).json() == {"kinds": ["device_token"]}


def test_a_rotation_ends_the_token_at_once(app: App) -> None:
    old = app.request("GET", URL).json()["device_token"]
    rotated = app.request("POST", "/v1/devices/d-1:rotate-credentials")
    assert (rotated.status, rotated.headers["cache-control"]) == (200, "no-store")
    new = rotated.json()["device_token"]
    assert (is_good(app, old), is_good(app, new)) == (False, True)
    events = app.request("GET", "/v1/devices/d-1/timeline").json()["events"]
    assert events[0]["type"] == "device.credentials_rotated"
    assert new not in str(events)


def test_a_device_has_no_more_credentials_for_the_broker_than_it_may(app: App) -> None:
    made = [app.request("POST", URL, {}) for _ in range(limits.MAX_CREDENTIALS_PER_DEVICE + 1)]
    assert [reply.status for reply in made] == [201] * limits.MAX_CREDENTIALS_PER_DEVICE + [409]
    assert made[-1].json()["code"] == "too_many_credentials"
    one = f"{URL}/{made[0].json()['id']}"
    assert [app.request("DELETE", one).status for _ in range(2)] == [204, 404]
    assert app.request("POST", URL, {}).status == 201
    events = app.request("GET", "/v1/devices/d-1/timeline").json()["events"]
    assert [event["type"] for event in events[:2]] == ["device.credential_issued", "device.credential_revoked"]
    assert len(app.request("GET", URL).json()["broker"]) == limits.MAX_CREDENTIALS_PER_DEVICE


def test_a_device_out_of_service_has_no_token(app: App) -> None:
    token = app.request("GET", URL).json()["device_token"]
    assert app.request("POST", "/v1/devices/d-1:decommission").status == 200
    assert app.request("GET", URL).json() == {"kinds": []}
    assert not is_good(app, token)


def test_the_token_of_a_deleted_device_is_dead(app: App) -> None:
    token = app.request("GET", URL).json()["device_token"]
    assert app.request("DELETE", "/v1/devices/d-1").status == 204
    assert app.request("POST", "/v1/devices", {"ident": "d-1"}).status == 201
    assert not is_good(app, token)
    assert app.request("GET", URL).json()["device_token"] != token
