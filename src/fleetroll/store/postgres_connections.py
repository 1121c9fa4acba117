"""Ways to run a statement on PostgreSQL: sessions with their prepared statements, and pools that lend them.

asyncpg's own pool resets a connection after each use and its `fetch` looks a statement up each time; both would cost
as much as a look-up. A session here runs nothing that would need a reset.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
import msgspec
from asyncpg.prepared_stmt import PreparedStatement
from msgspec import Struct

from fleetroll.core.faults import Fault, Kind, invalid
from fleetroll.store.connection import ReadsOnly, Row, Values, stopwatch
from fleetroll.store.postgres_syntax import numbered
from fleetroll.store.refusals import storage_full, too_costly
from fleetroll.store.statements import SQL
from fleetroll.store.turns import TenantOf, Turns, own_tenant

T = TypeVar("T")
logger = logging.getLogger("fleetroll.store")

_CONNECT_SECONDS = 3.0
_TURN_SECONDS = 10.0  # to wait for a session where all are busy with long statements, as behind a lock
_MOST_PREPARED = 500
# A statement with a long list is planned anew each time. After some uses the server would reuse a plan for any list,
# which compares each row with one member after the other.
_MOST_NAMES, _LIST = 50, " = ANY ("
_SETTLING_SECONDS, _SETTLING_PAUSE = 1.0, 0.005
# In the planner's cost units. An idle server does four to ten of them in a millisecond where it looks into documents,
# and hundreds where it does not: this is some thirty thousand devices, read one by one.
_MODEST_COST = 3_000.0
_SETTINGS = {
    "search_path": "public",
    # A firewall forgets a connection that is idle for minutes, and tells nobody.
    "tcp_keepalives_idle": "60",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
    "standard_conforming_strings": "on",
    "row_security": "off",  # a statement that would be shown some of the rows only is refused instead
}
SERVING = "news"  # the purpose of the session that a process has for as long as it serves
LOCK_SPACE = 0x466C7472  # of the advisory locks that stand for organizations


class DatabaseAway(Exception):
    """The database could not be asked, or the outcome of a statement is not known."""


class Purpose(Struct, frozen=True):
    """What sessions are for: how many there are at most, their settings, and how long a statement may take.

    With `by_turns`, statements may take long, so tenants take turns.
    """

    name: str
    most: int
    settings: Mapping[str, str]
    seconds: float | None
    by_turns: bool = False

    @property
    def is_bounded(self) -> bool:
        """Whether the server ends what takes too long, so that it is the caller who should ask for less."""
        return "statement_timeout" in self.settings


class Session:
    """One connection and the statements that are prepared on it."""

    def __init__(self, connection: asyncpg.Connection, seconds: float | None) -> None:
        self.connection = connection
        self.seconds = seconds
        self._prepared: dict[str, tuple[PreparedStatement, tuple[str, ...]]] = {}
        self._copying: asyncio.Future[Any] | None = None
        self.is_outlived = False

    @property
    def is_lost(self) -> bool:
        return self.is_outlived or bool(self.connection.is_closed())

    async def fetch(self, statement: str, values: Values) -> list[Row]:
        await self.copied()
        try:
            prepared, names = self._prepared.get(statement) or await self._prepare(statement)
            rows: list[Any] = await prepared.fetch(*[values[name] for name in names], timeout=self.seconds)
        except Exception as problem:
            raise self._given_up(problem) from problem
        return rows

    async def many(self, statement: str, values: Sequence[Values]) -> None:
        """Run a statement for each of the values, all of them in one round trip."""
        await self.copied()
        try:
            prepared, names = self._prepared.get(statement) or await self._prepare(statement)
            await prepared.executemany([[each[name] for name in names] for each in values], timeout=self.seconds)
        except Exception as problem:
            raise self._given_up(problem) from problem

    async def command(self, text: str) -> str:
        """Run a statement without values; returns the server's command tag, such as COMMIT."""
        await self.copied()
        try:
            return str(await self.connection.execute(text, timeout=self.seconds))
        except Exception as problem:
            raise self._given_up(problem) from problem

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert many whole rows at once.

        Returns when they are sent; the next statement waits for their end, and raises what went wrong with them.
        Meanwhile the caller can prepare what comes next.
        """
        await self.copied()
        sent = asyncio.Event()

        def sending() -> Iterator[Sequence[Any]]:
            yield from rows
            sent.set()

        copying = self.connection.copy_records_to_table(table, records=sending(), columns=columns, timeout=self.seconds)
        self._copying = asyncio.ensure_future(copying)
        self._copying.add_done_callback(lambda _: sent.set())
        await sent.wait()

    async def copied(self) -> None:
        """Wait for the end of what was sent to be copied. Raises whatever went wrong with it."""
        copying, self._copying = self._copying, None
        if copying is None:
            return
        try:
            await copying
        except Exception as problem:
            raise self._given_up(problem) from problem

    def _given_up(self, problem: Exception) -> Exception:
        # Its next user would wait for the answer to this, be refused where another server may be the primary, or have
        # a statement that was prepared for a table of before.
        if isinstance(
            problem, TimeoutError | asyncpg.ReadOnlySQLTransactionError | asyncpg.InvalidCachedStatementError
        ):
            self.connection.terminate()
        return translated(problem)

    async def _prepare(self, statement: str) -> tuple[PreparedStatement, tuple[str, ...]]:
        text, names = numbered(statement)
        found = (await self.connection.prepare(text, timeout=self.seconds), names)
        if len(names) > _MOST_NAMES or _LIST in text:
            return found
        if len(self._prepared) >= _MOST_PREPARED:
            self._prepared.clear()  # the server forgets each with its last reference
        self._prepared[statement] = found
        return found


def application(purpose: str) -> str:
    """The application name of a session."""
    return f"fleetroll {purpose}"


async def connect(url: str, purpose: Purpose) -> Session:
    """Raises DatabaseAway, or whatever else is wrong."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await _connected(url, purpose)
    except TimeoutError as problem:
        where = urlsplit(url).netloc.rpartition("@")[2] or "the server"
        message = f"no connection to {where} within {_CONNECT_SECONDS:g} seconds; see that it runs and can be reached"
        raise DatabaseAway(message) from problem


