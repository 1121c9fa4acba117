"""One device in two APIs: what it publishes as a RelayX device Blynk's API returns, and the other way round."""

from pathlib import Path
from typing import Any

import httpx

from tests.support import relay
from tests.support.nats_sockets import LEFT
from tests.support.relay import Vendor
from tests.support.waiting import PATIENCE

pytestmark = LEFT

METER = {
    "name": "Meter",
    "datastreams": [
        {"pin": "v1", "type": "double", "alias": "temperature"},
        {"pin": "v2", "type": "integer", "alias": "count"},
        {"pin": "v3", "type": "string", "alias": "note"},
        {"pin": "v4", "type": "location", "alias": "place"},
    ],
}
SPAN = {"start": "2026-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"}
VALUES = {"temperature": 21.5, "count": 7, "note": "wet", "place": [13.4, 52.5]}


async def _streams(vendor: Vendor, number: int) -> dict[str, Any]:
    found = await vendor.ask("GET", f"/api/v1/organization/device?deviceId={number}")
    return {one["dataStreamAlias"]: one.get("value") for one in found["dataStreamValues"]}


def _device_api(vendor: Vendor, path: str, token: str, *pairs: tuple[str, str]) -> httpx.Response:
    url = f"{vendor.process.url}/external/api/{path}"
    return httpx.get(url, params=[("token", token), *pairs], timeout=PATIENCE).raise_for_status()


def test_one_device_reports_over_the_broker_and_over_http_and_both_apis_say_the_same(tmp_path: Path) -> None:
    async def story() -> None:
        async with relay.vendor(tmp_path / "data") as vendor:
            maker = await vendor.app()
            template = (await vendor.ask("POST", "/v1/templates", METER))["id"]
            given = {"ident": "meter", "schema": {"spare": {"type": "number"}}, "config": {}}
            creds = (await maker.device.create(given))["creds"]
            made = await vendor.ask("PATCH", "/v1/devices/meter", {"template": template})
            number = made["id"]
            token = (await vendor.ask("GET", "/v1/devices/meter/credentials"))["device_token"]
            sensor = await relay.device(creds)

            for metric, value in VALUES.items():
                assert await sensor.telemetry.publish(metric, value) is True
            await vendor.until(lambda found: len(found["readings"]) == 4, "GET", "/v1/devices/meter/telemetry")
            assert await _streams(vendor, number) == VALUES
            assert _device_api(vendor, "getAll", token).json() == {
                "v1": 21.5, "v2": 7, "v3": "wet", "v4": [13.4, 52.5],
            }  # fmt: skip
            assert _device_api(vendor, "get", token, ("v1", "")).text == "21.50000"
            online = await vendor.ask("GET", f"/api/v1/organization/device/online?deviceId={number}")
            assert online == {"connected": True}

            told = (("v1", "-3.25"), ("v2", "8"), ("v3", "dry"), ("v4", "1.5"), ("v4", "2.5"))
            _device_api(vendor, "batch/update", token, *told)
            app = await vendor.app()  # as the one before remembers the schema that the device was made with
            asked = {"device_ident": "meter", "fields": list(VALUES), **SPAN}
            latest = await app.telemetry.latest(asked)
            assert {metric: latest[metric]["value"] for metric in VALUES} == {
                "temperature": -3.25, "count": 8, "note": "dry", "place": [1.5, 2.5],
            }  # fmt: skip
            past = await app.telemetry.history({**asked, "fields": ["temperature"]})
            assert [one["value"] for one in past["temperature"]] == [21.5, -3.25]
            await sensor.disconnect()
            await app.disconnect()
            await maker.disconnect()

    relay.run(story())
