"""Permissions, tried from inside: with a credential in hand, nothing but its own can be read, guessed or spoken for.

Each is tried over plain NATS and over WebSocket.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import msgspec
import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from fleetroll.bus.broker import Broker
from fleetroll.bus.permissions import COMMANDS, Authority, ingest_stream
from fleetroll.bus.port import AppAccount, DeviceAccount, Minted
from fleetroll.core import limits
from tests.support.broker import Registry, address, broker, client, run, settled
from tests.support.jwt import claims
from tests.support.nats_sockets import LEFT
from tests.support.waiting import PATIENCE, eventually, until
from tests.support.websocket import tunnel

pytestmark = LEFT

ORG, RIVAL = "org_1", "org_2"
DEVICE, SIBLING, FOREIGN = (f"{number:024x}" for number in (1, 2, 3))
TOKEN, SDK = "accounts.user.get_http_token", f"api.iot.devices.{ORG}.sdk.config.get"
NOBODY = (nats.errors.Error, nats.js.errors.Error, TimeoutError)
STREAM = ingest_stream(ORG)


class World:
    """Two organizations: in one an application and two devices, in the other an application and a device."""

    def __init__(self, served: Broker, registry: Registry) -> None:
        self.served = served
        self.registry = registry
        self.app: Client
        self.viewer: Client
        self.device: Client
        self.sibling: Client
        self.rival: Client
        self.foreign: Client

    def device_of(self, org: str, device: str) -> Minted:
        minted = self.served.mint_device(org, device)
        self.registry.want(minted.account, DeviceAccount(minted.account, org, device))
        return minted

    def app_of(self, org: str, role: str = "operator", *, commands: bool = True) -> Minted:
        minted = self.served.mint_app(org, role, commands=commands)
        self.registry.want(minted.account, AppAccount(org, role, commands))
        return minted


LISTENER: ContextVar[str] = ContextVar("listener")


@pytest.fixture(autouse=True, params=["nats", "websocket"])
def listener(request: pytest.FixtureRequest) -> Iterator[None]:
    """Through which of the broker's listeners everybody connects."""
    before = LISTENER.set(request.param)
    yield
    LISTENER.reset(before)


@asynccontextmanager
async def world(directory: Path) -> AsyncIterator[World]:
    registry = Registry()
    async with broker(directory, registry, websocket=("127.0.0.1", 0)) as served, AsyncExitStack() as stack:
        url = address(served)
        if LISTENER.get() == "websocket":
            url = "nats://" + await stack.enter_async_context(tunnel(address(served, "websocket")))
        found = World(served, registry)
        minted = {
            "app": found.app_of(ORG),
            "viewer": found.app_of(ORG, "viewer", commands=False),
            "device": found.device_of(ORG, DEVICE),
            "sibling": found.device_of(ORG, SIBLING),
            "rival": found.app_of(RIVAL),
            "foreign": found.device_of(RIVAL, FOREIGN),
        }
        await settled(served, registry)
        for name, one in minted.items():
            connected = await client(url, one)
            stack.push_async_callback(connected.close)
            setattr(found, name, connected)
        yield found


async def listen(to: Client, *subjects: str) -> list[str]:
    """The subjects of whatever arrives there from now on."""
    heard: list[str] = []

    async def note(message: Msg) -> None:
        heard.append(message.subject)

    for subject in subjects:
        await to.subscribe(subject, cb=note)
    await to.flush()
    return heard


def telemetry(device: str, org: str = ORG) -> str:
    return f"{org}.production.telemetry.{device}.temperature"


def command(device: str, org: str = ORG) -> str:
    return f"{org}.production.command.queue.{device}.reboot"


async def ask_all(asks: Client, *subjects: str) -> dict[str, Msg]:
    """Ask all of them at once, as nobody answers from another account. Returns the replies that come, by subject."""

    async def ask(subject: str) -> Msg | None:
        with suppress(*NOBODY):
            return await asks.request(subject, b'{"seq":1}', timeout=1)
        return None

    replies = await asyncio.gather(*map(ask, subjects))
    return {subject: reply for subject, reply in zip(subjects, replies, strict=True) if reply is not None}