async def _connected(url: str, purpose: Purpose) -> Session:
    name = {"application_name": application(purpose.name)}
    try:
        connection = await asyncpg.connect(url, server_settings=name)
    except Exception as problem:
        raise translated(problem) from problem
    session = Session(connection, None)
    try:
        # Not while connecting: a pooler does not pass on settings that it does not know how to reset.
        settings = {**_SETTINGS, **purpose.settings}
        values = {"names": list(settings), "settings": list(settings.values())}
        await session.fetch(SQL["postgres_set"], values)
    except BaseException:
        connection.terminate()
        raise
    session.seconds = purpose.seconds
    return session


class Pool:
    """Lends sessions of one purpose, the one used last first, and opens them as they are needed."""

    def __init__(self, url: str, purpose: Purpose, tenant_of: TenantOf = own_tenant) -> None:
        self._url = url
        self._purpose = purpose
        self._tenant_of = tenant_of
        self._sessions: set[Session] = set()
        self._is_cut_off = False
        self._free: list[Session] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turns = Turns(purpose.most)
        self._closed = False

    async def lend(self, work: Callable[[Session], Awaitable[None]]) -> None:
        """Run what needs a session for longer than a statement. Raises Fault where the database is away."""
        session = await self._taken(None)
        try:
            await work(session)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
            raise fault(translated(problem)) from None
        except DatabaseAway as problem:
            raise fault(problem) from None
        finally:
            self.give(session)

    async def fetch(self, statement: str, values: Values) -> list[Row]:
        if not self._purpose.by_turns:
            return await self._fetched(statement, values)
        async with self._turn_of(values, _TURN_SECONDS):
            return await self._fetched(statement, values)

    async def timed(self, statement: str, values: Values) -> tuple[list[Row], float]:
        # A walk that has begun would end there, however many there are beside it. Each turn ends, so its own comes.
        async with self._turn_of(values, None):
            return await stopwatch(self._fetched(statement, values, is_judged=False))

    @contextlib.asynccontextmanager
    async def _turn_of(self, values: Values, seconds: float | None) -> AsyncIterator[None]:
        tenant = await self._tenant_of(values.get("org"))
        await self._bounded(self._turns.take(tenant), seconds)
        try:
            yield
        finally:
            self._turns.give(tenant)

    async def _fetched(self, statement: str, values: Values, *, is_judged: bool = True) -> list[Row]:
        """Run a statement. With `is_judged`, one that took too long may turn out to be the database's fault."""
        session = self._free.pop() if self._free and not self._free[-1].is_lost else await self._taken(_TURN_SECONDS)
        try:
            return await session.fetch(statement, values)
        except asyncpg.CharacterNotInRepertoireError:
            return []  # what holds U+0000 is never stored, so nothing is found by it
        except asyncpg.QueryCanceledError as problem:
            if self._purpose.is_bounded and not (is_judged and await _is_modest(session, statement, values)):
                raise too_costly() from None
            raise fault(problem) from None
        except asyncpg.ConfigurationLimitExceededError as problem:  # temp_file_limit, which it would reach each time
            logger.warning("a statement reached a limit that the database's operator has set: %s", problem)
            raise (too_costly() if self._purpose.is_bounded else unavailable()) from None
        except Exception as problem:  # noqa: BLE001  # told apart by `fault`
            raise fault(problem) from None
        finally:
            self.give(session)

    async def _taken(self, seconds: float | None) -> Session:
        return await self._bounded(self.take(), seconds)

    async def _bounded(self, waiting: Awaitable[T], seconds: float | None) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await waiting
        except TimeoutError:
            raise fault(DatabaseAway(f"all sessions for {self._purpose.name} are busy for {seconds} seconds")) from None
        except Exception as problem:  # noqa: BLE001  # told apart by `fault`
            raise fault(translated(problem)) from None

    async def take(self) -> Session:
        """A session that is not lost, for the caller alone until it is given back."""
        while True:
            while self._free:
                session = self._free.pop()
                if not session.is_lost:
                    return session
                self._drop(session)
            if self._is_cut_off:
                raise DatabaseAway("it has not answered for seconds")
            if self._open < self._purpose.most and (opened := await self._opened()):
                return opened
            if not self._free:
                await self._wait_for_one()

    async def _opened(self) -> Session | None:
        """A new session; None where the server has no room for it, and there are others to wait for."""
        self._open += 1
        try:
            session = await connect(self._url, self._purpose)
            _require_primary(session)
        except BaseException as problem:
            self._open -= 1
            if self._sessions and isinstance(problem.__cause__, asyncpg.TooManyConnectionsError):
                return None
            self._wake()
            raise
        self._sessions.add(session)
        return session

    def _drop(self, session: Session) -> None:
        self._open -= 1
        self._sessions.discard(session)
        session.connection.terminate()

    async def _wait_for_one(self) -> None:
        """Wait until a session may be free, or may be opened."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._wake()  # it was this one's turn, which is somebody else's now
            raise

    def give(self, session: Session) -> None:
        if session.is_lost or self._closed:
            self._drop(session)
        else:
            self._free.append(session)
        self._wake()

    def cut_off(self) -> None:
        """The server is silent: whatever waits for it fails now, and so does whatever comes until `reconnect`."""
        self._is_cut_off = True
        for session in self._sessions:
            session.connection.terminate()
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(DatabaseAway("it does not answer"))
        self._waiting.clear()

    def reconnect(self) -> None:
        """The server answers. It may be another one than the sessions', so each of those ends when nobody uses it."""
        self._is_cut_off = False
        for session in self._sessions:
            session.is_outlived = True
        free, self._free = self._free, []
        for session in free:
            self._drop(session)

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    async def close(self) -> None:
        self._closed = True
        free, self._free = self._free, []
        for session in free:
            await close(session)
            self._drop(session)


