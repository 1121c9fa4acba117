"""The broker in its other shapes: behind TLS under the vendor's name, run by others, gone, and killed under load."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import httpx
import msgspec
import nats.errors
import pytest
import relayx_app_sdk.connection
import relayx_device_sdk.transport
from relayx_app_sdk import RelayApp

from fleetroll.bus.port import Minted
from fleetroll.core import limits
from fleetroll.data_directory import DATABASE
from tests.support.app import about_sqlite
from tests.support.broker import client
from tests.support.jwt import claims
from tests.support.mqtt import Mqtt
from tests.support.nats_sockets import LEFT
from tests.support.ports import free_port
from tests.support.process import serving
from tests.support.relay import Vendor, device, run, vendor
from tests.support.waiting import PATIENCE, until, wait_until

pytestmark = LEFT

HOST = "api.relay-x.io"
CLI = (sys.executable, "-m", "fleetroll")


def fleetroll(served: Vendor, *words: str) -> str:
    process = served.process
    environment = {**os.environ, "FLEETROLL_URL": process.url, "FLEETROLL_KEY": process.key}
    return subprocess.run(
        [*CLI, *words], env=environment, capture_output=True, text=True, check=True, timeout=120
    ).stdout


@about_sqlite
def test_a_broker_that_comes_later_knows_who_may_connect_though_nothing_is_kept_for_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    kept: dict[str, Any] = {}

    def noted() -> int:
        with closing(apsw.Connection(str(data / DATABASE), flags=apsw.SQLITE_OPEN_READONLY)) as database:
            return int(database.execute("SELECT count(*) FROM account_change").get)

    with serving(data, "--nats", "off") as process:
        served = Vendor(process, data)
        for ident in ("stays", "goes"):
            served.http("PUT", f"/v1/devices/{ident}", {})
            kept[ident] = served.http("POST", f"/v1/devices/{ident}/credentials", {"kind": "nats"})["nats"]
        served.http("DELETE", "/v1/devices/goes")
    assert noted() == 3
    with serving(data, "--nats", "off"):
        wait_until(lambda: not noted())

    async def story() -> None:
        async with vendor(data) as served:
            await served.point()
            connected = await device(kept["stays"])
            assert await connected.telemetry.publish("a", 1)
            await connected.disconnect()
            with pytest.raises((nats.errors.Error, TimeoutError)):
                await client(await served.point(), Minted("", "", kept["goes"]["api_key"], kept["goes"]["secret"]))

    run(story())


def test_both_sdks_and_mqtt_over_tls_under_the_vendors_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user would: the name resolves to us, and SSL_CERT_FILE names our authority."""
    resolve = socket.getaddrinfo
    port = free_port()

    def resolved(host: Any, *rest: Any, **named: Any) -> Any:
        return resolve("127.0.0.1" if host in {HOST, HOST.encode()} else host, *rest, **named)

    async def story() -> None:
        async with vendor(tmp_path / "data", "--mqtt", f"127.0.0.1:{port}") as served:
            authority = tmp_path / "ca.pem"
            await served.point()
            said = await asyncio.to_thread(fleetroll, served, "relay", "certificate", str(authority))
            assert HOST in said
            assert "SSL_CERT_FILE" in said
            credentials = await served.key()
            url = await served.point()
            monkeypatch.setattr(socket, "getaddrinfo", resolved)
            monkeypatch.setenv("SSL_CERT_FILE", str(authority))
            hosts = [f"tls://{HOST}:{url.rpartition(':')[2]}"]
            relayx_app_sdk.connection.SERVERS[:] = hosts
            relayx_device_sdk.transport.NATS_SERVERS_PRODUCTION[:] = hosts
            app = RelayApp({**credentials, "mode": "production"})
            await asyncio.wait_for(app.connect(), PATIENCE)
            made = await app.device.create({"ident": "tls", "schema": {"a": {"type": "number"}}, "config": {}})
            sensor = await device(made["creds"])
            assert await sensor.telemetry.publish("a", 1) is True
            assert app._ctx.nats_client.connected_url.scheme == "tls"
            await sensor.disconnect()
            await app.disconnect()
            own = (await served.ask("POST", "/v1/devices/tls/credentials", {"kind": "mqtt"}))["mqtt"]

            def report() -> None:
                with Mqtt(port, own["username"], own["password"], host=HOST, authority=authority) as plain:
                    plain.publish(own["topic"] + "a", "2")
                with Mqtt(port, own["username"], own["password"]) as plain:
                    plain.publish(own["topic"] + "a", "3")  # as over plain NATS, a client without TLS is let in

            await asyncio.to_thread(report)
            path = "/v1/devices/tls/telemetry?metric=a"
            found = await served.until(lambda found: len(found["readings"]) == 3, "GET", path)
            assert [one["value"] for one in found["readings"]] == [1, 2, 3]

    run(story())


