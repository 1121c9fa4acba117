"""Accepts clients that speak TLS, and bounds how many of them may be at their handshake.

An event loop tells of such a client once its handshake is over. Until then nobody counts it, and each takes one of the
process's open files: whoever connects and says nothing could leave none to any other listener, or to the store.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence

from fleetroll.core import limits

_PAUSE = 0.1  # before the next try, where the system has no file left for a client


class TlsListener:
    """Listens at some sockets. Where too many handshakes go on at a time, the one that has taken longest gives way."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        backlog: int,
        tls: ssl.SSLContext,
        connect: Callable[[], asyncio.Protocol],
    ) -> None:
        self.sockets = tuple(sockets)
        self._tls = tls
        self._connect = connect
        self._handshakes: dict[asyncio.Task[None], None] = {}  # in the order in which they began
        for one in self.sockets:
            one.setblocking(False)
            one.listen(backlog)
        self._accepting = [asyncio.create_task(self._accept(one)) for one in self.sockets]

    def close(self) -> None:
        """Accept nobody any more, and give up the handshakes that go on."""
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
                    await asyncio.sleep(0)  # a queue of clients is not a reason to keep all others waiting

    def _begin(self, client: socket.socket) -> None:
        if len(self._handshakes) >= limits.MAX_HANDSHAKES:
            self._give_up(next(iter(self._handshakes)))
        handshake = asyncio.create_task(self._greet(client))
        self._handshakes[handshake] = None
        handshake.add_done_callback(self._forget)

    def _give_up(self, handshake: asyncio.Task[None]) -> None:
        self._forget(handshake)
        handshake.cancel()

    def _forget(self, handshake: asyncio.Task[None]) -> None:
        self._handshakes.pop(handshake, None)

    async def _greet(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # of a client that is no good at it, or too slow
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connect, client, ssl=self._tls, ssl_handshake_timeout=limits.HEADER_DEADLINE
            )


async def bound(host: str, port: int, *, reuse_port: bool) -> list[socket.socket]:
    """A socket at each address of a host. Raises OSError."""
    loop, passive = asyncio.get_running_loop(), socket.AI_PASSIVE
    places = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=passive)
    with contextlib.ExitStack() as undo:
        sockets = [
            undo.enter_context(socket.create_server(address[:2], family=family, reuse_port=reuse_port))
            for family, _, _, _, address in dict.fromkeys(places)
        ]
        undo.pop_all()
    return sockets
