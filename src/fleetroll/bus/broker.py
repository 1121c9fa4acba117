"""The broker as one thing: started if it is ours, connected to, told of its accounts, listened to, and stopped."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetroll.bus import commands, links, reach, settings, streams
from fleetroll.bus.accounts import Accounts
from fleetroll.bus.commands import silent, unavailable
from fleetroll.bus.ingest import Ingest
from fleetroll.bus.mint import Mint
from fleetroll.bus.port import Account, Announcement, AppAccount, Certificate, Registry, State
from fleetroll.bus.presence import Presence
from fleetroll.bus.process import Process, Unavailable
from fleetroll.bus.queues import Queues
from fleetroll.bus.reach import Reach
from fleetroll.bus.replies import Replies
from fleetroll.bus.responder import Responder
from fleetroll.bus.trouble import Trouble
from fleetroll.bus.walls import COMMANDS, INGEST, Authority
from fleetroll.core.faults import Fault

logger = logging.getLogger("fleetroll.broker")

_PAUSE = 0.25
_AGAIN = 1.0
_SETTLE_SECONDS = 2.0
_LOOK_AT_CERTIFICATE = 3600.0
_LOOK_AT_CLUSTER = 15.0
_PREPARED_AT_ONCE = 16
_TROUBLE = (*links.TROUBLE, links.Rejected)


class Off(Mint):
    """No broker: credentials can be made, for a broker to come, and nothing can be sent."""

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

    async def settle(self) -> None:
        pass

    async def send(self, org: str, env: str, device: str, name: str, body: bytes) -> None:
        raise unavailable()

    async def call(self, org: str, env: str, device: str, name: str, body: bytes, seconds: float) -> bytes:
        raise unavailable()

    def hang_up(self) -> None:
        pass


class Broker(Mint):
    """Implements `port.Bus` over a running broker. `process` is ours, or None for one at `urls`.

    Each process of ours reaches it; one of them keeps it: starts it, publishes accounts, answers, and takes in.
    """

    def __init__(
        self,
        authority: Authority,
        seconds: Callable[[], int],
        urls: Callable[[], list[str]],
        process: Process | None,
        *,
        shared: bool = False,
    ) -> None:
        super().__init__(authority, seconds)
        self._urls = urls
        self._process = process
        self._system: Client | None = None
        self._platform: Client | None = None
        self._shared = shared
        self._reach = Reach(urls, authority.platform)
        self._presence: Presence | None = None
        self._replies: Replies | None = None
        self._queues: Queues | None = None
        self._ingests: list[Ingest] = []
        self._registry: Registry | None = None
        self._accounts: Accounts | None = None
        self._prepared_before: list[Account] = []
        self._corrected_at = 0
        # Its words to one whom it does not know are lost, as a rule, with the connection that it closes.
        self._away = Trouble("the broker cannot be reached, or does not know our server key")
        self._failing = Trouble("the broker could not be served; it is tried again")
        self._waiting = Trouble("accounts wait")
        self._publishing = asyncio.Lock()
        self._kept = asyncio.Event()
        self._calls: set[asyncio.Task[bytes]] = set()
        self._hung_up = False

    @property
    def is_up(self) -> bool:
        return self._reach.is_up

    async def up(self) -> None:
        """Wait until this process can use the broker."""
        await self._reach.up.wait()

    async def attend(self) -> None:
        """Reach the broker, whoever keeps it, until cancelled."""
        await self._reach.run()

    async def keep(self, registry: Registry) -> None:
        """Serve `registry` until cancelled, whatever happens to the broker meanwhile."""
        self._registry = registry
        try:
            if self._process is not None:
                self._process.start()
        except Unavailable as problem:
            logger.error("%s", problem)
            return
        try:
            while links.goes_on():
                try:
                    await self._run()
                except* streams.Gone:
                    logger.error("the broker has lost its streams, with what had not been taken; they are made anew")
                except* (*_TROUBLE, Fault) as group:
                    for one in group.exceptions:
                        self._failing.tell(one)
                except* Exception:
                    logger.exception("the broker could not be served; it is tried again")
                await asyncio.sleep(_AGAIN)
        finally:
            await self._stop()

    async def _run(self) -> None:
        if self._process is not None:
            await self._process.ready()
        async with self._connected(), asyncio.TaskGroup() as group:
            assert self._presence is not None
            assert self._registry is not None
            group.create_task(self._presence.run())
            group.create_task(self._keep_accounts())
            if self._process is not None:
                group.create_task(self._keep_certificate(self._process, self._registry))
            else:
                group.create_task(self._look_again(self._presence))
            await self._start_streams(group)
            self._kept.set()
            await self._serve_others()
            self._failing.end()
            logger.info("the broker serves at %s", ", ".join(self._urls()))
            await self._look_after_streams()
            await asyncio.Event().wait()

    async def _stop(self) -> None:
        if self._process is not None:
            await self._process.stop()

    # --- what the service asks -----------------------------------------------------------------------------------

    def state(self) -> State:
        return State("up", self._urls()) if self.is_up else State("away", [])

    @property
    def is_own(self) -> bool:
        return self._process is not None

    async def present(self, certificate: Certificate) -> None:
        assert self._process is not None
        settings.keep_certificate(self._process.files, certificate)
        await (self._process.refresh() if self._kept.is_set() else self._reach.refresh())

    @property
    def is_shared(self) -> bool:
        return self._shared

    async def share(self, body: bytes) -> None:
        with contextlib.suppress(*_TROUBLE, Fault):
            await self._reach.share(body)

    def on_shared(self, listener: Callable[[bytes], None]) -> None:
        self._reach.heard = listener

    async def settle(self) -> None:
        with contextlib.suppress(*_TROUBLE, Fault):  # it is tried again
            if self._kept.is_set():
                await asyncio.wait_for(self._publish_changes(), _SETTLE_SECONDS)
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
            if calling.cancelled():
                raise silent()
            return calling.result()
        finally:
            self._calls.discard(calling)
            calling.cancel()

    def hang_up(self) -> None:
        self._hung_up = True
        for calling in self._calls:
            calling.cancel()

    async def _look_again(self, presence: Presence) -> None:
        """When a server of a cluster dies, no other tells whose connections went with it."""
        while links.goes_on():
            await asyncio.sleep(_LOOK_AT_CLUSTER)
            presence.doubt()

    async def _keep_certificate(self, process: Process, registry: Registry) -> None:
        """Have a new one before the old one expires."""
        while links.goes_on():
            try:
                if names := settings.names_to_renew(process.files, self._seconds()):
                    settings.keep_certificate(process.files, await registry.certify(names))
                    await process.refresh()
                    logger.info("the broker has a new certificate for %s", ", ".join(names))
            except Exception:
                logger.exception("the broker's certificate could not be renewed; it is tried again")
            await asyncio.sleep(_LOOK_AT_CERTIFICATE)

    # --- what the other processes ask ----------------------------------------------------------------------------

    async def _serve_others(self) -> None:
        assert self._platform is not None
        await self._platform.subscribe(reach.SETTLE, cb=self._settle_for)
        await self._platform.subscribe(reach.REFRESH, cb=self._refresh_for)

    async def _settle_for(self, message: Msg) -> None:
        await self.settle()
        await message.respond(b"")

    async def _refresh_for(self, message: Msg) -> None:
        if self._process is not None:
            await self._process.refresh()
        await message.respond(b"")

    # --- connections ---------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        authority, registry = self._authority, self._registry
        assert registry is not None
        urls = self._urls()
        self._system = await links.connect(
            urls,
            authority.system,
            "system",
            lost=self._system_lost,
            found=self._system_found,
            failed=self._system_failed,
        )
        self._away.end()
        self._platform = await links.connect(urls, authority.platform, "platform", found=self._platform_found)
        self._accounts = Accounts(self._system, authority, self._seconds)
        self._presence = Presence(self._system, registry, self._announce)
        if self._process is not None:
            self._process.ended = self._presence.end
        self._replies = Replies(self._platform)
        self._queues = queues = Queues(self._platform, authority, registry, self._replies)
        responder = Responder(self._platform, registry, self._replies)
        try:
            # Before all else, for the devices that the broker knows are back as soon as it is.
            await queues.start()
            await responder.start()
            await self._correct_accounts()
            yield
        finally:
            self._kept.clear()
            await responder.finish()
            self._replies.finish()
            await links.close(self._platform)
            await links.close(self._system)

    async def _system_lost(self) -> None:
        assert self._system is not None
        if not self._system.is_closed:  # by ourselves, at the end
            logger.warning("the broker is away")

    async def _system_failed(self, problem: Exception) -> None:
        self._away.tell(problem)

    async def _system_found(self) -> None:
        logger.info("the broker is back")
        self._away.end()
        assert self._presence is not None
        self._presence.doubt()

    async def _platform_found(self) -> None:
        assert self._replies is not None
        assert self._queues is not None
        self._queues.doubt()
        await self._replies.again()
        for ingest in self._ingests:
            ingest.doubt()

    async def _start_streams(self, group: asyncio.TaskGroup) -> None:
        assert self._platform is not None
        assert self._registry is not None
        room = None if self._process is None else self._process.room()
        incarnations = await streams.prepare_platform(self._platform, room)
        self._ingests = [
            Ingest(self._platform, self._registry, name, incarnations[name]) for name in (INGEST, COMMANDS)
        ]
        for ingest in self._ingests:
            group.create_task(ingest.run())

    async def _announce(self, announcements: list[Announcement]) -> None:
        assert self._platform is not None
        for one in announcements:
            await self._platform.publish(f"presence.{one.org}.{one.env}.{one.device}", one.body)

    # --- accounts ------------------------------------------------------------------------------------------------

    async def _correct_accounts(self) -> None:
        """Make the broker know all accounts that there should be, and no others."""
        assert self._system is not None
        assert self._accounts is not None
        assert self._registry is not None
        async with self._publishing:
            met = self._system.stats["reconnects"]
            wanted = {self._authority.public(account): account for account in await self._registry.accounts()}
            known = await self._accounts.names()
            apps = [account for account in wanted.values() if isinstance(account, AppAccount)]
            missing = [account for name, account in wanted.items() if name not in known]
            await self._accounts.publish(
                [*apps, *(account for account in missing if not isinstance(account, AppAccount))]
            )
            await self._prepare(missing)
            await self._accounts.remove(known - wanted.keys())
            self._prepared_before = [account for name, account in wanted.items() if name in known]
            self._corrected_at = met

    async def _keep_accounts(self) -> None:
        while links.goes_on():
            await asyncio.sleep(_PAUSE)
            if self._kept.is_set() and links.is_connected(self._system):
                try:
                    await self._bring_accounts_up_to_date()
                    self._waiting.end()
                except Exception as problem:  # noqa: BLE001  # of the store or of the broker; neither may end this
                    self._waiting.tell(problem)
                    await asyncio.sleep(_AGAIN)

    async def _bring_accounts_up_to_date(self) -> None:
        """All of them where the broker was away, as it may have lost some; and whatever has changed."""
        assert self._system is not None
        if self._corrected_at != self._system.stats["reconnects"]:
            await self._correct_accounts()
            await self._look_after_streams()
        await self._publish_changes()

    async def _publish_changes(self) -> None:
        assert self._accounts is not None
        assert self._registry is not None
        async with self._publishing:
            while changes := await self._registry.changes():
                accounts = [change.account for change in changes if change.account is not None]
                await self._accounts.publish(accounts)
                await self._prepare(accounts)
                ended = [change.public for change in changes if change.account is None]
                await self._accounts.remove(ended)
                if ended and self._presence is not None:
                    # Whose connections went with an account cannot be told by its name any more.
                    self._presence.doubt()
                await self._registry.settled([change.number for change in changes])

    async def _look_after_streams(self) -> None:
        """The streams of accounts that the broker knew: there as a rule, perhaps as an older release made them."""
        with contextlib.suppress(*_TROUBLE):  # they are looked after again when the broker is met again
            await self._prepare(self._prepared_before)

    async def _prepare(self, accounts: Sequence[Account]) -> None:
        """Make the streams of those that are of applications, a few at a time."""
        apps = [account for account in accounts if isinstance(account, AppAccount) and not account.disabled]
        for first in range(0, len(apps), _PREPARED_AT_ONCE):
            await asyncio.gather(*map(self._prepare_streams, apps[first : first + _PREPARED_AT_ONCE]))

    async def _prepare_streams(self, account: AppAccount) -> None:
        """As a client of the account. That the broker has no room for them must not hold up anybody else."""
        pair = self._authority.apps(account.org, account.role, account.scopes)
        client = await links.connect(self._urls(), pair, "preparation", patience=3)
        try:
            await streams.prepare_applications(client, account.org)
        except (links.Rejected, nats.errors.NoRespondersError) as problem:
            logger.error("applications of %s are without live data until the next start: %r", account.org, problem)
        finally:
            await links.close(client)
