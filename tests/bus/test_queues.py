"""A device's queue of commands, by pull consumers: all that the JavaScript SDK does with it, and no more."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client

from fleetroll.bus import account_sync, queues, streams
from fleetroll.bus.port import Account, Minted
from fleetroll.core import limits
from tests.support.broker import (
    DEVICE,
    ORG,
    Registry,
    address,
    broker,
    client,
    distant,
    run,
    settled,
    starting,
    with_app,
    with_device,
)
from tests.support.nats_sockets import LEFT
from tests.support.waiting import PATIENCE, until

pytestmark = LEFT

QUEUE, SIBLING = "org_1_command_queue", f"{2:024x}"


def subject(device: str, name: str = "*") -> str:
    return f"{ORG}.production.command.queue.{device}.{name}"


async def connected(served: Any, registry: Registry, device: str = DEVICE) -> Client:
    return await client(address(served), await with_device(served, registry, ORG, device))


async def send(served: Any, *values: int, device: str = DEVICE) -> None:
    for value in values:
        await served.send(ORG, "production", device, "go", b"%d" % value)


async def ask(device: Client, verb: str, body: Any = None) -> dict[str, Any]:
    raw = b"" if body is None else msgspec.json.encode(body)
    answer: dict[str, Any] = msgspec.json.decode((await device.request(f"$JS.API.{verb}", raw, timeout=PATIENCE)).data)
    return answer


async def consumer(device: Client, name: str, id: str = DEVICE, **wanted: Any) -> dict[str, Any]:
    """Make one; its messages are asked for by the name in the answer, as clients do."""
    config = {"name": name, "filter_subject": subject(id), "deliver_policy": "all", "ack_policy": "explicit", **wanted}
    body = {"stream_name": QUEUE, "config": config}
    made = await ask(device, f"CONSUMER.CREATE.{QUEUE}.{name}.{subject(id)}", body)
    assert made.get("config") == config, made
    return made


async def pulled(device: Client, name: str) -> Any:
    return await device.jetstream().pull_subscribe_bind(consumer=name, stream=QUEUE)


class Slow(Registry):
    """Lists its accounts only once `let` is set."""

    def __init__(self, wanted: dict[str, Account]) -> None:
        super().__init__()
        self.wanted = wanted
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def accounts(self) -> list[Account]:
        self.asked.set()
        await self.let.wait()
        return await super().accounts()


def test_a_device_that_is_back_before_all_accounts_were_gone_through_is_answered(tmp_path: Path) -> None:
    """The vendor's SDK asks once, and would hear no commands until its next start."""

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            minted = await with_device(served, registry)
        slow = Slow(registry.wanted)
        async with starting(tmp_path / "nats", slow) as begun:
            await asyncio.wait_for(slow.asked.wait(), PATIENCE)
            device = await client(address(begun), minted)
            assert (await consumer(device, "mine"))["stream_name"] == QUEUE
            await device.close()
            slow.let.set()
            await asyncio.wait_for(begun.up(), PATIENCE)

    run(story())


def test_commands_that_waited_are_asked_for_and_acknowledged(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            device = await connected(served, registry)
            await send(served, *range(5))
            await send(served, 99, device=SIBLING)
            name = (await consumer(device, "mine"))["name"]
            own = await pulled(device, name)
            found = await own.fetch(5, timeout=PATIENCE)
            assert [message.data for message in found] == [b"%d" % number for number in range(5)]
            for message in found:
                await message.ack_sync(PATIENCE)
            info = await ask(device, f"CONSUMER.INFO.{QUEUE}.{name}")
            assert (info["name"], info["stream_name"], info["num_ack_pending"], info["num_pending"]) == (
                name,
                QUEUE,
                0,
                0,
            )
            with pytest.raises(nats.errors.TimeoutError):
                await own.fetch(1, timeout=0.3)
            await send(served, 5)
            assert [message.data for message in await own.fetch(1, timeout=PATIENCE)] == [b"5"]
            await device.close()

    run(story())


def test_the_javascript_sdks_consumer_is_served(tmp_path: Path) -> None:
    """An ordered consumer: looked up, made, pulled from, made anew from the last message seen, and removed."""

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            device = await connected(served, registry)
            assert (await ask(device, "INFO"))["type"].endswith("account_info_response")
            assert (await ask(device, f"STREAM.INFO.{QUEUE}"))["config"]["name"] == QUEUE
            await send(served, 1, 2)
            ordered = {"ack_policy": "none", "max_deliver": 1, "mem_storage": True, "num_replicas": 1}
            first_one = (await consumer(device, "x_1", **ordered))["name"]
            inbox = device.new_inbox()
            messages = await device.subscribe(inbox)
            pull = {"batch": 100, "max_bytes": 0, "expires": 30_000_000_000, "idle_heartbeat": 500_000_000}
            await device.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{QUEUE}.{first_one}", msgspec.json.encode(pull), reply=inbox
            )
            first, second = [await messages.next_msg(PATIENCE) for _ in range(2)]
            assert (first.data, second.data) == (b"1", b"2")
            assert (await messages.next_msg(PATIENCE)).headers["Status"] == "100", "a heartbeat"
            start = {"deliver_policy": "by_start_sequence", "opt_start_seq": second.metadata.sequence.stream}
            next_one = (await consumer(device, "x_2", **ordered, **start))["name"]
            again = device.new_inbox()
            behind = await device.subscribe(again)
            await device.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{QUEUE}.{next_one}", msgspec.json.encode(pull), reply=again
            )
            assert (await behind.next_msg(PATIENCE)).data == b"2"
            assert await ask(device, f"CONSUMER.DELETE.{QUEUE}.{first_one}") == {
                "type": "io.nats.jetstream.api.v1.consumer_delete_response", "success": True,
            }  # fmt: skip
            assert (await ask(device, f"CONSUMER.INFO.{QUEUE}.{first_one}"))["error"]["code"] == 404
            await device.close()

    run(story())


