"""Replies to clients: kept until the broker is known to have them, and otherwise sent again.

A connection that breaks loses what was written to it last, and nobody says what that was. To send a reply twice does no
harm: the broker lets only the first one to a request through.
"""

import asyncio
import contextlib
from collections.abc import Mapping

import nats.errors
from nats.aio.client import Client

from fleetroll.bus import links

_CONFIRMATION = "$SYS.REQ.USER.INFO"  # any answer would do: what was written before is with the broker by then
_REPLY_SECONDS = 5.0
_RETRY_SECONDS = 0.05

_Reply = tuple[str, bytes, Mapping[str, str] | None]


class Replies:
    """Sends replies over a connection that is made again whenever it is lost."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._connection = client.stats["reconnects"]
        self._unsure: list[_Reply] = []
        self._confirming: asyncio.Task[None] | None = None

    async def send(self, subject: str, body: bytes, status: Mapping[str, str] | None = None) -> None:
        """Reply to a request, or with nothing but a status. A sender that named no subject wants no reply."""
        if not subject:
            return
        reply = subject, body, status
        self._unsure.append(reply)
        if self._is_current:
            if self._confirming is None or self._confirming.done():
                self._confirming = asyncio.ensure_future(self._confirm())
            await self._write(reply)

    async def resend(self) -> None:
        """The connection was made again: send on it what may have been lost with the one before."""
        if self._confirming is not None:
            self._confirming.cancel()  # it would confirm what was written to the one before
        self._connection = self._client.stats["reconnects"]
        for reply in self._unsure[:]:
            with contextlib.suppress(*links.TROUBLE):
                await self._write(reply)
        self._confirming = asyncio.ensure_future(self._confirm())

    def finish(self) -> None:
        """No connection will follow."""
        if self._confirming is not None:
            self._confirming.cancel()

    @property
    def _is_current(self) -> bool:
        return self._client.is_connected and self._client.stats["reconnects"] == self._connection

    async def _write(self, reply: _Reply) -> None:
        subject, body, status = reply
        if status is None:
            await self._client.publish(subject, body)
        else:
            await links.reply_status(self._client, subject, status)

    async def _confirm(self) -> None:
        while self._unsure and self._is_current:
            count = len(self._unsure)
            try:
                with contextlib.suppress(nats.errors.NoRespondersError):  # which is an answer, too
                    await self._client.request(_CONFIRMATION, b"", timeout=_REPLY_SECONDS)
            except links.TROUBLE:
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                if self._is_current:
                    del self._unsure[:count]
