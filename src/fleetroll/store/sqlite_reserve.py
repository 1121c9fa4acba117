"""Room on the disk that is reserved for writes that remove something: these still work where the disk is full.

It is a file beside the database. On a full disk it is deleted, and other writes work again once it could be restored.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import Final

_MOST: Final = 16 << 20  # some hundreds of deletes, each in a commit of its own
_SHARE: Final = 8  # at most one part in so many of the free room
_SECONDS: Final = 1.0  # between two looks for room


class Reserve:
    """The room kept beside one database; none, where the file system cannot keep any."""

    def __init__(self, database: Path) -> None:
        self._file = database.with_name(f"{database.name}-reserve")
        self._look_at = 0.0
        room = os.statvfs(database.parent)
        self.size = max(1, min(_MOST, room.f_bavail * room.f_frsize // _SHARE))
        self._is_kept = self._keep()
        self.is_spent = False

    def _keep(self) -> bool:
        try:
            file = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, self.size)
            finally:
                os.close(file)
        except (OSError, AttributeError):  # no room, or a system without the call
            self._remove()
            return False
        return True

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    def spend(self) -> bool:
        """Release the room; False where none is left."""
        if not self._is_kept:
            return False
        self._remove()
        self._is_kept, self.is_spent = False, True
        self._look_at = time.monotonic() + _SECONDS
        return True

    def restore(self) -> bool:
        """Whether the room is kept again. It is looked for once a second, which takes a moment of the disk."""
        if self.is_spent and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _SECONDS
            self._is_kept = self._keep()
            self.is_spent = not self._is_kept
        return not self.is_spent

    def close(self) -> None:
        self._remove()
