"""What a tenant sends over the broker does not concern others: it reaches none of their devices and stops nobody."""

import random
from pathlib import Path
from string import ascii_letters
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
                    await rival.request(f"org_2.production.command.rpc.{called}.open", b'"theirs"')
            call = {"device_ident": "pump", "name": "open", "data": "own"}
            assert await app.rpc.call(call) == {"status": "ok", "data": "opened"}
            assert opened == ["own"]
            await rival.close()
            await pump.disconnect()
            await app.disconnect()

    run(story())


LONG = "".join(random.Random(1).choices(ascii_letters, k=3_000)).encode()  # which cannot be packed
WORDS = (b"\xff", b"\xed\xa0\x80", b"a\x0bb", b"a\x0c1", b"\x0b", b"\0", b"\x1b[2J", b"\x85", LONG)
"""What the broker takes for a word of a subject, though others may not take it for text, or for one word."""


HEADS = (b"NATS/1.0 \xff\xff\xff\r\n\r\n", b"NATS/1.0 404 \xff\r\n\r\n", b"NATS/1.0\r\n\xff: \xff\r\n\r\n", b"NATS/1.0")


async def publish(sender: Client, subject: bytes, head: bytes = b"NATS/1.0\r\n\r\n") -> None:
    """Publish past the library, which sends only text."""
    sizes = len(head), len(head) + 1
    await sender._send_command(b"HPUB %b _INBOX.x %d %d\r\n%b1\r\n" % (subject, *sizes, head))
    await sender.flush()


def test_a_message_that_is_no_text_stops_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            await served.ask("POST", "/v1/organizations", {"slug": "rival"})
            rival, app = await served.app(org="rival"), await served.app()
            theirs = await rival.device.create({"ident": "theirs", "schema": {}, "config": {}})
            ours = await app.device.create(
                {"ident": "ours", "schema": {"temperature": {"type": "number"}}, "config": {}}
            )
            number, by_app, by_device = (
                theirs["id"].encode(),
                await raw(served, await served.key(org="rival")),
                await raw(served, theirs["creds"]),
            )
            for word in WORDS:
                for family in (b"telemetry", b"events", b"logs"):
                    await publish(by_device, b"org_2.production.%b.%b.%b" % (family, number, word))
                    await publish(by_device, b"org_2.%b.%b.%b.t" % (word, family, number))
                await publish(by_device, b"api.iot.devices.org_2.sdk.%b" % word)
                await publish(by_app, b"api.iot.devices.org_2.%b" % word)
                for way in (b"queue", b"rpc"):
                    await publish(by_app, b"org_2.production.command.%b.%b.%b" % (way, number, word))
                    await publish(by_app, b"org_2.%b.command.%b.%b.x" % (word, way, number))
            for head in HEADS:
                for subject in (b"org_2.production.telemetry.%b.t" % number, b"api.iot.devices.org_2.sdk.config.get"):
                    await publish(by_device, subject, head)
                await publish(by_app, b"org_2.production.command.rpc.%b.x" % number, head)
            assert await by_app.request("api.iot.devices.org_2.list", b"{}")
            pump = await device(ours["creds"])
            assert await pump.telemetry.publish("temperature", 21.5)
            await served.until(lambda found: found["readings"], "GET", "/v1/devices/ours/telemetry")
            assert [one["ident"] for one in await app.device.list()] == ["ours"]
            assert (await pump.config.get()) == {}
            for one in (by_app, by_device):
                await one.close()
            for sdk in (pump, app, rival):
                await sdk.disconnect()

    run(story())
