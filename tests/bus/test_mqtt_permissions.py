"""The permissions again, of a device that speaks MQTT: it reports for itself, and can do nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats.errors
import pytest

from fleetroll.bus.broker import Broker
from fleetroll.bus.port import AppAccount, DeviceAccount, Minted
from tests.support.broker import Registry, address, broker, client, run, settled, with_app
from tests.support.mqtt import Mqtt
from tests.support.nats_sockets import LEFT
from tests.support.waiting import PATIENCE, until

pytestmark = LEFT

_COMPLAINT = 'Malformed JetStream API Request: ""'
ORG, RIVAL = "org_1", "org_2"
DEVICE, SIBLING, FOREIGN = (f"{number:024x}" for number in (1, 2, 3))


class World:
    """Three devices that speak MQTT, one of them in another organization, and an application of theirs."""

    def __init__(self, directory: Path, served: Broker, registry: Registry) -> None:
        self.directory = directory
        self.served = served
        self.registry = registry
        self.port = int(address(served, "mqtt").rpartition(":")[2])
        self.minted = {
            device: self._minted(org, device) for org, device in ((ORG, DEVICE), (ORG, SIBLING), (RIVAL, FOREIGN))
        }

    def _minted(self, org: str, device: str) -> Minted:
        minted = self.served.mint_device(org, device, mqtt=True)
        self.registry.want(minted.account, DeviceAccount(minted.account, org, device, True))
        return minted

    def device(self, device: str, **will: Any) -> Mqtt:
        return Mqtt(self.port, device, self.minted[device].api_key, device, **will)

    def with_sessions(self) -> set[str]:
        """The accounts of which the broker keeps something on its disk."""
        return {one.name for one in (self.directory / "streams" / "jetstream").iterdir()}

    def stored(self) -> set[tuple[str, str]]:
        return {(message.device, message.body.decode()) for message in self.registry.messages}


@asynccontextmanager
async def world(tmp_path: Path) -> AsyncIterator[World]:
    registry = Registry()
    async with broker(tmp_path / "nats", registry, mqtt=("127.0.0.1", 0)) as served:
        found = World(tmp_path / "nats", served, registry)
        await settled(served, registry)
        yield found


def topic(device: str, org: str = ORG, family: str = "telemetry") -> str:
    return f"{org}/production/{family}/{device}/t"


FORGED = (
    topic(SIBLING), topic(FOREIGN, RIVAL), topic(DEVICE, RIVAL), topic(SIBLING, family="events"),
    topic(SIBLING).replace("/", "."),
    f"data/{ORG}/production/telemetry/{SIBLING}/t", f"data/{ORG}/production/telemetry/{DEVICE}/t",
    f"live/{ORG}/production/telemetry/{SIBLING}/t", f"presence/{ORG}/production/{SIBLING}",
    f"import/{ORG}/production/presence/{SIBLING}", f"{ORG}/production/command/queue/{SIBLING}/reboot",
    f"command/{ORG}/production/{SIBLING}/reboot", f"call/{SIBLING}/production/ping", f"answer/{SIBLING}/0",
    f"api/iot/devices/{ORG}/delete", f"api/iot/devices/{ORG}/sdk/config/update", "accounts/user/get_http_token",
    f"consumer/{ORG}/{SIBLING}/c/production/reboot", f"deliver/{SIBLING}/abc", "_INBOX/abc",
    "$SYS/REQ/CLAIMS/DELETE", "$SYS/REQ/SERVER/PING", "$JS/API/STREAM/CREATE/mine", "$JS/API/STREAM/DELETE/$MQTT_sess",
    "$JS/API/STREAM/PURGE/COMMANDS", "$JS/ACK/COMMANDS/c/1/1/1/1/0", "$MQTT/msgs/x", "$MQTT/sub/x", "$MQTT/JSA/x",
    "mine/a", "/", "a//b", "é", "a" * 1_000,
)  # fmt: skip


def test_it_speaks_for_itself_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as found:
            stream = b'{"name": "mine", "subjects": ["mine.>"], "storage": "file"}'.decode()

            def speak() -> None:
                for qos in (0, 1, 2):
                    with found.device(DEVICE, topic=topic(SIBLING), payload="will", retain=True) as device:
                        for forged in FORGED:
                            device.publish(forged, stream, qos=qos, retain=bool(qos))
                        device.publish(topic(DEVICE), f"own {qos}", qos=qos)
                        device.vanish()
                with found.device(DEVICE, topic=topic(DEVICE), payload="own will", qos=1) as device:
                    device.publish(topic(DEVICE), "last", qos=1)
                    device.vanish()

            await asyncio.to_thread(speak)
            wanted = {(DEVICE, said) for said in ("own 0", "own 1", "own 2", "last", "own will")}
            await found.registry.until(lambda: found.stored() >= wanted)
            assert found.stored() == wanted
            assert not found.registry.requests
            streams = {path.name for path in found.directory.glob("streams/jetstream/*/streams/*")}
            assert {name for name in streams if not name.startswith("$MQTT_")} == {
                "INGEST_org_1",
                "INGEST_org_2",
                "COMMANDS",
            }

    run(story())


def test_it_hears_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as found:
            application = await client(address(found.served), await with_app(found.served, found.registry))

            def speak(device: Mqtt) -> None:
                with found.device(SIBLING) as sibling, found.device(FOREIGN) as foreign:
                    sibling.publish(topic(SIBLING), "1", retain=True)
                    foreign.publish(topic(FOREIGN, RIVAL), "1", retain=True)
                for wanted in (
                    "#", "+/#", "+/+/+/+/+", f"{ORG}/#", topic(SIBLING), topic(FOREIGN, RIVAL), "live/#", "data/#",
                    "deliver/#", "presence/#", "api/#", "_INBOX/#", "_R_/#", "$SYS/#", "$JS/#", "$MQTT/#",
                    "$MQTT_sess/#", f"$share/x/{ORG}/#", f"{ORG}/production/command/#",
                ):  # fmt: skip
                    assert device.subscribe(wanted) is False, wanted
                with found.device(SIBLING) as sibling:
                    sibling.publish(topic(SIBLING), "2")
                device.publish(topic(DEVICE), "last")

            device = await asyncio.to_thread(found.device, DEVICE)
            await asyncio.to_thread(speak, device)
            await application.jetstream().publish(f"{ORG}.production.command.queue.{DEVICE}.reboot", b"1")
            await found.registry.until(lambda: (DEVICE, "last") in found.stored())
            assert device.heard == []
            await asyncio.to_thread(device.__exit__, None, None, None)
            await application.close()

    run(story())


def test_one_that_is_deleted_while_it_is_connected_gives_nobody_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker then asks for its session in vain, and complains about its own request."""
    caplog.set_level(logging.DEBUG)

    async def story() -> None:
        async with world(tmp_path) as found:
            device = await asyncio.to_thread(found.device, DEVICE)
            found.registry.want(found.minted[DEVICE].account, None)
            await until(lambda: _COMPLAINT in caplog.text)
            await asyncio.to_thread(device.__exit__, None, None, None)

    run(story())
    assert [record.levelno for record in caplog.records if _COMPLAINT in record.message] == [logging.DEBUG]


