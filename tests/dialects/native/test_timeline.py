"""What happened to a device, newest first, which goes with it when it is deleted."""

from typing import Any

from tests.support.app import App


def history(app: App, ident: str, query: str = "") -> list[dict[str, Any]]:
    reply = app.request("GET", f"/v1/devices/{ident}/timeline{query}")
    assert reply.status == 200
    return list(reply.json()["events"])


def test_every_change_is_told_with_its_author_and_request(app: App) -> None:
    made = app.request("PUT", "/v1/devices/d", {}, headers={"X-Request-Id": "the-first"})
    app.request("PATCH", "/v1/devices/d", {"name": "n", "tags": ["x"]})
    app.request("POST", "/v1/devices/d:decommission")
    newest, middle, oldest = history(app, "d")
    assert [newest["type"], middle["type"], oldest["type"]] == [
        "device.decommissioned",
        "device.updated",
        "device.created",
    ]
    assert middle["data"] == {"changed": ["name", "tags"]}
    assert (oldest["actor"], oldest["request_id"]) == ("key:1", "the-first")
    assert (oldest["subject"], oldest["subject_id"], oldest["name"]) == ("device", made.json()["id"], "d")
    assert newest["id"] > middle["id"] > oldest["id"]


def test_a_refused_change_leaves_no_trace(app: App) -> None:
    app.request("PUT", "/v1/devices/d", {})
    app.request("PATCH", "/v1/devices/d", {"id": 7})
    app.request("PUT", "/v1/devices/d", {"name": "n"}, headers={"If-Match": '"0.0"'})
    app.request("POST", "/v1/devices", {"ident": "d"})
    assert len(history(app, "d")) == 1


def test_a_long_history_comes_in_pages_that_newer_events_do_not_shift(app: App) -> None:
    for number in range(6):
        app.request("PUT", "/v1/devices/d", {"name": f"n{number}"})
    first = app.request("GET", "/v1/devices/d/timeline?limit=4").json()
    app.request("PUT", "/v1/devices/d", {"name": "later"})
    rest = app.request("GET", f"/v1/devices/d/timeline?limit=4&cursor={first['next_cursor']}").json()
    assert [event["id"] for event in first["events"] + rest["events"]] == sorted(
        (event["id"] for event in history(app, "d")[1:]), reverse=True
    )
    assert rest["next_cursor"] is None


def test_a_cursor_of_one_device_is_not_good_for_another(app: App) -> None:
    for ident in ("d", "e"):
        for number in range(3):
            app.request("PUT", f"/v1/devices/{ident}", {"name": f"n{number}"})
    cursor = app.request("GET", "/v1/devices/d/timeline?limit=1").json()["next_cursor"]
    assert app.request("GET", f"/v1/devices/e/timeline?cursor={cursor}").json()["code"] == "invalid_cursor"


def test_a_deleted_devices_history_is_gone_and_its_successor_starts_afresh(app: App) -> None:
    app.request("PUT", "/v1/devices/d", {"name": "secret plan"})
    app.request("DELETE", "/v1/devices/d")
    assert app.request("GET", "/v1/devices/d/timeline").json()["code"] == "device_not_found"
    app.request("PUT", "/v1/devices/d", {})
    assert [event["type"] for event in history(app, "d")] == ["device.created"]


def test_bulk_work_tells_of_each_device(app: App) -> None:
    rows = "".join(f'{{"ident":"d{number}"}}\n' for number in range(40)).encode()
    app.request("POST", "/v1/devices:import", raw=rows, headers={"content-type": "application/x-ndjson"})
    app.request("POST", "/v1/devices:tag", {"add": ["x"], "filter": "ident = d7"})
    assert [event["type"] for event in history(app, "d7")] == ["device.updated", "device.created"]
    assert [event["name"] for event in history(app, "d39")] == ["d39"]
