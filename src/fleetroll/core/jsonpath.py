"""SQL/JSON path predicates (ISO 9075-2, as PostgreSQL's `@@` has them in lax mode), without whatever could run away.

`parse` makes a tree of a text, `write` the one canonical text of a tree, and `holds` says what it means of a document:
true, false, or None where SQL says unknown. Engines that know jsonpath are given the canonical text; the others ask
`holds`. Left out are arithmetic, variables, dates, recursive descent and strict mode, and whatever takes
longer than a walk over the document: comparing two paths, filters within filters, and many positions at once.
"""

import functools
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from fleetroll.core import limits, regexp
from fleetroll.core.faults import Fault, brief, invalid

Scalar: TypeAlias = str | int | float | bool | None
Truth: TypeAlias = bool | None


class Key(Struct, frozen=True, tag=True):
    """`.name`; `.*` where the name is None."""

    name: str | None


class Index(Struct, frozen=True, tag=True):
    """`[0]`, `[last]`, `[1 to last - 1]`, `[0, 2]`. A position from the end is -1 for the last and below."""

    spans: tuple[tuple[int, int], ...]


class Elements(Struct, frozen=True, tag=True):
    """`[*]`"""


class Where(Struct, frozen=True, tag=True):
    """`? (…)`"""

    predicate: "Predicate"


class Method(Struct, frozen=True, tag=True):
    """`.size()` or `.type()`"""

    name: str


Step: TypeAlias = Key | Index | Elements | Where | Method


class Path(Struct, frozen=True, tag=True):
    """`root` is `$`, the document, or `@`, the item that a filter looks at."""

    root: str
    steps: tuple[Step, ...]


class Literal(Struct, frozen=True, tag=True):
    value: Scalar


Operand: TypeAlias = Path | Literal


class Compared(Struct, frozen=True, tag=True):
    symbol: str
    left: Operand
    right: Operand


class Exists(Struct, frozen=True, tag=True):
    path: Path


class StartsWith(Struct, frozen=True, tag=True):
    path: Path
    text: str


class LikeRegex(Struct, frozen=True, tag=True):
    path: Path
    pattern: str
    flags: str = ""


class All(Struct, frozen=True, tag=True):
    parts: "tuple[Predicate, ...]"


class Either(Struct, frozen=True, tag=True):
    parts: "tuple[Predicate, ...]"


class Denied(Struct, frozen=True, tag=True):
    part: "Predicate"


class Unknown(Struct, frozen=True, tag=True):
    part: "Predicate"


class Bare(Struct, frozen=True, tag=True):
    """A path alone, which holds where it finds `true` and nothing else."""

    path: Path


Predicate: TypeAlias = Compared | Exists | StartsWith | LikeRegex | All | Either | Denied | Unknown | Bare


def translated(predicate: Predicate, words: Mapping[str, str]) -> Predicate:
    """The predicate with other words for the texts that values are compared with."""
    match predicate:
        case Compared(symbol, left, right):
            return Compared(symbol, _translated(left, words), _translated(right, words))
        case All(parts):
            return All(tuple(translated(part, words) for part in parts))
        case Either(parts):
            return Either(tuple(translated(part, words) for part in parts))
        case Denied(part):
            return Denied(translated(part, words))
        case Unknown(part):
            return Unknown(translated(part, words))
    return predicate


def _translated(operand: Operand, words: Mapping[str, str]) -> Operand:
    if isinstance(operand, Literal) and isinstance(operand.value, str):
        return Literal(words.get(operand.value, operand.value))
    return operand


