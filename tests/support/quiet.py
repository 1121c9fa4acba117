"""What no refusal may say: where we live, what we are made of, and in which version."""

import builtins
import platform
import re
import socket
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import fleetroll
from tests.support.app import Response

_SOURCE = Path(fleetroll.__file__).parent
_VENDORS_WORDS = {"MetaField"}  # of their published messages
_CLASS = re.compile(r"^\s*class (\w+)", re.MULTILINE)  # to parse them takes each test process most of a second
_LIBRARIES = "apsw|asyncio|asyncpg|cryptography|httptools|msgspec|postgres|psycopg|sqlite|starlette|uvicorn|uvloop"
_PATTERNS = {
    "a path": r"/(?:home|usr|tmp|var|etc|opt|root|proc|srv)/|\b[A-Z]:\\|\.(?:py|db|sock)\b|site-packages",
    "SQL": r"\b(?:SELECT|INSERT|UPDATE|DELETE FROM|WHERE|FROM|JOIN|UNIQUE|CONSTRAINT|PRAGMA|SQLITE_\w+|rowid)\b",
    "a stack": r"Traceback|most recent call|\bline \d+, in\b|\b0x[0-9a-f]{6,}|<(?:class|function|object|module)\b",
    "a library": rf"(?i:\b(?:{_LIBRARIES})\b)",
    "a module of ours": r"\bfleetroll\.[a-z]",
    "a host": r"\b127\.0\.0\.1\b|\blocalhost\b|\b::1\b",
}


def _classes() -> set[str]:
    """Names of classes that are not words of any language: `DeviceInput`, `ValueError`."""
    ours = {name for file in _SOURCE.rglob("*.py") for name in _CLASS.findall(file.read_text())}
    return {name for name in {*ours, *dir(builtins)} - _VENDORS_WORDS if re.search(r"[a-z][A-Z]", name)}


def _exact() -> dict[str, set[str]]:
    versions = {platform.python_version(), version("msgspec"), version("apsw"), version("uvicorn")}
    return {
        "a class": _classes(),
        "a version": versions | {f"{name}/{fleetroll.__version__}" for name in ("fleetroll", "Fleetroll")},
        "this host": {name for name in (socket.gethostname(), socket.getfqdn()) if len(name) > 3} - {"localhost"},
        "the source": {str(_SOURCE)},
    }


_EXACT = {
    kind: re.compile("|".join(rf"\b{re.escape(word)}\b" for word in words)) for kind, words in _exact().items() if words
}
_FORBIDDEN = {**{kind: re.compile(pattern) for kind, pattern in _PATTERNS.items()}, **_EXACT}
_TELLTALE_HEADERS = {"server", "via", "x-powered-by", "x-served-by", "x-runtime"}


def betrayals(text: str) -> dict[str, str]:
    """What the text gives away, by kind."""
    return {kind: found[0] for kind, pattern in _FORBIDDEN.items() if (found := pattern.search(text))}


def assert_quiet(response: Response, *, echoed: Iterable[str] = ()) -> None:
    """A refusal says nothing of our insides. `echoed` are texts of the caller's own that it may repeat."""
    assert not _TELLTALE_HEADERS & {name.lower() for name in response.headers}, response.headers
    text = "\n".join([*response.headers.values(), response.body.decode()])
    for own in echoed:
        text = text.replace(own, "")
    found = betrayals(text)
    assert not found, (found, text)
