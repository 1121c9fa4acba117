"""The broker as the service sees it: started if it is ours, connected to, told of its accounts, and stopped."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from functools import partial

from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus import commands, links, reach, settings
from fleetroll.bus.account_sync import AccountSync
from fleetroll.bus.app_streams import AppStreams
from fleetroll.bus.commands import device_silent, no_broker, unavailable
from fleetroll.bus.endpoint import Endpoint
from fleetroll.bus.ingest import Ingest
from fleetroll.bus.mint import Mint
from fleetroll.bus.permissions import TELEMETRY, Authority, live_subject
from fleetroll.bus.platform_streams import PlatformStreams
from fleetroll.bus.port import Announcement, Certificate, Registry, Shown, State
from fleetroll.bus.presence import Presence
from fleetroll.bus.process import Process, Unavailable
from fleetroll.bus.reach import Reach
from fleetroll.bus.trouble import Trouble
from fleetroll.core import limits
from fleetroll.core.faults import Fault
from fleetroll.core.model import Instant

logger = logging.getLogger("fleetroll.broker")

_RETRY_SECONDS = 1.0
_STANDBY_SECONDS = 5.0
_CERTIFICATE_SECONDS = 3600.0
_CLUSTER_SECONDS = 15.0


class Off(Mint):
    """No broker: credentials can be made, for a later one, but nothing can be sent."""

    def state(self) -> State:
        return State("off", [])

    @property
    def is_own(self) -> bool:
        return False

    async def present(self, certificate: Certificate) -> None:
        raise AssertionError("there is no broker of ours")

    @property
    def is_shared(self) -> bool:
        return False

    async def share(self, body: bytes) -> None:
        raise AssertionError("nobody else is there")

    def on_shared(self, listener: Callable[[bytes], None]) -> None:
        pass

    @property
    def is_up(self) -> bool:
        return False

    @property
    def waiting_since(self) -> Instant | None:
        return None

    async def show(self, readings: Sequence[Shown]) -> None:
        pass

    async def settle(self) -> None:
        pass

    async def send(self, org: str, env: str, device: str, name: str, body: bytes) -> None:
        raise no_broker()

    async def call(self, org: str, env: str, device: str, name: str, body: bytes, seconds: float) -> bytes:
        raise no_broker()

    def hang_up(self) -> None:
        pass


class Broker(Mint):
    """Implements `port.Bus` over a running broker. `process` is ours, or None for a cluster at `urls`, of which
    `replicas` servers keep each stream.

    Each process of ours connects to it; one of them keeps it: starts it, publishes accounts, answers requests, and
    stores what is published.
    """

    def __init__(
        self,
        authority: Authority,
        seconds: Callable[[], int],
        urls: Callable[[], list[str]],
        process: Process | None,
        *,
        shared: bool = False,
        replicas: int = 1,
    ) -> None:
        super().__init__(authority, seconds)
        self._urls = urls
        self._process = process
        self._replicas = replicas if process is None else None
        self._system: Client | None = None
        self._platform: Client | None = None
        self._shared = shared
        self._reach = Reach(urls, authority.platform)
        self._presence: Presence | None = None
        self._endpoint: Endpoint | None = None
        self._ingest: Ingest | None = None
        # The broker's refusal of a client that it does not know is mostly lost with the connection that it closes, so
        # nobody can tell which of the two it is.
        self._away = Trouble("the broker cannot be reached, or does not know this server key")
        self._failing = Trouble("serving the broker failed and is retried")
        self._account_sync: AccountSync | None = None
        self._serving = asyncio.Event()
        self._calls: set[asyncio.Task[bytes]] = set()
        self._settling: set[asyncio.Task[None]] = set()  # for other processes
        self._hung_up = False

    @property
    def is_up(self) -> bool:
        return self._reach.is_up

    @property
    def waiting_since(self) -> Instant | None:
        if self._ingest is None or not self._serving.is_set():  # another process may keep the broker by now
            return None
        return self._ingest.waiting_since

    async def up(self) -> None:
        """Wait until this process can use the broker."""
        await self._reach.up.wait()

    async def stay_connected(self) -> None:
        """Stay connected to the broker, whichever process keeps it, until cancelled."""
        await self._reach.run()

    async def serve(self, registry: Registry) -> None:
        """Serve `registry` until cancelled, whatever happens to the broker meanwhile; return if none can start."""
        try:
            if self._process is not None:
                self._process.start()
        except Unavailable as problem:
            logger.error("%s", problem)
            return
        try:
            while not links.is_cancelled():
                try:
                    await self._run(registry)
                except* (*links.FAILURE, Fault) as group:
                    for one in group.exceptions:
                        self._failing.report(one)
                except* Exception:
                    logger.exception("serving the broker failed and is retried")
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            if self._process is not None:
                await self._process.stop()

    async def _run(self, registry: Registry) -> None:
        if self._process is not None:
            await self._process.ready()
        async with (
            self._as_system(registry) as (system, presence),
            self._as_platform(registry) as platform,
            asyncio.TaskGroup() as group,
        ):
            streams = self._platform_streams(platform)
            app_streams = AppStreams(group, self._authority, self._reach.urls, self._replicas)
            account_sync = self._account_sync = self._syncing(system, presence, streams, app_streams, registry)
            # Only now that requests are answered, which is urgent: devices that the broker knows return as soon as it
            # does.
            await account_sync.reconcile()
            group.create_task(presence.run())
            if self._process is not None:
                group.create_task(self._keep_certificate(self._process, registry))
            else:
                group.create_task(self._look_again(presence))
            self._ingest = Ingest(platform, registry, streams)
            group.create_task(self._ingest.run())
            self._serving.set()
            group.create_task(account_sync.run())
            group.create_task(app_streams.run())
            await self._serve_others()
            self._failing.end()
            logger.info("connected to the broker at %s", ", ".join(self._urls()))
            await links.until_cancelled()

    def _platform_streams(self, platform: Client) -> PlatformStreams:
        if self._process is None:
            return PlatformStreams(platform, None, self._replicas)
        kept = partial(self._process.files.streams_of, self._authority.platform.public)
        return PlatformStreams(platform, self._process.room, self._replicas, kept)

    async def _look_again(self, presence: Presence) -> None:
        """Look at all connections now and then: when a server of a cluster dies, no other tells which went with it."""
        while not links.is_cancelled():
            await asyncio.sleep(_CLUSTER_SECONDS)
            presence.mark_stale()

    async def _keep_certificate(self, process: Process, registry: Registry) -> None:
        """Renew the broker's certificate before it expires."""
        while not links.is_cancelled():
            try:
                if names := settings.names_to_renew(process.files, self._seconds()):
                    settings.keep_certificate(process.files, await registry.certify(names))
                    await process.refresh()
                    logger.info("the broker has a new certificate for %s", ", ".join(names))
            except Exception:
                logger.exception("renewing the broker's certificate failed and is retried")
            await asyncio.sleep(_CERTIFICATE_SECONDS)

    # --- what the service asks -----------------------------------------------------------------------------------

    def state(self) -> State:
        return State("up", self._urls()) if self.is_up else State("away", [])

    @property
    def is_own(self) -> bool:
        return self._process is not None

    async def present(self, certificate: Certificate) -> None:
        assert self._process is not None
        settings.keep_certificate(self._process.files, certificate)
        await (self._process.refresh() if self._serving.is_set() else self._reach.refresh())

    @property
    def is_shared(self) -> bool:
        return self._shared

    async def share(self, body: bytes) -> None:
        with contextlib.suppress(*links.FAILURE, Fault):
            await self._reach.share(body)

    def on_shared(self, listener: Callable[[bytes], None]) -> None:
        self._reach.on_shared = listener

    async def show(self, readings: Sequence[Shown]) -> None:
        shown = ((live_subject(one.org, one.env, TELEMETRY, one.device, one.metric), one.body) for one in readings)
        with contextlib.suppress(*links.FAILURE, Fault):
            await links.publish_all(self._reach.client, shown, written=True)

    async def settle(self) -> None:
        with contextlib.suppress(*links.FAILURE, Fault):  # it is tried again
            if self._account_sync is not None and self._serving.is_set():
                await asyncio.wait_for(self._account_sync.settle(), limits.BUS_SETTLE)
            else:
                await self._reach.settle()

    async def send(self, org: str, env: str, device: str, name: str, body: bytes) -> None:
        await commands.send(self._reach.client, org, env, device, name, body)

    async def call(self, org: str, env: str, device: str, name: str, body: bytes, seconds: float) -> bytes:
        if self._hung_up:
            raise unavailable()
        calling = asyncio.ensure_future(commands.call(self._reach.client, env, device, name, body, seconds))
        self._calls.add(calling)
        try:
            await asyncio.wait({calling})
            if calling.cancelled():  # by `hang_up`
                raise device_silent()
            return calling.result()
        finally:
            self._calls.discard(calling)
            calling.cancel()

    def hang_up(self) -> None:
        self._hung_up = True
        for calling in self._calls:
            calling.cancel()

    # --- what the other processes ask ----------------------------------------------------------------------------

    async def _serve_others(self) -> None:
        assert self._platform is not None
        await self._platform.subscribe(reach.SETTLE, cb=self._settle_for)
        await self._platform.subscribe(reach.REFRESH, cb=self._refresh_for)

    async def _settle_for(self, message: Msg) -> None:
        """Begin to: the library gives us the next message only then, and all who ask can wait for the same."""
        settling = asyncio.ensure_future(self._settle_and_reply(message))
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)

    async def _settle_and_reply(self, message: Msg) -> None:
        await self.settle()
        with contextlib.suppress(*links.TROUBLE):  # the connection is lost, and nobody waits any more
            await message.respond(b"")

    async def _refresh_for(self, message: Msg) -> None:
        if self._process is not None:
            await self._process.refresh()
        await message.respond(b"")

    # --- connections ---------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _as_system(self, registry: Registry) -> AsyncIterator[tuple[Client, Presence]]:
        """Connected as the account that publishes accounts, and hears who connects."""
        system = self._system = await links.connect(
            self._reach.urls(),
            self._authority.system,
            "system",
            disconnected=self._system_disconnected,
            reconnected=self._system_reconnected,
            failed=self._system_failed,
        )
        try:
            self._away.end()
            presence = self._presence = Presence(system, registry, self._announce)
            if self._process is not None:
                self._process.ended = presence.end
            yield system, presence
        finally:
            await links.close(system)

    def _syncing(
        self,
        system: Client,
        presence: Presence,
        streams: PlatformStreams,
        app_streams: AppStreams,
        registry: Registry,
    ) -> AccountSync:
        return AccountSync(
            system,
            self._authority,
            self._seconds,
            registry,
            on_removed=presence.mark_stale,
            end_remains=self._end,
            platform=streams,
            app_streams=app_streams,
            files=self._process.files if self._process is not None else None,
        )

    @contextlib.asynccontextmanager
    async def _as_platform(self, registry: Registry) -> AsyncIterator[Client]:
        """Connected as the account that has the streams and is sent the requests, and answering them."""
        platform = self._platform = await links.connect(
            self._reach.urls(), self._authority.platform, "platform", reconnected=self._platform_reconnected
        )
        endpoint = self._endpoint = Endpoint(platform, self._authority, registry)
        try:
            await endpoint.start()
            async with self._standing_by(platform, registry):
                yield platform
        finally:
            self._serving.clear()
            await endpoint.finish()

    @contextlib.asynccontextmanager
    async def _standing_by(self, platform: Client, registry: Registry) -> AsyncIterator[None]:
        """Answer at a second server of a cluster too, if it has one: when the first one dies, its clients are at
        another before we are, and the vendor's SDKs ask only once.
        """
        urls = links.other_servers(platform)
        if self._process is not None or not urls:
            yield
            return
        endpoint: Endpoint | None = None

        async def reconnected() -> None:
            if endpoint is not None:
                await endpoint.reconnected()

        try:
            connecting = links.connect(urls, self._authority.platform, "standby", reconnected=reconnected)
            endpoint = Endpoint(await asyncio.wait_for(connecting, _STANDBY_SECONDS), self._authority, registry)
            await endpoint.start()
        except links.TROUBLE as problem:
            logger.warning("no second server of the cluster can be reached: %r", problem)
        try:
            yield
        finally:
            if endpoint is not None:
                await endpoint.finish()

    async def _system_disconnected(self) -> None:
        assert self._system is not None
        if not self._system.is_closed:  # by ourselves, at the end
            logger.warning("lost the connection to the broker")
        if self._account_sync is not None:
            self._account_sync.give_up()

    async def _system_failed(self, problem: Exception) -> None:
        self._away.report(problem)

    async def _system_reconnected(self) -> None:
        logger.info("reconnected to the broker")
        self._away.end()
        assert self._presence is not None
        self._presence.mark_stale()

    async def _platform_reconnected(self) -> None:
        assert self._endpoint is not None
        await self._endpoint.reconnected()
        if self._ingest is not None:
            self._ingest.mark_stale()

    async def _end(self, accounts: Collection[str]) -> None:
        assert self._endpoint is not None
        await self._endpoint.end(accounts)

    async def _announce(self, announcements: list[Announcement]) -> None:
        assert self._platform is not None
        for one in announcements:
            await self._platform.publish(f"presence.{one.org}.{one.env}.{one.device}", one.body)
