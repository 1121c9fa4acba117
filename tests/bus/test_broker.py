"""The broker itself: what is published is stored once, whoever is connected is known, and every process ends."""

import asyncio
import contextlib
import json
import logging
import os
import random
import resource
import shutil
import signal
import socket
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus import app_streams, links, streams
from fleetroll.bus.broker import Broker
from fleetroll.bus.permissions import COMMANDS, Authority, ingest_stream, stream_subjects
from fleetroll.bus.platform_streams import PlatformStreams
from fleetroll.bus.port import Account, AppAccount, Batch, Change, DeviceAccount, Message, Minted, Shown
from fleetroll.bus.process import Process
from fleetroll.bus.reach import Reach
from fleetroll.bus.settings import Files, keep_certificate
from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from tests.support.broker import (
    DEVICE,
    ORG,
    SERVER_KEY,
    Registry,
    address,
    broker,
    certificate,
    client,
    distant,
    run,
    settled,
    starting,
    with_app,
    with_device,
)
from tests.support.nats_sockets import LEFT
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE, eventually, until

OTHER = f"{2:024x}"
SUBJECT = f"{ORG}.production.telemetry.{DEVICE}.temperature"
STREAM = ingest_stream(ORG)


pytestmark = LEFT


def test_what_a_device_publishes_is_taken_once_and_in_order(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            device = await client(address(served), await with_device(served, registry))
            stream = device.jetstream()
            for number in range(50):
                assert (await stream.publish(SUBJECT, b"%d" % number)).stream
            await registry.until(lambda: len(registry.messages) >= 50)
            assert [message.body for message in registry.messages] == [b"%d" % number for number in range(50)]
            first = registry.messages[0]
            assert (first.org, first.env, first.family, first.device) == (ORG, "production", "telemetry", DEVICE)
            assert first.name == "temperature"
            await device.close()

    run(story())


def test_nothing_is_lost_or_taken_twice_when_both_sides_break(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            minted = await with_device(served, registry)
            device = await client(address(served), minted)
            registry.refusing = True
            for number in range(20):
                await device.jetstream().publish(SUBJECT, b"%d" % number)
            assert not registry.messages
            await registry.until(lambda: registry.present_now)
            pid = served._process.pid
            os.kill(pid, signal.SIGKILL)
            await registry.until(lambda: not registry.present_now)
            registry.refusing = False
            await registry.until(lambda: len(registry.messages) >= 20)
            again = await client(address(served), minted)
            await again.jetstream().publish(SUBJECT, b"after")
            await registry.until(lambda: registry.messages[-1].body == b"after")
            assert served._process.pid != pid
            await again.close()
            await device.close()
        # A new start of ours: what was taken is not taken again.
        async with broker(tmp_path / "nats", registry) as served:
            device = await client(address(served), minted)
            await device.jetstream().publish(SUBJECT, b"again")
            await registry.until(lambda: registry.messages[-1].body == b"again")
            await device.close()
        assert [message.body for message in registry.messages] == [
            *(b"%d" % number for number in range(20)), b"after", b"again",
        ]  # fmt: skip

    run(story())


def test_a_broker_that_could_not_write_writes_again(tmp_path: Path) -> None:
    """By itself, a stream that once met a full disk takes nothing more, however much room there is later."""

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            minted = await with_device(served, registry)
            device = await client(address(served), minted)
            await device.jetstream().publish(SUBJECT, b"before")
            pid = served._process.pid
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4_096, resource.RLIM_INFINITY))
            with pytest.raises(nats.errors.TimeoutError):
                await device.jetstream(timeout=1).publish(SUBJECT, b"x" * 10_000)
            await registry.until(lambda: registry.present_now)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await registry.until(lambda: not registry.present_now)
            await served._process.ready()
            again = await client(address(served), minted)
            await again.jetstream().publish(SUBJECT, b"after")
            await registry.until(lambda: registry.messages[-1].body == b"after")
            assert [message.body for message in registry.messages] == [b"before", b"after"]
            await again.close()
            await device.close()

    run(story())


async def stored_at_last(device: Client) -> None:
    """Publish until the broker has it."""
    await eventually(
        lambda: device.jetstream(timeout=1).publish(SUBJECT, b"after"), nats.errors.Error, nats.js.errors.Error
    )


