"""The vendor's SDKs, unmodified, pointed at a server of ours by the lists of hosts in their modules."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import relayx_app_sdk.connection
import relayx_device_sdk.transport
from relayx_app_sdk import RelayApp
from relayx_device_sdk import RelayDevice

from tests.support.ports import free_port
from tests.support.process import Process, serving
from tests.support.waiting import PATIENCE


def contents(data: Path) -> Iterator[bytes]:
    """What every file of a running server says; meanwhile its broker removes some."""
    for folder, _, names in os.walk(data):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                yield Path(folder, name).read_bytes()


@asynccontextmanager
async def vendor(data: Path, *options: str, broker: str | None = None) -> AsyncIterator["Vendor"]:
    """A server with a broker, and an organization's credentials for the application SDK."""
    with serving(data, *options, FLEETROLL_NATS=broker or f"127.0.0.1:{free_port()}") as process:
        yield Vendor(process, data)


class Vendor:
    """What a user of the vendor's has."""

    def __init__(self, process: Process, data: Path) -> None:
        self.process = process
        self.data = data

    def http(self, method: str, path: str, body: Any = None, org: str = "") -> Any:
        headers = {"authorization": f"Bearer {self.process.key}"}
        headers |= {"fleetroll-organization": org} if org else {}
        reply = httpx.request(method, self.process.url + path, json=body, headers=headers, timeout=PATIENCE)
        assert reply.is_success, (path, reply.text)
        return reply.json() if reply.content else None

    async def ask(self, method: str, path: str, body: Any = None, org: str = "") -> Any:
        return await asyncio.to_thread(self.http, method, path, body, org)

    async def until(self, holds: Any, method: str, path: str, org: str = "") -> Any:
        """Ask until the answer holds."""
        async with asyncio.timeout(PATIENCE):
            while not holds(found := await self.ask(method, path, None, org)):  # noqa: ASYNC110  # another process is waited for
                await asyncio.sleep(0.05)
        return found

    async def point(self) -> str:
        """Wait for the broker, and point both SDKs at it."""
        status = await self.until(lambda found: found["broker"] == "up", "GET", "/v1/broker")
        url = str(status["urls"][0])
        relayx_app_sdk.connection.SERVERS[:] = [url]
        relayx_device_sdk.transport.NATS_SERVERS_PRODUCTION[:] = [url]
        return url

    async def key(self, role: str = "operator", org: str = "", scopes: Sequence[str] = ()) -> dict[str, Any]:
        await self.point()
        body = {"name": "relay", "role": role, "kind": "nats", "scopes": scopes}
        made = await self.ask("POST", "/v1/keys", body, org)
        return dict(made["nats"])

    async def app(self, role: str = "operator", mode: str = "production", org: str = "") -> RelayApp:
        credentials = await self.key(role, org)
        app = RelayApp({**credentials, "mode": mode})
        await asyncio.wait_for(app.connect(), PATIENCE)
        return app


async def device(creds: dict[str, str], mode: str = "production") -> RelayDevice:
    made = RelayDevice({"api_key": creds["api_key"], "secret": creds["secret"], "mode": mode})
    await asyncio.wait_for(made.connect(), PATIENCE)
    return made


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 5 * PATIENCE))
