"""The vendor's own SDKs, unmodified: a table of every public method, each called by a story against a real server."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import nats.errors
import pytest
import relayx_app_sdk.device
import relayx_device_sdk
from relayx_app_sdk import RelayApp
from relayx_device_sdk import RelayDevice

from fleetroll.core import limits
from tests.support import sdk
from tests.support.nats_sockets import LEFT
from tests.support.ports import free_port
from tests.support.process import serving
from tests.support.relay import Vendor, contents, device, run

pytestmark = LEFT

PATIENCE = 30
SCHEMA = {
    "temperature": {"type": "number", "unit": "Celsius", "unit_symbol": "°C"},
    "humidity": {"type": "number", "unit": "Percent", "unit_symbol": "%"},
    "status": {"type": "string", "unit": "Status", "unit_symbol": ""},
}
CONFIG = {"reportInterval": 5000, "location": "warehouse-A"}
SPAN = {"start": "2026-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"}


class Stage:
    """A server, and the SDKs' objects of one story, which are disconnected at its end."""

    def __init__(self, served: Vendor, stack: AsyncExitStack) -> None:
        self.served = served
        self._stack = stack

    async def app(self, role: str = "operator", mode: str = "production", org: str = "") -> RelayApp:
        made = await self.served.app(role, mode, org)
        self._stack.push_async_callback(made.disconnect)
        return made

    async def device(self, creds: dict[str, str], mode: str = "production") -> RelayDevice:
        made = await device(creds, mode)
        self._stack.push_async_callback(made.disconnect)
        return made

    async def kill_broker(self) -> None:
        """As if the machine had ended it. It is started again by the server."""
        pid = int((self.served.data / "nats" / "nats-server.pid").read_text())
        os.kill(pid, signal.SIGKILL)

    async def stored(self, ident: str, metric: str, count: int) -> list[Any]:
        """The values of a metric, once there are so many."""
        path = f"/v1/devices/{ident}/telemetry?metric={metric}&limit=100"
        found = await self.served.until(lambda found: len(found["readings"]) >= count, "GET", path)
        return [one["value"] for one in found["readings"]]


Story = Callable[[Stage], Awaitable[None]]


class Heard:
    """A callback, and what it was called with."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue()

    def __call__(self, told: Any) -> None:
        self._queue.put_nowait(told)

    def about(self, ident: str) -> Callable[[Any], None]:
        """A callback for presence: that of other stories' devices may still be on its way."""
        return lambda told: self(told) if told["device_ident"] == ident else None

    async def next(self) -> Any:
        return await asyncio.wait_for(self._queue.get(), PATIENCE)

    async def until(self, wanted: Any) -> None:
        while await self.next() != wanted:
            pass

    @property
    def is_quiet(self) -> bool:
        return self._queue.empty()


# --- connections -----------------------------------------------------------------------------------------------------


async def connecting(stage: Stage) -> None:
    app = RelayApp({**await stage.served.key(), "mode": "production", "debug": False})
    told = Heard()
    app.connection.listeners(told)
    await app.connect()
    assert await told.next() == "connected"
    await app.connect()  # which changes nothing
    made = await app.device.create({"ident": "c", "schema": {}, "config": {}})
    await app.disconnect()
    await told.until("disconnected")
    with pytest.raises(RuntimeError, match="Not connected"):
        await app.device.list()
    await app.connection.connect()
    assert await app.device.delete("c") is True
    made = await app.device.create({"ident": "c", "schema": {}, "config": {}})
    await app.connection.disconnect()
    await told.until("disconnected")

    sensor = RelayDevice({**made["creds"], "mode": "production"})
    heard, also = Heard(), Heard()
    sensor.connection.listeners(heard)
    sensor.connection.listeners(also)
    with pytest.raises(relayx_device_sdk.NotConnectedError):
        await sensor.config.get()
    assert await sensor.connect() is True
    assert await sensor.connect() is False
    assert (await heard.next(), await also.next()) == ({"type": "connected"}, {"type": "connected"})
    assert await sensor.disconnect() is True
    assert await heard.next() == {"type": "disconnected"}
    assert await sensor.disconnect() is False


async def debugging(stage: Stage) -> None:
    app = await stage.app()
    app.set_debug(True)
    assert await app.device.list() == await app.device.list()
    app.set_debug(False)
    with pytest.raises(ValueError, match="boolean"):
        app.set_debug("yes")


