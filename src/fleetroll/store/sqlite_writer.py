"""The one writer: transactions one after the other, committed together, answered after their commit is on disk."""

import asyncio
import contextlib
import functools
import logging
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw

from fleetroll.core.faults import Fault, Kind
from fleetroll.store import port
from fleetroll.store.records import Records
from fleetroll.store.sqlite_connections import Writing, storage_full
from fleetroll.store.sqlite_syntax import SYNTAX

T = TypeVar("T")
logger = logging.getLogger("fleetroll.store")

_LOG_PAGES = 24_000  # the log is folded into the file when it has so many
_LONGEST_TURN = 0.004  # seconds of work between two looks at the network


class _Job:
    """A transaction that waits for its turn, and then for its commit."""

    __slots__ = ("bulk", "error", "future", "result", "work")

    def __init__(self, work: Callable[[port.Records], Awaitable[Any]], bulk: bool, future: asyncio.Future[Any]) -> None:
        self.work = work
        self.bulk = bulk
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    """Runs transactions one after the other, and makes them durable in groups.

    A group is committed and then forced to disk in a thread. While the disk works, the next group runs on the loop, in
    a transaction of its own. `pin` is called before each commit: from then on readers must keep to what they see, until
    the listeners are told that the commit is durable. So nobody is shown what a power cut could still take back.
    """

    def __init__(
        self, connection: apsw.Connection, log: Path, pin: Callable[[], None], on_failure: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._log = log
        self._pin = pin
        self._writing = Writing(connection)
        self._records = Records(self._writing, SYNTAX)
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "fleetroll-commit")
        self._queue: deque[_Job] = deque()
        self._open: list[_Job] = []  # have run in the transaction that is open now
        self._taken = False  # the thread has the connection
        self._ending = False  # a group is being committed or forced to disk
        self._awake = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._failed = False
        self._on_failure = on_failure
        self._listeners: list[Callable[[], None]] = []
        self._log_pages = 0
        self._log_file: int | None = None
        connection.set_wal_hook(self._note_log)

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    async def write(self, work: Callable[[port.Records], Awaitable[T]], *, bulk: bool) -> T:
        if self._failed:
            raise _storage_failed()
        job = _Job(work, bulk, self._loop.create_future())
        self._queue.append(job)
        self._idle.clear()
        self._wake()
        return cast("T", await job.future)

    async def drain(self) -> None:
        """Wait for what is queued."""
        await self._idle.wait()

    async def close(self) -> None:
        """Fold the log into the file, which no reader may be using any more."""
        await self._loop.run_in_executor(self._thread, self._checkpoint)
        self._thread.shutdown()
        self._connection.close()
        if self._log_file is not None:
            os.close(self._log_file)

    def _checkpoint(self) -> None:
        with contextlib.suppress(apsw.Error):  # an unfolded log is folded at the next start
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # --- whose turn it is, on the loop -------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Do whatever can be done now: run what is queued, end a group, fold the log."""
        self._awake = False
        if self._taken or self._failed:
            return
        must_fold = self._log_pages >= _LOG_PAGES
        if not must_fold:
            self._gather()
        if self._ending:
            return
        if self._open:
            self._end(self._open, bulk=False)
            self._open = []
        elif must_fold:
            self._start_folding()
        elif self._queue:
            if self._queue[0].bulk:
                self._end([self._queue.popleft()], bulk=True)
            else:
                self._wake()
        else:
            self._idle.set()

    def _gather(self) -> None:
        """Run small transactions, for as long as the network may wait."""
        deadline = time.monotonic() + _LONGEST_TURN
        while self._queue and not self._queue[0].bulk:
            self._run(self._queue.popleft())
            if time.monotonic() > deadline:
                self._wake()
                return

    def _end(self, jobs: list[_Job], *, bulk: bool) -> None:
        self._taken = self._ending = True
        self._pin()
        ending = self._loop.run_in_executor(self._thread, self._make_durable, jobs[0] if bulk else None)
        ending.add_done_callback(functools.partial(self._settle, jobs))

    def _release(self) -> None:
        """The thread is through with the connection, though perhaps not with the disk."""
        self._taken = False
        self._turn()

    def _settle(self, jobs: list[_Job], ending: asyncio.Future[None]) -> None:
        failure = ending.exception()
        refusal = self._refusal(failure) if failure else None
        self._taken = self._ending = False
        self._tell()
        for job in jobs:
            self._answer(job, refusal)
        self._turn()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _start_folding(self) -> None:
        self._taken = self._ending = True
        folding = self._loop.run_in_executor(self._thread, self._fold)
        folding.add_done_callback(self._folded)

    def _folded(self, ending: asyncio.Future[None]) -> None:
        if problem := ending.exception():
            self._refusal(problem)
        self._taken = self._ending = False
        self._tell()  # views taken since the commit still need the log; new ones do not, and it can begin again
        self._turn()

    # --- transactions ------------------------------------------------------------------------------------------------

    def _run(self, job: _Job) -> None:
        """Run a transaction within the open one, which it opens if there is none."""
        if job.future.cancelled():
            return
        self._open.append(job)
        self._perform(job)
        if not self._connection.in_transaction:
            self._lose()

    def _perform(self, job: _Job) -> None:
        try:
            if not self._connection.in_transaction:
                self._connection.execute("BEGIN IMMEDIATE")
            job.result = self._within_savepoint(job.work)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the caller's
            job.error = error

    def _lose(self) -> None:
        # Where the disk fails a statement, SQLite may roll the whole transaction back, with all that ran in it before.
        for job in self._open:
            job.error = job.error or self._open[-1].error
        self._writing.forget()

    def _within_savepoint(self, work: Callable[[port.Records], Awaitable[T]]) -> T:
        execute = self._connection.execute
        execute("SAVEPOINT work")
        mark = self._writing.mark()
        try:
            result = _finish(work(self._records))
        except BaseException:
            self._writing.forget(mark)
            # SQLite has rolled all of the transaction back where the disk failed it.
            if self._connection.in_transaction:
                execute("ROLLBACK TO work")
                execute("RELEASE work")
            raise
        execute("RELEASE work")
        return result

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _make_durable(self, bulk: _Job | None) -> None:
        """Commit what is open, or run a bulk transaction and commit that; then force it to disk."""
        if bulk is not None and not bulk.future.cancelled():
            self._perform(bulk)
        written = self._commit()
        if bulk is None:
            self._loop.call_soon_threadsafe(self._release)
        if written:
            self._sync()

    def _commit(self) -> bool:
        if not self._connection.in_transaction:
            self._writing.forget()
            return False
        try:
            self._writing.write_index()
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return True

    def _sync(self) -> None:
        # SQLite would do it within COMMIT, and keep the connection all the while.
        if self._log_file is None:
            self._log_file = os.open(self._log, os.O_RDONLY)
        os.fdatasync(self._log_file)

    def _note_log(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _fold(self) -> None:
        # Not left to SQLite, which does it before a commit is told: readers would still hold the view from before that
        # commit, so the log would never be folded to its end, never begin again, and grow without bound.
        self._log_pages = 0
        with contextlib.suppress(apsw.BusyError, apsw.FullError):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    # --- answers -----------------------------------------------------------------------------------------------------

    def _answer(self, job: _Job, refusal: Fault | None) -> None:
        if job.future.cancelled():
            return
        error = job.error or refusal
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
        for job in (*self._open, *self._queue):
            if not job.future.cancelled():
                job.future.set_exception(_storage_failed())
        self._open.clear()
        self._queue.clear()
        self._idle.set()
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
