"""Keeps the broker's accounts as the service wants them: compares all after each connection, then publishes changes."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from nats.aio.client import Client

from fleetroll.bus import links
from fleetroll.bus.accounts import Accounts
from fleetroll.bus.app_streams import AppStreams
from fleetroll.bus.permissions import Authority
from fleetroll.bus.platform_streams import PlatformStreams
from fleetroll.bus.port import Account, AppAccount, Change, DeviceAccount, Registry
from fleetroll.bus.settings import Files
from fleetroll.bus.trouble import Trouble
from fleetroll.core import limits

_ROUND_SECONDS = 0.25
_RETRY_SECONDS = 1.0
_END_SECONDS, _END_PAUSE = 2.0, 10.0  # for which others wait until remains are ended, and until that is tried again


class AccountSync:
    """Works over a connection as the system account.

    `on_removed` is called after accounts were removed; `end_remains` ends what removed accounts have left in others.
    `platform` makes the streams that devices publish to, before these are let in; `app_streams` those of applications.
    `files` are those of a broker that we run, else None.
    """

    def __init__(
        self,
        system: Client,
        authority: Authority,
        seconds: Callable[[], int],
        registry: Registry,
        on_removed: Callable[[], None],
        end_remains: Callable[[Collection[str]], Awaitable[None]],
        platform: PlatformStreams,
        app_streams: AppStreams,
        files: Files | None,
    ) -> None:
        self._system = system
        self._authority = authority
        self._registry = registry
        self._on_removed = on_removed
        self._end_remains = end_remains
        self._platform = platform
        self._app_streams = app_streams
        self._files = files
        self._accounts = Accounts(system, authority, seconds)
        self._removed: set[str] = set()  # accounts that are not there, and may have left something
        self._end_at = 0.0
        self._reconciled_at = 0  # how often the connection had been lost by then
        self._trouble = Trouble("accounts are waiting")
        self._remains_trouble = Trouble("listeners for commands outlive their credentials until a retry succeeds")
        self._publishing = asyncio.Lock()
        self._asked: list[asyncio.Future[None]] = []  # who waits until what has changed by now is published
        self._served: list[asyncio.Future[None]] = []  # those for whom it is being published
        self._soon = asyncio.Event()

    async def reconcile(self) -> None:
        """Make the broker know all accounts that there should be, and no others."""
        async with self._publishing:
            reconnects = self._system.stats["reconnects"]
            wanted = {self._authority.public(account): account for account in await self._registry.accounts()}
            known = await self._accounts.names()
            apps = [account for account in wanted.values() if isinstance(account, AppAccount)]
            missing = [account for name, account in wanted.items() if name not in known]
            # Whoever has lost access goes first: streams that cannot be made must not delay that.
            too_large = await self._accounts.publish(apps)
            self._removed -= wanted.keys()
            await self._remove(known - wanted.keys())
            await self._platform.meet(_orgs_of_devices(wanted.values()))
            await self._accounts.publish([account for account in missing if not isinstance(account, AppAccount)])
            self._app_streams.meet(
                account for name, account in wanted.items() if name in known and account not in too_large
            )
            await self._app_streams.make(account for account in missing if account not in too_large)
            self._reconciled_at = reconnects

    async def run(self) -> None:
        """Publish what changes, a few times a second or when asked to, until cancelled."""
        try:
            while not links.is_cancelled():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_ROUND_SECONDS):
                        await self._soon.wait()
                self._soon.clear()
                if links.is_connected(self._system):
                    await self._try_to_bring_up_to_date()
        finally:
            self.give_up()

    async def _try_to_bring_up_to_date(self) -> None:
        try:
            await self._bring_up_to_date()
            self._trouble.end()
        except Exception as problem:  # noqa: BLE001  # of the store or of the broker; neither may end this
            self._trouble.report(problem)
            self.give_up()
            await asyncio.sleep(_RETRY_SECONDS)

    async def settle(self) -> None:
        """Have what has changed by now published at once. Returns when it is, or when that has failed.

        Whoever waits no longer stops nothing: others wait for the same.
        """
        if links.is_connected(self._system):
            asked = asyncio.get_running_loop().create_future()
            self._asked.append(asked)
            self._soon.set()
            await asked

    def give_up(self) -> None:
        """The broker is away, and nobody is to wait for it."""
        _let_go(self._asked)
        _let_go(self._served)

    async def _bring_up_to_date(self) -> None:
        """Publish what has changed; first compare all accounts if the broker was away, as it may have lost some."""
        if self._reconciled_at != self._system.stats["reconnects"]:
            await self.reconcile()
        await self._publish_changes()
        if self._removed and time.monotonic() >= self._end_at:
            await self._try_to_end_remains()

    async def _publish_changes(self) -> None:
        async with self._publishing:
            try:
                while await self._publish_some():
                    pass
            finally:
                _let_go(self._served)

    async def _publish_some(self) -> bool:
        """Whether there was something to publish."""
        self._served += self._asked
        self._asked.clear()
        changes = await self._registry.changes()
        if changes:
            await self._publish(changes)
        if len(changes) < limits.BUS_CHANGES:  # that was all of it
            _let_go(self._served)
        return bool(changes)

    async def _publish(self, changes: Sequence[Change]) -> None:
        # Each account once: the broker fails if it is asked to make the same streams twice at the same time.
        latest = {change.public: change.account for change in changes}
        self._app_streams.forget(latest)
        # Whoever has lost access goes first: lack of room for others must not delay that.
        ended = [public for public, account in latest.items() if account is None]
        self._removed -= latest.keys() - set(ended)  # as of an organization that is enabled again
        await self._remove(ended)
        if ended:
            # Connections end with their account, but by its name nobody can tell any more whose they were.
            self._on_removed()
            await self._release([change for change in changes if latest[change.public] is None])
        accounts = [account for account in latest.values() if account is not None]
        await self._platform.require(_orgs_of_devices(accounts))
        too_large = await self._accounts.publish(accounts)
        await self._app_streams.make(account for account in accounts if account not in too_large)
        await self._registry.settled([change.number for change in changes])

    async def _release(self, ended: Sequence[Change]) -> None:
        """Give up the streams of organizations that have no device left that could publish."""
        orgs = {change.org for change in ended}
        self._platform.release(orgs - await self._registry.publishing(orgs))

    async def _remove(self, names: Collection[str]) -> None:
        """Remove accounts, and what they have left elsewhere.

        What a broker of ours has stored for them is removed as files. The broker itself could be asked to do so, but
        would spend two seconds looking for an account that it no longer knows, and do nothing else meanwhile.
        """
        await self._accounts.remove(names)
        self._removed.update(names)
        if names:
            await self._try_to_end_remains()
        if self._files is not None:
            await asyncio.to_thread(self._files.forget_streams, names)

    async def _try_to_end_remains(self) -> None:
        """End what removed accounts have left.

        A cluster does not answer while the server is gone that keeps it; nobody else waits for that.
        """
        try:
            await asyncio.wait_for(self._end_remains(self._removed), _END_SECONDS)
        except links.FAILURE as problem:
            self._remains_trouble.report(problem)
            self._end_at = time.monotonic() + _END_PAUSE
        else:
            self._removed.clear()
            self._remains_trouble.end()


def _orgs_of_devices(accounts: Iterable[Account]) -> set[str]:
    return {account.org for account in accounts if isinstance(account, DeviceAccount)}


def _let_go(asked: list[asyncio.Future[None]]) -> None:
    """Let them wait no longer."""
    for one in asked:
        if not one.done():  # by a deadline of its own
            one.set_result(None)
    asked.clear()