def test_its_password_alone_says_who_it_is(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as found:
            own, other = found.minted[DEVICE], found.minted[SIBLING]
            plain = found.served.mint_device(ORG, DEVICE)
            found.registry.want(plain.account, DeviceAccount(plain.account, ORG, DEVICE))
            app = found.served.mint_app(ORG, "admin", commands=True)
            found.registry.want(app.account, AppAccount(ORG, "admin", True))
            await settled(found.served, found.registry)
            head, body, signature = own.api_key.split(".")
            forged = ".".join((head, other.api_key.split(".")[1], signature))
            unsigned = ".".join((head, body, ""))

            def refused(password: str) -> str:
                with Mqtt(found.port, DEVICE, password) as device:
                    return device.refused

            # A credential of NATS is proven by its secret, which MQTT has no way to ask for.
            for password in ("", "x", forged, unsigned, own.secret, plain.api_key, app.api_key):
                assert await asyncio.to_thread(refused, password), password
            # And that of MQTT, which needs no proof, opens nothing else.
            with pytest.raises(nats.errors.Error):
                await client(address(found.served), own)

            def under_anothers_name() -> None:
                with found.device(SIBLING) as sibling:
                    with Mqtt(found.port, SIBLING, own.api_key, SIBLING) as device:
                        assert not device.refused
                        device.publish(topic(SIBLING), "forged")
                        device.publish(topic(DEVICE), "mine")
                    # Clients of the same name do not collide: the sibling's session is still there.
                    sibling.publish(topic(SIBLING), "its own")

            await asyncio.to_thread(under_anothers_name)
            await found.registry.until(lambda: (SIBLING, "its own") in found.stored())
            assert found.stored() == {(DEVICE, "mine"), (SIBLING, "its own")}

    run(story())


def test_a_removed_device_is_cut_off_and_stays_out_and_nothing_is_kept_of_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as found:
            device = await asyncio.to_thread(found.device, DEVICE)
            sibling = await asyncio.to_thread(found.device, SIBLING)
            assert found.with_sessions() >= {found.minted[one].account for one in (DEVICE, SIBLING)}
            found.registry.want(found.minted[DEVICE].account, None)
            await settled(found.served, found.registry)
            assert await asyncio.to_thread(device.wait_gone, PATIENCE)
            await asyncio.to_thread(device.__exit__, None, None, None)
            again = await asyncio.to_thread(found.device, DEVICE)
            assert again.refused
            await asyncio.to_thread(again.__exit__, None, None, None)
            assert found.minted[DEVICE].account not in found.with_sessions()
            assert found.minted[SIBLING].account in found.with_sessions()
            await asyncio.to_thread(sibling.__exit__, None, None, None)

    run(story())