async def reconnecting(stage: Stage) -> None:
    app = await stage.app()
    made = await app.device.create({"ident": "r", "schema": SCHEMA, "config": {}})
    sensor = await stage.device(made["creds"])
    of_app, of_device, live, events, logs, commands, presence = (Heard() for _ in range(7))
    app.connection.listeners(of_app)
    sensor.connection.listeners(of_device)
    await app.telemetry.stream({"device_ident": "r", "metric": "*", "callback": live})
    await app.events.stream({"device_ident": ["r"], "name": "door", "callback": events})
    await app.log.stream({"device_ident": "r", "callback": logs})
    await app.connection.presence(presence.about("r"))
    await sensor.command.listen("move", commands)

    async def double(request: Any) -> None:
        await request.respond(request.payload * 2)

    await sensor.rpc.listen("double", double)
    await stage.kill_broker()
    assert await of_app.next() == "reconnecting"
    assert (await of_device.next())["type"] == "reconnecting"
    # Both keep what they cannot send, and send it when the broker is back.
    assert await sensor.telemetry.publish("temperature", 20) is False
    assert await app.command.send({"name": "move", "device_ident": ["r"], "data": {"to": 1}}) == {
        "r": {"sent": False, "buffered": True}
    }
    await of_app.until("reconnected")
    await of_device.until({"type": "reconnected"})
    assert (await commands.next()).payload["value"] == {"to": 1}
    assert await stage.stored("r", "temperature", 1) == [20]
    assert await sensor.telemetry.publish("temperature", 21) is True
    while (await live.next())["data"]["value"] != 21:
        pass
    await sensor.event.send("door", {"open": True})
    assert (await events.next())["r"]["value"] == {"open": True}
    sensor.log.info("back")
    await sensor.log.shutdown()
    assert (await logs.next())["data"] == "back"
    assert await app.rpc.call({"device_ident": "r", "name": "double", "data": 4}) == {"status": "ok", "data": 8}
    await stage.served.until(lambda shown: shown["connected"], "GET", "/v1/devices/r")
    await sensor.disconnect()
    while (await presence.next())["event"] != "disconnected":
        pass


# --- devices ---------------------------------------------------------------------------------------------------------


async def seed(stage: Stage) -> None:
    """The vendor's page on device management, from its first line to its last."""
    app = await stage.app()
    made = await app.device.create({"ident": "sensor_01", "schema": SCHEMA, "config": CONFIG})
    assert set(made) == {"id", "ident", "schema", "config", "org_id", "env", "creds"}
    assert (made["ident"], made["schema"], made["config"]) == ("sensor_01", SCHEMA, CONFIG)
    assert len(made["id"]) == 24
    assert made["creds"]["api_key"].startswith("eyJ0eXAiOiJKV1Qi")
    assert made["creds"]["secret"].startswith("SU")
    sensor = await stage.device(made["creds"])  # "You'll need them to initialize the Device SDK"
    assert await sensor.config.get() == CONFIG
    changed = {"reportInterval": 10000, "location": "warehouse-B"}
    updated = await app.device.update({"id": made["id"], "config": changed})
    assert {name: updated[name] for name in ("id", "ident", "schema", "config")} == {
        "id": made["id"], "ident": "sensor_01", "schema": SCHEMA, "config": changed,
    }  # fmt: skip
    assert "creds" not in updated
    pressure = {"pressure": {"type": "number", "unit": "Pascal", "unit_symbol": "Pa"}}
    other = await app.device.create({"ident": "sensor_02", "schema": pressure, "config": {}})
    listed = {one["ident"]: one for one in await app.device.list()}
    assert {name: listed["sensor_02"][name] for name in ("id", "ident", "schema", "config")} == {
        "id": other["id"], "ident": "sensor_02", "schema": pressure, "config": {},
    }  # fmt: skip
    # Credentials are returned by create() alone, and saved nowhere.
    assert all("creds" not in one for one in listed.values())
    assert "creds" not in await app.device.get({"ident": "sensor_01"})
    for kept in contents(stage.served.data):
        assert not any(secret.encode() in kept for secret in made["creds"].values())
    renamed = await app.device.update({"id": made["id"], "ident": "sensor-03", "schema": pressure})
    assert (renamed["ident"], renamed["schema"], renamed["config"]) == ("sensor-03", pressure, changed)
    # "Permanently remove a device and its credentials", and "true if deleted successfully".
    gone = Heard()
    sensor.connection.listeners(gone)
    assert await app.device.delete("sensor-03") is True
    assert (await gone.next())["type"] != "connected"
    assert await app.device.delete("sensor-03") is False
    assert "sensor-03" not in {one["ident"] for one in await app.device.list()}


