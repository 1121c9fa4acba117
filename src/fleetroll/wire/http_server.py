"""The HTTP/1.1 server: who may connect, the sweeper that ends slow clients, and stopping without losing a request.

uvicorn alone lets a silent client stay for ever, so one sweeper per server looks at every connection about once a
second. Framing and time of a single connection are `http_connection`'s; routes and credentials are the application's.
"""

import asyncio
import logging
import signal
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any, cast

import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.server import ServerState

from fleetroll.core import limits
from fleetroll.wire.http_connection import Connection, Watch
from fleetroll.wire.http_deadlines import Deadlines
from fleetroll.wire.http_refusals import PLAIN, Refusals
from fleetroll.wire.tls_listener import TlsListener, listening_sockets

logger = logging.getLogger("fleetroll.http")
BACKLOG = 2048


class CannotListen(Exception):
    """The system does not let us listen at an address; `reason` is what it says."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class HttpServer:
    """One listening server inside a running event loop.

    `run` serves until `stop`, SIGTERM or SIGINT, and then drains; a second one cuts the drain short. SIGHUP, which a
    terminal sends more than once as it closes, only begins the drain, and is ignored under `nohup`.
    `scope["state"]["draining"]` is the event that asks endless replies to end; the property `draining` is the same one.
    `scope["state"]["client_ended"]` is the connection's: the client sends no more, and may have left altogether.
    """

    def __init__(
        self,
        app: ASGI3Application,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        sockets: Sequence[socket.socket] = (),
        reuse_port: bool = False,
        tls: ssl.SSLContext | None = None,
        deadlines: Deadlines | None = None,
        max_connections: int = limits.MAX_CONNECTIONS,
        refusals: Refusals = PLAIN,
        on_ready: Callable[["HttpServer"], None] | None = None,
    ) -> None:
        self.watch = Watch(deadlines or Deadlines(), max_connections, refusals)
        self.state = ServerState()
        self._config = configuration(app)
        self._app_state: dict[str, Any] = {"draining": self.watch.draining}
        self.host, self._port, self._sockets = host, port, tuple(sockets)
        self._tls = tls
        self._reuse_port = reuse_port
        self._on_ready = on_ready
        self._listeners: Sequence[asyncio.Server | TlsListener] = ()
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None
        self._drained: asyncio.Task[None] | None = None
        self.addresses: tuple[tuple[str, int], ...] = ()

    @property
    def draining(self) -> asyncio.Event:
        return self.watch.draining

    @property
    def ended(self) -> Counter[str]:
        """Connections that the server ended by itself, by reason."""
        return self.watch.ended

    @property
    def open_connections(self) -> int:
        return len(self.state.connections)

    async def start(self) -> None:
        """Listen. Afterwards `addresses` says where, also when port 0 was asked for. Raises CannotListen."""
        loop = asyncio.get_running_loop()
        self._config.load()
        self._renew_date()

        def connect() -> Connection:
            return Connection(self._config, self.state, self._app_state, self.watch, loop)

        try:
            self._listeners = await self._listen(connect)
        except OSError as problem:
            raise CannotListen(problem) from None
        names = [listener.getsockname() for server in self._listeners for listener in server.sockets]
        self.addresses = tuple((str(name[0]), int(name[1])) for name in names)
        self._sweeper = loop.create_task(self._sweep())

    async def _listen(self, connect: Callable[[], Connection]) -> Sequence[asyncio.Server | TlsListener]:
        if self._tls is not None:
            sockets = self._sockets or await listening_sockets(self.host, self._port, reuse_port=self._reuse_port)
            return [TlsListener(sockets, BACKLOG, self._tls, connect)]
        bindings: list[dict[str, Any]] = [{"sock": sock} for sock in self._sockets]
        if not bindings:
            bindings = [{"host": self.host, "port": self._port, "reuse_port": self._reuse_port}]
        loop = asyncio.get_running_loop()
        return [await loop.create_server(connect, **binding, backlog=BACKLOG) for binding in bindings]

    def show(self, tls: ssl.SSLContext) -> None:
        """Use this context for clients that connect from now on."""
        for listener in self._listeners:
            if isinstance(listener, TlsListener):
                listener.tls = tls

    async def run(self) -> None:
        await self.start()
        caught = self._catch_signals()
        try:
            if self._on_ready is not None:
                self._on_ready(self)
            await self._stopping.wait()
        finally:
            await self.drain()
            for number in caught:
                asyncio.get_running_loop().remove_signal_handler(number)

    def stop(self) -> None:
        """Begin to drain; asked a second time, drop what is still running."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def drain(self) -> None:
        """Stop accepting, answer every request received, close, within the drain deadline. Returns when all is over."""
        self._stopping.set()
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_task(self._drain())
        await asyncio.shield(self._drained)

    def _catch_signals(self) -> tuple[signal.Signals, ...]:
        if threading.current_thread() is not threading.main_thread():
            return ()
        heard = {signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGHUP: self._stopping.set}
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            del heard[signal.SIGHUP]
        for number, handler in heard.items():
            asyncio.get_running_loop().add_signal_handler(number, handler)
        return tuple(heard)

    async def _drain(self) -> None:
        deadlines = self.watch.deadlines
        begun = asyncio.get_running_loop().time()
        self.watch.draining.set()
        for listener in self._listeners:
            listener.close()
        for connection in self._connections():
            connection.shutdown()
        # Requests may lie unread in socket buffers; they are answered, and their replies say that the connection ends.
        await self._wait_until_idle(begun + deadlines.drain_settle)
        for connection in self._connections():
            connection.close_if_idle()
        await self._wait_until_idle(begun + deadlines.drain * 15 / 16)
        await self._cut(begun + deadlines.drain)
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _wait_until_idle(self, until: float) -> None:
        clock = asyncio.get_running_loop().time
        while (self.state.connections or self.state.tasks) and clock() < until and not self._hurry.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # both sets are emptied by uvicorn, which tells nobody

    async def _cut(self, until: float) -> None:
        tasks = set(self.state.tasks)
        if tasks or self.state.connections:
            logger.warning("shutdown cuts off %d requests and %d connections", len(tasks), self.open_connections)
        # Connections first: a request that finds its connection gone writes no reply, and logs no complaint.
        for connection in self._connections():
            connection.transport.abort()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.0, until - asyncio.get_running_loop().time()))

    def _connections(self) -> list[Connection]:
        return cast(list[Connection], list(self.state.connections))

    async def _sweep(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._renew_date()
            await asyncio.sleep(0)  # what arrived while the process stood still is read before anybody is judged
            now = clock()
            for connection in self._connections():
                try:
                    connection.enforce(now)
                except Exception:
                    logger.exception("a connection could not be checked")
                    connection.transport.abort()
            await asyncio.sleep(self.watch.deadlines.sweep)

    def _renew_date(self) -> None:
        self.state.default_headers = [(b"date", formatdate(usegmt=True).encode())]


def configuration(app: ASGI3Application) -> uvicorn.Config:
    """uvicorn's configuration, with everything off that this module or its caller does itself."""
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        loop="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
    )
