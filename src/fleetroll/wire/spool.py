"""A queue of bytes between a producer that must not wait and a client that may read late.

A client may send the whole of a streamed request before it reads the first byte of the reply. If the reply waited for
the client to read, and the client for its request to be taken, both would wait for ever.

When the disk is full, the producer waits all the same: a client that reads while it sends still gets everything.
"""

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator
from typing import IO

_IN_MEMORY = 1 << 20
_CHUNK = 64 << 10


class Spool:
    """Holds what was put and not yet taken; beyond a mebibyte, on disk."""

    def __init__(self) -> None:
        self._memory = io.BytesIO()
        self._file: IO[bytes] = self._memory
        self._written = self._taken = 0
        self._changed = asyncio.Event()
        self._emptied = asyncio.Event()
        self._settled = asyncio.Event()
        self._finished = False

    async def put(self, data: bytes) -> None:
        """Hold `data`; when the disk is full, wait until all that was put before has been taken."""
        while not self._try_put(data):
            self._settled.set()
            self._emptied.clear()
            await self._emptied.wait()

    def _try_put(self, data: bytes) -> bool:
        """False where the disk has no room for it."""
        try:
            if self._file is self._memory and self._written and self._written + len(data) > _IN_MEMORY:
                self._move()
            self._file.seek(self._written)
            _write(self._file, data)
        except OSError:  # what was held before is still there
            return False
        self._written += len(data)
        self._changed.set()
        return True

    def _move(self) -> None:
        """Move from memory to the disk. Raises OSError, and then everything is where it was."""
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # closed by `_empty`
        try:
            _write(file, self._memory.getvalue()[: self._written])
        except OSError:
            file.close()
            raise
        self._file = file
        self._memory.truncate(0)

    def finish(self) -> None:
        """There is nothing more to come."""
        self._finished = True
        self._changed.set()
        self._settled.set()

    async def settled(self) -> None:
        """Wait until everything has been put, or the disk is full."""
        await self._settled.wait()

    async def drain(self) -> AsyncIterator[bytes]:
        """What was put, until `finish`."""
        try:
            while True:
                if self._taken < self._written:
                    yield self._take()
                elif self._finished:
                    return
                else:
                    self._changed.clear()
                    await self._changed.wait()
        finally:
            self._empty()

    def _take(self) -> bytes:
        self._file.seek(self._taken)
        data = self._file.read(min(_CHUNK, self._written - self._taken))
        self._taken += len(data)
        if self._taken == self._written:
            self._empty()
        return data

    def _empty(self) -> None:
        if self._file is not self._memory:
            self._file.close()
            self._file = self._memory
        self._memory.seek(0)
        self._memory.truncate()
        self._written = self._taken = 0
        self._emptied.set()


def _write(file: IO[bytes], data: bytes) -> None:
    """Write all of it: a disk that fills up takes a part, and fails at the next."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
