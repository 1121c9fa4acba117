"""One JSON object per line, for every record of the standard logging package and for every request."""

import asyncio
import contextlib
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from fleetroll.core import tokens

# Valid inside JSON, but line ends to some readers of logs, or commands to some terminals.
_UNSAFE = str.maketrans({code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)})

_encode_lines = msgspec.json.Encoder().encode_lines
_GATHER_SECONDS = 0.1


class JsonLines(logging.Formatter):
    """Formats a record as one line, whatever its message holds, with no character that is a command to a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _safe(msgspec.json.encode(entry).decode())


def _safe(text: str) -> str:
    text = tokens.redact(text)  # a key in a path, say: a mistake, but not one to keep
    return text if text.isascii() and "\x7f" not in text else text.translate(_UNSAFE)


class Access(msgspec.Struct, gc=False):
    """What is logged of one request. No query, no body, no header: those may hold secrets."""

    at: datetime
    method: str
    path: str
    status: int
    ms: float
    request: str
    operation: str
    key: int | None
    org: int | None
    code: str | None = None
    logger: str = "fleetroll.access"


class AccessLog:
    """Request lines, gathered for a moment and written together: one system call for many."""

    def __init__(self, stream: TextIO | None, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop
        self._entries: list[Access] = []

    def write(self, entry: Access) -> None:
        if self._stream is None:
            return
        if not self._entries:
            self._loop.call_later(_GATHER_SECONDS, self.flush)
        self._entries.append(entry)

    def flush(self) -> None:
        """Write what has gathered. It is lost if the disk is full, or its reader has gone: requests continue."""
        if self._stream is not None and self._entries:
            text = _encode_lines(self._entries).decode()
            self._entries.clear()
            with contextlib.suppress(OSError):
                self._stream.write(_safe(text))
                self._stream.flush()


def configure(level: str) -> None:
    """Send all logging of the process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