def test_streams_that_a_broker_has_lost_are_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As when it is started again on another disk."""

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            minted, app = await with_device(served, registry), await with_app(served, registry)
            device = await client(address(served), minted)
            await device.jetstream().publish(SUBJECT, b"before")
            await registry.until(lambda: registry.messages and registry.present_now)
            stream = f"{ORG}_stream"
            for pair, names in (
                (Authority(SERVER_KEY).platform, (STREAM, COMMANDS)),
                (Authority(SERVER_KEY).apps(ORG, "operator"), (stream,)),
            ):
                owner = await links.connect([address(served)], pair, "owner")
                for name in names:
                    await streams.request(owner, f"STREAM.DELETE.{name}", {})
                await links.close(owner)
            os.kill(served._process.pid, signal.SIGKILL)
            await registry.until(lambda: not registry.present_now)
            await served._process.ready()
            again, application = await client(address(served), minted), await client(address(served), app)
            await stored_at_last(again)
            await registry.until(lambda: registry.messages[-1].body == b"after")
            assert f"the broker has lost stream {STREAM}" in caplog.text
            info = await eventually(lambda: application.jetstream().stream_info(stream), nats.js.errors.NotFoundError)
            assert info.config.name == stream
            for one in (device, again, application):
                await one.close()

    run(story())


@pytest.mark.parametrize("lost", [1, 1_000_000])
def test_what_comes_after_a_broker_has_lost_some_of_a_stream_is_taken(tmp_path: Path, lost: int) -> None:
    """As when a server of a cluster comes back with an older disk, or an empty one: the same stream counts on from an
    older place, and may have passed the store's place before anybody asks.
    """

    async def story() -> None:
        registry = Registry()
        for life in range(2):
            async with broker(tmp_path / "nats", registry) as served:
                device = await client(address(served), await with_device(served, registry))
                registry.refusing = True
                for number in range(3):
                    await device.jetstream().publish(SUBJECT, b"%d" % (3 * life + number))
                registry.sequences = {stream: last + lost for stream, last in registry.sequences.items()}
                await registry.until(lambda: registry.present_now)
                os.kill(served._process.pid, signal.SIGKILL)  # type: ignore[union-attr]
                await registry.until(lambda: not registry.present_now)
                registry.refusing = False
                await registry.until(lambda life=life: len(registry.messages) == 3 * life + 3)
                await device.close()
        assert [message.body for message in registry.messages] == [b"%d" % number for number in range(6)]

    run(story())


def test_whoever_shows_readings_does_not_wait_for_a_broker_that_is_gone(tmp_path: Path) -> None:
    """The library forgets who waits until it has written, if the connection breaks while it writes something else."""

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            reached, pid = served._reach.client, served._process.pid  # type: ignore[union-attr]
            os.kill(pid, signal.SIGSTOP)
            await links.publish_all(reached, [("nowhere", bytes(limits.MAX_BUS_PAYLOAD))] * 4)
            showing = asyncio.ensure_future(served.show([Shown(ORG, "production", DEVICE, "temperature", b"1")]))
            await asyncio.wait([showing], timeout=0.2)
            assert not showing.done()
            os.kill(pid, signal.SIGKILL)
            await asyncio.wait_for(showing, PATIENCE)

    run(story())


def test_a_call_is_answered_in_time_however_many_wait_for_a_broker_that_stands_still(tmp_path: Path) -> None:
    async def story() -> None:
        async with broker(tmp_path / "nats", Registry()) as served:
            pid = served._process.pid  # type: ignore[union-attr]
            os.kill(pid, signal.SIGSTOP)
            try:
                await links.publish_all(served._reach.client, [("nowhere", bytes(limits.MAX_BUS_PAYLOAD))] * 4)
                calls = [
                    asyncio.ensure_future(served.call(ORG, "production", DEVICE, "ask", b"1", 1)) for _ in range(3_000)
                ]
                done, waiting = await asyncio.wait(calls, timeout=PATIENCE)
                assert not waiting
                assert {type(one.exception()) for one in done} == {Fault}
            finally:
                os.kill(pid, signal.SIGCONT)

    run(story())


def connections(registry: Registry, minted: Minted) -> int:
    return sum(one.account == minted.account for one in registry.connections)


def test_presence_follows_connections(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            minted = await with_device(served, registry)
            device = await client(address(served), minted)
            await registry.until(lambda: minted.account in registry.present_now)
            second = await client(address(served), minted)
            await registry.until(lambda: connections(registry, minted) == 2)
            await device.close()
            await registry.until(lambda: connections(registry, minted) == 1)
            assert minted.account in registry.present_now
            await second.close()
            await registry.until(lambda: minted.account not in registry.present_now)

    run(story())


def test_a_removed_device_is_cut_off_and_stays_out(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        closed = asyncio.Event()

        async def note() -> None:
            closed.set()

        async with broker(tmp_path / "nats", registry) as served:
            minted = await with_device(served, registry)
            device = await client(address(served), minted, closed_cb=note)
            registry.want(minted.account, None)
            await asyncio.wait_for(closed.wait(), PATIENCE)  # nobody asked for it to be settled at once
            with pytest.raises(nats.errors.Error):
                await client(address(served), minted)
            await device.close()

    run(story())


def test_a_revoked_application_is_cut_off_and_others_of_its_account_stay(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        closed = asyncio.Event()

        async def note() -> None:
            closed.set()

        async with broker(tmp_path / "nats", registry) as served:
            minted, other = await with_app(served, registry), await with_app(served, registry)
            gone = await client(address(served), minted, closed_cb=note)
            stays = await client(address(served), other)
            registry.want(minted.account, AppAccount(ORG, "operator", True, frozenset({minted.user})))
            await asyncio.wait_for(closed.wait(), PATIENCE)
            with pytest.raises(nats.errors.Error):
                await client(address(served), minted)
            assert (await stays.request(f"api.iot.devices.{ORG}.list", b"{}")).data
            await gone.close()
            await stays.close()

    run(story())


def test_applications_are_cut_off_by_the_time_at_which_their_keys_were_made(tmp_path: Path) -> None:
    """So that an account need not name all who ever were revoked."""

    async def story() -> None:
        registry, now = Registry(), int(time.time())
        closed = asyncio.Event()

        async def note() -> None:
            closed.set()

        async with broker(tmp_path / "nats", registry) as served:
            old, older, young = (
                Broker(Authority(SERVER_KEY), lambda at=now - age: at, list, None).mint_app(
                    ORG, "operator", commands=True
                )
                for age in (5_000, 9_000, 1_000)
            )
            registry.want(young.account, AppAccount(ORG, "operator", True))
            await settled(served, registry)
            gone = await client(address(served), old, closed_cb=note)
            stays = await client(address(served), young)
            until = AppAccount(ORG, "operator", True, frozenset({"U" + "A" * 55}), revoked_until=now - 5_000)
            registry.want(young.account, until)
            await asyncio.wait_for(closed.wait(), PATIENCE)
            for one in (old, older):
                with pytest.raises(nats.errors.Error):
                    await client(address(served), one)
            assert (await stays.request(f"api.iot.devices.{ORG}.list", b"{}")).data
            await gone.close()
            await stays.close()

    run(story())


def test_an_application_that_was_made_by_a_clock_ahead_is_cut_off_all_the_same(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            ahead = Broker(Authority(SERVER_KEY), lambda: int(time.time()) + 86_400 * 366, list, None)
            minted = ahead.mint_app(ORG, "operator", commands=True)
            registry.want(minted.account, AppAccount(ORG, "operator", True))
            await settled(served, registry)
            await (await client(address(served), minted)).close()
            registry.want(minted.account, AppAccount(ORG, "operator", True, frozenset({minted.user})))
            await settled(served, registry)
            with pytest.raises(nats.errors.Error):
                await client(address(served), minted)

    run(story())


def test_an_account_that_changed_more_than_once_is_published_once(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            listener = await links.connect([address(served)], Authority(SERVER_KEY).system, "listener")
            published = await listener.subscribe("$SYS.REQ.CLAIMS.UPDATE")
            await listener.flush()
            account, minted = served.account_of_apps(ORG, "operator"), served.mint_device(ORG, DEVICE)
            for _ in range(3):
                registry.want(account, AppAccount(ORG, "operator", True))
            registry.want(minted.account, DeviceAccount(minted.account, ORG, DEVICE))
            # Nobody asks for them to be settled at once: on a busy machine that is given up, and all begun again.
            await registry.until(lambda: not registry.waiting)
            await until(lambda: published.pending_msgs >= 2)
            await listener.flush()
            assert published.pending_msgs == 2
            await links.close(listener)

    run(story())


def test_accounts_that_the_broker_never_knew_are_taken_away_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            for _ in range(20):
                minted = served.mint_device(ORG, DEVICE)
                registry.want(minted.account, DeviceAccount(minted.account, ORG, DEVICE))
                registry.want(minted.account, None)
            async with asyncio.timeout(PATIENCE / 3):  # to look for one takes the broker two seconds
                await settled(served, registry)

    run(story())


def test_whoever_waits_no_longer_for_the_broker_to_know_an_account_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others wait for the same, and on a busy machine it may take longer than anybody waits."""
    stopped: list[bool] = []

    class Slow(Registry):
        async def settled(self, numbers: Sequence[int]) -> None:
            try:
                await asyncio.sleep(0.5)
            except asyncio.CancelledError:
                stopped.append(True)
                raise
            await super().settled(numbers)

    async def story() -> None:
        registry = Slow()
        async with broker(tmp_path / "nats", registry) as served:
            for _ in range(10):
                minted = served.mint_device(ORG, DEVICE)
                registry.want(minted.account, DeviceAccount(minted.account, ORG, DEVICE))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(served.settle(), 0.2)
            await served.settle()
            assert not stopped
            assert not registry.waiting

    run(story())


