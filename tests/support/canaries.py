"""Finding a secret in bytes, however it was encoded on its way there."""

import base64
import hashlib
from collections.abc import Iterable, Mapping

_SHORTEST = 16


def traces(secret: str) -> set[bytes]:
    """Every text that would give the secret away, or by which whoever finds it could test guesses."""
    raw = secret.encode()
    digests = [hashlib.new(name, raw).digest() for name in ("sha256", "sha1", "md5", "sha512")]
    plain = {raw, *_hexadecimal(raw), *_base64(raw)}
    return plain | {trace for digest in digests for trace in (*_hexadecimal(digest), *_base64(digest))}


def _hexadecimal(raw: bytes) -> set[bytes]:
    return {raw.hex().encode(), raw.hex().upper().encode()}


def _base64(raw: bytes) -> set[bytes]:
    """Inside a longer text a secret may begin at any of three places; what depends on its neighbours is left out."""
    found = set()
    for lead in range(3):
        whole = base64.b64encode(b"\0" * lead + raw)
        first, last = -(-lead * 8 // 6), (lead + len(raw)) * 8 // 6
        found |= {whole[first:last], whole[first:last].replace(b"+", b"-").replace(b"/", b"_")}
    return found


def found_in(artefacts: Mapping[str, bytes], secrets: Iterable[str]) -> list[tuple[str, str]]:
    """The artefacts that hold a trace of a secret, each with the trace, which tells how it got there."""
    hunted = {trace for secret in secrets for trace in traces(secret) if len(trace) >= _SHORTEST}
    return [(name, trace.decode()) for name, data in artefacts.items() for trace in hunted if trace in data]
