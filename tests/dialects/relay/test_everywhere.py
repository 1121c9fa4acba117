"""One device everywhere: made by the SDK, it is in every dialect; its readings and its configuration are one."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from tests.support.nats_sockets import LEFT
from tests.support.relay import Vendor, device, run, vendor
from tests.support.waiting import PATIENCE

pytestmark = LEFT

TEMPLATE = {"name": "Sensors", "datastreams": [{"pin": "v1", "type": "double", "alias": "temperature"}]}
DIALECTS = ("native", "telemetron", "memfault", "blynk", "lamassu")
SCHEMA = {"temperature": {"type": "number", "unit": "Celsius", "unit_symbol": "°C"}}


async def listed(served: Vendor) -> dict[str, list[str]]:
    """The devices that each dialect lists, by the names that these have there."""
    org = (await served.ask("GET", "/v1/organizations/self"))["slug"]
    memfault = await served.ask("GET", f"/api/v0/organizations/{org}/projects/default/devices")
    blynk = await served.ask("GET", "/api/v1/organization/devices")
    lamassu = await served.ask("GET", "/api/devmanager/v1/devices")
    # Telemetron's interface lists no devices; it says of one whether it was there.
    telemetron = await served.ask("POST", "/api/ext-v1/device", {"identifier": "walker"})
    return {
        "native": [one["ident"] for one in (await served.ask("GET", "/v1/devices"))["devices"]],
        "telemetron": [telemetron["identifier"]] if "updated" in telemetron["message"] else [],
        "memfault": [one["device_serial"] for one in memfault["data"]],
        "blynk": [one["name"] for one in blynk["content"]],
        "lamassu": [one["id"] for one in lamassu["list"]],
    }


def blynk(served: Vendor, token: str, path: str) -> str:
    reply = httpx.get(f"{served.process.url}/external/api/{path}&token={token}", timeout=PATIENCE)
    assert reply.status_code == 200, reply.text
    return reply.text


def test_a_device_of_the_sdk_is_one_device_everywhere(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            app = await served.app()
            made = await app.device.create({"ident": "walker", "schema": SCHEMA, "config": {"a": 1}})
            assert await listed(served) == {name: ["walker"] for name in DIALECTS}

            sensor = await device(made["creds"])
            template = await served.ask("POST", "/v1/templates", TEMPLATE)
            await served.ask("PATCH", "/v1/devices/walker", {"template": template["id"]})
            for value in (20, 21.5):
                assert await sensor.telemetry.publish("temperature", value) is True
                await asyncio.sleep(0.002)  # or they are one reading: the vendor counts in milliseconds
            path = "/v1/devices/walker/telemetry"
            found = await served.until(lambda found: len(found["readings"]) == 2, "GET", path + "?metric=temperature")
            assert [one["value"] for one in found["readings"]] == [20, 21.5]
            last = await served.ask("GET", path)
            assert [(one["metric"], one["value"]) for one in last["readings"]] == [("temperature", 21.5)]
            token = (await served.ask("GET", "/v1/devices/walker/credentials"))["device_token"]
            assert float(await asyncio.to_thread(blynk, served, token, "get?v1")) == 21.5
            # And what comes in by another side is what the application sees.
            await asyncio.to_thread(blynk, served, token, "update?v1=23")
            span = {"start": "2026-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"}
            latest = await app.telemetry.latest({"device_ident": "walker", "fields": ["temperature"], **span})
            assert latest["temperature"]["value"] == 23

            for changed in ({"b": [1, {"c": None}]}, {"d": 2}):
                await served.ask("PUT", "/v1/devices/walker", {"config": changed, "schema": SCHEMA})
                assert await sensor.config.get() == changed
            await served.ask("PATCH", "/v1/devices/walker", {"config": {"e": 3}})
            assert await sensor.config.get() == {"d": 2, "e": 3}
            await app.device.update({"id": made["id"], "config": {"f": 4}})
            assert await sensor.config.get() == {"f": 4}
            # Interfaces that know no configuration leave it as it is.
            await served.ask("POST", "/api/ext-v1/device", {"identifier": "walker", "properties": {"room": 1}})
            await served.ask("PATCH", "/api/devmanager/v1/devices/walker/metadata", {"patches": []})
            assert await sensor.config.get() == {"f": 4}
            assert await sensor.config.set({"g": 5}) is True
            shown = await served.ask("GET", "/v1/devices/walker")
            assert (shown["config"], shown["metadata"]) == ({"g": 5}, {"room": 1})
            timeline = await served.ask("GET", "/v1/devices/walker/timeline?limit=100")
            assert {"device.created", "device.connected"} <= {one["type"] for one in timeline["events"]}

            await sensor.disconnect()
            assert await app.device.delete("walker") is True
            assert [one["ident"] for one in (await served.ask("GET", "/v1/devices"))["devices"]] == []
            await app.disconnect()

    run(story())


def test_devices_of_every_dialect_are_the_applications(tmp_path: Path) -> None:
    """And the other way: the SDK lists, configures and connects what was made elsewhere."""

    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            org = (await served.ask("GET", "/v1/organizations/self"))["slug"]
            made: dict[str, tuple[str, dict[str, Any]]] = {
                "of-native": ("/v1/devices", {"ident": "of-native"}),
                "of-telemetron": ("/api/ext-v1/device", {"identifier": "of-telemetron", "type": "sensor"}),
                "of-memfault": (
                    f"/api/v0/organizations/{org}/projects/default/devices",
                    {"device_serial": "of-memfault", "hardware_version": "one"},
                ),
                "of-lamassu": ("/api/devmanager/v1/devices", {"id": "of-lamassu"}),
            }
            for path, body in made.values():
                await served.ask("POST", path, body)
            template = await served.ask("POST", "/api/v1/organization/template/create", {"name": "Sensors"})
            body = {"templateId": template["templateIds"][0], "name": "of-blynk"}
            await served.ask("POST", "/api/v1/organization/device/create", body)
            (of_blynk,) = (await served.ask("GET", "/v1/devices?filter=name=of-blynk"))["devices"]
            app = await served.app()
            devices = {one["ident"]: one for one in await app.device.list()}
            assert devices.keys() == {*made, of_blynk["ident"]}
            for ident, one in devices.items():
                changed = await app.device.update({"id": one["id"], "schema": SCHEMA, "config": {"of": ident}})
                assert changed["config"] == {"of": ident}
                creds = (await served.ask("POST", f"/v1/devices/{ident}/credentials", {"kind": "nats"}))["nats"]
                sensor = await device(creds)
                assert await sensor.config.get() == {"of": ident}
                assert await sensor.telemetry.publish("temperature", 20) is True
                path = f"/v1/devices/{ident}/telemetry"
                await served.until(lambda found: found["readings"], "GET", path)
                await sensor.disconnect()
            await app.disconnect()

    run(story())


def test_what_a_device_reports_to_testers_is_shown_to_nobody_else(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            await served.point()
            await served.ask("POST", "/v1/devices", {"ident": "d"})
            creds = (await served.ask("POST", "/v1/devices/d/credentials", {"kind": "nats"}))["nats"]
            testing, sensor = await device(creds, "test"), await device(creds)
            headers = {"authorization": f"Bearer {served.process.key}"}
            wanted = {"telemetry": "true", "filter": 'type = "device.telemetry"'}
            async with (
                httpx.AsyncClient(base_url=served.process.url, headers=headers, timeout=PATIENCE) as http,
                http.stream("GET", "/v1/events", params=wanted) as stream,
            ):
                assert await testing.telemetry.publish("n", 1) is True
                assert await sensor.telemetry.publish("n", 2) is True
                shown = await anext(line async for line in stream.aiter_lines() if line.startswith("data: "))
            assert json.loads(shown.removeprefix("data: "))["data"] == {"metric": "n", "value": 2}
            readings = (await served.ask("GET", "/v1/devices/d/telemetry"))["readings"]
            assert [one["value"] for one in readings] == [2]
            await testing.disconnect()
            await sensor.disconnect()

    run(story())


def test_a_device_without_a_schema_reports_whatever_it_has(tmp_path: Path) -> None:
    """As it may by every other API. The vendor's SDK takes an empty schema for one that allows nothing."""

    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            await served.point()
            await served.ask("POST", "/v1/devices", {"ident": "free"})
            sensor = await device((await served.ask("POST", "/v1/devices/free/credentials", {"kind": "nats"}))["nats"])
            assert await sensor.telemetry.publish("temperature", 20) is True
            await served.until(lambda found: found["readings"], "GET", "/v1/devices/free/telemetry")
            await sensor.disconnect()

    run(story())
