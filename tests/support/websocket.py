"""A tunnel from a client that speaks plain NATS to the broker's WebSocket listener, to which it speaks in frames."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10


@contextlib.asynccontextmanager
async def tunnel(address: str, *headers: str) -> AsyncIterator[str]:
    """The address of a plain listener, every connection to which is one to the WebSocket listener at `address`."""
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            await _carry(address, headers, reader, writer)
        writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _carry(
    address: str, headers: tuple[str, ...], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    host, _, port = address.rpartition(":")
    inside, outside = await asyncio.open_connection(host, int(port))
    outside.write(_greeting(address, headers))
    try:
        assert b" 101 " in (await inside.readuntil(b"\r\n\r\n")).splitlines()[0]
        done, pending = await asyncio.wait(
            [asyncio.ensure_future(_send(reader, outside)), asyncio.ensure_future(_receive(inside, outside, writer))],
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in pending:
            task.cancel()
        await asyncio.gather(*done, *pending, return_exceptions=True)
    finally:
        outside.close()


def _greeting(address: str, headers: tuple[str, ...]) -> bytes:
    lines = (
        "GET / HTTP/1.1", f"Host: {address}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", *headers, "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode()


async def _send(reader: asyncio.StreamReader, outside: asyncio.StreamWriter) -> None:
    while content := await reader.read(1 << 16):
        outside.write(_frame(_BINARY, content))
        await outside.drain()


async def _receive(inside: asyncio.StreamReader, outside: asyncio.StreamWriter, writer: asyncio.StreamWriter) -> None:
    while True:
        kind, length = await inside.readexactly(2)
        if length >= 126:
            length = int.from_bytes(await inside.readexactly(2 if length == 126 else 8))
        content = await inside.readexactly(length)
        match kind & 15:
            case opcode if opcode < _CLOSE:
                writer.write(content)
                await writer.drain()
            case opcode if opcode == _PING:
                outside.write(_frame(_PONG, content))
            case opcode if opcode == _CLOSE:
                return


def _frame(opcode: int, content: bytes) -> bytes:
    """A client's frames are masked."""
    if len(content) < 126:
        length = bytes([0x80 | len(content)])
    elif len(content) < 1 << 16:
        length = bytes([0x80 | 126]) + len(content).to_bytes(2)
    else:
        length = bytes([0x80 | 127]) + len(content).to_bytes(8)
    mask = os.urandom(4)
    key = int.from_bytes((mask * (len(content) // 4 + 1))[: len(content)])
    masked = (int.from_bytes(content) ^ key).to_bytes(len(content))
    return bytes([0x80 | opcode]) + length + mask + masked
