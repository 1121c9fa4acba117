"""The one canonical text of a predicate."""

from decimal import Decimal

import msgspec

from fleetroll.core.jsonpath.tree import (
    All,
    Arithmetic,
    Bare,
    Compared,
    Descendants,
    Either,
    Elements,
    Exists,
    Index,
    Key,
    LikeRegex,
    Literal,
    Method,
    Negated,
    Operand,
    Path,
    Predicate,
    Scalar,
    Signed,
    StartsWith,
    Step,
    Strict,
    Unknown,
    Where,
)


def write(predicate: Predicate) -> str:  # noqa: C901  # one case for each kind
    """The canonical text, which PostgreSQL takes as it is."""
    match predicate:
        case Compared(symbol, left, right):
            return f"{_written(left)} {symbol} {_written(right)}"
        case Exists(path):
            return f"exists({_written(path)})"
        case StartsWith(path, text):
            return f"{_written(path)} starts with {_quoted(text)}"
        case LikeRegex(path, pattern, flags):
            return f"{_written(path)} like_regex {_quoted(pattern)}" + (f" flag {_quoted(flags)}" if flags else "")
        case All(parts):
            return " && ".join(f"({write(part)})" for part in parts)
        case Either(parts):
            return " || ".join(f"({write(part)})" for part in parts)
        case Negated(part):
            return f"!({write(part)})"
        case Unknown(part):
            return f"({write(part)}) is unknown"
        case Bare(path):
            return _written(path)
        case Strict(part):
            return f"strict {write(part)}"


def _written(operand: Operand) -> str:
    match operand:
        case Literal(value):
            return _quoted(value)
        case Signed(symbol, part):
            return f"{symbol}({_written(part)})"
        case Arithmetic(symbol, left, right):
            return f"({_written(left)} {symbol} {_written(right)})"
        case Path(root, steps):
            begin = root if isinstance(root, str) else f"({_written(root)})"
            return begin + "".join(map(_written_step, steps))


def _written_step(step: Step) -> str:
    match step:
        case Key(name):
            return ".*" if name is None else f".{_quoted(name)}"
        case Index(spans):
            return "[" + ", ".join(_written_span(start, end) for start, end in spans) + "]"
        case Elements():
            return "[*]"
        case Descendants(first, last):
            return f".**{{{_written_span(first, last)}}}"
        case Where(predicate):
            return f" ? ({write(predicate)})"
        case Method(name):
            return f".{name}()"


def _written_span(start: int, end: int) -> str:
    return _written_index(start) if start == end else f"{_written_index(start)} to {_written_index(end)}"


def _written_index(index: int) -> str:
    if index >= 0:
        return str(index)
    return "last" if index == -1 else f"last - {-1 - index}"


def _quoted(value: Scalar) -> str:
    return str(value) if isinstance(value, Decimal) else msgspec.json.encode(value).decode()
