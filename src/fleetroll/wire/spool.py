"""A queue of bytes between a producer that must not wait and a client that may read late.

A client may send the whole of a streamed request before it reads the first byte of the reply. If replies then waited
for the client, and the client for its request to be taken, both would wait for ever.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator

_IN_MEMORY = 1 << 20
_CHUNK = 64 << 10


class Spool:
    """Holds what was put and not yet taken; beyond a mebibyte, on disk."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # closed by `drain`
        self._written = self._taken = 0
        self._changed = asyncio.Event()
        self._finished = False

    def put(self, data: bytes) -> None:
        self._file.seek(self._written)
        self._file.write(data)
        self._written += len(data)
        self._changed.set()

    def finish(self) -> None:
        """There is nothing more to come."""
        self._finished = True
        self._changed.set()

    async def drain(self) -> AsyncIterator[bytes]:
        """What was put, until `finish`."""
        with self._file:
            while True:
                if self._taken < self._written:
                    yield self._take()
                elif self._finished:
                    return
                else:
                    self._changed.clear()
                    await self._changed.wait()

    def _take(self) -> bytes:
        self._file.seek(self._taken)
        data = self._file.read(_CHUNK)
        self._taken += len(data)
        if self._taken == self._written:
            self._file.seek(0)
            self._file.truncate()
            self._taken = self._written = 0
        return data