async def refusing(stage: Stage) -> None:
    app = await stage.app()
    given: dict[str, Any] = {"schema": {}, "config": {}}
    made = await app.device.create({"ident": "one", **given})
    assert await app.device.create({"ident": "one", **given}) is None
    assert await app.device.create({"ident": "two", "schema": {"a": {"type": "word"}}, "config": {}}) is None
    await app.device.create({"ident": "three", **given})
    # "Device identifiers can only contain letters, numbers, hyphens, and underscores."
    for ident in ("no good", "a.b", "a/b", "é", "a>", "*", "", "$SYS"):
        with pytest.raises(ValueError, match="ident"):
            await app.device.create({"ident": ident, **given})
        # The SDK sends a new name as it is.
        assert not ident or await app.device.update({"id": made["id"], "ident": ident}) is None
    whole = "AZaz09_-"
    assert (await app.device.create({"ident": whole, **given}))["ident"] == whole
    assert await app.device.update({"id": made["id"], "ident": "three"}) is None
    assert await app.device.update({"id": made["id"], "config": [1]}) is None
    assert await app.device.update({"id": "f" * 24, "ident": "four"}) is None
    assert (await app.device.update({"id": made["id"]}))["ident"] == "one"
    missing = await app.device.get({"ident": "nobody"})
    assert missing["status"] == "DEVICE_GET_FAILURE"
    assert isinstance(missing["data"], dict)
    viewer = await stage.app("viewer")
    assert await viewer.device.create({"ident": "four", **given}) is None
    assert await viewer.device.delete("one") is False
    assert (await viewer.device.get({"ident": "one"}))["id"] == made["id"]


async def caching(stage: Stage) -> None:
    """What the SDK remembers is its own affair; this shows that our answers fit it."""
    app, other = await stage.app(), await stage.app()
    made = await app.device.create({"ident": "k", "schema": SCHEMA, "config": {}})
    assert (await app.device.get({"ident": "k"}))["creds"] == made["creds"]
    assert app.device.cache["k"] == made
    fresh = await stage.app()  # connecting fills what it remembers
    assert fresh.device.cache["k"] == {name: made[name] for name in made if name != "creds"}
    await other.device.update({"id": made["id"], "config": {"a": 1}})
    assert (await app.device.get({"ident": "k"}))["config"] == {}
    await app.device.list()
    found = await app.device.get({"ident": "k"})
    assert found["config"] == {"a": 1}
    assert "creds" not in found
    await app.device.update({"id": made["id"], "ident": "kk"})
    assert (await app.device.get({"ident": "k"}))["ident"] == "k"
    assert (await app.device.get({"ident": "kk"}))["config"] == {"a": 1}
    # Two hours later each get asks.
    await other.device.update({"id": made["id"], "config": {"a": 2}})
    assert (await app.device.get({"ident": "kk"}))["config"] == {"a": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relayx_app_sdk.device, "time", SimpleNamespace(time=lambda: time.time() + 7_201))
        assert (await app.device.get({"ident": "kk"}))["config"] == {"a": 2}
        await other.device.update({"id": made["id"], "config": {"a": 3}})
        assert (await app.device.get({"ident": "kk"}))["config"] == {"a": 3}
        assert (await app.device.get({"ident": "k"}))["status"] == "DEVICE_GET_FAILURE"
    app.device.clear_cache()
    assert await app.device.resolve_device_id("kk") == made["id"]
    assert await app.device.resolve_device_ids(["kk", "nobody"]) == [made["id"]]
    with pytest.raises(ValueError, match="Device not found"):
        await app.device.resolve_device_id("nobody")
    assert await app.device.delete("kk") is True
    assert "kk" not in app.device.cache


async def limiting(stage: Stage) -> None:
    """The number of devices depends on the plan."""
    await stage.served.ask("POST", "/v1/organizations", {"slug": "small", "quotas": {"devices": 1}})
    app = await stage.app(org="small")
    assert await app.device.create({"ident": "first", "schema": {}, "config": {}}) is not None
    assert await app.device.create({"ident": "second", "schema": {}, "config": {}}) is None
    assert await app.device.delete("first") is True
    assert await app.device.create({"ident": "second", "schema": {}, "config": {}}) is not None


async def listing_much(stage: Stage) -> None:
    """Of more devices than fit into one message, the newest."""
    await stage.served.ask("POST", "/v1/organizations", {"slug": "many"})
    app = await stage.app(org="many")
    count = limits.MAX_BUS_PAYLOAD // limits.MAX_DOCUMENT + 8
    config = {"note": "x" * (limits.MAX_DOCUMENT - 100)}
    for number in range(count):
        assert await app.device.create({"ident": f"d{number}", "schema": {}, "config": config})
    listed = await app.device.list()
    assert 100 < len(listed) < count
    assert [one["ident"] for one in listed] == [f"d{count - 1 - place}" for place in range(len(listed))]
    assert all(one["config"] == config for one in listed)
    # What is not among them is still found.
    assert (await app.device.get({"ident": "d0"}))["config"] == config


async def configuring(stage: Stage) -> None:
    app = await stage.app()
    made = await app.device.create({"ident": "own", "schema": SCHEMA, "config": CONFIG})
    sensor = await stage.device(made["creds"])
    assert await sensor.config.get() == CONFIG
    assert await sensor.config.set({"a": 1}) is True
    assert (await stage.served.ask("GET", "/v1/devices/own"))["config"] == {"a": 1}
    assert await sensor.config.set([1]) is False
    assert await sensor.config.set({"a": float("nan")}) is False
    assert await sensor.config.get() == {"a": 1}
    await stage.served.ask("PUT", "/v1/devices/own", {"config": {"b": 2}})
    assert await sensor.config.get() == {"b": 2}
    await stage.served.ask("POST", "/v1/devices", {"ident": "bare"})
    bare = await stage.device((await stage.served.ask("POST", "/v1/devices/bare/credentials", {}))["nats"])
    assert await bare.config.get() == {}


