"""The tokens that a predicate is written with: words, texts in quotes, numbers, signs; and how it is refused."""

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from fleetroll.core.faults import Fault, brief, invalid
from fleetroll.core.jsonpath import numerics

_TOKEN = re.compile(
    r"""[ \t\n\r\f]*(?:(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<number>(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?!\w))
    |(?P<variable>\$(?:\w+|"(?:[^"\\]|\\.)*"))
    |(?P<word>[^\W\d]\w*|\$|@)
    |(?P<symbol>&&|\|\||==|!=|<>|<=|>=|\*\*|[-+/%<>!()\[\]{},.?*]))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(.))",
    re.DOTALL,
)
_BLANKS = " \t\n\r\f"
_MOST_DIGITS, _LEAST_POWER, _MOST_POWER = 40, -400, 300
_MEANT = {
    "'": "strings are written in double quotes",
    "=": "write == for equality",
    "&": "write && for and",
    "|": "write || for or",
}
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Token(NamedTuple):
    """One token as it is written, texts with their quotes, and its position, counted from 1."""

    kind: str
    text: str
    column: int


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text, in their order. Raises Fault invalid at the first part that is none."""
    position, end = 0, len(text.rstrip(_BLANKS))
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            rest = text[position:end].lstrip(_BLANKS)
            raise unexpected(Token("", rest, end - len(rest) + 1), _MEANT.get(rest[0], ""))
        token = Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup) + 1)
        if token.kind == "variable":
            raise refused(f"has a variable, {brief(token.text, 40)}; write its value instead", token.column)
        yield token
        position = match.end()


def number(text: str, column: int) -> int | float | Decimal:
    """The exact value of a number: an int, a float where that loses nothing, or a Decimal. Raises Fault invalid."""
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise _out_of_range(column) from None
    if len(exact.as_tuple().digits) > _MOST_DIGITS or (exact and not _LEAST_POWER <= exact.adjusted() < _MOST_POWER):
        raise _out_of_range(column)
    if text.lstrip("-").isdigit():
        return int(text)
    nearest = float(text)
    return nearest if numerics.exact(nearest) == exact else exact


def _out_of_range(column: int) -> Fault:
    return refused("has a number that is out of range", column)


def unquoted(text: str, column: int = 0) -> str:
    """The value of a quoted text, with JavaScript's escapes, as PostgreSQL reads them. Raises Fault invalid."""
    try:
        value = _ESCAPE.sub(_unescaped, text[1:-1]).encode("utf-16", "surrogatepass").decode("utf-16")
    except ValueError:
        raise refused(f"has a string that is not valid: {brief(text)}", column) from None
    if "\0" in value:
        raise refused("has a string with U+0000, which no document can hold", column)
    return value


def _unescaped(escape: re.Match[str]) -> str:
    """Raises ValueError for an invalid escape."""
    if digits := escape[1] or escape[2] or escape[3]:
        return chr(int(digits, 16))
    if escape[4] in {"u", "x"}:
        raise ValueError
    return _CONTROLS.get(escape[4], escape[4])


def unexpected(token: Token | None, hint: str) -> Fault:
    why = "ends too early" if token is None else f"goes wrong with {brief(token.text, 40)}"
    return refused(f"{why}; {hint}" if hint else why, 0 if token is None else token.column)


def refused(why: str, column: int = 0) -> Fault:
    """`column` is where in the predicate, if that is one place."""
    predicate = f"At column {column}, the JSONPath predicate" if column else "The JSONPath predicate"
    return invalid("invalid_jsonpath", f"{predicate} {why}.", "filter")