def _require_primary(session: Session) -> None:
    """Raises DatabaseAway at a standby, which would show a client less than it has written."""
    if getattr(session.connection.get_settings(), "in_hot_standby", "off") == "on":
        session.connection.terminate()
        raise DatabaseAway("it is a standby")


async def close(session: Session) -> None:
    try:
        await session.connection.close(timeout=_CONNECT_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        session.connection.terminate()


class Reading(ReadsOnly):
    """Implements `connection.Connection` for reading: each statement on a session of the pool, in its own snapshot."""

    def __init__(self, pool: Pool) -> None:
        self._fetch, self._timed = pool.fetch, pool.timed
        self._settled = 0

    async def one(self, statement: str, values: Values) -> Row | None:
        rows = await self._fetch(statement, values)
        return rows[0] if rows else None

    async def all(self, statement: str, values: Values) -> list[Row]:
        return await self._fetch(statement, values)

    async def timed(self, statement: str, values: Values) -> tuple[list[Row], float]:
        return await self._timed(statement, values)

    async def settled(self) -> int:
        # Numbers are given within a transaction that holds a lock of its organization. Once none is left of those that
        # held one when this number was the newest, every number up to it is committed or never will be.
        newest = int((await self._fetch(SQL["postgres_last_number"], {}))[0][0])
        waited_for = running = await self._writers()
        deadline = time.monotonic() + _SETTLING_SECONDS
        while not running.isdisjoint(waited_for):
            if time.monotonic() > deadline:
                return self._settled
            await asyncio.sleep(_SETTLING_PAUSE)
            running = await self._writers()
        self._settled = max(self._settled, newest)
        return newest

    async def _writers(self) -> set[str]:
        rows = await self._fetch(SQL["postgres_writing"], {"kind": "advisory", "space": LOCK_SPACE})
        return {row[0] for row in rows}


# --- what went wrong -------------------------------------------------------------------------------------------------

# The connection or the server, not the statement: another attempt may succeed.
_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InternalClientError,
    asyncpg.InvalidCachedStatementError,
)
# The statement was sound, and the server could not run it now, or not beside what others do.
_TROUBLED = (
    asyncpg.QueryCanceledError,  # by its operator or a limit
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.InsufficientPrivilegeError,  # which was there when the store was opened
)