async def stored(world: World) -> set[tuple[str, str, str]]:
    """What got through before a last message of the device itself."""
    before = len(world.registry.messages)
    await world.device.jetstream().publish(telemetry(DEVICE), b"last")
    await world.registry.until(lambda: any(message.body == b"last" for message in world.registry.messages[before:]))
    return {(one.org, one.family, one.device) for one in world.registry.messages if one.body != b"last"}


def test_a_device_speaks_for_itself_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            stream = found.device.jetstream()
            assert await stream.publish(telemetry(DEVICE), b"last")
            for subject in (
                telemetry(SIBLING), telemetry(FOREIGN, RIVAL), telemetry(DEVICE, RIVAL), telemetry("*"),
                f"data.{ORG}.production.telemetry.{SIBLING}.temperature",
                f"live.{ORG}.production.telemetry.{SIBLING}.temperature",
                f"data.{ORG}.production.telemetry.{DEVICE}.temperature",
                f"presence.{ORG}.production.{SIBLING}", f"import.{ORG}.production.presence.{SIBLING}",
                command(SIBLING), command(DEVICE), f"command.{ORG}.production.{DEVICE}.reboot",
            ):  # fmt: skip
                with pytest.raises(NOBODY):
                    await stream.publish(subject, b"forged", timeout=0.5)
            assert not await stored(found)

    run(story())


