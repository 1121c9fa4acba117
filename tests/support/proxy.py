"""TCP proxies that are as bad as networks: one loses replies to what was done, others go silent without a word."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator

_CHUNK = 1 << 16


class Proxy:
    """Hangs up on the client once the server has answered: the reply is lost, the work is done.

    Listens on `port`. `cut` is how many replies were lost so far.
    """

    def __init__(self, upstream: int, limits: Iterator[int]) -> None:
        self.port = 0
        self.cut = 0
        self._upstream = upstream
        self._limits = limits

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_connection("127.0.0.1", self._upstream)
        upload = asyncio.create_task(_copy(reader, server))
        try:
            await self._answer(answers, writer)
        finally:
            upload.cancel()
            server.close()
            writer.close()

    async def _answer(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limit = next(self._limits, None)
        if limit is None:
            await _copy(answers, writer)
        elif reply := await answers.read(_CHUNK):
            writer.write(reply[:limit])
            self.cut += 1


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(_CHUNK):
            writer.write(part)
            await writer.drain()
        writer.write_eof()


@contextlib.asynccontextmanager
async def cutting(upstream: int, *limits: int) -> AsyncIterator[Proxy]:
    """A proxy before a local port. The first connections get as many bytes of their reply as `limits` say."""
    proxy = Proxy(upstream, iter(limits))
    async with _listening(proxy):
        yield proxy


class Gate:
    """A network between us and a local port. While it is shut, nothing comes through and nobody is told."""

    def __init__(self, upstream: int) -> None:
        self.port = 0
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._is_open, self._ended = asyncio.Event(), asyncio.Event()
        self._is_open.set()

    def open(self) -> None:
        self._loop.call_soon_threadsafe(self._is_open.set)

    def shut(self) -> None:
        self._loop.call_soon_threadsafe(self._is_open.clear)

    def run(self, started: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen(started))

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _listen(self, started: threading.Event) -> None:
        async with await asyncio.start_server(self._pass_on, "127.0.0.1", 0) as listener:
            self.port = listener.sockets[0].getsockname()[1]
            started.set()
            await self._ended.wait()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._is_open.wait()
        answers, server = await asyncio.open_connection("127.0.0.1", self._upstream)
        try:
            await asyncio.gather(self._copy(reader, server), self._copy(answers, writer))
        finally:
            server.close()
            writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(_CHUNK):
                await self._is_open.wait()
                writer.write(part)
                await writer.drain()
        await self._is_open.wait()
        writer.close()


@contextlib.contextmanager
def gated(upstream: int) -> Iterator[Gate]:
    """A gate before a local port, in a thread of its own."""
    gate, started = Gate(upstream), threading.Event()
    thread = threading.Thread(target=gate.run, args=(started,))
    thread.start()
    try:
        assert started.wait(10)
        yield gate
    finally:
        gate.open()
        gate.end()
        thread.join(10)


class Wire:
    """A network in this loop between us and a local port: it can be slow, lose what we say, and break."""

    def __init__(self, upstream: Callable[[], int]) -> None:
        self.port = 0
        # While it is clear, nothing that the other side says arrives at those who connected when it was this one.
        self.hears = asyncio.Event()
        self.hears.set()
        self.loses = False
        self.lost = b""  # of what we said
        self._upstream = upstream
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_connection("127.0.0.1", self._upstream())
        self._writers |= {writer, server}
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._say(reader, server), self._hear(answers, writer))
        self._writers -= {writer, server}

    async def _say(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while part := await reader.read(_CHUNK):
            if self.loses:
                self.lost += part
            else:
                server.write(part)
                await server.drain()
        server.close()

    def forget(self) -> None:
        """As a firewall that restarts: who is connected hears nothing any more, who connects from now on does."""
        self.hears.clear()
        self.hears = asyncio.Event()
        self.hears.set()

    async def _hear(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hears = self.hears
        while part := await answers.read(_CHUNK):
            await hears.wait()
            writer.write(part)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def wired(upstream: Callable[[], int]) -> AsyncIterator[Wire]:
    """A wire to a local port, which is asked for with each connection."""
    wire = Wire(upstream)
    try:
        async with _listening(wire):
            yield wire
    finally:
        wire.cut()


@contextlib.asynccontextmanager
async def _listening(proxy: Proxy | Wire) -> AsyncIterator[None]:
    listener = await asyncio.start_server(proxy.pass_on, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        listener.close()
