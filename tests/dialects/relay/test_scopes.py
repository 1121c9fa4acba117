"""The scopes of a broker's key hold on the broker too: for what it is sent, and whose replies it can see."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus.port import AppAccount, Minted
from fleetroll.service.broker import Registry
from tests.support.app import running
from tests.support.broker import client
from tests.support.jwt import claims
from tests.support.nats_sockets import LEFT
from tests.support.relay import Vendor, device, run, vendor
from tests.support.waiting import until

pytestmark = LEFT

SAID = {"org_1.production.telemetry", "org_1.production.events", "import.org_1.production"}
SPAN = {"start": "2026-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"}


async def eavesdropping(served: Vendor, scopes: Sequence[str]) -> tuple[Client, list[Msg]]:
    """A client of a narrowed administrator's key, and all that it is ever sent."""
    key = await served.key("admin", scopes=scopes)
    connected = await client(await served.point(), Minted("", "", key["api_key"], key["secret"]))
    heard: list[Msg] = []

    async def note(message: Msg) -> None:
        heard.append(message)

    for subject in ("_INBOX.>", "org_1.*.telemetry.>", "org_1.*.events.>", "org_1.*.logs.>", "import.org_1.>"):
        await connected.subscribe(subject, cb=note)
    await connected.flush()
    return connected, heard


async def work(served: Vendor) -> None:
    """What an administrator's application does, whose replies hold a device's credential and a token of its own key."""
    app = await served.app("admin")
    made = await app.device.create({"ident": "pump", "schema": {"temperature": {"type": "number"}}, "config": {}})
    pump = await device(made["creds"])
    await pump.telemetry.publish("temperature", 21.5)
    await pump.event.send("opened", {"by": "hand"})
    await served.until(lambda found: found["readings"], "GET", "/v1/devices/pump/telemetry")
    assert await app.telemetry.history({"device_ident": "pump", "fields": ["temperature"], **SPAN})
    await pump.disconnect()
    await app.disconnect()


@pytest.mark.parametrize(
    ("scopes", "said"),
    [(("owners:read",), set()), (("devices:write",), set()), (("devices:read", "owners:read"), SAID)],
    ids=["owners", "writing", "reading"],
)
def test_a_narrowed_key_is_sent_what_its_scopes_say_and_no_others_replies(
    tmp_path: Path, scopes: Sequence[str], said: set[str]
) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            spy, heard = await eavesdropping(served, scopes)
            before = len(heard)  # what was asked to make the account's own streams

            def told() -> set[str]:
                return {".".join(message.subject.split(".")[:3]) for message in heard[before:]}

            await work(served)
            await until(lambda: told() >= said)
            await spy.flush()
            assert told() == said
            await spy.close()

    run(story())


def accounts(registry: Registry, app: Any) -> dict[tuple[str, ...], AppAccount]:
    found = app.runner.run(registry.accounts())
    return {one.scopes: one for one in found if isinstance(one, AppAccount)}


def test_a_narrowed_key_of_the_account_of_its_role_ends_there_too(tmp_path: Path) -> None:
    """Such keys were made once, and are good until they are revoked."""
    with running(tmp_path / "data") as app:
        registry = Registry(app.services, app.application.subjects.answer)
        body = {"name": "narrow", "role": "operator", "kind": "nats", "scopes": ["owners:read"]}
        key = app.request("POST", "/v1/keys", body).json()
        user = claims(key["nats"]["api_key"])["sub"]
        assert accounts(registry, app).keys() == {(), ("owners:read",)}
        assert app.request("DELETE", f"/v1/keys/{key['id']}").status == 204
        assert all(user in one.revoked for one in accounts(registry, app).values())
        noted = app.runner.run(registry.changes())
        assert {change.account.scopes for change in noted if change.account} == {(), ("owners:read",)}
