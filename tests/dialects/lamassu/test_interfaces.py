"""What the vendor's two web interfaces call, with the parameters and headers that they send, from another origin."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import app
from tests.support.app import App, Response

ORIGIN = "https://ui.example.com"
DEVICES = "/api/devmanager/v1/devices"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[App]:
    with app.running(tmp_path / "data", cors_origins=(ORIGIN,), lamassu_profile="upstream") as started:
        yield started


def call(running: App, method: str, target: str, body: Any = None) -> Response:
    """As a browser does it: asked for leave first, and a body that names no type of its own."""
    asked = {
        "origin": ORIGIN,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization,content-type,x-lms-source",
    }
    allowed = running.request("OPTIONS", target, key=None, headers=asked)
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    headers = {"origin": ORIGIN, "content-type": "text/plain;charset=UTF-8", "x-lms-source": "ui"}
    raw = b"" if body is None else json.dumps(body).encode()
    reply = running.request(method, target, headers=headers, raw=raw)
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    return reply


def test_the_pages_of_an_interface_load_and_change_devices(running: App) -> None:
    new = {
        "id": "pump-1", "alias": "", "tags": ["pump", "a"], "metadata": {}, "dms_id": "line",
        "icon": "CgSmartphoneChip", "icon_color": "#25ee32-#222222",
    }  # fmt: skip
    assert call(running, "GET", "/api/devmanager/health").json()["health"] is True
    assert call(running, "POST", DEVICES, new).status == 201
    for number in range(3):
        assert call(running, "POST", DEVICES, new | {"id": f"other-{number}"}).status == 201
    assert call(running, "GET", "/api/devmanager/v1/stats").json()["total"] == 4
    query = (
        "sort_by=creation_timestamp&sort_mode=desc&page_size=2&filter=dms_owner%5Bequal%5Dline"
        "&filter=tags%5Bcontains%5Dpump&filter=status%5Bequal%5DNO_IDENTITY&filter=id%5Bcontains%5D-"
    )
    page = call(running, "GET", f"{DEVICES}?{query}").json()
    rest = call(running, "GET", f"{DEVICES}?{query}&bookmark={page['next']}").json()
    assert [one["id"] for one in page["list"] + rest["list"]] == ["other-2", "other-1", "other-0", "pump-1"]
    assert rest["next"] == ""
    assert page["list"][0]["icon_color"] == "#25ee32-#222222"
    whole = {"patches": [{"op": "add", "path": "", "value": {"note": "text"}}]}
    assert call(running, "PUT", f"{DEVICES}/pump-1/metadata", whole).json()["metadata"] == {"note": "text"}
    assert call(running, "DELETE", f"{DEVICES}/pump-1/decommission").json()["status"] == "DECOMMISSIONED"
    assert call(running, "DELETE", f"{DEVICES}/pump-1").status == 204
    assert call(running, "GET", f"{DEVICES}/pump-1").json() == {"err": "device not found"}
    for target in ("/api/dmsmanager/v1/dms?page_size=100", "/api/dmsmanager/v1/stats", "/api/ca/v1/stats"):
        assert call(running, "GET", target).status == 200
    assert call(running, "GET", "/api/ca/v1/certificates?filter=serial_number[equal]0a&page_size=1").status == 200


def test_another_origin_is_not_let_in(running: App) -> None:
    reply = running.request("GET", DEVICES, headers={"origin": "https://elsewhere.example.com"})
    assert "access-control-allow-origin" not in reply.headers
