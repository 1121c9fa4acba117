"""SQLite's write-ahead log and its checkpoints: mostly alongside transactions, the rest in a pause.

Automatic checkpoints are not used: they come before the last commit is told, while readers still hold the view from
before that commit, so none would ever reach the end of the log. It would never begin again, and grow without bound.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import apsw

_CHECKPOINT_PAGES: Final = 24_000  # the length from which on checkpoints are due
_EARLY_CHECKPOINT_PAGES: Final = 500  # the same where the disk is full, so that what it has of the disk is enough
_PAUSE_PAGES: Final = 2_000  # what a checkpoint in a pause copies in a few milliseconds
_OVERRUN_FACTOR: Final = 2  # how many times as long it gets where the writer is faster than the disk
_READER_PAGES: Final = 6_000  # by which a log grows that some reader still needs


class WriteAheadLog:
    """The log of one writing connection. All but the checkpoints and noting its length belongs to the event loop."""

    def __init__(self, connection: apsw.Connection, on_failure: Callable[[BaseException], object]) -> None:
        self._connection = connection
        self._checkpointer = apsw.Connection(connection.filename, flags=apsw.SQLITE_OPEN_READWRITE)
        self._checkpointer.pragma("synchronous", "FULL")  # a page is in the file only when it is on the disk
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "fleetroll-checkpoint")
        self._on_failure = on_failure
        self._pages = 0
        self._is_measured = False
        self._checkpointed = 0
        self._usual_limit = _CHECKPOINT_PAGES
        self._limit = _CHECKPOINT_PAGES
        self._ended_at = 0  # how long the log was when all of it was in the file
        self._checkpointing: asyncio.Future[int] | None = None
        connection.set_wal_hook(self._note)
        # Somebody who reads for long makes it grow beyond this. When it begins again, the disk gets the rest back.
        usual = _OVERRUN_FACTOR * _CHECKPOINT_PAGES * connection.pragma("page_size")
        connection.pragma("journal_size_limit", usual)

    def _note(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    def checkpoint_early(self, room: int) -> None:
        """Checkpoint early, as the disk has only `room` bytes left: unless the file would grow by most of them."""
        pages, size = self._connection.pragma("page_count"), self._connection.pragma("page_size")
        if pages * size - Path(self._connection.filename).stat().st_size <= room // 2:
            self._usual_limit = self._limit = _EARLY_CHECKPOINT_PAGES

    def checkpoint_as_usual(self) -> None:
        """Checkpoint when the log has its usual length."""
        self._usual_limit = self._limit = _CHECKPOINT_PAGES

    def is_due(self) -> bool:
        """To be asked after each commit: whether the writer should pause now and call `end`. May begin a checkpoint."""
        if self._ended_at and self._pages > self._ended_at:  # it has not begun again, so somebody still reads it
            self._checkpointed, self._limit = self._ended_at, self._ended_at + _READER_PAGES
        self._ended_at = 0
        if self._pages and not self._is_measured:  # a server that was killed may have left any length
            self._is_measured, self._limit = True, max(self._limit, self._pages)
        if self._pages < self._limit:
            return False
        if self._pages >= _OVERRUN_FACTOR * self._limit:
            return True
        if self._checkpointing is not None:
            return False
        if self._pages - self._checkpointed <= _PAUSE_PAGES:
            return True
        self._checkpointing = self._loop.run_in_executor(self._thread, self._checkpoint)
        self._checkpointing.add_done_callback(self._note_checkpoint)
        return False

    def _note_checkpoint(self, checkpoint: asyncio.Future[int]) -> None:
        self._checkpointing = None
        if problem := checkpoint.exception():
            self._on_failure(problem)
            return
        before, self._checkpointed = self._checkpointed, checkpoint.result()
        if self._checkpointed - before < _PAUSE_PAGES:  # somebody still reads what is left
            self._limit = self._pages + _READER_PAGES

    def end(self) -> asyncio.Future[int]:
        """Checkpoint the rest, after one under way, while nobody writes. The log begins again if nobody reads it."""
        ending = self._loop.run_in_executor(self._thread, self._checkpoint)
        ending.add_done_callback(self._note_end)
        return ending

    def _note_end(self, ending: asyncio.Future[int]) -> None:
        self._checkpointed = 0 if ending.exception() else ending.result()
        if self._checkpointed >= self._pages:
            self._ended_at, self._checkpointed, self._limit = self._pages, 0, self._usual_limit
        else:
            self._limit = self._pages + _READER_PAGES

    def _checkpoint(self) -> int:
        """Checkpoint what readers allow; returns the pages in the file. Raises apsw.Error if the disk fails."""
        with contextlib.suppress(apsw.BusyError, apsw.FullError):
            _, pages = self._checkpointer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            return max(pages, 0)
        return 0

    async def close(self) -> None:
        """Checkpoint all of it, which no reader may be using any more."""
        await self._loop.run_in_executor(self._thread, self._truncate)
        self._thread.shutdown()

    def _truncate(self) -> None:
        self._checkpointer.close()
        with contextlib.suppress(apsw.Error):  # what is left of the log is taken into the file at the next start
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
