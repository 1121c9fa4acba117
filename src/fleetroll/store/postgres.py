"""The PostgreSQL engine: one database, any number of processes over it, and no state that only one of them has.

Look-ups, pages and long walks each have sessions of their own, so that none of them waits for the others. Writing is
`postgres_writer`'s, what processes tell each other `postgres_news`'s.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from fleetroll.core import limits
from fleetroll.store import copying, migrations, port, postgres_schema
from fleetroll.store.postgres_connections import Pool, Purpose, Reading, translated
from fleetroll.store.postgres_news import News
from fleetroll.store.postgres_syntax import SYNTAX
from fleetroll.store.postgres_writer import Writer
from fleetroll.store.records import Records
from fleetroll.store.refusals import Refused
from fleetroll.store.server_key import Admit, admit_any
from fleetroll.store.statements import SQL
from fleetroll.store.turns import Tenants

T = TypeVar("T")
logger = logging.getLogger("fleetroll.store")

_MILLISECONDS = 1000
_ANALYZED_AFTER = frozenset({2, 10, 50, 200, 1000})  # bulk transactions
# Planned each time, for a filter's own values: a plan that fits one value may read everything for another.
_PLANNED = {"plan_cache_mode": "force_custom_plan", "jit": "off"}
_READ = Purpose("look-ups", 8, {"jit": "off"}, 10.0)
# A list that waits behind an operator's command is given up before it would be refused as too costly.
_LISTED = {"statement_timeout": str(int(limits.SCAN_TIME * _MILLISECONDS)), "lock_timeout": "1000"}
_LISTED_SECONDS = 2 * limits.SCAN_TIME  # the server ends it sooner, and if that is not heard, nothing is
_SCAN = Purpose("pages", 4, {**_PLANNED, **_LISTED}, _LISTED_SECONDS, by_turns=True)
_BULK = Purpose("walks", 3, {**_PLANNED, **_LISTED}, _LISTED_SECONDS, by_turns=True)
_BACKUP = Purpose("backups", 1, _PLANNED, 300.0)
_WRITE = Purpose(
    "writer",
    1,
    {
        "default_transaction_isolation": "read committed",
        "jit": "off",
        # A process that is cut off in the middle of a transaction holds locks that all others wait for.
        "idle_in_transaction_session_timeout": "5s",
    },
    30.0,
)


async def open_store(url: str, *, migrate: bool, unsafe: bool = False, admit: Admit = admit_any) -> "PostgresStore":
    """Open the registry in a database, or create one there if it is empty. Raises Refused.

    An older schema is brought up to date only if `migrate`; `admit` refuses a database of another server key before
    that. `unsafe` accepts a server that may lose what it acknowledged.
    """
    async with postgres_schema.administered(url) as session:
        await postgres_schema.require_sessions(session, url)
        found, newest = await postgres_schema.examine(session, unsafe=unsafe)
        if 0 < found < newest and not migrate:
            raise Refused(
                f"The database has schema {found}; this release needs {newest}. Save it with pg_dump, then run "
                "`fleetroll migrate`, or start with --migrate."
            )
        await postgres_schema.require_writable(session)
        admit(await postgres_schema.origin(session))
        if found < newest:
            await postgres_schema.migrate(session)
        elif migrate:
            await postgres_schema.make_search_index(session)  # the server may have learnt how since
        await postgres_schema.require_rights(session)
        if not await postgres_schema.has_search_index(session):
            logger.warning("the database has no pg_trgm: searching for part of a name reads all devices")
    store = PostgresStore(url)
    try:
        await store.start()
    except Exception as problem:  # noqa: BLE001  # it answered a moment ago
        raise postgres_schema.refusal("used", translated(problem)) from None
    return store


async def upgrade_of(url: str) -> migrations.Upgrade:
    """The number of a database's schema, and the steps that this release would take. Raises Refused."""
    async with postgres_schema.administered(url) as session:
        found, _ = await postgres_schema.examine(session, unsafe=True)
        return migrations.Upgrade(found, migrations.load("postgres")[found:])


async def is_begun(url: str) -> bool:
    """Whether a database holds a registry, of whichever schema. Raises Refused."""
    return (await upgrade_of(url)).schema > 0


async def describe(url: str) -> migrations.Description:
    """A database's schema, the newest, and its server key's mark. Raises Refused for what no server would start on."""
    async with postgres_schema.administered(url) as session:
        await postgres_schema.require_sessions(session, url)
        found, newest = await postgres_schema.examine(session, unsafe=False)
        await postgres_schema.require_writable(session)
        mark = (await postgres_schema.origin(session)).mark
        await postgres_schema.require_rights(session)
        return migrations.Description(found, newest, mark)


class PostgresStore:
    """Implements `port.Store`."""

    def __init__(self, url: str) -> None:
        self._url = url
        read = Pool(url, _READ)
        self.read: port.Records = Records(Reading(read), SYNTAX)
        tenant_of = Tenants(self.read.organizations).of
        scan, bulk = Pool(url, _SCAN, tenant_of), Pool(url, _BULK, tenant_of)
        write, self._backups = Pool(url, _WRITE), Pool(url, _BACKUP)
        self._pools = [read, scan, bulk, write, self._backups]
        self.scan: port.Records = Records(Reading(scan), SYNTAX)
        self.bulk: port.Records = Records(Reading(bulk), SYNTAX)
        self._news = News(url, self._cut_off, self._reconnect)
        self._bulks = 0
        self._analyzing: asyncio.Future[None] | None = None
        self.failure = asyncio.Event()  # a database that is away comes back
        self._writer = Writer(write, self._news.committed)

    @property
    def receives_news(self) -> bool:
        return self._news.receives_news

    async def start(self) -> None:
        await self._news.start()

    @property
    def has_waiting(self) -> bool:
        return self._writer.has_waiting

    async def write(
        self,
        work: Callable[[port.Records], Awaitable[T]],
        *,
        bulk: bool = False,
        news: str | None = None,
        relieves: bool = False,
    ) -> T:
        result = await self._writer.write(work, bulk=bulk, news=news)
        if bulk:
            self._bulks += 1
            if self._bulks in _ANALYZED_AFTER:
                self._analyzing = asyncio.ensure_future(self.analyze())
        return result

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._news.on_commit(listener)

    def on_news(self, listener: Callable[[str | None], None]) -> None:
        self._news.on_news(listener)

    def _cut_off(self) -> None:
        for pool in self._pools:
            pool.cut_off()

    def _reconnect(self) -> None:
        for pool in self._pools:
            pool.reconnect()

    async def analyze(self) -> None:
        """The server does so by itself, but not in the first minute of a large import, when it matters most."""
        with contextlib.suppress(Exception):  # without it plans are worse, and no more than that
            async with postgres_schema.administered(self._url) as session:
                for row in await session.fetch(SQL["postgres_changed"], {}):
                    await session.command(f"ANALYZE {row[0]}")

    async def backup(self, target: Path) -> None:
        await self._backups.lend(lambda session: copying.save(session, target))

    async def close(self) -> None:
        await self._writer.drain()
        if self._analyzing is not None:
            self._analyzing.cancel()
            await asyncio.wait([self._analyzing])
        await self._news.close()
        for pool in self._pools:
            await pool.close()
