"""Accepts clients that speak TLS, and bounds how many of them may be at their handshake.

An event loop reports such a client only once its handshake is over. Until then nobody counts it, yet it takes a file
descriptor: clients that connect and stay silent could leave none for other listeners or the store.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence

from fleetroll.core import limits

_PAUSE = 0.1  # seconds before the next try, when no file descriptor is left for a client


class TlsListener:
    """Listens on some sockets. When too many handshakes are under way, the one that began first gives way."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        backlog: int,
        tls: ssl.SSLContext,
        connect: Callable[[], asyncio.Protocol],
    ) -> None:
        self.sockets = tuple(sockets)
        self.tls = tls  # for those who connect next
        self._connect = connect
        self._handshakes: dict[asyncio.Task[None], None] = {}  # in the order in which they began
        for one in self.sockets:
            one.setblocking(False)
            one.listen(backlog)
        self._accepting = [asyncio.create_task(self._accept(one)) for one in self.sockets]

    def close(self) -> None:
        """Stop accepting, and give up the handshakes under way."""
        for task in (*self._accepting, *self._handshakes):
            task.cancel()

    async def _accept(self, listening: socket.socket) -> None:
        with listening:
            while True:
                try:
                    client, _ = await asyncio.get_running_loop().sock_accept(listening)
                except OSError:
                    await asyncio.sleep(_PAUSE)
                else:
                    self._begin(client)
                    await asyncio.sleep(0)  # a queue of new clients must not keep all others waiting

    def _begin(self, client: socket.socket) -> None:
        if len(self._handshakes) >= limits.MAX_HANDSHAKES:
            self._give_up(next(iter(self._handshakes)))
        handshake = asyncio.create_task(self._handshake(client))
        self._handshakes[handshake] = None
        handshake.add_done_callback(self._forget)

    def _give_up(self, handshake: asyncio.Task[None]) -> None:
        self._forget(handshake)
        handshake.cancel()

    def _forget(self, handshake: asyncio.Task[None]) -> None:
        self._handshakes.pop(handshake, None)

    async def _handshake(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client failed its handshake, or was too slow
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connect, client, ssl=self.tls, ssl_handshake_timeout=limits.HEADER_DEADLINE
            )


async def listening_sockets(host: str, port: int, *, reuse_port: bool) -> list[socket.socket]:
    """A listening socket at each address of a host. Raises OSError."""
    loop, passive = asyncio.get_running_loop(), socket.AI_PASSIVE
    addresses = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=passive)
    with contextlib.ExitStack() as undo:
        sockets = [
            undo.enter_context(socket.create_server(address[:2], family=family, reuse_port=reuse_port))
            for family, _, _, _, address in dict.fromkeys(addresses)
        ]
        undo.pop_all()
    return sockets
