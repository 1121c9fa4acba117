"""JavaScript over the WebSocket listener and over TCP, as the vendor's SDKs are built: by the official NATS clients.

The vendor's own packages are not on npm. What stands here are the libraries that they name, in the versions they name,
with their options and their requests.
"""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.app import above_the_store
from tests.support.nats_sockets import LEFT
from tests.support.ports import free_port
from tests.support.relay import run, vendor

HERE = Path(__file__).parent / "javascript"
HOST = "api.relay-x.io"
SCHEMA = {"temperature": {"type": "number", "unit": "Celsius", "unit_symbol": "°C"}}

pytestmark = [
    *LEFT,
    above_the_store,
    pytest.mark.skipif(
        shutil.which("npm") is None and "CI" not in os.environ, reason="npm is not installed on this machine"
    ),
]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, with its locked libraries beside it."""
    directory = tmp_path_factory.mktemp("javascript")
    for file in ("package.json", "package-lock.json", "walk.mjs"):
        shutil.copy(HERE / file, directory)
    words = ["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(words, cwd=directory, check=True, capture_output=True, timeout=120)
    return directory / "walk.mjs"


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS under the vendor's name"])
def test_an_application_and_a_device_in_javascript(walk: Path, tmp_path: Path, encrypted: bool) -> None:
    async def story() -> None:
        web = f"127.0.0.1:{free_port()}"
        async with vendor(tmp_path / "data", "--nats-ws", web) as served:
            environment = {**os.environ, "APP": json.dumps(await served.key())}
            if encrypted:
                authority = tmp_path / "ca.pem"
                made = await served.ask("POST", "/v1/broker/certificate", {"names": [HOST]})
                authority.write_text(made["authority"])
                tcp = await served.point()
                environment |= {
                    "NAMED": HOST,
                    "NODE_EXTRA_CA_CERTS": str(authority),
                    "WEBSOCKET": f"wss://{HOST}:{web.rpartition(':')[2]}",
                    "NATS": f"tls://{HOST}:{tcp.rpartition(':')[2]}",
                }
            else:
                environment |= {"WEBSOCKET": f"ws://{web}", "NATS": await served.point()}
            told = await asyncio.to_thread(steps, walk, environment)
            device = {"ident": "js_01", "schema": SCHEMA, "org_id": "org_1", "env": "production"}
            made = told["create"].pop("data")
            assert set(made.pop("creds")) == {"api_key", "secret"}
            device["id"] = made["id"]
            assert made == device | {"config": {"reportInterval": 5000}}
            device["config"] = {"reportInterval": 10000}
            live, event, log = (told.pop(family) for family in ("telemetry", "events", "logs"))
            assert live["subject"] == f"org_1.production.telemetry.{made['id']}.temperature"
            assert live["data"]["value"] == 21.5
            assert event["data"]["value"] == {"open": True}
            assert log["data"]["data"] == "started"
            presence = told.pop("presence")["data"]
            assert (presence["device_ident"], presence["event"]) == ("js_01", "connected")
            assert told.pop("command")["data"]["value"] == {"to": 3}
            assert told.pop("sent")["duplicate"] is False
            assert told.pop("token")["data"]["http_url"] == served.process.url
            assert told.pop("history")["data"]["frames"] == [{"temperature": live["data"]}]
            assert told.pop("gone")["status"] == "DEVICE_GET_FAILURE"
            assert told == {
                "bucket": {"name": "org_1"},
                "list": answer("DEVICE_FETCH_SUCCESS", org_id="org_1", devices=[]),
                "create": {"status": "DEVICE_CREATE_SUCCESS"},
                "update": answer("DEVICE_UPDATE_SUCCESS", org_id="org_1", device=device),
                "get": answer("DEVICE_GET_SUCCESS", **device),
                "listed": answer("DEVICE_FETCH_SUCCESS", org_id="org_1", devices=[device]),
                "schema": answer("DEVICE_SCHEMA_FETCH_SUCCESS", schema=SCHEMA),
                "config": answer("DEVICE_CONFIG_FETCH_SUCCESS", config={"reportInterval": 10000}),
                "configured": answer("DEVICE_CONFIG_UPDATE_SUCCESS", config={"reportInterval": 1}),
                "replaced": answer("DEVICE_CONFIG_FETCH_SUCCESS", config={"reportInterval": 1}),
                "rpc": {"status": "ok", "data": 2},
                "unheard": {"code": "503"},
                "delete": answer("DEVICE_DELETE_SUCCESS", org_id="org_1", device_id=made["id"]),
            }

    run(story())


def answer(status: str, **data: Any) -> dict[str, Any]:
    return {"status": status, "data": data}


def steps(walk: Path, environment: dict[str, str]) -> dict[str, Any]:
    """What was told at each step of the walk."""
    done = subprocess.run(
        ["node", walk], env=environment, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return {one.pop("step"): one for one in told}