# --- from text -------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<number>(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\w))
    |(?P<word>[^\W\d]\w*|\$|@)
    |(?P<symbol>&&|\|\||==|!=|<>|<=|>=|[-<>!()\[\],.?*]))""",
    re.VERBOSE | re.ASCII,
)
_PLAIN = re.compile(r"""\.(?:(?P<word>[^\W\d]\w*)|(?P<text>"(?:[^"\\]|\\.)*"))|\[(?P<place>\d{1,6}|last)\]""", re.ASCII)
_CONSTANTS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
_COMPARATORS = {"==": "==", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_FLAGS = frozenset("iq")
_MAX_POSITION = 1 << 20
_MAX_SPANS = 8
_NONE = "\0"


def parse(text: str) -> Predicate:
    """The predicate that the text says. Raises Fault invalid `invalid_jsonpath`."""
    if len(text) > limits.MAX_FILTER:
        raise _refused(f"is longer than {limits.MAX_FILTER} characters")
    parser = _Parser(text)
    found = parser.whole()
    if parser.size > limits.MAX_PREDICATES:
        raise _refused(f"has more than {limits.MAX_PREDICATES} predicates")
    return found


def parse_path(text: str) -> tuple[str | int, ...] | None:
    """The steps of a plain path, `$.a.b[0]`, with -1 for `[last]`; None for a text that is anything else."""
    steps: list[str | int] = []
    place, end = 1, len(text)
    while text[:1] == "$" and place < end and (found := _PLAIN.match(text, place)):
        place = found.end()
        if found["place"]:
            steps.append(-1 if found["place"] == "last" else int(found["place"]))
        else:
            try:
                steps.append(found["word"] or _unquoted(found["text"]))
            except Fault:
                return None
    return tuple(steps) if place == end and 0 < len(steps) <= limits.MAX_JSON_DEPTH else None


def _unquoted(text: str) -> str:
    try:
        found = str(msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeError):
        found = _NONE
    if _NONE in found:  # which no document holds, and PostgreSQL has no place for
        raise _refused(f"has a text that is none: {brief(text)}")
    return found


class _Parser:
    """Reads symbols from left to right, one function per rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._symbols = list(_symbols(text))
        self._next = 0
        self._depth = 0
        self._roots = ("$",)
        self.size = 0

    def whole(self) -> Predicate:
        self._take("lax")
        found = self._either(bare=True)
        if self._peek() is not None:
            raise _unexpected(self._peek())
        return found

    def _either(self, *, bare: bool = False) -> Predicate:
        self._depth += 1
        if self._depth > limits.MAX_FILTER_DEPTH:
            raise _refused(f"is nested deeper than {limits.MAX_FILTER_DEPTH} levels")
        parts = [self._all(bare)]
        while self._take("||"):
            parts.append(self._all(False))
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _all(self, bare: bool) -> Predicate:
        parts = [self._single(bare)]
        while self._take("&&"):
            parts.append(self._single(False))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _single(self, bare: bool) -> Predicate:
        self.size += 1
        if self._take("!"):
            if self._peek() not in {"(", "exists"}:
                raise _unexpected(self._peek(), "after ! comes a parenthesis or exists")
            return Denied(self._single(False))
        if self._take("("):
            return self._closed()
        if self._take("exists"):
            self._expect("(")
            path = self._path()
            self._expect(")")
            return Exists(path)
        return self._about(self._operand(), bare)

    def _closed(self) -> Predicate:
        inner = self._either()
        self._expect(")")
        if self._take("is"):
            self._expect("unknown")
            return Unknown(inner)
        return inner

    def _about(self, left: Operand, bare: bool) -> Predicate:
        symbol = self._peek()
        if symbol is not None and symbol in _COMPARATORS:
            self._next += 1
            right = self._operand()
            if isinstance(left, Path) and isinstance(right, Path):
                raise _refused("compares two paths; compare a path with a value")
            return Compared(_COMPARATORS[symbol], left, right)
        if not isinstance(left, Path):
            raise _unexpected(symbol, "a value is compared with something")
        if self._take("starts"):
            self._expect("with")
            return StartsWith(left, self._text())
        if self._take("like_regex"):
            return self._regex(left)
        if bare and symbol is None:
            return Bare(left)
        raise _unexpected(symbol, "a path is compared with something")

    def _regex(self, path: Path) -> Predicate:
        pattern, flags = self._text(), self._text() if self._take("flag") else ""
        if set(flags) - _FLAGS:
            raise _refused("knows the flags i and q of like_regex")
        compiled(pattern, flags)
        return LikeRegex(path, pattern, "".join(sorted(set(flags))))

    def _operand(self) -> Operand:
        symbol = self._peek()
        if symbol in {"$", "@"}:
            return self._path()
        if symbol is not None and symbol in _CONSTANTS:
            self._next += 1
            return Literal(_CONSTANTS[symbol])
        negative = self._take("-")
        number = self._taken("number")
        if number is not None:
            return Literal(_number(("-" if negative else "") + number))
        if negative:
            raise _unexpected(self._peek())
        return Literal(self._text())

    def _path(self) -> Path:
        root = self._peek()
        if root is None or root not in self._roots:
            raise _unexpected(root, f"a path begins with {self._roots[0]} here")
        self._next += 1
        steps: list[Step] = []
        while (step := self._step()) is not None:
            steps.append(step)
            if len(steps) > limits.MAX_JSON_DEPTH:
                raise _refused(f"has a path of more than {limits.MAX_JSON_DEPTH} steps")
        if math.prod(len(step.spans) for step in steps if isinstance(step, Index)) > _MAX_SPANS:
            raise _refused(f"has more than {_MAX_SPANS} positions at once")
        return Path(root, tuple(steps))

    def _step(self) -> Step | None:
        if self._take("."):
            return self._member()
        if self._take("["):
            return self._subscript()
        if self._take("?"):
            if self._roots == ("@",):
                raise _refused("has a filter within a filter")
            self._roots = ("@",)
            self._expect("(")
            inner = self._either()
            self._expect(")")
            self._roots = ("$",)
            return Where(inner)
        return None

    def _member(self) -> Step:
        if self._take("*"):
            return Key(None)
        name = self._taken("word")
        if name is None or name in {"$", "@"}:
            return Key(self._text())
        if self._take("("):
            self._expect(")")
            if name not in {"size", "type"}:
                raise _refused(f"knows the methods size() and type(), not {brief(name)}()")
            return Method(name)
        return Key(name)

    def _subscript(self) -> Step:
        if self._take("*"):
            self._expect("]")
            return Elements()
        spans = [self._span()]
        while self._take(","):
            spans.append(self._span())
        self._expect("]")
        return Index(tuple(spans))

    def _span(self) -> tuple[int, int]:
        start = self._place()
        return (start, self._place()) if self._take("to") else (start, start)

    def _place(self) -> int:
        if self._take("last"):
            return -1 - (self._whole_number() if self._take("-") else 0)
        return self._whole_number()

    def _whole_number(self) -> int:
        number = self._taken("number")
        if number is None or not number.isdigit() or len(number) > 7 or int(number) > _MAX_POSITION:
            raise _unexpected(number or self._peek(), "a position is a small whole number or last")
        return int(number)

    def _text(self) -> str:
        text = self._taken("text")
        if text is None:
            raise _unexpected(self._peek(), "a text in double quotes is expected")
        return _unquoted(text)

    def _peek(self) -> str | None:
        """The next symbol as it is written, texts with their quotes."""
        return self._symbols[self._next][1] if self._next < len(self._symbols) else None

    def _take(self, symbol: str) -> bool:
        if self._peek() != symbol:
            return False
        self._next += 1
        return True

    def _taken(self, kind: str) -> str | None:
        if self._next < len(self._symbols) and self._symbols[self._next][0] == kind:
            self._next += 1
            return self._symbols[self._next - 1][1]
        return None

    def _expect(self, symbol: str) -> None:
        if not self._take(symbol):
            raise _unexpected(self._peek(), f"{symbol} is expected")


def _symbols(text: str) -> Iterator[tuple[str, str]]:
    place, end = 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            raise _unexpected(text[place:].strip())
        yield found.lastgroup, found[found.lastgroup]
        place = found.end()


def _number(text: str) -> int | float:
    if len(text) > 40:
        raise _refused("has a number that is out of range")
    value: int | float = int(text) if text.lstrip("-").isdigit() else float(text)
    if not -1e300 < value < 1e300:
        raise _refused("has a number that is out of range")
    return value


def _unexpected(symbol: str | None, hint: str = "") -> Fault:
    where = "ends too early" if symbol is None else f"goes wrong at {brief(symbol, 40)}"
    return _refused(f"{where}; {hint}" if hint else where)


def _refused(why: str) -> Fault:
    return invalid("invalid_jsonpath", f"The JSONPath predicate {why}.", "filter")


# --- to text ---------------------------------------------------------------------------------------------------------


def write(predicate: Predicate) -> str:
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
        case Denied(part):
            return f"!({write(part)})"
        case Unknown(part):
            return f"({write(part)}) is unknown"
        case Bare(path):
            return _written(path)


def _written(operand: Operand) -> str:
    if isinstance(operand, Literal):
        return _quoted(operand.value)
    return operand.root + "".join(map(_written_step, operand.steps))


def _written_step(step: Step) -> str:
    match step:
        case Key(name):
            return ".*" if name is None else f".{_quoted(name)}"
        case Index(spans):
            return "[" + ", ".join(_written_span(start, end) for start, end in spans) + "]"
        case Elements():
            return "[*]"
        case Where(predicate):
            return f" ? ({write(predicate)})"
        case Method(name):
            return f".{name}()"


def _written_span(start: int, end: int) -> str:
    return _written_place(start) if start == end else f"{_written_place(start)} to {_written_place(end)}"


def _written_place(place: int) -> str:
    if place >= 0:
        return str(place)
    return "last" if place == -1 else f"last - {-1 - place}"


def _quoted(value: Scalar) -> str:
    return msgspec.json.encode(value).decode()


# --- what it means ---------------------------------------------------------------------------------------------------

_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def holds(predicate: Predicate, document: object) -> Truth:
    """Whether the predicate holds of the document; None where that is unknown."""
    return _holds(predicate, document, document)


def _holds(predicate: Predicate, root: object, current: object) -> Truth:  # noqa: C901  # one case for each kind
    match predicate:
        case Compared(symbol, left, right):
            others = list(_operands(right, root, current))
            ones = _operands(left, root, current)
            return _any(_compare(symbol, one, other) for one in ones for other in others)
        case Exists(path):
            return any(True for _ in _items(path, root, current))
        case StartsWith(path, text):
            return _any(_of_text(path, root, current, lambda one: one.startswith(text)))
        case LikeRegex(path, pattern, flags):
            return _any(_of_text(path, root, current, compiled(pattern, flags).search))
        case All(parts):
            return _denied(_any(_denied(_holds(part, root, current)) for part in parts))
        case Either(parts):
            return _any(_holds(part, root, current) for part in parts)
        case Denied(part):
            return _denied(_holds(part, root, current))
        case Unknown(part):
            return _holds(part, root, current) is None
        case Bare(path):
            match list(_items(path, root, current)):
                case [bool() as found]:
                    return found
            return None


def _of_text(path: Path, root: object, current: object, test: Callable[[str], bool]) -> Iterator[Truth]:
    return (test(one) if isinstance(one, str) else None for one in _unwrapped(_items(path, root, current)))


def _any(truths: Iterator[Truth]) -> Truth:
    """True if one is, else unknown if one is."""
    unknown = False
    for truth in truths:
        if truth:
            return True
        unknown = unknown or truth is None
    return None if unknown else False


def _denied(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _compare(symbol: str, one: object, other: object) -> Truth:
    if one is None or other is None:
        return symbol in {"==", "<=", ">="} if one is other else symbol == "!="
    if _kind(one) != _kind(other) or isinstance(one, dict | list):
        return None
    return _TESTS[symbol](one, other)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    return "array" if isinstance(value, list) else "object"


def _operands(operand: Operand, root: object, current: object) -> Iterator[object]:
    if isinstance(operand, Literal):
        return iter((operand.value,))
    return _unwrapped(_items(operand, root, current))


def _unwrapped(items: Iterator[object]) -> Iterator[object]:
    for item in items:
        if isinstance(item, list):
            yield from item
        else:
            yield item


def _items(path: Path, root: object, current: object) -> Iterator[object]:
    found: Iterator[object] = iter((root if path.root == "$" else current,))
    for step in path.steps:
        found = _stepped(found, step, root)
    return found


def _stepped(items: Iterator[object], step: Step, root: object) -> Iterator[object]:
    match step:
        case Key(name):
            return _members(_unwrapped(items), name)
        case Index(spans):
            return (one for item in items for one in _positions(item if isinstance(item, list) else [item], spans))
        case Elements():
            return _unwrapped(items)
        case Where(predicate):
            return (one for one in _unwrapped(items) if _holds(predicate, root, one))
        case Method("size"):
            return (len(item) if isinstance(item, list) else 1 for item in items)
        case Method():
            return (_kind(item) for item in items)


def _members(items: Iterator[object], name: str | None) -> Iterator[object]:
    for item in items:
        if not isinstance(item, dict):
            continue
        if name is None:
            yield from item.values()
        elif name in item:
            yield item[name]


def _positions(array: list[object], spans: tuple[tuple[int, int], ...]) -> Iterator[object]:
    size = len(array)
    for span in spans:
        start, end = (place if place >= 0 else size + place for place in span)
        yield from array[max(start, 0) : max(end + 1, 0)]


@functools.lru_cache(maxsize=256)
def compiled(pattern: str, flags: str) -> regexp.Matcher:
    """Raises Fault invalid `invalid_jsonpath` for a pattern that is none, or one beyond what is supported."""
    try:
        return regexp.Matcher(pattern, ignore_case="i" in flags, literal="q" in flags)
    except regexp.Refused as problem:
        raise _refused(f"has a like_regex whose pattern {problem}") from None


@functools.lru_cache(maxsize=256)
def parsed(text: str) -> Predicate:
    """`parse`, remembered: an engine asks for the same text once per row."""
    return parse(text)
