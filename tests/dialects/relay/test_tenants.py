"""What a tenant sends over the broker is no matter of any other: it reaches none of their devices and stops nobody."""

from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client

from fleetroll.bus.port import Minted
from tests.support.broker import client
from tests.support.nats_sockets import LEFT
from tests.support.relay import Vendor, device, run, vendor

pytestmark = LEFT


async def raw(served: Vendor, key: dict[str, Any]) -> Client:
    return await client(await served.point(), Minted("", "", key["api_key"], key["secret"]))


def test_a_device_is_called_by_its_own_tenant_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            await served.ask("POST", "/v1/organizations", {"slug": "rival"})
            rival, app = await raw(served, await served.key(org="rival")), await served.app()
            made = await app.device.create({"ident": "pump", "schema": {}, "config": {}})
            pump, opened = await device(made["creds"]), []

            async def answer(request: Any) -> None:
                opened.append(request.payload)
                await request.respond("opened")

            await pump.rpc.listen("open", answer)
            for called in (made["id"], "0" * 24):
                with pytest.raises(nats.errors.NoRespondersError):
                    await rival.request(f"org_2.production.command.rpc.{called}.open", b'"theirs"', timeout=5)
            call = {"device_ident": "pump", "name": "open", "data": "own"}
            assert await app.rpc.call(call) == {"status": "ok", "data": "opened"}
            assert opened == ["own"]
            await rival.close()
            await pump.disconnect()
            await app.disconnect()

    run(story())
