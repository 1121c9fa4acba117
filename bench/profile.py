"""Where the time of a row goes: a sampling profiler inside a real server under the row's own load.

`python -m bench.profile FILE serve …` is `fleetroll serve` with a timer: a sample a millisecond, from the start on or
anew from SIGUSR1 on, and on SIGUSR2 all that there is goes to FILE. A sample is the line that each thread is at, so the
time of a C function counts for the line that calls it. Calls are not instrumented: that would make small functions
look dear.
"""

import concurrent.futures.thread
import functools
import json
import linecache
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from msgspec import Struct

from bench.servers import Server, serving

_EVERY = 0.00101  # in step with no timer of the server
_PATIENCE = 10.0
_IDLE = concurrent.futures.thread.__file__
# What a line does tells more than where it stands. The first that fits, of path and of source text, gives the layer.
_LAYERS = (
    ("SQLite", "store/sqlite.py", "execute"),
    ("SQLite", "store/sqlite.py", "fetch"),
    ("JSON", "fleetroll/", "_encode("),
    ("JSON", "fleetroll/", "_encode_lines("),
    ("JSON", "fleetroll/", "json.encode("),
    ("JSON", "fleetroll/", "decoder.decode("),
    ("HTTP server", "wire/http_server.py", ""),
    ("HTTP server", "uvicorn/", ""),
    ("log and metrics", "wire/log.py", ""),
    ("log and metrics", "wire/metrics.py", ""),
    ("log and metrics", "prometheus_client/", ""),
    ("wire", "fleetroll/wire/", ""),
    ("dialect", "fleetroll/dialects/", ""),
    ("service", "fleetroll/service/", ""),
    ("core", "fleetroll/core/", ""),
    ("store", "fleetroll/store/", ""),
    ("server's own", "fleetroll/main.py", ""),
)
_LOOP = "event loop"
_RUNNER = "asyncio/runners.py"


class Line(Struct, frozen=True):
    """A place in the source, and for what share of the time its thread was there."""

    thread: str
    layer: str
    place: str
    source: str
    share: float


class Profile(Struct, frozen=True):
    """For what share of the time each thread was at work, the shares of that by layer, and the dearest lines."""

    busy: dict[str, float]
    layers: dict[str, dict[str, float]]
    lines: list[Line]


# --- inside the server -----------------------------------------------------------------------------------------------


class _Sampler:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: Counter[tuple[str, str, str, str]] = Counter()
        self._taken = 0
        self._sampling = False
        self._main = threading.main_thread().ident

    def install(self) -> None:
        signal.signal(signal.SIGALRM, self._sample)
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._end)
        self._begin()

    def _begin(self, *_: object) -> None:
        self._found.clear()
        self._taken = 0
        signal.setitimer(signal.ITIMER_REAL, _EVERY, _EVERY)

    def _sample(self, _: int, main: FrameType | None) -> None:
        if self._sampling:  # a sample that takes longer than the timer waits is not sampled itself
            return
        self._sampling = True
        try:
            self._take(main)
        finally:
            self._sampling = False

    def _take(self, main: FrameType | None) -> None:
        self._taken += 1
        names = {thread.ident: thread.name.rpartition("_")[0] for thread in threading.enumerate()}
        for number, frame in sys._current_frames().items():
            if number == self._main:
                self._count("loop", main)
            else:
                self._count(names.get(number) or "?", frame)

    def _count(self, thread: str, frame: FrameType | None) -> None:
        if frame is not None and not _is_idle(frame):
            self._found[thread, *_placed(frame)] += 1

    def _end(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        report = {"taken": self._taken, "found": [[*place, times] for place, times in self._found.items()]}
        unfinished = self._file.with_suffix(".part")
        unfinished.write_text(json.dumps(report))
        unfinished.rename(self._file)


def _is_idle(frame: FrameType) -> bool:
    """A worker that waits for work, or the loop that waits for a client, seen from its runner."""
    code = frame.f_code
    return code.co_filename == _IDLE or (code.co_filename.endswith(_RUNNER) and code.co_name == "run")


def _placed(frame: FrameType) -> tuple[str, str, str]:
    """The layer of a sample, its line, and that line's text."""
    if _is_fresh(frame):
        return _LOOP, "uvloop", "reading and writing sockets, polling, switching tasks"
    at: FrameType | None = frame
    while at is not None and not at.f_code.co_filename.endswith(_RUNNER):
        layer, place, source = _described(at.f_code.co_filename, at.f_lineno, at.f_code.co_name)
        if layer:
            return layer, place, source
        at = at.f_back
    return (_LOOP, *_described(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)[1:])


def _is_fresh(frame: FrameType) -> bool:
    """A callback that has just been entered: the time before it was the event loop's."""
    back = frame.f_back
    from_loop = back is None or back.f_code.co_filename.endswith(_RUNNER)
    return from_loop and frame.f_lineno == frame.f_code.co_firstlineno


@functools.cache
def _described(file: str, number: int | None, function: str) -> tuple[str | None, str, str]:
    number = number or 1  # between two lines there is none
    source = linecache.getline(file, number).strip()
    layer = next((layer for layer, path, text in _LAYERS if path in file and text in source), None)
    return layer, f"{_short(file)}:{number} {function}", source


def _short(file: str) -> str:
    parts = Path(file).parts
    root = next((parts.index(name) for name in ("fleetroll", "uvicorn", "prometheus_client") if name in parts), -2)
    return "/".join(parts[root:]).removeprefix("fleetroll/")


# --- outside it ------------------------------------------------------------------------------------------------------


class Profiler:
    """A server that can be told to take samples. `starting` is where its start took its time."""

    def __init__(self, server: Server, file: Path) -> None:
        self.server = server
        self._file = file
        self.starting = self._written()

    def profile(self, work: Callable[[], object]) -> Profile:
        """Where the server's time goes while `work` uses it."""
        os.kill(self.server.popen.pid, signal.SIGUSR1)
        work()
        return self._written()

    def _written(self) -> Profile:
        os.kill(self.server.popen.pid, signal.SIGUSR2)
        deadline = time.monotonic() + _PATIENCE
        while not self._file.exists():
            if time.monotonic() > deadline:
                raise RuntimeError("the server wrote no profile")
            time.sleep(0.01)
        report = json.loads(self._file.read_text())
        self._file.unlink()
        return _summary(report["taken"], report["found"])


@contextmanager
def profiling(data: Path, *options: str) -> Iterator[Profiler]:
    file = data.with_suffix(".profile")
    with serving(data, *options, module=("bench.profile", str(file))) as server:
        yield Profiler(server, file)


def _summary(taken: int, found: list[tuple[str, str, str, str, int]]) -> Profile:
    taken = max(taken, 1)
    totals: Counter[str] = Counter()
    layers: dict[str, Counter[str]] = {}
    for thread, layer, _, _, times in found:
        totals[thread] += times
        layers.setdefault(thread, Counter())[layer] += times
    lines = [Line(thread, layer, place, source, times / taken) for thread, layer, place, source, times in found]
    return Profile(
        {thread: total / taken for thread, total in totals.items()},
        {thread: {layer: n / totals[thread] for layer, n in one.most_common()} for thread, one in layers.items()},
        sorted(lines, key=lambda line: -line.share),
    )


if __name__ == "__main__":
    _Sampler(Path(sys.argv.pop(1))).install()
    from fleetroll.__main__ import run

    run()