def test_a_consumer_of_another_device_is_out_of_reach(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            device, sibling = await connected(served, registry), await connected(served, registry, SIBLING)
            secret = (await consumer(device, "mine"))["name"]
            await send(served, 1)
            for name in ("mine", f"{DEVICE}_mine", "store", secret):
                assert (await ask(sibling, f"CONSUMER.INFO.{QUEUE}.{name}"))["error"]["code"] == 404
                assert (await ask(sibling, f"CONSUMER.DELETE.{QUEUE}.{name}"))["error"]["code"] == 404
            for name in ("mine", f"{DEVICE}_mine", "store", "*", ">", f"{DEVICE}_*"):
                with pytest.raises(nats.js.errors.ServiceUnavailableError):
                    await (await pulled(sibling, name)).fetch(1, timeout=PATIENCE)
            for queue in ("COMMANDS", "org_2_command_queue"):
                assert (await ask(sibling, f"CONSUMER.INFO.{queue}.mine"))["error"]["code"] == 503
            [message] = await (await pulled(device, secret)).fetch(1, timeout=PATIENCE)
            assert message.data == b"1"
            await device.close()
            await sibling.close()

    run(story())


@pytest.mark.parametrize("is_away", [False, True])
def test_what_was_made_with_a_credential_ends_with_it(is_away: bool, tmp_path: Path) -> None:
    """Its name is as good in any other account, of whatever tenant, and would be for as long as it is asked."""

    async def told(served: Any, registry: Registry, minted: Minted, name: str) -> str:
        one = await client(address(served), minted)
        found: str = (await consumer(one, name))["name"]
        await one.close()
        return found

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            stolen, kept = [await with_device(served, registry) for _ in range(2)]
            names = [await told(served, registry, stolen, name) for name in ("one", "two")]
            left = await told(served, registry, kept, "one")
            other = await connected(served, registry, SIBLING)
            if is_away:  # whoever was to be told had no time for it
                registry.wanted.pop(stolen.account)
                assert served._account_sync is not None
                await served._account_sync.reconcile()
            else:
                registry.want(stolen.account, None)
                await settled(served, registry)
            await send(served, 1)
            for name in names:
                with pytest.raises(nats.js.errors.ServiceUnavailableError):
                    await (await pulled(other, name)).fetch(1, timeout=PATIENCE)
            device = await client(address(served), kept)
            [message] = await (await pulled(device, left)).fetch(1, timeout=PATIENCE)
            assert message.data == b"1"
            await device.close()
            await other.close()

    run(story())


def test_what_is_made_with_a_credential_that_is_good_again_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an organization that was disabled and is enabled again, while a cluster did not answer."""

    async def away(*_: Any) -> list[str]:
        raise TimeoutError

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            minted = await with_device(served, registry)
            account = registry.wanted[minted.account]
            monkeypatch.setattr(account_sync, "_END_PAUSE", 0.5)
            with monkeypatch.context() as patched:
                patched.setattr(streams, "consumers", away)
                registry.want(minted.account, None)
                await settled(served, registry)
                registry.want(minted.account, account)
                await settled(served, registry)
                device = await client(address(served), minted)
                name = (await consumer(device, "mine"))["name"]
            await asyncio.sleep(1)  # longer than until the end of what has ended is tried again
            assert (await ask(device, f"CONSUMER.INFO.{QUEUE}.{name}")).get("name") == name
            await device.close()

    run(story())


@contextlib.asynccontextmanager
async def asked_in_vain(folder: Path) -> AsyncIterator[tuple["asyncio.Future[dict[str, Any]]", Client]]:
    """A question that goes down with the connection, and another device than the one that asks it."""
    registry = Registry()
    async with distant(folder, registry) as (served, wire):
        lost, other = await connected(served, registry), await connected(served, registry, SIBLING)
        await consumer(lost, "before")
        wire.loses = True
        asking = asyncio.ensure_future(ask(lost, f"CONSUMER.INFO.{QUEUE}.before"))
        await until(lambda: b"CONSUMER.INFO" in wire.lost)
        wire.loses = False
        wire.cut()
        yield asking, other
        for one in (lost, other):
            await one.close()


def test_a_question_that_went_down_with_the_connection_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with asked_in_vain(tmp_path / "nats") as (asking, _):
            assert (await asking)["error"]["code"] == 503

    run(story())


def test_a_question_that_went_down_with_the_connection_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "_REPLY_SECONDS", 3600.0)

    async def story() -> None:
        async with asked_in_vain(tmp_path / "nats") as (asking, other), asyncio.timeout(PATIENCE):
            while True:  # what is asked at the moment of the cut may go down as well, and is asked again soon
                with contextlib.suppress(nats.errors.NoRespondersError, TimeoutError):
                    await asyncio.wait_for(consumer(other, "jobs", SIBLING), 2)
                    break
            asking.cancel()

    run(story())


def test_more_than_a_thousand_may_listen(tmp_path: Path) -> None:
    """By itself the broker stops there: for all tenants' devices together, and for all that an application follows."""

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            for number in range(1, 12):
                id = f"{number:024x}"
                device = await connected(served, registry, id)
                await asyncio.gather(*(consumer(device, f"c{one}", id) for one in range(100)))
                await device.close()
            app = await client(address(served), await with_app(served, registry))
            stream = app.jetstream()
            for first in range(0, 1_100, 100):
                await asyncio.gather(*(
                    stream.add_consumer(f"{ORG}_stream", name=f"c{one}") for one in range(first, first + 100)
                ))  # fmt: skip
            await app.close()

    run(story())


def test_one_device_may_not_have_all_the_consumers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        registry = Registry()
        monkeypatch.setattr(limits, "BUS_DEVICE_CONSUMERS", 2)
        async with broker(tmp_path / "nats", registry) as served:
            device, sibling = await connected(served, registry), await connected(served, registry, SIBLING)
            pushed = {"deliver_subject": "_INBOX.abc"}
            await device.subscribe("_INBOX.abc")
            for _ in range(3):  # the same one again and again
                await consumer(device, "pushed", **pushed)
            name = (await consumer(device, "first"))["name"]
            with pytest.raises(AssertionError, match="maximum consumers limit reached"):
                await consumer(device, "second")
            await consumer(device, "pushed", **pushed)
            await consumer(sibling, "mine", SIBLING)
            await ask(device, f"CONSUMER.DELETE.{QUEUE}.{name}")
            async with asyncio.timeout(PATIENCE):
                while True:  # the broker reports the end in its own time
                    with contextlib.suppress(AssertionError):
                        await consumer(device, "second")
                        break
            for one in (device, sibling):
                await one.close()

    run(story())


def test_one_organization_may_not_have_all_the_consumers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def listen(device: Client, org: str, id: str, name: str) -> bool:
        filtered, stream = f"{org}.production.command.queue.{id}.*", f"{org}_command_queue"
        config = {"name": name, "filter_subject": filtered, "deliver_policy": "all", "ack_policy": "explicit"}
        body = {"stream_name": stream, "config": config}
        made = await ask(device, f"CONSUMER.CREATE.{stream}.{name}.{filtered}", body)
        assert made.get("config") == config or made["error"]["err_code"] == 10026
        return "error" not in made

    async def taken(served: Any, registry: Registry, org: str, devices: range) -> int:
        """How many the devices of an organization can have."""
        count = 0
        for id in (f"{number:024x}" for number in devices):
            device = await client(address(served), await with_device(served, registry, org, id))
            for number in range(limits.BUS_DEVICE_CONSUMERS):
                count += await listen(device, org, id, f"c{number}")
            await device.close()
        return count

    async def story() -> None:
        registry = Registry()
        monkeypatch.setattr(limits, "BUS_CONSUMERS", 200)
        monkeypatch.setattr(limits, "BUS_DEVICE_CONSUMERS", 100)
        async with broker(tmp_path / "nats", registry) as served:
            assert await taken(served, registry, ORG, range(1, 4)) == 180
            assert await taken(served, registry, "org_2", range(4, 5)) == 18
            assert await taken(served, registry, "org_3", range(5, 6)) == 1

    run(story())
