"""The vendor's own SDKs, unmodified, from the first device to the last reading."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.relay import Vendor, device, run, vendor

# nats-py leaves the sockets of refused connections to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SCHEMA = {
    "temperature": {"type": "number", "unit": "Celsius", "unit_symbol": "°C"},
    "humidity": {"type": "number", "unit": "Percent", "unit_symbol": "%"},
    "status": {"type": "string", "unit": "Status", "unit_symbol": ""},
}
CONFIG = {"reportInterval": 5000, "location": "warehouse-A"}


def test_the_seed_document_as_it_is_written(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            app = await served.app()
            made = await app.device.create({"ident": "sensor_01", "schema": SCHEMA, "config": CONFIG})
            assert set(made) == {"id", "ident", "schema", "config", "org_id", "env", "creds"}
            assert (made["ident"], made["schema"], made["config"]) == ("sensor_01", SCHEMA, CONFIG)
            assert len(made["id"]) == 24
            assert made["creds"]["api_key"].startswith("eyJ0eXAiOiJKV1Qi")
            assert made["creds"]["secret"].startswith("SU")
            updated = await app.device.update(
                {"id": made["id"], "config": {"reportInterval": 10000, "location": "warehouse-B"}}
            )
            assert updated["config"] == {"reportInterval": 10000, "location": "warehouse-B"}
            assert updated["schema"] == SCHEMA
            assert "creds" not in updated
            await app.device.create({"ident": "sensor_02", "schema": {"pressure": {"type": "number"}}, "config": {}})
            listed = await app.device.list()
            assert {one["ident"] for one in listed} == {"sensor_01", "sensor_02"}
            assert all("creds" not in one for one in listed)
            found = await app.device.get({"ident": "sensor_01"})
            assert found["config"]["location"] == "warehouse-B"
            assert await app.device.delete("sensor_01") is True
            assert await app.device.delete("sensor_01") is False
            assert [one["ident"] for one in await app.device.list()] == ["sensor_02"]
            await app.disconnect()

    run(story())


def test_what_the_vendor_refuses_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            app = await served.app()
            given = {"schema": {}, "config": {}}
            made = await app.device.create({"ident": "one", **given})
            assert await app.device.create({"ident": "one", **given}) is None
            assert await app.device.create({"ident": "two", "schema": {"a": {"type": "word"}}, "config": {}}) is None
            await app.device.create({"ident": "three", **given})
            assert await app.device.update({"id": made["id"], "ident": "three"}) is None
            assert await app.device.update({"id": made["id"], "ident": "no good"}) is None
            assert await app.device.update({"id": "f" * 24, "ident": "four"}) is None
            assert (await app.device.update({"id": made["id"]}))["ident"] == "one"
            missing = await app.device.get({"ident": "nobody"})
            assert missing["status"] == "DEVICE_GET_FAILURE"
            assert isinstance(missing["data"], dict)
            await app.disconnect()

    run(story())


def test_all_four_types_of_a_schema(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            app = await served.app()
            schema = {kind: {"type": kind} for kind in ("number", "string", "boolean", "json")}
            made = await app.device.create({"ident": "all", "schema": schema, "config": {}})
            sensor = await device(made["creds"])
            for metric, value in {"number": 21.5, "string": "ok", "boolean": True, "json": {"a": [1, None]}}.items():
                assert await sensor.telemetry.publish(metric, value) is True
            found = await served.until(lambda found: len(found["readings"]) == 4, "GET", "/v1/devices/all/telemetry")
            values = {one["metric"]: one["value"] for one in found["readings"]}
            assert values == {"number": 21.5, "string": "ok", "boolean": True, "json": {"a": [1, None]}}
            await sensor.disconnect()
            await app.disconnect()

    run(story())


def test_a_device_reads_and_replaces_its_own_configuration(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            app = await served.app()
            made = await app.device.create({"ident": "own", "schema": SCHEMA, "config": CONFIG})
            sensor = await device(made["creds"])
            assert await sensor.config.get() == CONFIG
            assert await sensor.config.set({"a": 1}) is True
            assert (await served.ask("GET", "/v1/devices/own"))["config"] == {"a": 1}
            await served.ask("PUT", "/v1/devices/own", {"config": {"b": 2}})
            assert await sensor.config.get() == {"b": 2}
            await sensor.disconnect()
            await app.disconnect()

    run(story())


def test_live_telemetry_events_and_logs_reach_the_application(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            app = await served.app()
            made = await app.device.create({"ident": "live", "schema": SCHEMA, "config": {}})
            heard: asyncio.Queue[Any] = asyncio.Queue()
            await app.telemetry.stream({"device_ident": "live", "metric": "*", "callback": heard.put_nowait})
            await app.events.stream({"name": "door", "device_ident": "*", "callback": heard.put_nowait})
            await app.log.stream({"device_ident": "live", "callback": heard.put_nowait})
            sensor = await device(made["creds"])
            await sensor.telemetry.publish("temperature", 21)
            told = await asyncio.wait_for(heard.get(), 10)
            assert (told["metric"], told["data"]["value"]) == ("temperature", 21)
            await sensor.event.send("door", {"open": True})
            assert (await asyncio.wait_for(heard.get(), 10))["live"]["value"] == {"open": True}
            sensor.log.warn("it is hot")
            await sensor.disconnect()  # sends what it has gathered
            line = await asyncio.wait_for(heard.get(), 10)
            assert (line["level"], line["data"]) == ("warn", "it is hot")
            timeline = await served.until(
                lambda found: {"device.event", "device.log"} <= {one["type"] for one in found["events"]},
                "GET", "/v1/devices/live/timeline",
            )  # fmt: skip
            assert {"name": "door", "value": {"open": True}, "env": "production"} in [
                one["data"] for one in timeline["events"]
            ]
            await app.disconnect()

    run(story())


def test_commands_and_calls(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            app = await served.app()
            made = await app.device.create({"ident": "arm", "schema": {}, "config": {}})
            sensor = await device(made["creds"])
            heard: asyncio.Queue[Any] = asyncio.Queue()
            await sensor.command.listen("move", heard.put_nowait)

            async def answer(request: Any) -> None:
                await request.respond({"sum": sum(request.payload["numbers"])})

            await sensor.rpc.listen("add", answer)
            sent = await app.command.send({"name": "move", "device_ident": ["arm", "nobody"], "data": {"to": 3}})
            assert sent["arm"] == {"sent": True}
            assert sent["nobody"]["sent"] is False
            assert (await asyncio.wait_for(heard.get(), 10)).payload["value"] == {"to": 3}
            reply = await app.rpc.call({"device_ident": "arm", "name": "add", "data": {"numbers": [1, 2]}})
            assert reply == {"status": "ok", "data": {"sum": 3}}
            # The same from our own API, where somebody else than the vendor's application asks.
            assert await served.ask("POST", "/v1/devices/arm/commands", {"name": "move", "data": 4}) == {
                "name": "move", "queued": True,
            }  # fmt: skip
            assert (await asyncio.wait_for(heard.get(), 10)).payload["value"] == 4
            native = await served.ask("POST", "/v1/devices/arm/rpc", {"name": "add", "data": {"numbers": [3, 4]}})
            assert native == {"status": "ok", "data": {"sum": 7}}
            await sensor.disconnect()
            await app.disconnect()

    run(story())


def test_presence_is_told_and_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            app = await served.app()
            made = await app.device.create({"ident": "there", "schema": {}, "config": {}})
            heard: asyncio.Queue[Any] = asyncio.Queue()
            await app.connection.presence(heard.put_nowait)
            sensor = await device(made["creds"])
            told = await asyncio.wait_for(heard.get(), 10)
            assert (told["device_ident"], told["event"]) == ("there", "connected")
            assert (await served.ask("GET", "/v1/devices/there"))["connected"] is True
            await sensor.disconnect()
            told = await asyncio.wait_for(heard.get(), 10)
            assert (told["device_ident"], told["event"]) == ("there", "disconnected")
            shown = await served.ask("GET", "/v1/devices/there")
            assert shown["connected"] is False
            assert shown["last_seen"] is not None
            await app.disconnect()

    run(story())


def test_a_deleted_device_is_cut_off_at_once(tmp_path: Path) -> None:
    async def story(served: Vendor) -> None:
        app = await served.app()
        made = await app.device.create({"ident": "gone", "schema": {}, "config": {}})
        sensor = await device(made["creds"])
        lost = asyncio.Event()
        sensor.connection.listeners(lambda told: lost.set() if told["type"] != "connected" else None)
        assert await app.device.delete("gone") is True
        await asyncio.wait_for(lost.wait(), 1)
        await sensor.disconnect()
        await app.disconnect()

    async def told() -> None:
        async with vendor(tmp_path / "data") as served:
            await story(served)

    run(told())


SPAN = {"start": "2026-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"}


def test_history_of_everything(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            app = await served.app()
            made = await app.device.create({"ident": "past", "schema": SCHEMA, "config": {}})
            sensor = await device(made["creds"])
            for value in (20, 21, 25):
                await sensor.telemetry.publish("temperature", value)
                await asyncio.sleep(0.002)  # or they are one reading: the vendor counts in milliseconds
            await sensor.telemetry.publish("status", "ok")
            await sensor.event.send("door", {"open": True})
            sensor.log.info("started")
            sensor.log.error("broken")
            await app.command.send({"name": "move", "device_ident": ["past"], "data": {"to": 3}})
            await sensor.disconnect()
            await served.until(
                lambda found: sum(one["type"] == "device.log" for one in found["events"]) == 2
                and any(one["type"] == "device.command" for one in found["events"]),
                "GET", "/v1/devices/past/timeline",
            )  # fmt: skip
            one = {"device_ident": "past", **SPAN}
            found = await app.telemetry.history({**one, "fields": ["temperature", "status"]})
            assert [point["value"] for point in found["temperature"]] == [20, 21, 25]
            assert [point["value"] for point in found["status"]] == ["ok"]
            assert all(isinstance(point["timestamp"], int) for point in found["temperature"])
            latest = await app.telemetry.latest({**one, "fields": ["temperature", "status"]})
            assert {name: point["value"] for name, point in latest.items()} == {"temperature": 25, "status": "ok"}
            expected = {
                "mean": 22, "min": 20, "max": 25, "sum": 66, "count": 3, "first": 20, "last": 25, "median": 21,
            }  # fmt: skip
            for function, number in expected.items():
                found = await app.telemetry.history({**one, "fields": ["temperature"], "aggregate_fn": function})
                assert [point["value"] for point in found["temperature"]] == [number], function
            found = await app.telemetry.history({**one, "fields": ["temperature"], "aggregate_fn": "stddev"})
            assert found["temperature"][0]["value"] == pytest.approx(2.6457, rel=1e-3)
            events = await app.events.history({**one, "event_names": ["door", "window"]})
            assert [point["value"] for point in events["door"]] == [{"open": True}]
            assert events["window"] == []
            logs = await app.log.history({**one, "levels": ["info", "error"]})
            assert [point["value"] for point in logs["info"]] == ["started"]
            assert [point["value"] for point in logs["error"]] == ["broken"]
            counted = await app.log.history({**one, "interval": "52w", "aggregate_fn": "count"})
            assert [point["value"] for point in counted["error"]] == [1]
            commands = await app.command.history({"name": "move", "device_idents": ["past", "nobody"], **SPAN})
            assert [point["value"] for point in commands["past"]] == [{"to": 3}]
            assert commands["nobody"] == {"error": "Device not found"}
            await app.disconnect()

    run(story())
