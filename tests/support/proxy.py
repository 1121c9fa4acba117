"""A TCP proxy that hangs up on the client once the server has answered: the reply is lost, the work is done."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

_CHUNK = 1 << 16


class Proxy:
    """Listens on `port`. `cut` is how many replies were lost so far."""

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
    listener = await asyncio.start_server(proxy.pass_on, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
