"""What a path says besides names, and the path of what was made."""

from urllib.parse import quote

from fleetroll.wire.request import Request


def path_of(nouns: str, name: str) -> str:
    return f"/v1/{nouns}/{quote(name, safe='')}"


def number(request: Request) -> int:
    """The number in a path. What is no number names nothing, as 0 does; it is not a mistake of grammar."""
    text = request.path["id"]
    is_id = text.isascii() and text.isdigit() and len(text) < 19 and text[0] != "0"
    return int(text) if is_id else 0
