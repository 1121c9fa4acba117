"""A device speaks in query strings. Whatever stands in one, it is stored as it should be or refused in quiet words."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetroll.core import limits
from tests.support.effort import often
from tests.support.quiet import assert_quiet
from tests.support.raw import Raw, send, words
from tests.support.samples import DEVICE, World

PATHS = words(
    "get getAll update batch/update update/property isHardwareConnected logEvent device/meta device/meta/update "
    "data/get data/file/x.zip"
)
NAMES = words(
    "v1 V1 v01 v-1 v999 v1000 d0 a5 x1 v pin value dataStreamId code description metaFieldId metaFieldName period "
    "granularityType sourceType tzName format color token"
)
VALUES = (
    "", "1", "-1", "+1", "1e309", "-1e309", "NaN", "Infinity", "0x10", "1_000", "9" * 400, "1." + "1" * 500, "1e999",
    "%31", "%00", "%ff", "%C3%28", "%0a", "%e2%80%ae", "v1", "../../etc/passwd", "America/../UTC", "/etc/localtime",
    "' OR 1=1 --", "%27%3B%20DROP%20TABLE%20reading", "{}", "[]", "null", "true", "x" * 1025, "%f0%9f%98%80" * 300,
    "18446744073709551616", "-9223372036854775809", "99999999999999999999", "TS", "MONTH", "UTC", "localtime",
)  # fmt: skip


def token_of(world: World) -> str:
    """Asked for anew by each test: a world that was prepared again has another device."""
    return str(world.app.request("GET", f"/v1/devices/{DEVICE}/credentials").json()["device_token"])


def ask(world: World, target: str, body: bytes | None = None) -> int:
    headers = ((b"content-type", b"application/json"),)
    method = "GET" if body is None else "POST"
    response = send(world.app, Raw(method, target.encode("latin-1"), headers, (body or b"",)))
    assert response.status < 500, (target, response)
    if response.status >= 400:
        assert_quiet(response)
        assert list(response.json()) == ["error"], (target, response)
    return response.status


@settings(max_examples=often(300), deadline=None)
@given(st.data())
def test_no_query_breaks_anything(world: World, data: st.DataObject) -> None:
    token = token_of(world)
    path = data.draw(st.sampled_from(PATHS))
    pairs = data.draw(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=4))
    ask(world, f"/external/api/{path}?token={token}&" + "&".join(f"{name}={value}" for name, value in pairs))
    assert ask(world, f"/external/api/isHardwareConnected?token={token}") == 200  # so it was not refused for its token


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_stored_or_was_refused_and_what_is_read_is_valid_json(world: World, value: str) -> None:
    world.prepare()
    token = token_of(world)
    status = ask(world, f"/external/api/update?token={token}&v1={value}")
    shown = world.app.request("GET", f"/v1/devices/{DEVICE}/telemetry").json()["readings"]
    assert (status == 200) == bool(shown)
    assert json.dumps(shown, allow_nan=False)


BODIES: list[Any] = [
    [[1, float("nan")]], [[1, float("inf")]], [[1 << 80, 1]], [[-1, 1]], [["1", 1]], [[1.5, 1]], [[True, 1]], [[1]],
    [[1, 1, 1]], [1], [[]], [None], [[1, None]], [[1, {}]], [[1, [1, 2, 3]]], [[1, "\ud800"]], [[1, "\x00"]],
    [[1, 1 << 70]], [[4_102_444_800_000, 1]], {}, "text", 5, None,
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=repr)
def test_a_malformed_batch_is_refused(world: World, body: Any) -> None:
    world.prepare()
    token = token_of(world)
    target = f"/external/api/batch/update?token={token}&pin=v1"
    assert ask(world, target, json.dumps(body).encode()) == 400
    for raw in (b"", b"[", b"[" * 100_000, b"\xff", b"[[1,1]]]", b'[[1,"' + b"x" * 5000 + b'"]]'):
        assert ask(world, target, raw) == 400
    assert ask(world, target, b"[" + b"[1,1]," * (limits.MAX_BATCH_BODY // 6) + b"[1,1]]") == 413
    assert world.app.request("GET", f"/v1/devices/{DEVICE}/telemetry").json() == {"readings": []}


def test_a_query_of_many_pins_is_bounded(world: World) -> None:
    token = token_of(world)
    pins = "&".join(f"v{number}=1" for number in range(limits.MAX_QUERY_PARAMETERS))
    assert ask(world, f"/external/api/batch/update?token={token}&{pins}") == 400
    letters = "".join(random.Random(1).choices("abcdefghij", k=limits.MAX_TARGET))
    assert ask(world, f"/external/api/update?token={token}&v1={letters}") == 400
