"""News between the processes over one database, by LISTEN and NOTIFY: that something was committed, and topics.

A transaction tells its topics itself, so that nobody hears of what was not committed. That anything at all was
committed is told by the process afterwards, once for many commits: the server takes one lock for all transactions
that notify. What is lost while the connection is down cannot be told again; so whoever listens is told that too.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from fleetroll.store.postgres_connections import SERVING, DatabaseAway, Purpose, Session, close, connect
from fleetroll.store.postgres_writer import CHANNEL
from fleetroll.store.statements import SQL

logger = logging.getLogger("fleetroll.store")

# A lost announcement takes nothing else with it, so its commit need not be waited for.
_PURPOSE = Purpose(SERVING, 1, {"synchronous_commit": "off"}, 0.5)
_COMMIT = "commit"
_CHECK_SECONDS = 0.4
_PAUSE_SECONDS = 0.02
_AGAIN_SECONDS = 0.2
_LISTEN_SECONDS = 3.0


class News:
    """One listening connection, kept up until `close`.

    It asks the server for a sign of life all the time, so it is the first to know that there is none: `on_silence` is
    called when the server does not answer, or not even take a connection, and `on_return` when it does again. A
    read-only server would tell it nothing, so it looks for another.
    """

    def __init__(self, url: str, on_silence: Callable[[], None], on_return: Callable[[], None]) -> None:
        self._url = url
        self._on_silence = on_silence
        self._on_return = on_return
        self._commit_listeners: list[Callable[[], None]] = []
        self._listeners: list[Callable[[str | None], None]] = []
        self._committed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._session: Session | None = None
        self._backend = 0
        self.receives_news = False

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._commit_listeners.append(listener)

    def on_news(self, listener: Callable[[str | None], None]) -> None:
        self._listeners.append(listener)

    def committed(self) -> None:
        """This process has committed something."""
        self._committed.set()
        self._notify_commit()

    async def start(self) -> None:
        """Return when news are heard. Raises Fault unavailable."""
        self._session = await self._listen()
        self.receives_news = True
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._session is not None:
            await close(self._session)

    async def _listen(self) -> Session:
        session = await connect(self._url, _PURPOSE)
        try:
            session.seconds = _LISTEN_SECONDS
            async with asyncio.timeout(_LISTEN_SECONDS):
                await session.connection.add_listener(CHANNEL, self._receive)
                await _check_session(session)
            session.seconds = _PURPOSE.seconds
        except BaseException:
            session.connection.terminate()
            raise
        self._backend = session.connection.get_server_pid()
        return session

    async def _run(self) -> None:
        while True:
            if self._session is not None:
                try:
                    await self._announce(self._session)
                except Exception as problem:  # noqa: BLE001  # whatever it is, news may be missed from now on
                    logger.warning("lost the connection for notifications: %s", problem)
                    self._session.connection.terminate()
            self._session, self.receives_news = None, False
            self._notify(None)
            try:
                self._session = await self._listen()
            except Exception as problem:  # noqa: BLE001  # an answer that refuses us is a sign of life
                if isinstance(problem, OSError) or isinstance(problem.__cause__, OSError):
                    self._on_silence()
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            self._on_return()
            self.receives_news = True
            self._notify(None)  # also what was told in between
            self._notify_commit()

    async def _announce(self, session: Session) -> None:
        """Announce commits, and now and then check the connection. Ends only by an exception."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self._committed.wait()
            if self._committed.is_set():
                self._committed.clear()
                await session.fetch(SQL["postgres_tell"], {"channel": CHANNEL, "topic": _COMMIT})
            else:
                await _check_session(session)
            await asyncio.sleep(_PAUSE_SECONDS)

    def _receive(self, _connection: Any, backend: int, _channel: str, topic: object) -> None:
        if topic != _COMMIT:
            self._notify(str(topic))
        elif backend != self._backend:
            self._notify_commit()

    def _notify(self, topic: str | None) -> None:
        for listener in self._listeners:
            listener(topic)

    def _notify_commit(self) -> None:
        for listener in self._commit_listeners:
            listener()


async def _check_session(session: Session) -> None:
    """Raises DatabaseAway where the server accepts no writes: a standby, or one that has been made read-only."""
    rows = await session.fetch(SQL["postgres_pulse"], {"name": "transaction_read_only"})
    if rows[0][0] == "on":
        raise DatabaseAway("it may only be read")
