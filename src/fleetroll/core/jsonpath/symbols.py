"""The symbols that a predicate is written with: words, texts in quotes, numbers, signs; and how it is refused."""

import re
from collections.abc import Iterator

import msgspec

from fleetroll.core.faults import Fault, brief, invalid

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<number>(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\w))
    |(?P<word>[^\W\d]\w*|\$|@)
    |(?P<symbol>&&|\|\||==|!=|<>|<=|>=|[-<>!()\[\],.?*]))""",
    re.VERBOSE | re.ASCII,
)
_NONE = "\0"


def symbols(text: str) -> Iterator[tuple[str, str]]:
    place, end = 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            raise unexpected(text[place:].strip())
        yield found.lastgroup, found[found.lastgroup]
        place = found.end()


def number(text: str) -> int | float:
    if len(text) > 40:
        raise refused("has a number that is out of range")
    value: int | float = int(text) if text.lstrip("-").isdigit() else float(text)
    if not -1e300 < value < 1e300:
        raise refused("has a number that is out of range")
    return value


def unquoted(text: str) -> str:
    try:
        found = str(msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeError):
        found = _NONE
    if _NONE in found:  # which no document holds, and PostgreSQL has no place for
        raise refused(f"has a text that is none: {brief(text)}")
    return found


def unexpected(symbol: str | None, hint: str = "") -> Fault:
    where = "ends too early" if symbol is None else f"goes wrong at {brief(symbol, 40)}"
    return refused(f"{where}; {hint}" if hint else where)


def refused(why: str) -> Fault:
    return invalid("invalid_jsonpath", f"The JSONPath predicate {why}.", "filter")
