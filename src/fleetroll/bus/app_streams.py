"""The streams that the vendor's SDK expects in each account of applications: made once the account is published.

Others, whose accounts are to be published or removed, do not wait for long: a full broker refuses streams, and a
cluster says nothing of those that are on a server which is gone. What could not be made is asked for again and again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence

from nats.aio.client import Client

from fleetroll.bus import links, streams
from fleetroll.bus.permissions import Authority, stream_subjects
from fleetroll.bus.port import Account, AppAccount
from fleetroll.bus.streams import NANO
from fleetroll.bus.trouble import Trouble
from fleetroll.core import limits

logger = logging.getLogger("fleetroll.broker")

_AT_ONCE = 16
_PATIENCE_SECONDS = 2.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0


class AppStreams:
    """Makes them, as a client of each account, by tasks of `group`.

    `replicas` says how many servers of a cluster keep each stream, None without a cluster.
    """

    def __init__(
        self, group: asyncio.TaskGroup, authority: Authority, urls: Callable[[], list[str]], replicas: int | None
    ) -> None:
        self._group = group
        self._authority = authority
        self._urls = urls
        self._replicas = replicas
        self._waiting: dict[str, AppAccount] = {}  # by the account's name on the broker
        self._in_progress: set[str] = set()  # likewise: the broker fails if asked twice at the same time
        self._failed: set[str] = set()  # of which the log says so
        self._pause = _FIRST_PAUSE
        self._soon = asyncio.Event()
        self._trouble = Trouble("streams of applications are waiting")

    async def make(self, accounts: Iterable[Account]) -> None:
        """Make the streams of those accounts that are of applications, and wait for a moment until they are made."""
        names = self._add(accounts)
        if not names:
            return
        # What takes longer goes on: the broker would still be at work on it when it is asked again.
        making = self._group.create_task(self._make_all(names))
        await asyncio.wait({making}, timeout=_PATIENCE_SECONDS)
        if not self._waiting.keys().isdisjoint(names):
            self._pause = _FIRST_PAUSE
            self._soon.set()

    def meet(self, known: Iterable[Account]) -> None:
        """Have `run` look at the streams of the accounts that a broker knows: an older release may have made them."""
        self._waiting.clear()
        self._add(known)
        self._pause = _FIRST_PAUSE
        self._soon.set()

    def forget(self, names: Iterable[str]) -> None:
        """Accounts of these names need no streams any more."""
        for name in names:
            self._waiting.pop(name, None)
            self._failed.discard(name)

    async def run(self) -> None:
        """Make what waits, until cancelled."""
        while not links.is_cancelled():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._soon.wait()
            self._soon.clear()
            await self._make_all(list(self._waiting))
            self._pause = min(2 * self._pause, _LONGEST_PAUSE) if self._waiting else _FIRST_PAUSE

    def _add(self, accounts: Iterable[Account]) -> list[str]:
        apps = [account for account in accounts if isinstance(account, AppAccount) and not account.disabled]
        added = {self._authority.public(account): account for account in apps}
        self._waiting |= added
        return list(added)

    async def _make_all(self, names: Sequence[str]) -> None:
        for first in range(0, len(names), _AT_ONCE):
            await asyncio.gather(*map(self._make, names[first : first + _AT_ONCE]))

    async def _make(self, name: str) -> None:
        account = self._waiting.get(name)
        if account is None or name in self._in_progress:
            return
        self._in_progress.add(name)
        try:
            if await self._is_made(name, account) and self._waiting.get(name) is account:
                del self._waiting[name]
        finally:
            self._in_progress.discard(name)

    async def _is_made(self, name: str, account: AppAccount) -> bool:
        pair = self._authority.apps(account.org, account.role, account.scopes)
        try:
            client = await links.connect(self._urls(), pair, "preparation", patience=3)
        except links.TROUBLE as problem:
            self._trouble.report(problem)
            return False
        self._trouble.end()
        try:
            await make_streams(client, account.org, self._replicas)
        except links.FAILURE as problem:
            if name not in self._failed:
                logger.error("applications of %s have no live data until a retry succeeds: %r", account.org, problem)
            self._failed.add(name)
            return False
        finally:
            await links.close(client)
        if name in self._failed:
            self._failed.discard(name)
            logger.info("applications of %s have live data again", account.org)
        return True


async def make_streams(client: Client, org: str, replicas: int | None = None) -> None:
    """Make the streams of an account of applications, or give them their present configuration.

    They are bounded by numbers of messages: bytes that each is allowed the broker would reserve, used or not, and some
    hundred organizations would leave no room for anything.
    """
    live = streams.configured(
        f"{org}_stream",
        replicas,
        subjects=stream_subjects(org),
        max_age=limits.BUS_LIVE_AGE * NANO,
        max_msgs=limits.BUS_LIVE_MESSAGES,
        discard="old",
    )
    if replicas is None:
        # Live data need not survive a power cut: it is in the registry. A stream with several replicas cannot be
        # asynchronous, and an asynchronous one can get no replicas.
        live["persist_mode"] = "async"
    bucket = streams.configured(
        f"KV_{org}",
        replicas,
        subjects=[f"$KV.{org}.>"],
        max_msgs_per_subject=1,
        max_msgs=limits.BUS_BUCKET_KEYS,
        max_msg_size=limits.BUS_BUCKET_VALUE,
        discard="new",
        deny_delete=True,
        allow_rollup_hdrs=True,
        allow_direct=True,
    )
    await streams.make(client, live)
    await streams.make(client, bucket)
