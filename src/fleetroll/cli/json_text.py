"""JSON as people write it on a command line or in a file: only what can be sent to a server."""

from typing import Any

import msgspec

from fleetroll.core import documents, limits


class NotJson(ValueError):
    """The text is not JSON, or has a number, character or depth that no server takes. The message says where or why."""


def read(text: bytes) -> Any:
    """The value of a JSON text. Raises NotJson."""
    if documents.depth_exceeds(text, limits.MAX_JSON_DEPTH):
        raise NotJson(f"it has more than {limits.MAX_JSON_DEPTH} levels")
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError as problem:
        raise NotJson(documents.flaw(problem, text)) from None
    except UnicodeDecodeError as problem:
        raise NotJson(f"it is not UTF-8 (byte {problem.start})") from None