def test_an_id_of_a_message_is_no_matter_of_other_tenants(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            named = {"Nats-Msg-Id": "1"}
            await found.foreign.jetstream().publish(telemetry(FOREIGN, RIVAL), b"1", headers=named)
            await asyncio.sleep(0.2)  # the broker remembers it for half of that at least
            said = await found.device.jetstream().publish(telemetry(DEVICE), b"1", headers=named)
            assert not said.duplicate
            assert await stored(found) == {(RIVAL, "telemetry", FOREIGN), (ORG, "telemetry", DEVICE)}

    run(story())


def test_a_device_hears_nothing_that_is_not_meant_for_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            heard = await listen(found.sibling, ">", "_INBOX.>", "$SYS.>", "$JS.>", f"{ORG}.>", "deliver.>", "_R_.>")
            await found.device.jetstream().publish(telemetry(DEVICE), b"last")
            await found.device.request(f"api.iot.devices.{ORG}.sdk.config.get", b"{}")
            await found.app.request(f"api.iot.devices.{ORG}.create", b"{}")
            await found.app.jetstream().publish(command(DEVICE), b"secret")
            with pytest.raises(nats.errors.NoRespondersError):
                await found.app.request(f"{ORG}.production.command.rpc.{DEVICE}.ping", b"{}")
            await stored(found)
            await found.sibling.flush()
            assert heard == []

    run(story())


def test_a_device_has_no_way_to_manage_devices(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            assert not await ask_all(
                found.device,
                *(f"api.iot.devices.{ORG}.{verb}" for verb in ("create", "list", "get", "delete", "update")),
                f"api.iot.devices.{RIVAL}.sdk.config.get", f"api.iot.devices.{RIVAL}.list",
                "accounts.user.get_http_token", f"rpc.{ORG}.production.{SIBLING}.ping",
                f"{ORG}.production.command.rpc.{SIBLING}.ping", f"call.{SIBLING}.production.ping",
                f"answer.{SIBLING}.0", "$SYS.REQ.CLAIMS.LIST", "$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.SERVER.PING",
            )  # fmt: skip
            assert not found.registry.requests
            # The broker tells each account of its own connections.
            listed = await found.device.request("$SYS.REQ.SERVER.PING.CONNZ", b"{}")
            assert len(msgspec.json.decode(listed.data)["data"]["connections"]) == 1

    run(story())


HALF = b"\r\nY: 1"  # what the broker appends after it is no line of its own
FORGED = b'{"acc":"A","user":"UFORGED"}'
HEADS = [
    b"NATS/1.0\r\n%b%b%b" % (name + FORGED, more, end)
    for name in (
        b"Nats-Request-Info: ",
        b"Nats-Request-Info : ",
        b"\tNats-Request-Info:",
        b"X: 1\r\n Nats-Request-Info:",
    )
    for more in (b"", b"\r\nNats-Request-Info: " + FORGED, b"\r\n\r\n", b"\n\n")
    for end in (b"\r\n\r\n", HALF, b"\r\n", b"\r", b"")
]


def test_who_asks_is_for_the_broker_to_say(tmp_path: Path) -> None:
    """It appends that to the headers of the request, and takes away one that looks like it."""

    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            for sender, subject in (
                (found.app, f"api.iot.devices.{ORG}.list"),
                (found.app, TOKEN),
                (found.device, SDK),
            ):
                await sender.request(subject, b"{}")
                own = found.registry.requests[-1].user
                for head in HEADS:
                    sizes = len(head), len(head) + 2
                    line = b"HPUB %b %b %d %d\r\n%b{}\r\n"
                    await sender._send_command(line % (subject.encode(), sender.new_inbox().encode(), *sizes, head))
                await sender.request(subject, b"{}")
                assert len(found.registry.requests) == len(HEADS) + 2
                assert {one.user for one in found.registry.requests} <= {own, ""}
                found.registry.requests.clear()

    run(story())


@pytest.mark.parametrize("who", ["device", "app", "viewer"])
def test_the_platforms_streams_cannot_be_reached(who: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            asks: Client = getattr(found, who)
            await found.app.jetstream().publish(command(DEVICE), b"1")
            replies = await ask_all(asks, *(f"$JS.API.{verb}" for verb in (
                f"STREAM.INFO.{STREAM}", f"STREAM.INFO.{COMMANDS}", f"STREAM.PURGE.{COMMANDS}",
                f"STREAM.DELETE.{STREAM}", f"STREAM.MSG.GET.{COMMANDS}", f"CONSUMER.LIST.{COMMANDS}",
                f"CONSUMER.CREATE.{COMMANDS}.x", f"DIRECT.GET.{COMMANDS}", "STREAM.CREATE.mine", "STREAM.NAMES",
            )))  # fmt: skip
            for subject, reply in replies.items():
                answer = msgspec.json.decode(reply.data)
                assert "error" in answer or (subject.endswith(".NAMES") and not answer["streams"]), (subject, answer)

    run(story())


def test_a_consumer_delivers_only_to_the_device_that_asks(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            create = f"$JS.API.CONSUMER.CREATE.{ORG}_command_queue.mine.{command(DEVICE)}"

            async def ask(subject: str, seconds: float = 0.5, **config: Any) -> dict[str, Any]:
                given = {"deliver_subject": "_INBOX.abc", "ack_policy": "explicit", **config}
                body = msgspec.json.encode({"stream_name": f"{ORG}_command_queue", "config": given})
                try:
                    return dict(msgspec.json.decode((await found.device.request(subject, body, timeout=seconds)).data))
                except NOBODY:
                    return {"error": "nobody"}

            for deliver in (telemetry(SIBLING), f"deliver.{SIBLING}.abc", "_INBOX.>", "_INBOX.a.b", "$SYS.x", ">"):
                assert "error" in await ask(create, deliver_subject=deliver), deliver
            for filter in (command(SIBLING), command(FOREIGN, RIVAL), command("*"), f"{ORG}.>", ">"):
                assert "error" in await ask(f"$JS.API.CONSUMER.CREATE.{ORG}_command_queue.mine.{filter}"), filter
            # A filter in the body beside that of the subject is not listened to.
            made = await ask(create, PATIENCE, filter_subject=command(SIBLING), filter_subjects=[">"])
            assert "error" not in made
            heard = await listen(found.device, "_INBOX.abc")
            await found.app.jetstream().publish(command(SIBLING), b"not for you")
            await found.app.jetstream().publish(command(DEVICE), b"for you")
            await until(lambda: heard)
            await stored(found)
            await found.device.flush()
            assert len(heard) == 1

    run(story())


def test_consumers_of_the_same_name_do_not_collide(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            config = ConsumerConfig(name="same", deliver_policy=DeliverPolicy.NEW, ack_policy=AckPolicy.EXPLICIT)
            queue = f"{ORG}_command_queue"
            own = await found.device.jetstream().subscribe(command(DEVICE), stream=queue, config=config)
            other = await found.sibling.jetstream().subscribe(command(SIBLING), stream=queue, config=config)
            await found.app.jetstream().publish(command(DEVICE), b"device")
            await found.app.jetstream().publish(command(SIBLING), b"sibling")
            assert (await own.next_msg(PATIENCE)).data == b"device"
            assert (await other.next_msg(PATIENCE)).data == b"sibling"

    run(story())


def test_what_a_device_has_not_acknowledged_nobody_else_does(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            config = ConsumerConfig(name="same", deliver_policy=DeliverPolicy.NEW, ack_policy=AckPolicy.EXPLICIT)
            own = await found.device.jetstream().subscribe(
                command(DEVICE), stream=f"{ORG}_command_queue", config=config
            )
            await found.app.jetstream().publish(command(DEVICE), b"1")
            first = await own.next_msg(PATIENCE)
            stored_at = first.metadata.sequence.stream
            for other in (found.sibling, found.foreign, found.app, found.rival):
                for name in ("same", f"{DEVICE}_same"):
                    for word in (b"+TERM", b"+ACK", b"-NAK"):
                        await other.publish(f"$JS.ACK.{COMMANDS}.{name}.1.{stored_at}.1.0.0", word)
                await other.flush()
            await found.app.jetstream().publish(command(DEVICE), b"2")
            second = await own.next_msg(PATIENCE)
            assert (second.data, second.metadata.num_delivered) == (b"2", 1)
            await second.ack_sync(PATIENCE)  # after whatever was taken from the others
            assert (await own.consumer_info()).num_ack_pending == 1
            await first.ack_sync(PATIENCE)
            assert (await own.consumer_info()).num_ack_pending == 0

    run(story())


def test_an_application_reaches_its_own_organization_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            heard = await listen(found.rival, "_INBOX.>", f"{RIVAL}.*.telemetry.>", f"import.{RIVAL}.>")
            assert not await ask_all(
                found.app,
                f"api.iot.devices.{RIVAL}.list", f"api.iot.devices.{RIVAL}.sdk.config.get",
                command(FOREIGN, RIVAL), f"{RIVAL}.production.command.rpc.{FOREIGN}.ping", telemetry(FOREIGN, RIVAL),
                telemetry(DEVICE), f"import.{ORG}.production.presence.{DEVICE}", "$SYS.REQ.CLAIMS.LIST",
            )  # fmt: skip
            assert not found.registry.requests
            await found.device.jetstream().publish(telemetry(DEVICE), b"last")
            await found.app.request(f"api.iot.devices.{ORG}.list", b"{}")
            await stored(found)
            await found.rival.flush()
            assert heard == []

    run(story())


def test_an_application_calls_no_device_of_another_organization(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            heard = []

            async def pong(message: Msg) -> None:
                heard.append(message.data)
                await message.respond(b"pong")

            await found.foreign.subscribe(f"{RIVAL}.production.command.rpc.{FOREIGN}.ping", cb=pong)
            await found.foreign.flush()
            for device in (FOREIGN, f"{4:024x}"):  # one of the rival's, and one that never was
                with pytest.raises(nats.errors.NoRespondersError):
                    await found.app.request(f"{ORG}.production.command.rpc.{device}.ping", b"theirs")
            rival = await found.rival.request(f"{RIVAL}.production.command.rpc.{FOREIGN}.ping", b"own")
            assert rival.data == b"pong"
            assert heard == [b"own"]

    run(story())


def test_a_call_that_awaits_no_answer_costs_nobody_theirs(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            for _ in range(20):
                await found.app.publish(f"{ORG}.production.command.rpc.{DEVICE}.ping", b"1")
                await found.app.flush()
                assert await found.rival.request(f"api.iot.devices.{RIVAL}.list", b"")

    run(story())


def test_who_may_not_command_cannot(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            assert not await ask_all(found.viewer, command(DEVICE), f"{ORG}.production.command.rpc.{DEVICE}.ping")
            # Not by a consumer that would deliver there either: its account has no way to it.
            await found.viewer.request(
                f"$JS.API.CONSUMER.CREATE.{ORG}_stream.x.{telemetry(DEVICE)}",
                msgspec.json.encode(
                    {"stream_name": f"{ORG}_stream", "config": {"name": "x", "deliver_subject": command(DEVICE),
                     "filter_subject": telemetry(DEVICE), "ack_policy": "none"}}
                ),
            )  # fmt: skip
            assert {family for _, family, _ in await stored(found)} <= {"telemetry"}

    run(story())


def test_an_application_hears_its_devices_live(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            config = ConsumerConfig(name="live", deliver_policy=DeliverPolicy.NEW, ack_policy=AckPolicy.EXPLICIT)
            live = await found.app.jetstream().subscribe(
                f"{ORG}.production.telemetry.{DEVICE}.*", stream=f"{ORG}_stream", config=config
            )
            await found.device.jetstream().publish(telemetry(DEVICE), b"21")
            heard = await live.next_msg(PATIENCE)
            assert (heard.subject, heard.data) == (telemetry(DEVICE), b"21")

    run(story())


def test_a_call_reaches_its_device_and_its_answer_the_caller(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            subject = f"{ORG}.production.command.rpc.{DEVICE}.ping"

            async def pong(message: Msg) -> None:
                await message.respond(b"pong " + message.data)

            await found.device.subscribe(subject, cb=pong)
            await found.device.flush()
            assert (await found.app.request(subject, b"1")).data == b"pong 1"
            assert await found.served.call(ORG, "production", DEVICE, "ping", b"2", 5) == b"pong 2"

    run(story())


@pytest.mark.parametrize("commands", [True, False])
@pytest.mark.parametrize("follows", [True, False])
def test_an_account_has_no_way_to_what_its_applications_may_not(commands: bool, follows: bool) -> None:
    """Whatever the permissions of its users are, which are narrowed as well."""
    account = AppAccount(ORG, "viewer", commands, follows=follows)
    said = claims(Authority(b"k" * 32).account_token(account, 0, b""))
    reached = {one["subject"].partition(".")[0] for one in said["nats"]["imports"]}
    sends, hears = {"command", "rpc"} if commands else set(), {"live", "presence"} if follows else set()
    assert reached == {"api", "accounts"} | sends | hears


@pytest.mark.parametrize("who", ["device", "app"])
def test_nobody_takes_all_of_the_brokers_memory(who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, f"BUS_{who.upper()}_SUBSCRIPTIONS", 20)

    async def story() -> None:
        async with world(tmp_path / "nats") as found:
            greedy = found.sibling if who == "device" else found.rival
            for number in range(21):
                await greedy.subscribe(f"_INBOX.{number}")
            await until(lambda: not greedy.is_connected)
            assert "maximum subscriptions exceeded" in str(greedy.last_error)
            assert await found.device.jetstream().publish(telemetry(DEVICE), b"last")

    run(story())


def test_no_device_takes_all_of_the_brokers_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BUS_DEVICE_CONNECTIONS", 2)

    async def story() -> None:
        async with world(tmp_path / "nats") as found, AsyncExitStack() as stack:
            url, greedy = address(found.served), found.device_of(ORG, SIBLING)
            await settled(found.served, found.registry)
            for _ in range(2):
                connected = await client(url, greedy)
                stack.push_async_callback(connected.close)
            with pytest.raises(NOBODY):
                await client(url, greedy)
            assert await connected.jetstream().publish(telemetry(SIBLING), b"last")
            await connected.close()
            again = await eventually(lambda: client(url, greedy), *NOBODY)
            await again.close()

    run(story())