def test_nobody_waits_for_a_broker_that_is_away(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            assert served._process is not None
            registry.want("refused", DeviceAccount("refused", ORG, DEVICE))
            os.kill(served._process.pid, signal.SIGSTOP)  # type: ignore[arg-type]
            waiting = asyncio.create_task(served.settle())
            await asyncio.sleep(0.5)
            assert not waiting.done()
            os.kill(served._process.pid, signal.SIGKILL)  # type: ignore[arg-type]
            began = time.monotonic()
            await waiting
            assert time.monotonic() - began < limits.BUS_SETTLE / 2

    run(story())


def test_other_processes_wait_for_accounts_together_and_not_one_after_the_other(tmp_path: Path) -> None:
    """While the broker does not take an account, each wait takes as long as the pause before the next try."""

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            registry.want("refused", DeviceAccount("refused", ORG, DEVICE))  # which is no name of an account
            await asyncio.gather(*(served._reach.settle() for _ in range(20)))
            assert registry.waiting

    run(story())


def test_a_process_reaches_the_broker_though_it_takes_long_to_publish_accounts(tmp_path: Path) -> None:
    class Busy(Registry):
        async def changes(self) -> list[Change]:
            await asyncio.sleep(limits.BUS_SETTLE)
            return await super().changes()

    async def story() -> None:
        async with broker(tmp_path / "nats", Busy()) as served:
            assert served.is_up

    run(story())


def test_servers_that_a_cluster_tells_of_are_not_tried_before_those_that_were_named(tmp_path: Path) -> None:
    """Often they have no route from outside of the cluster, and each would take seconds."""

    async def story() -> None:
        async with broker(tmp_path / "nats", Registry()) as served, contextlib.AsyncExitStack() as stack:
            silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
            served._reach._told = [f"nats://127.0.0.1:{one.getsockname()[1]}" for one in silent]
            for _ in range(5):
                await links.close(await links.connect(served._reach.urls(), Authority(SERVER_KEY).platform, "test"))
            for one in silent:
                one.setblocking(False)
                with pytest.raises(BlockingIOError):
                    one.accept()

    run(story())


def test_a_server_that_says_nothing_does_not_keep_a_process_from_the_next_one(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            with socket.create_server(("127.0.0.1", 0)) as silent:
                reach = Reach(lambda: [f"nats://127.0.0.1:{silent.getsockname()[1]}"], Authority(SERVER_KEY).platform)
                reach._told = [address(served)]
                reaching = asyncio.create_task(reach.run())
                await asyncio.wait_for(reach.up.wait(), PATIENCE)
                reaching.cancel()
                await asyncio.wait({reaching})

    run(story())


def test_who_is_cut_off_does_not_wait_until_the_streams_of_all_others_are_updated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That can take many seconds after the broker was away, and no other process is served before it is settled."""
    updated: list[str] = []
    made = app_streams.make_streams

    async def slowly(connected: Client, org: str, replicas: int | None = None) -> None:
        await asyncio.sleep(0.2)
        await made(connected, org, replicas)
        updated.append(org)

    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            device = await with_device(served, registry)
            orgs = [f"org_{number}" for number in range(100, 164)]
            for org in orgs:
                registry.want(served.account_of_apps(org, "operator"), AppAccount(org, "operator", commands=True))
            await settled(served, registry)
            monkeypatch.setattr(app_streams, "make_streams", slowly)
            os.kill(served._process.pid, signal.SIGKILL)  # type: ignore[union-attr, arg-type]
            await until(lambda: len(updated) > 0)
            registry.want(device.account, None)
            await settled(served, registry)
            assert len(updated) < len(orgs) / 2
            await until(lambda: len(updated) == len(orgs))
            assert sorted(updated) == orgs

    run(story())


def stored_of(files: Files) -> set[str]:
    """The accounts of which something is stored."""
    return {one.name for one in (files.streams / "jetstream").iterdir()}


async def is_refused(url: str, minted: Minted) -> bool:
    try:
        await (await client(url, minted)).close()
    except nats.errors.Error:
        return True
    return False


def test_whoever_is_to_be_cut_off_waits_for_nobody_whom_the_broker_does_not_take(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            device = await with_device(served, registry)
            await (await client(address(served), device)).close()
            registry.want("refused", DeviceAccount("refused", ORG, DEVICE))  # which is no name of an account
            registry.want(device.account, None)
            await served.settle()
            await eventually(lambda: is_refused(address(served), device))

    run(story())


@pytest.mark.parametrize("is_new", [False, True])
def test_an_account_with_too_many_revoked_keys_is_closed_and_holds_up_no_other(is_new: bool, tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        revoked = frozenset(f"U{number:055d}" for number in range(limits.MAX_BUS_PAYLOAD // 60))
        async with broker(tmp_path / "nats", registry) as served:
            app = served.mint_app("org_9", "operator", commands=True)
            if not is_new:
                registry.want(app.account, AppAccount("org_9", "operator", commands=True))
                await settled(served, registry)
                await (await client(address(served), app)).close()
            registry.want(app.account, AppAccount("org_9", "operator", commands=True, revoked=revoked))
            device = await with_device(served, registry)
            await (await client(address(served), device)).close()
            assert served._account_sync is not None
            await served._account_sync.reconcile()
            with pytest.raises(nats.errors.Error):
                await client(address(served), app)

    run(story())


def test_what_an_account_stored_is_removed_with_it_even_while_no_server_runs(tmp_path: Path) -> None:
    async def story() -> None:
        registry, files = Registry(), Files(tmp_path / "nats")
        async with broker(files.directory, registry) as served:
            own = stored_of(files)
            await with_app(served, registry)
            account = served.account_of_apps(ORG, "operator")
            assert stored_of(files) == {*own, account}
            registry.want(account, None)
            await settled(served, registry)
            assert stored_of(files) == own
            await with_app(served, registry)
        registry.wanted.clear()
        async with broker(files.directory, registry):
            assert stored_of(files) == own

    run(story())


def test_accounts_come_back_after_the_broker_has_lost_everything(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "first", registry) as served:
            minted, app = await with_device(served, registry), await with_app(served, registry)
            stranger = served.mint_device(ORG, OTHER)
        async with broker(tmp_path / "second", registry) as served:
            device, application = await client(address(served), minted), await client(address(served), app)
            assert await device.jetstream().publish(SUBJECT, b"1")
            assert await application.jetstream().stream_info(f"{ORG}_stream")
            with pytest.raises(nats.errors.Error):
                await client(address(served), stranger)
            await device.close()
            await application.close()

    run(story())


class Forgetful(Registry):
    """Answers nothing about accounts for a while: the store is away."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.asked = asyncio.Event()

    async def accounts(self) -> list[Account]:
        if self.is_away:
            self.asked.set()
        self._require_store()
        return await super().accounts()

    async def changes(self) -> list[Change]:
        self._require_store()
        return await super().changes()

    async def has(self, org: str, device: str) -> bool:
        self._require_store()
        return await super().has(org, device)

    def _require_store(self) -> None:
        if self.is_away:
            raise Fault(Kind.UNAVAILABLE, "store_unavailable", "The store is away.")


def test_accounts_are_checked_once_the_store_is_back_if_it_was_away_when_the_broker_came(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        registry, ended = Forgetful(), asyncio.Event()

        async def note() -> None:
            ended.set()

        async with distant(tmp_path / "nats", registry) as (served, wire):
            minted, app = await with_device(served, registry), await with_app(served, registry)
            device = await client(address(served), minted, closed_cb=note)
            application = await client(address(served), app)
            registry.is_away = True
            with pytest.raises(nats.errors.NoRespondersError):
                await application.request(f"{ORG}.production.command.rpc.{DEVICE}.ping", b"{}", timeout=PATIENCE)
            wire.cut()
            await asyncio.wait_for(registry.asked.wait(), PATIENCE)
            registry.wanted.pop(minted.account)  # and no change says so
            registry.is_away = False
            await asyncio.wait_for(ended.wait(), PATIENCE)
            assert "serving the broker failed" not in caplog.text
            await device.close()
            await application.close()

    run(story())


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00"], ids=["plain", "tls"])
def test_who_is_slow_to_connect_is_waited_for(tmp_path: Path, begun: bytes) -> None:
    """By itself the broker allows two seconds for a handshake and for a login, however long a client may be silent."""
    if begun:
        keep_certificate(Files(tmp_path / "nats"), certificate(["broker.example"], timedelta(days=90)))

    async def is_kept(address: str) -> bool:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(begun)
        try:
            async with asyncio.timeout(4.5):
                while await reader.read(4_096):  # the broker says who it is, and pings
                    pass
        except TimeoutError:
            return True
        finally:
            writer.close()
        return False

    async def story() -> None:
        async with broker(tmp_path / "nats", Registry(), mqtt=("127.0.0.1", 0), silence=3600.0) as served:
            places = (address(served).removeprefix("nats://"), address(served, "mqtt"))
            assert await asyncio.gather(*map(is_kept, places)) == [True, True]

    run(story())


async def promised(served: Broker) -> tuple[int, int]:
    """Bytes that the broker could promise to streams and accounts, and those that it has promised."""
    assert served._system is not None
    reply = await served._system.request("$SYS.REQ.SERVER.PING.JSZ", timeout=PATIENCE)
    found = json.loads(reply.data)["data"]
    return found["config"]["max_storage"], found["reserved_storage"]


def test_organizations_take_no_room_before_they_use_it(tmp_path: Path) -> None:
    """By itself the broker reserves the most that a stream may take, and with no room left would not start again."""

    async def story() -> None:
        registry = Registry()
        orgs = [f"org_{number}" for number in range(1, 9)]
        async with broker(tmp_path / "nats", registry) as served:
            _, before = await promised(served)
            for org in orgs:
                application = await client(address(served), await with_app(served, registry, org))
                assert await application.jetstream().stream_info(f"{org}_stream")
                assert await application.jetstream().key_value(org)
                await application.close()
            assert (await promised(served))[1] == before

    run(story())


def test_there_is_room_for_the_sessions_of_a_million_devices_that_speak_mqtt(tmp_path: Path) -> None:
    """Each is promised the most that it may take. By itself the broker promises no more than the disk has."""

    async def story() -> None:
        async with broker(tmp_path / "nats", Registry()) as served:
            room, taken = await promised(served)
            assert room - taken > 1_000_000 * limits.BUS_MQTT_BYTES

    run(story())


LARGE = bytes(limits.MAX_BUS_MESSAGE - 1_000)


def test_what_waits_for_the_store_is_bounded_and_stays_when_the_bound_is_lowered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        registry = Registry()
        registry.refusing = True
        async with broker(tmp_path / "nats", registry) as served:
            assert served._platform is not None
            device = await client(address(served), await with_device(served, registry))
            for number in range(3):
                await device.jetstream().publish(SUBJECT, b"%d" % number)
            bounds = (await served._platform.jetstream().stream_info(STREAM)).config
            assert 0 < bounds.max_bytes < shutil.disk_usage(tmp_path).total
            monkeypatch.setattr(Process, "room", lambda _: 0)
            await PlatformStreams(served._platform, lambda: 0, None).meet([ORG])
            with pytest.raises(nats.js.errors.APIError, match="10077"):
                await device.jetstream().publish(SUBJECT, b"refused")
            registry.refusing = False
            await registry.until(lambda: len(registry.messages) == 3)
            assert [message.body for message in registry.messages] == [b"0", b"1", b"2"]
            await device.close()

    run(story())


class Held(Registry):
    """A store that takes nothing until `released`."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()

    async def ingest(self, batches: Sequence[Batch]) -> Sequence[Message]:
        await self.released.wait()
        return await super().ingest(batches)


class Slow(Held):
    """A store that is slower than the broker."""

    async def ingest(self, batches: Sequence[Batch]) -> Sequence[Message]:
        await asyncio.sleep(0.05)
        return await super().ingest(batches)


def test_what_waits_to_be_stored_is_known_by_its_age_until_it_is_stored(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Held()
        async with broker(tmp_path / "nats", registry) as served:
            device = await client(address(served), await with_device(served, registry))
            assert served.waiting_since is None
            before = time.time_ns() // 1000
            for _ in range(2):
                await device.jetstream().publish(SUBJECT, b"1")
                await until(lambda: served.waiting_since is not None)
                await asyncio.sleep(0.1)
            waiting = served.waiting_since
            assert waiting is not None
            assert before <= waiting <= time.time_ns() // 1000 - 200_000, "the first one's"
            registry.released.set()
            await until(lambda: served.waiting_since is None)
            assert len(registry.messages) == 2
            await device.close()

    run(story())


async def delivered(platform: Client) -> int:
    """How many messages of the stream are on their way to the store, or have reached it."""
    while not (names := await streams.consumers(platform, STREAM)):  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # nothing tells of it
    [name] = names
    return int(
        json.loads(await streams.request(platform, f"CONSUMER.INFO.{STREAM}.{name}", {}))["delivered"]["stream_seq"]
    )


async def publish_at_once(device: Client, bodies: Sequence[bytes]) -> None:
    """Publish without waiting for one before the next, until all are acknowledged."""
    acknowledged = 0
    done = asyncio.Event()

    async def note(reply: Msg) -> None:
        nonlocal acknowledged
        assert b'"error"' not in reply.data
        acknowledged += 1
        if acknowledged == len(bodies):
            done.set()

    inbox = device.new_inbox()
    await device.subscribe(inbox, cb=note)
    for body in bodies:
        await device.publish(SUBJECT, body, reply=inbox)
    await asyncio.wait_for(done.wait(), PATIENCE)


def test_many_batches_are_on_their_way_to_the_store_at_a_time(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Held()
        async with broker(tmp_path / "nats", registry) as served:
            assert served._platform is not None
            device = await client(address(served), await with_device(served, registry))
            count = limits.BUS_BATCH * (limits.BUS_BATCHES // 2 - 1)  # no stream takes more than it leaves free
            for part in range(0, count, limits.BUS_BATCH):
                bodies = [b"%d" % number for number in range(part, part + limits.BUS_BATCH)]
                await publish_at_once(device, bodies)
            async with asyncio.timeout(PATIENCE):
                while await delivered(served._platform) < count:  # noqa: ASYNC110  # nothing tells of it
                    await asyncio.sleep(0.05)
            registry.released.set()
            await registry.until(lambda: len(registry.messages) >= count)
            assert [message.body for message in registry.messages] == [b"%d" % number for number in range(count)]
            await device.close()

    run(story())


def test_large_messages_on_their_way_to_the_store_are_bounded_in_bytes_and_all_arrive(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Held()
        async with broker(tmp_path / "nats", registry) as served:
            assert served._platform is not None
            device = await client(address(served), await with_device(served, registry))
            most = limits.BUS_BATCHES // 2 * limits.BUS_BATCH_BYTES // len(LARGE)
            count = 2 * most
            for number in range(count):
                await device.jetstream().publish(SUBJECT, b"%d" % number + LARGE)
            before, reached = -1, 0
            async with asyncio.timeout(PATIENCE):
                while reached <= most // 2 or reached != before:  # until no more comes, of which nothing tells
                    await asyncio.sleep(0.2)
                    before, reached = reached, await delivered(served._platform)
            assert reached <= most
            registry.released.set()
            await registry.until(lambda: len(registry.messages) >= count)
            assert [int(message.body.rstrip(b"\0")) for message in registry.messages] == list(range(count))
            await device.close()

    run(story())


@pytest.mark.parametrize("size", [1, 8 << 10])
def test_no_more_is_on_its_way_to_a_slow_store_than_to_one_that_takes_nothing(tmp_path: Path, size: int) -> None:
    async def story() -> None:
        registry = Slow()
        async with broker(tmp_path / "nats", registry) as served:
            assert served._platform is not None
            device = await client(address(served), await with_device(served, registry))
            batches = limits.BUS_BATCHES // 2
            most = min(limits.BUS_BATCH * batches, limits.BUS_BATCH_BYTES * batches // size)
            count = 2 * most + limits.BUS_BATCH
            for _ in range(0, count, limits.BUS_BATCH):
                await publish_at_once(device, [bytes(size)] * limits.BUS_BATCH)
            registry.released.set()
            while len(registry.messages) < count:
                on_the_way = await delivered(served._platform) - len(registry.messages)
                being_stored = limits.BUS_BATCH
                assert on_the_way <= most + being_stored + limits.BUS_PORTION
            await device.close()

    run(story())


def test_an_organization_whose_streams_cannot_be_made_holds_up_nobody_and_gets_them_later(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        async with broker(tmp_path / "nats", registry) as served:
            await with_app(served, registry)
            pair = Authority(SERVER_KEY).apps(ORG, "operator")
            squatter = await links.connect([address(served)], pair, "squatter")
            await streams.request(squatter, f"STREAM.DELETE.{ORG}_stream", {})
            taken = {"name": "squatter", "subjects": stream_subjects(ORG)}
            await streams.request(squatter, "STREAM.CREATE.squatter", taken)
            await links.close(squatter)
        async with broker(tmp_path / "nats", registry) as served:
            await with_app(served, registry)
            device = await client(address(served), await with_device(served, registry))
            assert registry.waiting == []
            assert (await device.jetstream().publish(SUBJECT, b"1")).stream
            await registry.until(lambda: registry.messages)
            await device.close()
            squatter = await links.connect([address(served)], pair, "squatter")
            await streams.request(squatter, "STREAM.DELETE.squatter", {})
            await eventually(lambda: streams.request(squatter, f"STREAM.INFO.{ORG}_stream", {}), links.Rejected)
            await links.close(squatter)

    run(story())


# --- processes -------------------------------------------------------------------------------------------------------


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_broker_is_not_told_what_the_server_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of all tenants speak to it: what it does not know cannot be had from it."""
    monkeypatch.setenv("FLEETROLL_SERVER_KEY", "secret")

    async def story() -> None:
        async with broker(tmp_path / "nats", Registry()) as served:
            assert served._process is not None
            assert served._process._process is not None
            environment = await asyncio.to_thread(Path(f"/proc/{served._process._process.pid}/environ").read_bytes)
            assert b"PATH=" in environment
            assert b"FLEETROLL" not in environment

    run(story())


def test_a_clean_stop_leaves_no_process_and_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pids = []

    async def story() -> None:
        async with broker(tmp_path / "nats", Registry()) as served:
            pids.append(served._process.pid)
            assert is_running(pids[0])

    run(story())
    assert not is_running(pids[0])
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []


PARENT = """
    import asyncio, pathlib, sys
    from tests.support.broker import SERVER_KEY, Registry, broker

    async def main():
        async with broker(pathlib.Path(sys.argv[1]), Registry()) as served:
            print(served._process.pid, flush=True)
            await asyncio.sleep(60)

    asyncio.run(main())
"""


def test_the_broker_does_not_outlive_a_killed_server(tmp_path: Path) -> None:
    async def story() -> None:
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path / "nats"), stdout=asyncio.subprocess.PIPE
        )
        pid = int(await asyncio.wait_for(parent.stdout.readline(), PATIENCE))
        waiting = os.pidfd_open(pid)
        parent.kill()
        await parent.wait()
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(waiting, ended.set)
        await asyncio.wait_for(ended.wait(), PATIENCE)
        asyncio.get_running_loop().remove_reader(waiting)
        os.close(waiting)
        # The next server finds nothing in its way.
        async with broker(tmp_path / "nats", Registry()) as served:
            assert served.is_up

    run(story())


def test_a_broker_left_by_an_earlier_server_is_ended(tmp_path: Path) -> None:
    async def story() -> None:
        async with broker(tmp_path / "nats", Registry()) as served:
            configuration = tmp_path / "nats" / "nats-server.conf"
            program = Path(sys.executable).with_name("nats-server")
            assert served.is_up
        left = await asyncio.create_subprocess_exec(program, "-c", configuration, stderr=asyncio.subprocess.PIPE)
        while b"Server is ready" not in await asyncio.wait_for(left.stderr.readline(), PATIENCE):
            pass
        async with broker(tmp_path / "nats", Registry()) as served:
            assert await asyncio.wait_for(left.wait(), PATIENCE) == -signal.SIGKILL
            assert served.is_up

    run(story())


def test_nothing_of_the_brokers_is_readable_by_others(tmp_path: Path) -> None:
    async def story() -> None:
        async with broker(tmp_path / "nats", Registry()):
            assert (tmp_path / "nats").stat().st_mode & 0o077 == 0
            assert (tmp_path / "nats" / "nats-server.conf").stat().st_mode & 0o077 == 0

    run(story())


async def said(caplog: pytest.LogCaptureFixture, text: str) -> None:
    await until(lambda: text in caplog.text)


def test_who_reads_the_log_knows_why_the_broker_does_not_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        files = Files(tmp_path / "nats")
        files.make()
        files.accounts.write_text("")
        async with starting(files.directory, Registry()):
            await said(caplog, "not a directory")
        assert all(line.levelno >= logging.WARNING for line in caplog.records if "not a directory" in line.message)

    run(story())


def test_who_reads_the_log_knows_of_an_address_that_was_taken_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start it is refused; later the registry must not end with its broker."""

    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            async with starting(tmp_path / "nats", Registry(), nats=taken.getsockname()):
                await said(caplog, "; name another one with --nats")

    run(story())


def test_who_reads_the_log_knows_why_the_broker_cannot_be_reached(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A cluster that is not there, and one that trusts somebody else."""

    async def story() -> None:
        async with broker(tmp_path / "nats", Registry()) as served:
            for authority, url in (
                (Authority(SERVER_KEY), f"nats://127.0.0.1:{free_port()}"),
                (Authority(b"x" * 32), address(served)),
            ):
                stranger = Broker(authority, lambda: int(time.time()), lambda url=url: [url], None)
                keeping = asyncio.ensure_future(stranger.serve(Registry()))
                await said(caplog, "the broker cannot be reached, or does not know this server key")
                keeping.cancel()
                await asyncio.wait([keeping])
                caplog.clear()

    run(story())


class Deaf(Registry):
    """Loses the first cancellation of whoever asks for accounts, as the client library does at an unlucky moment."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = asyncio.Event()

    async def accounts(self) -> list[Account]:
        asking = asyncio.current_task()
        if asking is not None and not self.lost.is_set():
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            self.lost.set()
        return await super().accounts()


def test_keeping_a_broker_ends_though_its_cancellation_got_lost(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Deaf()
        async with broker(tmp_path / "nats", Registry()) as served:
            other = Broker(Authority(SERVER_KEY), lambda: int(time.time()), lambda: [address(served)], None)
            keeping = asyncio.ensure_future(other.serve(registry))
            await registry.lost.wait()
            await asyncio.wait([keeping], timeout=PATIENCE / 3)
            assert keeping.done()

    run(story())


def test_connecting_to_the_broker_can_be_cancelled_at_any_moment(tmp_path: Path) -> None:
    async def story() -> None:
        async with broker(tmp_path / "nats", Registry()) as served:
            authority, url = Authority(SERVER_KEY), address(served)

            async def let_go() -> None:
                other = Broker(authority, lambda: int(time.time()), lambda: [url], None)
                attending = asyncio.ensure_future(other.stay_connected())
                await asyncio.sleep(random.random() * 0.02)
                attending.cancel()
                await asyncio.wait([attending], timeout=PATIENCE / 3)
                assert attending.done()

            for _ in range(50):
                await asyncio.gather(*(let_go() for _ in range(6)))

    run(story())


class Refusing(Registry):
    """Counts how often it was asked in vain to take a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.tried = 0

    async def ingest(self, batches: Sequence[Batch]) -> Sequence[Message]:
        if self.refusing:
            self.tried += 1
            self.moved.set()
        return await super().ingest(batches)


def test_trouble_that_lasts_is_told_once_and_told_again_when_it_comes_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        registry = Refusing()
        async with broker(tmp_path / "nats", registry) as served:
            device = await client(address(served), await with_device(served, registry))
            for count in (1, 2):
                registry.refusing, tried = True, registry.tried
                await device.jetstream().publish(SUBJECT, b"%d" % count)
                await registry.until(lambda tried=tried: registry.tried >= tried + 3)
                registry.refusing = False
                await registry.until(lambda count=count: len(registry.messages) == count)
                await device.jetstream().publish(SUBJECT, b"between")
                await registry.until(lambda count=count: len(registry.messages) == count + 1)
                registry.messages.pop()
                assert caplog.text.count("are waiting on the broker: RuntimeError") == count
            await device.close()

    run(story())


def test_a_server_that_meets_the_broker_while_the_store_is_away_says_so_in_a_line_and_serves_it_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        registry = Forgetful()
        registry.is_away = True
        async with starting(tmp_path / "nats", registry) as begun:
            await said(caplog, "serving the broker failed and is retried: Fault")
            registry.is_away = False
            await asyncio.wait_for(begun.up(), PATIENCE)
        assert "Traceback" not in caplog.text

    run(story())


def test_a_process_that_gives_up_keeping_the_broker_while_it_connects_leaves_no_connection(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        met, left = asyncio.Event(), asyncio.Event()
        async with broker(tmp_path / "nats", registry) as served, broken_off(address(served), met, left) as url:
            other = Broker(Authority(SERVER_KEY), lambda: int(time.time()), lambda: [url], None)
            keeping = asyncio.ensure_future(other.serve(registry))
            await asyncio.wait_for(met.wait(), PATIENCE)
            keeping.cancel()
            await asyncio.wait([keeping])
            await asyncio.wait_for(left.wait(), PATIENCE)

    run(story())


@contextlib.asynccontextmanager
async def broken_off(url: str, met: asyncio.Event, left: asyncio.Event) -> AsyncIterator[str]:
    """A way to a broker for one connection, whose end sets `left`; any other one sets `met`, and hears nothing."""
    first = iter([True])

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not next(first, False):
            met.set()
            await left.wait()
            writer.close()
            return
        host, _, port = url.removeprefix("nats://").rpartition(":")
        answers, server = await asyncio.open_connection(host, int(port))
        answering = asyncio.create_task(copy(answers, writer))
        await copy(reader, server)
        answering.cancel()
        for one in (server, writer):
            one.close()
        left.set()

    async with await asyncio.start_server(pass_on, "127.0.0.1", 0) as listener:
        yield f"nats://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(1 << 16):
            writer.write(part)
            await writer.drain()