@contextmanager
def outside(directory: Path, configuration: str) -> Iterator[str]:
    """A broker that our server does not run."""
    port = free_port()
    directory.mkdir()
    own = f"""
        listen: "127.0.0.1:{port}"
        server_name: cluster
        max_payload: 8388608
        jetstream: {{ store_dir: "{directory / "streams"}" }}
        resolver: {{ type: full, dir: "{directory / "accounts"}", allow_delete: true, hard_delete: true }}
    """
    (directory / "nats.conf").write_text(own + configuration)
    program = Path(sys.executable).with_name("nats-server")
    with (directory / "log").open("w") as log:
        process = subprocess.Popen([program, "-c", directory / "nats.conf"], stderr=log)
    try:
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def test_a_cluster_of_your_own(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as process:
        configuration = fleetroll(Vendor(process, tmp_path), "nats", "setup")

    async def story(url: str) -> None:
        async with vendor(tmp_path / "data", broker=url) as served:
            app = await served.app()
            assert url in await asyncio.to_thread(fleetroll, served, "nats", "status")
            made = await app.device.create({"ident": "far", "schema": {"a": {"type": "number"}}, "config": {}})
            sensor = await device(made["creds"])
            assert await sensor.telemetry.publish("a", 1) is True
            await served.until(lambda found: found["readings"], "GET", "/v1/devices/far/telemetry")
            await sensor.disconnect()
            await app.disconnect()

    with outside(tmp_path / "cluster", configuration) as url:
        run(story(url))


def test_a_broker_on_every_interface_is_named_by_the_address_of_the_server(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data", broker="0.0.0.0:0") as served:
            assert (await served.point()).startswith("nats://127.0.0.1:")
            app = await served.app()
            await app.disconnect()

    run(story())


def test_a_server_on_every_interface_is_named_by_an_address_that_a_client_can_use(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data", "--http", "0.0.0.0:0") as served:
            key = await served.key()
            connected = await client(await served.point(), Minted("", "", key["api_key"], key["secret"]))
            metrics = await asyncio.to_thread(httpx.get, f"{served.process.url}/metrics", timeout=PATIENCE)
            assert "\nfleetroll_broker_up 1.0\n" in metrics.text
            asked = json.dumps({"jwt": key["api_key"], "service": "influx"}).encode()
            reply = await connected.request("accounts.user.get_http_token", asked, timeout=PATIENCE)
            assert json.loads(reply.data)["data"]["http_url"] == f"http://localhost:{served.process.port}"
            await connected.close()

    run(story())


def test_without_a_broker_http_goes_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"nats://127.0.0.1:{taken.getsockname()[1]}"  # whoever listens there says nothing
        with serving(tmp_path / "data", FLEETROLL_NATS=where) as process:
            served = Vendor(process, tmp_path)
            assert served.http("GET", "/v1/broker") == {"broker": "away", "urls": []}
            assert json.loads(fleetroll(served, "nats", "status", "--json")) == {"broker": "away", "urls": []}
            assert "\nfleetroll_broker_up 0.0\n" in httpx.get(f"{process.url}/metrics", timeout=PATIENCE).text
            assert served.http("POST", "/v1/devices", {"ident": "d"})["ident"] == "d"
            made = served.http("POST", "/v1/keys", {"name": "k", "role": "viewer", "kind": "nats"})
            assert made["nats"]["secret"].startswith("SU")


def test_a_command_larger_than_the_broker_keeps_is_refused_as_such(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            await served.point()
            await served.ask("POST", "/v1/devices", {"ident": "arm"})
            around = len(msgspec.msgpack.encode({"value": "x" * 60_000, "timestamp": 1 << 40})) - 60_000
            most = limits.MAX_BUS_MESSAGE - around
            await served.ask("POST", "/v1/devices/arm/commands", {"name": "move", "data": "x" * most})
            larger = {"name": "move", "data": "x" * (most + 1)}
            with pytest.raises(AssertionError, match="command_too_large"):
                await served.ask("POST", "/v1/devices/arm/commands", larger)

    run(story())


def test_a_call_to_a_silent_device_is_answered_when_the_server_ends(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            url = await served.point()
            await served.ask("POST", "/v1/devices", {"ident": "mute"})
            made = (await served.ask("POST", "/v1/devices/mute/credentials", {}))["nats"]
            mute = await client(url, Minted("", "", made["api_key"], made["secret"]))
            said = claims(made["api_key"])["nats"]["org_data"]
            calls = await mute.subscribe(f"{said['org_id']}.*.command.rpc.{said['api_key_id']}.wait")
            await mute.flush()
            question = {"name": "wait", "data": 1, "timeout": limits.LONGEST_CALL}
            asking = asyncio.ensure_future(served.ask("POST", "/v1/devices/mute/rpc", question))
            await calls.next_msg(PATIENCE)
            served.process.popen.terminate()
            with pytest.raises(AssertionError, match="device_silent"):
                await asking
            await mute.close()

    run(story())


@pytest.mark.long
def test_nothing_acknowledged_is_lost_when_broker_and_server_are_killed_in_turn(tmp_path: Path) -> None:
    async def story() -> None:
        where = f"127.0.0.1:{free_port()}"
        acknowledged: list[int] = []
        data = tmp_path / "data"
        creds: dict[str, str] = {}
        for life in range(2):
            async with vendor(data, broker=where) as served:
                if not creds:
                    app = await served.app()
                    made = await app.device.create({"ident": "hard", "schema": {"n": {"type": "number"}}, "config": {}})
                    creds |= made["creds"]
                    await app.disconnect()
                await served.point()
                sensor = await device(creds)
                for number in range(life * 100, life * 100 + 100):
                    if number % 100 == 50:
                        broker = int((data / "nats" / "nats-server.pid").read_text())
                        os.kill(broker, signal.SIGKILL)
                    if await sensor.telemetry.publish("n", number):
                        acknowledged.append(number)
                    elif number % 100 < 75:  # the rest is published to the next broker
                        await until(lambda sensor=sensor: sensor._transport.is_connected())
                    await asyncio.sleep(0.002)
                os.kill(served.process.popen.pid, signal.SIGKILL)
                await sensor._transport._nats_client.close()
                await sensor.log.shutdown()
        async with vendor(data, broker=where) as served:
            await served.point()
            path = "/v1/devices/hard/telemetry?metric=n&limit=1000"
            found = await served.until(
                lambda found: {one["value"] for one in found["readings"]} >= set(acknowledged), "GET", path
            )
            values = [one["value"] for one in found["readings"]]
            assert len(acknowledged) > 100
            assert len(values) == len(set(values)), "each once"
            # Nobody has reported that it went: both that could were dead.
            await served.until(lambda shown: shown["connected"] is False, "GET", "/v1/devices/hard")

    run(story())


def test_the_command_line_sends_and_calls(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            await served.point()
            await served.ask("POST", "/v1/devices", {"ident": "arm"})
            sensor = await device((await served.ask("POST", "/v1/devices/arm/credentials", {}))["nats"])
            heard: asyncio.Queue[Any] = asyncio.Queue()
            await sensor.command.listen("move", heard.put_nowait)

            async def double(request: Any) -> None:
                await request.respond(request.payload * 2)

            await sensor.rpc.listen("double", double)

            async def send(*words: str) -> str:
                return await asyncio.to_thread(fleetroll, served, "device", "send", "arm", *words)

            assert "queued for arm" in await send("move", '{"to": 3}')
            assert (await asyncio.wait_for(heard.get(), PATIENCE)).payload["value"] == {"to": 3}
            assert json.loads(await send("--call", "double", "4")) == {"status": "ok", "data": 8}
            with pytest.raises(subprocess.CalledProcessError) as refused:
                await send("--call", "double", json.dumps("x" * 40_000))
            assert "has answered, but its answer is larger than 65536 bytes" in refused.value.stderr
            with pytest.raises(subprocess.CalledProcessError) as refused:
                await send("--call", "unknown")
            assert "does not listen" in refused.value.stderr
            with pytest.raises(subprocess.CalledProcessError) as refused:
                await send("move", "{to: 3}")
            assert "must be JSON" in refused.value.stderr
            assert heard.empty()
            await sensor.disconnect()

    run(story())


def test_an_authority_that_cannot_be_saved_leaves_the_broker_as_it_was(tmp_path: Path) -> None:
    async def offers_tls(url: str) -> bool:
        reader, writer = await asyncio.open_connection(*url.removeprefix("nats://").split(":"))
        greeting = json.loads((await reader.readline()).removeprefix(b"INFO "))
        writer.close()
        return bool(greeting.get("tls_available"))

    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            url = await served.point()
            with pytest.raises(subprocess.CalledProcessError) as refused:
                await asyncio.to_thread(fleetroll, served, "relay", "certificate", str(tmp_path / "nowhere" / "ca.pem"))
            assert refused.value.returncode == 7
            assert not await offers_tls(url)
            await asyncio.to_thread(fleetroll, served, "relay", "certificate", str(tmp_path / "ca.pem"))
            assert await offers_tls(url)

    run(story())


def test_a_plain_mqtt_device(tmp_path: Path) -> None:
    port = free_port()

    def publish(username: str, password: str, topics: dict[str, str]) -> None:
        with Mqtt(port, username, password) as plain:
            for topic, body in topics.items():
                plain.publish(topic, body)

    async def story() -> None:
        async with vendor(tmp_path / "data", "--mqtt", f"127.0.0.1:{port}") as served:
            await served.point()
            for ident in ("plain", "other"):
                await served.ask("POST", "/v1/devices", {"ident": ident, "schema": {"t": {"type": "number"}}})
            made = await served.ask("POST", "/v1/devices/plain/credentials", {"kind": "mqtt"})
            other = await served.ask("POST", "/v1/devices/other/credentials", {"kind": "mqtt"})
            own = made["mqtt"]
            event = own["topic"].replace("telemetry", "events") + "door"
            topics = {other["mqtt"]["topic"] + "t": "99", own["topic"] + "t": '{"value": 21.5}', event: '"open"'}
            await asyncio.to_thread(publish, own["username"], own["password"], topics)
            found = await served.until(lambda found: found["readings"], "GET", "/v1/devices/plain/telemetry")
            assert found["readings"][0]["value"] == 21.5
            timeline = await served.until(
                lambda found: "device.event" in {one["type"] for one in found["events"]},
                "GET", "/v1/devices/plain/timeline",
            )  # fmt: skip
            said = next(one["data"] for one in timeline["events"] if one["type"] == "device.event")
            assert (said["name"], said["value"]) == ("door", "open")
            assert (await served.ask("GET", "/v1/devices/other/telemetry"))["readings"] == []

    run(story())


def test_a_plain_nats_device(tmp_path: Path) -> None:
    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            url = await served.point()
            await served.ask("POST", "/v1/devices", {"ident": "plain", "schema": {"t": {"type": "number"}}})
            made = (await served.ask("POST", "/v1/devices/plain/credentials", {}))["nats"]
            minted = Minted("", "", made["api_key"], made["secret"])
            connected = await client(url, minted)
            said = claims(made["api_key"])["nats"]["org_data"]
            subject = f"{said['org_id']}.production.telemetry.{said['api_key_id']}.t"
            assert await connected.jetstream().publish(subject, b"22")
            found = await served.until(lambda found: found["readings"], "GET", "/v1/devices/plain/telemetry")
            assert found["readings"][0]["value"] == 22
            rotated = await served.ask("POST", "/v1/devices/plain:rotate-credentials")
            assert rotated["nats"]["api_key"] != made["api_key"]
            with pytest.raises(nats.errors.Error):
                await client(url, minted)
            await connected.close()

    run(story())
