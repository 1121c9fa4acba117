"""Readings through the native API: written, and read as last values, ranges and stretches of time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fleetroll.core import limits
from tests.support.app import App, Response, running

URL = "/v1/devices/d-1/telemetry"
DAY = "2026-01-31T"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        assert app.request("POST", "/v1/devices", {"ident": "d-1"}).status == 201
        yield app


def write(app: App, *readings: dict[str, Any], url: str = URL) -> Response:
    return app.request("POST", url, {"readings": list(readings)})


def minutes(app: App, *values: Any, metric: str = "temp") -> None:
    """One value a minute, from noon on."""
    made = [{"metric": metric, "value": value, "at": f"{DAY}12:{at:02}:00Z"} for at, value in enumerate(values)]
    assert write(app, *made).json() == {"written": len(values)}


def read(app: App, **query: str) -> Any:
    response = app.request("GET", f"{URL}?{'&'.join(f'{name}={quote(value)}' for name, value in query.items())}")
    assert response.status == 200, response.body
    return response.json()


def refused(app: App, **query: str) -> str:
    response = app.request("GET", f"{URL}?{'&'.join(f'{name}={quote(value)}' for name, value in query.items())}")
    assert response.status == 400, response.body
    return str(response.json()["code"])


def test_the_last_value_of_each_metric(app: App) -> None:
    assert app.request("GET", URL).json() == {"readings": []}
    minutes(app, 20, 21.5)
    minutes(app, "open", metric="door")
    assert write(app, {"metric": "pair", "value": [8.5, 50]}).status == 200
    shown = app.request("GET", URL).json()["readings"]
    assert [(one["metric"], one["value"]) for one in shown] == [("door", "open"), ("pair", [8.5, 50]), ("temp", 21.5)]
    assert shown[2]["at"] == f"{DAY}12:01:00Z"


def test_a_range_is_read_in_pages_in_either_order(app: App) -> None:
    minutes(app, *range(10))
    for order, expected in (("asc", list(range(2, 9))), ("desc", list(range(8, 1, -1)))):
        span = {"metric": "temp", "from": f"{DAY}12:02:00Z", "to": f"{DAY}12:09:00Z", "order": order, "limit": "3"}
        found, cursor = [], None
        while True:
            page = read(app, **span, **({"cursor": cursor} if cursor else {}))
            found += [one["value"] for one in page["readings"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
            assert len(page["readings"]) == 3
        assert found == expected
    assert read(app, metric="other") == {"readings": [], "next_cursor": None}
    first = read(app, metric="temp", limit="3")
    assert refused(app, metric="other", limit="3", cursor=first["next_cursor"]) == "invalid_cursor"


def test_stretches_of_time(app: App) -> None:
    minutes(app, 1, 2, 3, 4, 5, 6, 10)
    every = "mean,min,max,count,sum,first,last,median,stddev"
    page = read(
        app, metric="temp", interval="5m", aggregate=every, **{"from": f"{DAY}12:00:00Z", "to": f"{DAY}13:00:00Z"}
    )
    assert page["buckets"] == [
        {"at": f"{DAY}12:00:00Z", "mean": 3, "min": 1, "max": 5, "count": 5, "sum": 15, "first": 1, "last": 5,
         "median": 3, "stddev": pytest.approx(2.5**0.5)},
        {"at": f"{DAY}12:05:00Z", "mean": 8, "min": 6, "max": 10, "count": 2, "sum": 16, "first": 6, "last": 10,
         "median": 8, "stddev": pytest.approx(8**0.5)},
    ]  # fmt: skip
    usual = read(app, metric="temp", interval="1h", **{"from": f"{DAY}00:00:00Z", "to": f"{DAY}23:00:00Z"})
    assert usual["buckets"] == [{"at": f"{DAY}12:00:00Z", "mean": 31 / 7, "min": 1, "max": 10, "count": 7, "last": 10}]
    assert read(app, metric="temp", interval="1s")["buckets"] == []


def test_what_is_too_much_for_a_number_is_null(app: App) -> None:
    minutes(app, 1.5e308, 1e308, 1.5e308)
    (bucket,) = read(app, metric="temp", interval="1d", aggregate="mean,max,sum,median,stddev")["buckets"]
    assert bucket == {
        "at": f"{DAY}00:00:00Z", "mean": None, "max": 1.5e308, "sum": None, "median": 1.5e308, "stddev": None
    }  # fmt: skip


def test_what_cannot_be_asked(app: App) -> None:
    assert refused(app, interval="5m") == "metric_required"
    assert refused(app, metric="m", interval="5") == "invalid_parameter"
    assert refused(app, metric="m", interval="0s") == "invalid_parameter"
    assert refused(app, metric="m", interval="9999999999w") == "invalid_parameter"
    assert refused(app, metric="m", interval="5m", aggregate="mode") == "invalid_parameter"
    assert refused(app, metric="m", aggregate="max") == "interval_required"
    assert refused(app, metric="m", order="up") == "invalid_parameter"
    assert refused(app, metric="m", limit=str(limits.MAX_RANGE + 1)) == "out_of_range"
    assert refused(app, metric="m", **{"from": "noon"}) == "invalid_time"
    assert refused(app, metric="m", **{"from": "1969-12-31T00:00:00Z"}) == "invalid_time"
    assert refused(app, metric="m", interval="1ms", **{"from": "2026-01-01T00:00:00Z"}) == "too_many_buckets"
    assert refused(app, metric="m", colour="red") == "unknown_parameter"
    assert app.request("GET", "/v1/devices/other/telemetry").status == 404


@pytest.mark.parametrize(
    ("reading", "code"),
    [
        ({"metric": "temp", "value": "warm"}, "wrong_type"),
        ({"metric": "temp", "value": True}, "wrong_type"),
        ({"metric": "open", "value": 1}, "wrong_type"),
        ({"metric": "text", "value": "x" * 1025}, "reading_too_large"),
        ({"metric": "any", "value": "text"}, "wrong_type"),
        ({"metric": "any", "value": {"a": "x" * 5000}}, "reading_too_large"),
        ({"metric": "other", "value": 1}, "unknown_metric"),
        ({"metric": "temp", "value": None}, "wrong_type"),
        ({"metric": "temp", "value": 1, "at": "1969-12-31T23:59:59Z"}, "invalid_time"),
        ({"metric": "temp", "value": 1, "at": "2999-01-01T00:00:00Z"}, "invalid_time"),
        ({"metric": "temp", "value": 1, "at": "2026-01-01T00:00:00"}, "invalid_time"),
        ({"metric": "temp"}, "invalid_body"),
        ({"metric": "temp", "value": 1, "unit": "K"}, "invalid_body"),
    ],
)
def test_one_wrong_reading_and_nothing_is_stored(app: App, reading: dict[str, Any], code: str) -> None:
    schema = {"temp": "number", "open": "boolean", "text": "string", "any": "json"}
    assert app.request("PATCH", "/v1/devices/d-1", {"schema": schema}).status == 200
    answer = write(app, {"metric": "temp", "value": 1}, reading)
    assert (answer.status, answer.json()["code"]) == (400, code)
    assert app.request("GET", URL).json() == {"readings": []}


def test_a_refusal_says_which_reading_it_is_about(app: App) -> None:
    good, wrong = {"metric": "temp", "value": 1}, {"metric": "temp", "value": 1, "at": "2999-01-01T00:00:00Z"}
    assert write(app, good, good, wrong, good).json()["errors"] == {"reading": 2}


def test_a_request_holds_so_many_readings(app: App) -> None:
    many = [{"metric": "m", "value": 1, "at": f"2026-01-01T00:00:00.{n:06}Z"} for n in range(limits.MAX_READINGS + 1)]
    assert write(app, *many).json()["code"] == "too_many_readings"
    assert write(app, *many[1:]).json() == {"written": limits.MAX_READINGS}
    assert (
        read(app, metric="m", interval="1h", **{"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"})[
            "buckets"
        ][0]["count"]
        == limits.MAX_READINGS
    )


def test_whoever_writes_for_a_device_is_not_the_device(app: App) -> None:
    minutes(app, 1)
    shown = app.request("GET", "/v1/devices/d-1").json()
    assert (shown["connected"], shown["last_seen"], shown["revision"]) == (False, None, 1)


def test_readings_go_with_a_device_to_another_organization(app: App) -> None:
    minutes(app, 1, 2)
    assert app.request("POST", "/v1/organizations", {"slug": "child"}).status == 201
    assert app.request("POST", "/v1/devices/d-1:transfer", {"organization": "child"}).status == 200
    there = app.request("GET", URL, headers={"fleetroll-organization": "child"}).json()["readings"]
    assert [one["value"] for one in there] == [2]
    assert app.request("DELETE", "/v1/devices/d-1", headers={"fleetroll-organization": "child"}).status == 204
    assert app.request("POST", "/v1/devices", {"ident": "d-1"}).status == 201
    assert app.request("GET", URL).json() == {"readings": []}