async def _is_modest(session: Session, statement: str, values: Values) -> bool:
    """Whether a statement is too cheap to take so long, even if it runs to its end: then the database is slow.

    What the planner expects of a whole page says little, as it believes that enough devices match early on.
    """
    try:
        [(plans,)] = await session.fetch(f"EXPLAIN (FORMAT JSON) {statement}", values)
    except Exception:  # noqa: BLE001  # even this takes too long, or the connection has gone
        return True
    return _highest_cost(msgspec.json.decode(plans)[0]["Plan"]) <= _MODEST_COST


def _highest_cost(plan: Any) -> float:
    """The cost of a plan's costliest part, which may be one that is not expected to be run to its end."""
    return max(float(plan["Total Cost"]), *map(_highest_cost, plan.get("Plans", ())), 0.0)


def fault(problem: Exception) -> Exception:
    """What a caller is told: a Fault where the database is away, too slow or full, else the problem itself."""
    if isinstance(problem, asyncpg.CharacterNotInRepertoireError):
        return invalid("invalid_text", "Text must not contain U+0000.")
    if isinstance(problem, asyncpg.DiskFullError):
        return storage_full()
    if isinstance(problem, (DatabaseAway, *_TROUBLED)):
        logger.warning("the database is unavailable: %s", problem)
        return unavailable()
    return problem


def translated(problem: Exception) -> Exception:
    """DatabaseAway, where that is what a problem means, else the problem itself."""
    # asyncpg says of a connection that is gone what it says of a misuse; here it is never a misuse.
    is_away = isinstance(problem, _AWAY) or type(problem) is asyncpg.InterfaceError
    if is_away and not isinstance(problem, asyncpg.QueryCanceledError):
        return DatabaseAway(_words(problem))
    return problem


def _words(problem: Exception) -> str:
    """What a problem says of itself, which may be nothing."""
    if isinstance(problem, TimeoutError):
        return str(problem) or "it does not answer in time"
    return ": ".join(filter(None, (type(problem).__name__, str(problem))))


def unavailable() -> Fault:
    message = "The database cannot be reached now, or is too slow; it is not known whether anything was stored."
    return Fault(Kind.UNAVAILABLE, "database_unavailable", message, retry_after=2)
