"""What a path says besides names, and the path of what was made."""

from urllib.parse import quote

from fleetroll.core.faults import not_found
from fleetroll.wire.request import Request


def path_of(nouns: str, name: str) -> str:
    return f"/v1/{nouns}/{quote(name, safe='')}"


def number(request: Request, noun: str) -> int:
    """The number in a path. Raises Fault not_found for anything else: it names nothing, and is no error of syntax."""
    text = request.path["id"]
    if not (text.isascii() and text.isdigit() and len(text) < 19 and text[0] != "0"):
        raise not_found(noun, text)
    return int(text)
