"""The queue of writing on PostgreSQL: what waits is run in its order in one transaction, answered after its commit.

One session writes, so that the transactions of a process share round trips and the flush of a commit. What they share
with those of other processes is `postgres_transaction`'s.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import asyncpg

from fleetroll.store import port
from fleetroll.store.postgres_connections import DatabaseAway, Pool, Session, fault, unavailable
from fleetroll.store.postgres_transaction import LockBusy, Writing
from fleetroll.store.statements import SQL

T = TypeVar("T")

CHANNEL = "fleetroll"
_LONGEST_TURN = 0.01  # seconds
_MOST_ATTEMPTS = 10


class _Job:
    """A transaction that waits for its turn, and then for its commit."""

    __slots__ = ("attempts", "bulk", "error", "future", "locks", "news", "result", "work")

    def __init__(
        self,
        work: Callable[[port.Records], Awaitable[Any]],
        future: asyncio.Future[Any],
        *,
        bulk: bool,
        news: str | None,
    ) -> None:
        self.work = work
        self.bulk = bulk
        self.news = news
        self.future = future
        self.result: Any = None
        self.error: Exception | None = None
        self.locks: set[int] = set()
        self.attempts = 0


class _Undone(Exception):
    """The transaction is to be rolled back and its jobs run again, each in a savepoint if `carefully`."""

    def __init__(self, *, carefully: bool) -> None:
        self.carefully = carefully


class Writer:
    """Runs transactions one after the other and commits what has gathered."""

    def __init__(self, pool: Pool, on_commit: Callable[[], None]) -> None:
        self._pool = pool
        self._on_commit = on_commit
        self._queue: deque[_Job] = deque()
        self._running: asyncio.Task[None] | None = None
        self._careful = 0

    async def write(
        self, work: Callable[[port.Records], Awaitable[T]], *, bulk: bool = False, news: str | None = None
    ) -> T:
        job = _Job(work, asyncio.get_running_loop().create_future(), bulk=bulk, news=news)
        self._queue.append(job)
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())
        return cast("T", await job.future)

    @property
    def has_waiting(self) -> bool:
        return bool(self._queue)

    async def drain(self) -> None:
        """Wait for what is queued."""
        while self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        try:
            while self._queue:
                await self._turn()
        finally:
            self._running = None

    async def _turn(self) -> None:
        """One transaction, of what is queued and what comes while it runs."""
        jobs: list[_Job] = []
        try:
            session = await self._pool.take()
        except Exception as problem:  # noqa: BLE001  # whatever it is, all that wait for it are told
            self._refuse([*self._queue], fault(problem))
            self._queue.clear()
            return
        try:
            await self._transact(session, jobs)
        except _Undone as undone:
            await self._undo(session)
            for job in jobs:
                job.error = None  # the reason of a refusal was rolled back, too
            self._queue.extendleft(reversed(jobs))
            self._careful = len(jobs) if undone.carefully else self._careful
        except Exception as problem:  # noqa: BLE001  # the same
            await self._undo(session)
            self._refuse(jobs, fault(problem))
            if isinstance(problem.__cause__, TimeoutError):  # they have waited as long, and would for as long again
                self._refuse([*self._queue], fault(problem))
                self._queue.clear()
        else:
            self._settle(jobs)
        finally:
            self._pool.give(session)

    async def _transact(self, session: Session, jobs: list[_Job]) -> None:
        writing = Writing(session)
        await session.command("BEGIN")
        deadline = time.monotonic() + _LONGEST_TURN
        while self._queue and self._has_room(jobs, deadline):
            job = self._queue.popleft()
            if job.future.cancelled():
                continue
            jobs.append(job)
            if self._careful:
                self._careful -= 1
                await self._run_carefully(session, writing, job)
            else:
                await self._run_one(writing, jobs)
        await self._commit(session, writing, jobs)

    def _has_room(self, jobs: list[_Job], deadline: float) -> bool:
        if not jobs:
            return True
        following = self._queue[0]
        return not (jobs[-1].bulk or following.bulk or following.locks) and time.monotonic() < deadline

    async def _run_one(self, writing: Writing, jobs: list[_Job]) -> None:
        """Run the last of the jobs. Raises _Undone where what it has left behind affects the others."""
        job = jobs[-1]
        writing.has_written, wrote_before = False, writing.has_written
        try:
            if job.locks:
                await writing.lock_in_order(job.locks)
            job.result = await self._work(writing, job)
        except LockBusy as busy:
            self._bounce(writing, jobs, busy.lock)
        except Exception as problem:
            if isinstance(problem, DatabaseAway):
                raise
            _run_again(problem, [job], carefully=False)
            is_broken = isinstance(problem, asyncpg.PostgresError)
            if not is_broken or len(jobs) == 1:  # else it may be the fault of what another job had kept for later
                job.error = problem
            if is_broken or writing.has_written:
                if len(jobs) == 1:
                    raise
                raise _Undone(carefully=True) from None
        writing.has_written = writing.has_written or wrote_before

    def _bounce(self, writing: Writing, jobs: list[_Job], lock: int) -> None:
        """The job begins the next transaction, where it waits for its locks in order before it reads anything."""
        job = jobs[-1]
        job.locks = {*writing.locked, lock} if len(jobs) == 1 else {*job.locks, lock}
        if writing.has_written or len(jobs) == 1:
            raise _Undone(carefully=False)
        self._queue.appendleft(jobs.pop())

    async def _work(self, writing: Writing, job: _Job) -> Any:
        result = await job.work(writing.records)
        if job.news is not None:
            await writing.many(SQL["postgres_tell"], [{"channel": CHANNEL, "topic": job.news}])
        return result

    async def _run_carefully(self, session: Session, writing: Writing, job: _Job) -> None:
        """Run a job so that its failure is its own, at the cost of two more round trips."""
        await writing.lock_in_order(job.locks - writing.locked)
        held = set(writing.locked)
        await session.command("SAVEPOINT work")
        try:
            job.result = await self._work(writing, job)
            await writing.flush()
        except LockBusy as busy:
            job.locks = {*job.locks, *writing.locked, busy.lock}
            raise _Undone(carefully=True) from None
        except Exception as problem:
            if isinstance(problem, DatabaseAway):
                raise
            _run_again(problem, [job], carefully=True)
            job.error = problem
            writing.discard(held)
            await session.command("ROLLBACK TO work")
        await session.command("RELEASE work")

    async def _commit(self, session: Session, writing: Writing, jobs: list[_Job]) -> None:
        try:
            await writing.flush()
        except asyncpg.PostgresError as problem:
            _run_again(problem, jobs, carefully=False)
            if len(jobs) == 1:
                raise
            raise _Undone(carefully=True) from None
        # From here on nothing is tried again: a commit whose answer is lost may have happened.
        if await session.command("COMMIT") != "COMMIT":
            raise unavailable()

    async def _undo(self, session: Session) -> None:
        with contextlib.suppress(Exception):  # the jobs are told what went wrong first
            await session.copied()
        if session.is_lost:
            return
        try:
            await session.command("ROLLBACK")
        except Exception:  # noqa: BLE001  # a session that cannot even do this is of no use
            session.connection.terminate()

    def _settle(self, jobs: list[_Job]) -> None:
        self._on_commit()
        for job in jobs:
            if job.future.cancelled():
                continue
            if job.error is None:
                job.future.set_result(job.result)
            else:
                job.future.set_exception(fault(job.error))

    def _refuse(self, jobs: list[_Job], problem: Exception) -> None:
        """Fail all of them with `problem`: the reason of a job's own error may have been rolled back."""
        for job in jobs:
            if not job.future.cancelled():
                job.future.set_exception(problem)


def _run_again(problem: Exception, jobs: list[_Job], *, carefully: bool) -> None:
    """Raises _Undone where the same transaction may well succeed if it is run again, and was not too often."""
    is_transient = isinstance(problem, asyncpg.SerializationError | asyncpg.DeadlockDetectedError)
    if is_transient and all(job.attempts < _MOST_ATTEMPTS for job in jobs):
        for job in jobs:
            job.attempts += 1
        raise _Undone(carefully=carefully) from None