# --- what devices say ------------------------------------------------------------------------------------------------


async def measuring(stage: Stage) -> None:
    app = await stage.app()
    schema = {kind: {"type": kind} for kind in ("number", "string", "boolean", "json")}
    made = await app.device.create({"ident": "m", "schema": schema, "config": {}})
    sensor = await stage.device(made["creds"])
    everything, some, more = Heard(), Heard(), Heard()
    await app.telemetry.stream({"device_ident": "m", "metric": "*", "callback": everything})
    await app.telemetry.stream({"device_ident": "m", "metric": ["number", "json"], "callback": some})
    values = {"number": 21.5, "string": "ok", "boolean": True, "json": {"a": [1, None]}}
    for metric, value in values.items():
        assert await sensor.telemetry.publish(metric, value) is True
    heard = [await everything.next() for _ in values]
    assert {one["metric"]: one["data"]["value"] for one in heard} == values
    assert [(await some.next())["metric"] for _ in range(2)] == ["number", "json"]
    for metric, value in values.items():
        assert await stage.stored("m", metric, 1) == [value]
    for metric, value in (("number", "warm"), ("string", 1), ("boolean", 1), ("json", "{}"), ("other", 1)):
        with pytest.raises(relayx_device_sdk.ValidationError):
            await sensor.telemetry.publish(metric, value)
    short = await app.device.create({"ident": "m2", "schema": {"number": "number"}, "config": {}})
    brief = await stage.device(short["creds"])
    assert await brief.telemetry.publish("number", 1) is True
    assert await stage.stored("m2", "number", 1) == [1]
    with pytest.raises(ValueError, match="not a valid key"):
        await app.telemetry.stream({"device_ident": "m", "metric": ["other"], "callback": some})

    await app.telemetry.off({"device_ident": "m", "metric": ["number"]})
    await sensor.telemetry.publish("number", 1)
    await sensor.telemetry.publish("json", [2])
    assert (await some.next())["data"]["value"] == [2]
    await app.telemetry.stream({"device_ident": "m", "metric": "*", "callback": more})
    await app.telemetry.off({"device_ident": "m"})
    await app.telemetry.stream({"device_ident": "m", "metric": "*", "callback": everything})
    await sensor.telemetry.publish("number", 3)
    while (await everything.next())["data"]["value"] != 3:
        pass
    assert some.is_quiet
    assert more.is_quiet
    await app.telemetry.delete_all_consumers()

    one = {"device_ident": "m", **SPAN}
    await stage.stored("m", "number", 3)
    found = await app.telemetry.history({**one, "fields": ["number", "json"]})
    assert [point["value"] for point in found["number"]] == [21.5, 1, 3]
    assert [point["value"] for point in found["json"]] == [{"a": [1, None]}, [2]]
    latest = await app.telemetry.latest({**one, "fields": [*schema]})
    assert {name: point["value"] for name, point in latest.items()} == {**values, "number": 3, "json": [2]}
    with pytest.raises(ValueError, match="invalid metrics"):
        await app.telemetry.history({**one, "fields": ["other"]})


async def summing(stage: Stage) -> None:
    app = await stage.app()
    made = await app.device.create({"ident": "sum", "schema": SCHEMA, "config": {}})
    sensor = await stage.device(made["creds"])
    for value in (20, 21, 25):
        await sensor.telemetry.publish("temperature", value)
        await asyncio.sleep(0.002)  # or they are one reading: the vendor counts in milliseconds
    await stage.stored("sum", "temperature", 3)
    asked = {"device_ident": "sum", **SPAN, "fields": ["temperature"]}
    found = await app.telemetry.history(asked)
    assert all(isinstance(point["timestamp"], int) for point in found["temperature"])
    expected = {"mean": 22, "min": 20, "max": 25, "sum": 66, "count": 3, "first": 20, "last": 25, "median": 21}
    for function, number in expected.items():
        for interval in ({}, {"interval": "52w"}):
            found = await app.telemetry.history({**asked, "aggregate_fn": function, **interval})
            assert [point["value"] for point in found["temperature"]] == [number], (function, interval)
    found = await app.telemetry.history({**asked, "aggregate_fn": "stddev"})
    assert found["temperature"][0]["value"] == pytest.approx(2.6457, rel=1e-3)
    with pytest.raises(RuntimeError, match="INVALID_REQUEST"):
        await app.telemetry.history({**asked, "aggregate_fn": "guess"})


