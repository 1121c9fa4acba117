"""Several processes that do the same: started together, started again when one dies, ended together.

Knows processes and signals, and nothing of what they do.
"""

import contextlib
import ctypes
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

logger = logging.getLogger("fleetroll.supervisor")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_STEADY_SECONDS = 10.0  # a process that lived this long has not failed to start
_POLL_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1  # of prctl(2): the signal to get when the parent dies


class Supervisor:
    """Each of `count` processes calls `work` with a function to call once it is ready; `work` returns its exit code."""

    def __init__(self, count: int, work: Callable[[Callable[[], None]], int]) -> None:
        self._count = count
        self._work = work
        self._started: dict[int, float] = {}
        self._signals: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        self._stopping = False
        self._exit_code = 0

    def run(self, ready: Callable[[], None]) -> int:
        """Run until told to stop, or one cannot start; `ready` is called once all are.

        Returns the first exit code above 0 of those that ended then, or 0. What would stop it is ignored from then on.
        """
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # as under `nohup`
            self._signals = (signal.SIGTERM, signal.SIGINT)
        for number in self._signals:
            signal.signal(number, self._stop)
        try:
            if self._start_all():
                ready()
            self._supervise()
        finally:
            self._ignore_signals()
        return self._exit_code

    def _ignore_signals(self) -> None:
        """All have ended. Whoever stops a server twice, as `make` does, must not change how it ends."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)  # one that comes in between is an error to Python
        for number in self._signals:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        self._terminate_all()

    def _terminate_all(self) -> None:
        for pid in self._started:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and `_supervise` is about to forget it
                os.kill(pid, signal.SIGTERM)

    def _start_all(self) -> bool:
        """Start them all and wait until they are ready; False, and all told to stop, if one ends instead."""
        readers = [self._start() for _ in range(self._count)]
        try:
            for reader in readers:
                while not select.select([reader], [], [], _POLL_SECONDS)[0]:
                    pass
                if not os.read(reader, 1):
                    self._stopping = True
                    self._terminate_all()
                    return False
        finally:
            for reader in readers:
                os.close(reader)
        return not self._stopping

    def _start(self) -> int:
        """Start one process. Returns a pipe that can be read when it is ready, or ends when the process does."""
        reader, writer = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            self._run_worker(writer)
        os.close(writer)
        self._started[pid] = time.monotonic()
        if self._stopping:
            os.kill(pid, signal.SIGTERM)
        return reader

    def _run_worker(self, writer: int) -> None:
        """The life of a new process: `work`, then exit. It says on `writer` that it is ready, and never returns."""
        os.setpgid(0, 0)  # Ctrl-C at the terminal is for the supervisor
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        for number in self._signals:
            signal.signal(number, signal.SIG_DFL)

        def ready() -> None:
            with contextlib.suppress(BrokenPipeError):  # nobody waits for those that are started again
                os.write(writer, b"!")
            os.close(writer)

        code = os.EX_SOFTWARE
        try:
            code = self._work(ready)
        except BaseException:
            logger.exception("a worker failed")
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _supervise(self) -> None:
        """Restart what dies, until all have been told to stop and have ended."""
        pause = _FIRST_PAUSE
        while self._started:
            pid, status = os.waitpid(-1, 0)
            started_at = self._started.pop(pid, None)
            if started_at is None:  # none of ours: the first process of a container adopts orphans
                continue
            code = os.waitstatus_to_exitcode(status)
            if self._stopping:
                self._exit_code = self._exit_code or max(code, 0)
                continue
            was_steady = time.monotonic() - started_at > _STEADY_SECONDS
            pause = _FIRST_PAUSE if was_steady else min(pause * 2, _LONGEST_PAUSE)
            logger.error("worker %d exited with %d; starting another in %.1f s", pid, code, pause)
            self._sleep(pause)
            if not self._stopping:
                os.close(self._start())

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._stopping:
            time.sleep(_POLL_SECONDS)
