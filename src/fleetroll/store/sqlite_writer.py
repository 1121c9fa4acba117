"""The one writer: transactions one after the other, committed together, answered after their commit is on disk."""

import asyncio
import functools
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import apsw

from fleetroll.core.faults import Fault, Kind
from fleetroll.store import port
from fleetroll.store.match_counts import MatchCounts
from fleetroll.store.records import Records
from fleetroll.store.refusals import storage_full
from fleetroll.store.sqlite_connections import Writing
from fleetroll.store.sqlite_log import WriteAheadLog
from fleetroll.store.sqlite_reserve import Reserve
from fleetroll.store.sqlite_syntax import SYNTAX

T = TypeVar("T")
logger = logging.getLogger("fleetroll.store")

# In seconds.
_SHORTEST_TURN, _LONGEST_TURN, _LONGEST_WAIT, _LONGEST_WORK = 0.004, 0.01, 0.002, 0.02
_QUIET_ROUNDS = 3
_STEPS_BETWEEN_LOOKS = 5_000


class _Job:
    """A transaction that waits for its turn, and then for its commit."""

    __slots__ = ("bulk", "error", "future", "relieves", "result", "work")

    def __init__(
        self,
        work: Callable[[port.Records], Awaitable[Any]],
        future: asyncio.Future[Any],
        *,
        bulk: bool,
        relieves: bool,
    ) -> None:
        self.work = work
        self.bulk = bulk
        self.relieves = relieves
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    """Runs transactions one after the other and commits what has gathered, in one fsync."""

    def __init__(
        self, connection: apsw.Connection, match_counts: MatchCounts, reserve: Reserve, on_failure: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._reserve = reserve
        self._writing = Writing(connection, match_counts)
        self._records = Records(self._writing, SYNTAX)
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "fleetroll-commit")
        self._queue: deque[_Job] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._failed = False
        self._on_failure = on_failure
        self._listeners: list[Callable[[], None]] = []
        self._log = WriteAheadLog(connection, self._refusal)
        self._commit_seconds = 0.0
        self._deadline = math.inf

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    async def write(self, work: Callable[[port.Records], Awaitable[T]], *, bulk: bool, relieves: bool) -> T:
        if self._reserve.is_spent and not (relieves or await self._has_room()):
            raise storage_full()
        if self._failed:
            raise _storage_failed()
        job = _Job(work, self._loop.create_future(), bulk=bulk, relieves=relieves)
        self._queue.append(job)
        if self._idle.is_set():
            self._idle.clear()
            self._next()
        return cast("T", await job.future)

    async def _has_room(self) -> bool:
        if has_room := await self._loop.run_in_executor(self._thread, self._reserve.restore):
            self._log.checkpoint_as_usual()
        return has_room

    @property
    def has_waiting(self) -> bool:
        return bool(self._queue)

    async def drain(self) -> None:
        """Wait for what is queued."""
        await self._idle.wait()

    async def close(self) -> None:
        """Checkpoint the whole log into the file, which no reader may be using any more."""
        self._thread.shutdown()
        await self._log.close()
        self._connection.close()
        self._reserve.close()

    def _next(self) -> None:
        if self._queue and self._queue[0].bulk:  # which has a turn to itself
            self._turn()
        else:
            self._assemble(0, 0, time.monotonic() + _LONGEST_WAIT)

    def _assemble(self, known: int, quiet: int, until: float) -> None:
        """Take a turn once the event loop has gone round a few times without bringing more transactions.

        A commit costs little more for thirty transactions than for one, and it shares one interpreter with the loop:
        clients that ask at the same time are answered sooner by one commit than by several.
        """
        waiting = len(self._queue)
        quiet = 0 if waiting > known else quiet + 1
        if not waiting:  # or none any more, because the store failed
            self._idle.set()
        elif quiet < _QUIET_ROUNDS and time.monotonic() < until:
            self._loop.call_soon(self._assemble, waiting, quiet, until)
        else:
            self._turn()

    def _turn(self) -> None:
        """Run what is queued and start its commit; `_settle` answers and takes the next turn."""
        if self._queue[0].bulk:
            jobs = [self._queue.popleft()]
            ending = self._loop.run_in_executor(self._thread, self._run_alone, jobs[0])
        else:
            # Not in the thread, which would have to wait for the interpreter at each look.
            self._connection.set_progress_handler(self._is_late, _STEPS_BETWEEN_LOOKS)
            jobs = self._gather()
            self._connection.set_progress_handler(None)
            ending = self._loop.run_in_executor(self._thread, self._commit)
        ending.add_done_callback(functools.partial(self._settle, jobs))

    def _gather(self, *, carefully: bool = False) -> list[_Job]:
        """Run what is queued, in one transaction.

        A savepoint for each job would cost a third as much as its writing: SQLite copies every page before it changes
        one. So there is none, unless one fails that has written: then all are undone and run again `carefully`.
        """
        # The loop does nothing else meanwhile. Where commits are slow, a turn about as long as one keeps both busy.
        deadline = time.monotonic() + min(max(self._commit_seconds, _SHORTEST_TURN), _LONGEST_TURN)
        jobs: list[_Job] = []
        while self._queue and not self._queue[0].bulk and (not jobs or time.monotonic() < deadline):
            jobs.append(self._queue.popleft())
            if not self._run(jobs[-1], carefully=carefully):
                self._roll_back()
                self._queue.extendleft(reversed(jobs))
                return self._gather(carefully=True)
            if not self._connection.in_transaction:
                self._fail_all(jobs)
        return jobs

    def _run(self, job: _Job, *, carefully: bool) -> bool:
        """Run a job. Returns False where all must be rolled back because of it.

        After a rollback, a job that was refused runs again too: the reason may have been rolled back. One that would
        hold up the event loop, such as deleting what has a long history, is interrupted and becomes `bulk`.
        """
        if job.future.cancelled():
            return True
        job.error = None
        before = self._written()
        self._deadline = time.monotonic() + _LONGEST_WORK
        try:
            self._begin()
            job.result = self._within_savepoint(job.work) if carefully else _finish(job.work(self._records))
        except apsw.InterruptError:
            job.bulk = True
            return False
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the caller's
            job.error = error
            return carefully or not self._connection.in_transaction or self._written() == before
        finally:
            self._deadline = math.inf
        return True

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _written(self) -> tuple[int, int]:
        return self._connection.total_changes(), self._writing.mark()

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def _within_savepoint(self, work: Callable[[port.Records], Awaitable[T]]) -> T:
        execute = self._connection.execute
        execute("SAVEPOINT work")
        mark = self._writing.mark()
        try:
            result = _finish(work(self._records))
        except BaseException:
            self._writing.discard_after(mark)
            # SQLite has rolled all of the transaction back where the disk failed it.
            if self._connection.in_transaction:
                execute("ROLLBACK TO work")
                execute("RELEASE work")
            raise
        execute("RELEASE work")
        return result

    def _fail_all(self, jobs: list[_Job]) -> None:
        # Where the disk fails a statement, SQLite may roll the whole transaction back, with all that ran in it before.
        # Refusals are lost with it: they may be due to what was rolled back.
        for job in jobs:
            job.error = jobs[-1].error or job.error
        self._writing.discard_all()

    def _run_alone(self, job: _Job) -> None:
        """Run a job and commit it."""
        if job.future.cancelled():
            return
        try:
            self._begin()
            job.result = _finish(job.work(self._records))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the caller's
            job.error = error
            self._roll_back()
        else:
            self._commit()

    def _commit(self) -> None:
        if not self._connection.in_transaction:
            self._writing.discard_all()
            return
        started = time.monotonic()
        try:
            self._writing.flush()
            self._connection.execute("COMMIT")
            self._commit_seconds = time.monotonic() - started
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        self._writing.discard_all()
        if self._connection.in_transaction:  # SQLite may have done so itself where the disk failed it
            self._connection.execute("ROLLBACK")

    def _settle(self, jobs: list[_Job], ending: asyncio.Future[None]) -> None:
        failure = ending.exception()
        refusal = self._refusal(failure) if failure else None
        self._notify()
        again = self._relieving(jobs, failure)
        for job in jobs:
            if job not in again:
                self._answer(job, refusal)
        self._queue.extendleft(reversed(again))
        if self._failed or not self._log.is_due():
            self._next()
        else:
            self._log.end().add_done_callback(self._note_checkpoint)

    def _relieving(self, jobs: list[_Job], failure: BaseException | None) -> list[_Job]:
        """The jobs that failed on a full disk and are to run again, as the reserve was spent for them."""
        found = [job for job in jobs if job.relieves and isinstance(failure or job.error, apsw.FullError)]
        if not found or not self._reserve.spend():
            return []
        for job in found:
            job.error = None
        self._log.checkpoint_early(self._reserve.size)
        return found

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()

    def _note_checkpoint(self, ending: asyncio.Future[int]) -> None:
        if problem := ending.exception():
            self._refusal(problem)
        self._notify()  # views taken since the commit still need the log; new ones do not, and it can begin again
        self._next()

    def _answer(self, job: _Job, refusal: Fault | None) -> None:
        if job.future.cancelled():
            return
        error = refusal or job.error  # in this order: the reason of the job's own error may have been rolled back
        if error is None:
            job.future.set_result(job.result)
        else:
            of_the_store = isinstance(error, apsw.Error) and not isinstance(error, _OF_THE_WORK)
            job.future.set_exception(self._refusal(error) if of_the_store else error)

    def _refusal(self, failure: BaseException) -> Fault:
        if isinstance(failure, apsw.FullError):
            return storage_full()
        # After a failed fsync the kernel may have dropped what it could not write: nothing can be promised any more.
        logger.critical("the store failed: %s", failure)
        self._failed = True
        for job in self._queue:
            if not job.future.cancelled():
                job.future.set_exception(_storage_failed())
        self._queue.clear()
        self._on_failure()
        return _storage_failed()


# What a statement did wrong says nothing about the disk: it fails its own transaction and nothing else.
_OF_THE_WORK = (apsw.ConstraintError, apsw.MismatchError, apsw.RangeError, apsw.SQLError, apsw.TooBigError)


def _storage_failed() -> Fault:
    return Fault(Kind.UNAVAILABLE, "storage_failed", "The server cannot store anything now.", retry_after=5)


def _finish(work: Awaitable[T]) -> T:
    """Run a coroutine that never suspends. Raises RuntimeError if it does: a transaction waits for nothing."""
    coroutine = cast("Coroutine[Any, Any, T]", work)
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    coroutine.close()
    raise RuntimeError("a transaction may await nothing but its records")