async def paging(stage: Stage) -> None:
    """The SDK puts a long answer together from pages, and asks for another token where one has ended."""
    app = await stage.app()
    await app.device.create({"ident": "long", "schema": SCHEMA, "config": {}})
    count = limits.MAX_RANGE + 500
    readings = [
        {
            "metric": "temperature",
            "value": number,
            "at": f"2026-01-02T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        }
        for number in range(count)
    ]
    for first in range(0, count, limits.MAX_READINGS):
        body = {"readings": readings[first : first + limits.MAX_READINGS]}
        await stage.served.ask("POST", "/v1/devices/long/telemetry", body)
    asked = {"device_ident": "long", **SPAN, "fields": ["temperature"]}
    found = await app.telemetry.history(asked)
    assert [point["value"] for point in found["temperature"]] == list(range(count))
    app._ctx._influx_token = "ended"  # as after a day
    found = await app.telemetry.history({**asked, "aggregate_fn": "count"})
    assert [point["value"] for point in found["temperature"]] == [count]


async def happening(stage: Stage) -> None:
    app = await stage.app()
    made = {}
    for ident in ("e1", "e2", "e3"):
        made[ident] = await stage.device(
            (await app.device.create({"ident": ident, "schema": {}, "config": {}}))["creds"]
        )
    every, one, two = Heard(), Heard(), Heard()
    assert await app.events.stream({"name": "door", "device_ident": "*", "callback": every}) is True
    assert await app.events.stream({"name": "door", "device_ident": "*", "callback": every}) is False
    assert await app.events.stream({"name": "window", "device_ident": ["e2"], "callback": one}) is True
    assert await app.events.stream({"name": "gate", "device_ident": ["e1", "e2"], "callback": two}) is True
    for ident, sensor in made.items():
        for name in ("door", "window", "gate"):
            assert await sensor.event.send(name, {"from": ident}) is True
    assert [(await every.next())[ident]["value"] for ident in made] == [{"from": ident} for ident in made]
    assert (await one.next())["e2"]["value"] == {"from": "e2"}
    assert [set(await two.next()) for _ in range(2)] == [{"e1"}, {"e2"}]
    await app.events.off({"name": "door"})
    await made["e1"].event.send("door", 1)
    await made["e1"].event.send("gate", 2)
    assert (await two.next())["e1"]["value"] == 2
    assert every.is_quiet
    await app.events.delete_all_consumers()
    await stage.served.until(
        lambda found: sum(one["type"] == "device.event" for one in found["events"]) == 5,
        "GET", "/v1/devices/e1/timeline",
    )  # fmt: skip
    asked = {"device_ident": "e1", "event_names": ["door", "tap"], **SPAN}
    events = await app.events.history(asked)
    assert [point["value"] for point in events["door"]] == [{"from": "e1"}, 1]
    assert events["tap"] == []
    counted = await app.events.history({**asked, "interval": "52w", "aggregate_fn": "count"})
    assert [point["value"] for point in counted["door"]] == [2]


async def logging(stage: Stage) -> None:
    app = await stage.app()
    made = await app.device.create({"ident": "l", "schema": {}, "config": {}})
    sensor = await stage.device(made["creds"])
    every, bad = Heard(), Heard()
    await app.log.stream({"device_ident": "l", "levels": "*", "callback": every})
    await app.log.stream({"device_ident": "l", "levels": ["warn", "error"], "callback": bad})
    sensor.log.info("started", 1, {"a": None})  # noqa: PLE1205  # not the standard library's
    sensor.log.warn("it is hot")
    sensor.log.error(ValueError("broken"))
    await sensor.log.shutdown()
    assert [(await every.next())["level"] for _ in range(3)] == ["info", "warn", "error"]
    assert [(await bad.next())["data"] for _ in range(2)] == ["it is hot", "ValueError: broken"]
    await app.log.off({"device_ident": "l"})
    await app.log.stream({"device_ident": "l", "callback": every})
    for number in range(15):  # the SDK sends them without being asked
        sensor.log.warn(number)
    assert [(await every.next())["data"] for _ in range(15)] == [str(number) for number in range(15)]
    assert bad.is_quiet
    await app.log.delete_all_consumers()
    await stage.served.until(
        lambda found: sum(one["type"] == "device.log" for one in found["events"]) == 18,
        "GET", "/v1/devices/l/timeline?limit=100",
    )  # fmt: skip
    asked = {"device_ident": "l", **SPAN}
    logs = await app.log.history({**asked, "levels": ["info", "error"]})
    assert [point["value"] for point in logs["info"]] == ['started 1 {"a": null}']
    assert [point["value"] for point in logs["error"]] == ["ValueError: broken"]
    counted = await app.log.history({**asked, "interval": "52w", "aggregate_fn": "count"})
    assert {level: points[0]["value"] for level, points in counted.items()} == {"info": 1, "warn": 16, "error": 1}


async def trying_out(stage: Stage) -> None:
    """The two modes share devices, and nothing of what these say."""
    app, trial = await stage.app(), await stage.app(mode="test")
    made = await trial.device.create({"ident": "t", "schema": SCHEMA, "config": {}})
    assert made["env"] == "test"
    assert "t" in {one["ident"] for one in await app.device.list()}
    serious, heard = Heard(), Heard()
    for one, callback in ((app, serious), (trial, heard)):
        await one.telemetry.stream({"device_ident": "t", "metric": "*", "callback": callback})
        await one.events.stream({"device_ident": ["t"], "name": "door", "callback": callback})
        await one.log.stream({"device_ident": "t", "callback": callback})
        await one.connection.presence(callback.about("t"))
    sensor = await stage.device(made["creds"], "test")
    assert (await heard.next())["event"] == "connected"
    await sensor.telemetry.publish("temperature", 20)
    assert (await heard.next())["data"]["value"] == 20
    await sensor.event.send("door", 1)
    assert (await heard.next())["t"]["value"] == 1
    sensor.log.info("trying")
    await sensor.log.shutdown()
    assert (await heard.next())["data"] == "trying"
    await sensor.command.listen("move", heard)
    await app.command.send({"name": "move", "device_ident": ["t"], "data": 1})
    await trial.command.send({"name": "move", "device_ident": ["t"], "data": 2})
    assert (await heard.next()).payload["value"] == 2
    await sensor.rpc.listen("ping", lambda request: asyncio.ensure_future(request.respond(request.payload)))
    with pytest.raises(nats.errors.NoRespondersError):
        await app.rpc.call({"device_ident": "t", "name": "ping", "data": 1})
    assert (await trial.rpc.call({"device_ident": "t", "name": "ping", "data": 1}))["data"] == 1
    assert serious.is_quiet
    await stage.served.until(
        lambda found: sum(one["type"] == "device.command" for one in found["events"]) == 2,
        "GET", "/v1/devices/t/timeline",
    )  # fmt: skip
    asked = {"device_ident": "t", **SPAN}
    for one, events, logs, commands in ((app, [], [], [1]), (trial, [1], ["trying"], [2])):
        found = await one.events.history({**asked, "event_names": ["door"]})
        assert [point["value"] for point in found["door"]] == events
        assert [point["value"] for point in (await one.log.history(asked))["info"]] == logs
        found = await one.command.history({"name": "move", "device_idents": ["t"], **SPAN})
        assert [point["value"] for point in found["t"]] == commands
    await sensor.disconnect()
    sensor = await stage.device(made["creds"])
    await sensor.telemetry.publish("temperature", 30)
    assert await stage.stored("t", "temperature", 1) == [30]
    readings = {**asked, "fields": ["temperature"]}
    for one, value in ((app, 30), (trial, 20)):
        found = await one.telemetry.history(readings)
        assert [point["value"] for point in found["temperature"]] == [value]
        found = await one.telemetry.history({**readings, "aggregate_fn": "sum"})
        assert [point["value"] for point in found["temperature"]] == [value]
        assert (await one.telemetry.latest(readings))["temperature"]["value"] == value


async def noticing(stage: Stage) -> None:
    app = await stage.app()
    made = await app.device.create({"ident": "there", "schema": {}, "config": {}})
    heard = Heard()
    await app.connection.presence(heard.about("there"))
    sensor = await stage.device(made["creds"])
    told = await heard.next()
    assert told["event"] == "connected"
    assert isinstance(told["data"]["start"], int)
    assert (await stage.served.ask("GET", "/v1/devices/there"))["connected"] is True
    await sensor.disconnect()
    gone = await heard.next()
    assert (gone["event"], gone["data"]["start"]) == ("disconnected", told["data"]["start"])
    assert gone["data"]["stop"] >= gone["data"]["start"]
    shown = await stage.served.ask("GET", "/v1/devices/there")
    assert shown["connected"] is False
    assert shown["last_seen"] is not None
    await app.connection.presence_off()
    await stage.device(made["creds"])
    await stage.served.until(lambda shown: shown["connected"], "GET", "/v1/devices/there")
    assert heard.is_quiet
    both = await app.device.create({"ident": "both", "schema": {}, "config": {}})
    token = (await stage.served.ask("GET", "/v1/devices/both/credentials"))["device_token"]
    assert await stage.served.ask("GET", f"/external/api/update?token={token}&v1=1") is None
    await app.connection.presence(heard.about("both"))
    sensor = await stage.device(both["creds"])
    assert (await heard.next())["event"] == "connected", "it was there, and now is by the broker as well"
    await sensor.disconnect()
    assert (await heard.next())["event"] == "disconnected"
    shown = await stage.served.ask("GET", "/v1/devices/both")
    assert shown["connected"] is True, "it spoke for itself just now"


# --- what devices are told -------------------------------------------------------------------------------------------


async def commanding(stage: Stage) -> None:
    app = await stage.app()
    made = await app.device.create({"ident": "arm", "schema": {}, "config": {}})
    sensor = await stage.device(made["creds"])
    heard, stopped = Heard(), Heard()
    tries = []

    def reluctant(message: Any) -> None:
        tries.append(message.payload["value"])
        if len(tries) == 1:
            raise RuntimeError("not now")
        heard(message)

    await sensor.command.listen("move", heard)
    await sensor.command.listen("try", reluctant)
    await sensor.command.listen("stop", stopped)
    with pytest.raises(relayx_device_sdk.DuplicateListenerError):
        await sensor.command.listen("move", heard)
    sent = await app.command.send({"name": "move", "device_ident": ["arm", "nobody"], "data": {"to": 3}})
    assert sent == {"arm": {"sent": True}, "nobody": {"sent": False, "error": "Device not found"}}
    message = await heard.next()
    assert message.payload["value"] == {"to": 3}
    assert isinstance(message.payload["timestamp"], int)
    await app.command.send({"name": "try", "device_ident": ["arm"], "data": 5})
    assert (await heard.next()).payload["value"] == 5  # given back, and five seconds later delivered again
    assert tries == [5, 5]
    assert await sensor.command.off("stop") is True
    assert await sensor.command.off("stop") is False
    await app.command.send({"name": "stop", "device_ident": ["arm"], "data": 1})
    # The same from our own API, where somebody else than the vendor's application asks.
    assert await stage.served.ask("POST", "/v1/devices/arm/commands", {"name": "move", "data": 4}) == {
        "name": "move", "queued": True,
    }  # fmt: skip
    assert (await heard.next()).payload["value"] == 4
    assert stopped.is_quiet
    await stage.served.until(
        lambda found: sum(one["type"] == "device.command" for one in found["events"]) == 4,
        "GET", "/v1/devices/arm/timeline",
    )  # fmt: skip
    asked = {"name": "move", "device_idents": ["arm", "nobody"], **SPAN}
    commands = await app.command.history(asked)
    assert [point["value"] for point in commands["arm"]] == [{"to": 3}, 4]
    assert commands["nobody"] == {"error": "Device not found"}
    counted = await app.command.history({**asked, "interval": "52w", "aggregate_fn": "count"})
    assert [point["value"] for point in counted["arm"]] == [2]


async def calling(stage: Stage) -> None:
    app = await stage.app()
    made = await app.device.create({"ident": "arm2", "schema": {}, "config": {}})
    sensor = await stage.device(made["creds"])

    async def add(request: Any) -> None:
        await request.respond({"sum": sum(request.payload["numbers"])})

    async def fail(request: Any) -> None:
        await request.error("no")

    async def silent(_: Any) -> None:
        pass

    for name, handler in (("add", add), ("fail", fail), ("silent", silent)):
        await sensor.rpc.listen(name, handler)
    with pytest.raises(relayx_device_sdk.DuplicateListenerError):
        await sensor.rpc.listen("add", add)
    await sensor.config.get()  # the broker has heard of them by then

    async def call(name: str, data: Any, **more: Any) -> Any:
        return await app.rpc.call({"device_ident": "arm2", "name": name, "data": data, **more})

    assert await call("add", {"numbers": [1, 2]}) == {"status": "ok", "data": {"sum": 3}}
    assert await call("fail", 1) == {"status": "error", "data": "no"}
    with pytest.raises(nats.errors.TimeoutError):
        await call("silent", 1, timeout=0.3)
    with pytest.raises(nats.errors.NoRespondersError):
        await call("unknown", 1)
    native = await stage.served.ask("POST", "/v1/devices/arm2/rpc", {"name": "add", "data": {"numbers": [3, 4]}})
    assert native == {"status": "ok", "data": {"sum": 7}}
    assert await sensor.rpc.off("add") is True
    assert await sensor.rpc.off("add") is False
    await sensor.config.get()  # the broker has heard of it by then
    with pytest.raises(nats.errors.NoRespondersError):
        await call("add", {"numbers": []})


async def keeping_time(stage: Stage) -> None:
    app = await stage.app()
    made = await app.device.create({"ident": "clock", "schema": SCHEMA, "config": {}})
    sensor = await stage.device(made["creds"])
    await sensor.time.init()  # which falls back to the machine's clock where it reaches no other
    sensor.time.set_timezone("Europe/Berlin")
    at = sensor.time.now()
    shown = sensor.time.to_date(at)
    assert shown.tzinfo is not None
    assert sensor.time.to_timestamp(shown) == pytest.approx(at, abs=1)
    await sensor.telemetry.publish("temperature", 21)
    await stage.stored("clock", "temperature", 1)
    found = await app.telemetry.history({"device_ident": "clock", "fields": ["temperature"], **SPAN})
    assert at <= found["temperature"][0]["timestamp"] <= sensor.time.now()


# --- what is not served ----------------------------------------------------------------------------------------------

_TOPIC = {"source": "TELEMETRY", "device_ident": "x", "last_token": "temperature"}
_MAIL = {"recipients": ["a@example.com"], "subject": "s", "template": "t"}
_CHANNEL = {"id": "1", "name": "n", "type": "EMAIL", "config": _MAIL}
_GROUP = {"name": "n", "tags": [], "device_idents": [], "heirarchy": "a.b"}

LEFT_OUT: dict[str, tuple[Any, ...]] = {
    "alert.create": ({"name": "n", "type": "THRESHOLD"},),
    "alert.create_ephemeral": ({"name": "n", "config": {"topic": _TOPIC, "duration": 1, "recovery_duration": 1}},),
    "alert.update": ({"id": "1"},),
    "alert.update_ephemeral": ({"id": "1"},),
    "alert.delete": ("1",),
    "alert.list": (),
    "alert.get": ("n",),
    "alert.ack": ({"alert_id": "1", "device_id": "x", "acked_by": "me"},),
    "alert.mute": ({"id": "1", "mute_config": {"type": "FOREVER"}},),
    "alert.unmute": ("1",),
    "notification.create": (_CHANNEL,),
    "notification.update": (_CHANNEL,),
    "notification.delete": ("1",),
    "notification.list": (),
    "notification.get": ("n",),
}
for _kind in ("logical_group", "heirarchy_group"):
    _asked = {"create": (_GROUP,), "update": ({"id": "1"},), "list": ()}
    LEFT_OUT |= {f"{_kind}.{name}": args for name, args in _asked.items()}
    LEFT_OUT |= {f"{_kind}.{name}": ("1",) for name in ("delete", "get", "list_devices")}


async def leaving_out(stage: Stage) -> None:
    """Nobody is kept waiting for what does not exist."""
    app = await stage.app()
    for name, args in LEFT_OUT.items():
        with pytest.raises(nats.errors.NoRespondersError):
            await attrgetter(name)(app)(*args)
    with pytest.raises(RuntimeError, match="Alert history failed"):
        await app.alert.history({"rule_type": "RULE", "rule_id": "1", **SPAN})
    for part in (app.alert, app.logical_group, app.heirarchy_group):
        await part.delete_all_consumers()


# --- the table -------------------------------------------------------------------------------------------------------

METHODS: dict[Story, tuple[str, ...]] = {
    connecting: (
        "app.connect", "app.disconnect", "app.connection.connect", "app.connection.disconnect",
        "app.connection.listeners", "device.connect", "device.disconnect", "device.connection.listeners",
    ),
    debugging: ("app.set_debug",),
    reconnecting: (),
    seed: ("app.device.create", "app.device.update", "app.device.delete", "app.device.list", "app.device.get"),
    refusing: (),
    caching: (
        "app.device.cache", "app.device.clear_cache", "app.device.resolve_device_id", "app.device.resolve_device_ids",
    ),
    limiting: (),
    listing_much: (),
    configuring: ("device.config.get", "device.config.set"),
    measuring: (
        "device.telemetry.publish", "app.telemetry.stream", "app.telemetry.off", "app.telemetry.history",
        "app.telemetry.latest", "app.telemetry.delete_all_consumers",
    ),
    summing: (),
    paging: (),
    happening: (
        "device.event.send", "app.events.stream", "app.events.off", "app.events.history",
        "app.events.delete_all_consumers",
    ),
    logging: (
        "device.log.info", "device.log.warn", "device.log.error", "device.log.shutdown", "app.log.stream",
        "app.log.off", "app.log.history", "app.log.delete_all_consumers",
    ),
    trying_out: (),
    noticing: ("app.connection.presence", "app.connection.presence_off"),
    commanding: ("app.command.send", "app.command.history", "device.command.listen", "device.command.off"),
    calling: (
        "app.rpc.call", "device.rpc.listen", "device.rpc.off", "device.rpc.request.respond",
        "device.rpc.request.error",
    ),
    keeping_time: (
        "device.time.init", "device.time.now", "device.time.to_date", "device.time.to_timestamp",
        "device.time.set_timezone",
    ),
    leaving_out: (
        *(f"app.{name}" for name in LEFT_OUT), "app.alert.history", "app.alert.delete_all_consumers",
        "app.logical_group.delete_all_consumers", "app.heirarchy_group.delete_all_consumers",
    ),
}  # fmt: skip
"""Every public method of both SDKs, with the story that calls it. Some stories call none that another does not."""


def test_the_table_has_every_method_once() -> None:
    known = [name for names in METHODS.values() for name in names]
    assert sorted(known) == sorted(sdk.methods())


@asynccontextmanager
async def stage(served: Vendor) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(served, stack)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendor]:
    data = tmp_path_factory.mktemp("sdk") / "data"
    with serving(data, FLEETROLL_NATS=f"127.0.0.1:{free_port()}") as process:
        yield Vendor(process, data)


@pytest.mark.parametrize("story", METHODS, ids=lambda story: story.__name__)
def test_the_sdks_unmodified(story: Story, served: Vendor) -> None:
    async def told() -> None:
        async with stage(served) as built:
            await story(built)

    with sdk.calls() as called:
        run(told())
    assert called >= set(METHODS[story])
