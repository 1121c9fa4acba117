"""From the text of a predicate to its tree, and from that of a plain path to its steps."""

import functools
import math
import re
from collections.abc import Callable

from fleetroll.core import limits, regexp
from fleetroll.core.faults import Fault, brief
from fleetroll.core.jsonpath.evaluation import NUMERIC, compiled
from fleetroll.core.jsonpath.lexer import Token, number, refused, tokens, unexpected, unquoted
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

_PLAIN = re.compile(
    r"""\.(?:(?P<word>[^\W\d]\w*)|(?P<text>"(?:[^"\\]|\\.)*"))|\[(?P<index>[0-9]{1,6}|(?i:last))\]""", re.DOTALL
)
_CONSTANTS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
_COMPARATORS = {"==": "==", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_PRODUCTS, _SUMS = frozenset("*/%"), frozenset("+-")
_PREDICATES = frozenset({*_COMPARATORS, "exists", "starts", "like_regex"})
_ACCESSORS = frozenset(".[?")
_METHODS = ("size", "type", *NUMERIC)
_FLAGS = "isq"
_MAX_POSITION = 1 << 20
_MAX_SPANS = 8
_MAX_OPERATORS = 4
_MAX_STEPS_BESIDE_DESCENT = 6


def parse(text: str) -> Predicate:
    """The predicate that the text says. Raises Fault invalid `invalid_jsonpath`."""
    if len(text) > limits.MAX_FILTER:
        raise refused(f"is longer than {limits.MAX_FILTER} characters")
    parser = _Parser(text)
    predicate = parser.whole()
    if parser.descends and parser.longest > _MAX_STEPS_BESIDE_DESCENT:
        raise refused(f"has ** and a path of more than {_MAX_STEPS_BESIDE_DESCENT} steps")
    return predicate


@functools.lru_cache(maxsize=256)
def parse_canonical(text: str) -> Predicate:
    """The predicate that `write` wrote as this text. Remembered: an engine asks for the same one once per row.

    `parse` has bounded what it was written from; it may be longer than that, and has more parentheses.
    """
    return _Parser(text, deepest=len(text), most=len(text)).whole()


def parse_path(text: str) -> tuple[str | int, ...] | None:
    """The steps of a plain path, `$.a.b[0]`, with -1 for `[last]`; None for a text that is anything else."""
    steps: list[str | int] = []
    position, end = 1, len(text)
    while text[:1] == "$" and position < end and (match := _PLAIN.match(text, position)):
        position = match.end()
        if match["index"]:
            steps.append(int(match["index"]) if match["index"].isdigit() else -1)
        else:
            try:
                steps.append(match["word"] or unquoted(match["text"]))
            except Fault:
                return None
    return tuple(steps) if position == end and 0 < len(steps) <= limits.MAX_JSON_DEPTH else None


class _Parser:
    """Recursive descent over the tokens, one function per rule of the grammar."""

    def __init__(self, text: str, deepest: int = limits.MAX_FILTER_DEPTH, most: int = limits.MAX_PREDICATES) -> None:
        self._tokens = list(tokens(text))
        self._next = 0
        self._depth = 0
        self._deepest = deepest
        self._most = most
        self._roots = ("$",)
        self._operators = 0
        self._strict = False
        self._size = 0
        self.longest = 0
        self.descends = False

    def whole(self) -> Predicate:
        self._strict = not self._accept("lax") and self._accept("strict")
        predicate = self._disjunction(bare=True)
        if self._token is not None:
            raise self._unexpected("join predicates with && or ||")
        return Strict(predicate) if self._strict else predicate

    def _disjunction(self, *, bare: bool = False) -> Predicate:
        self._deepen()
        parts = [self._conjunction(bare=bare)]
        while self._accept("||"):
            parts.append(self._conjunction())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _deepen(self) -> None:
        self._depth += 1
        if self._depth > self._deepest:
            raise refused(f"is nested deeper than {self._deepest} levels")

    def _conjunction(self, *, bare: bool = False) -> Predicate:
        parts = [self._single(bare=bare)]
        while self._accept("&&"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _single(self, *, bare: bool = False) -> Predicate:
        if self._encloses_predicate():
            self._next += 1
            return self._parenthesized()
        self._size += 1
        if self._size > self._most:  # asked before the next one is read, as its pattern may take a millisecond
            raise refused(f"has more than {self._most} predicates")
        if self._accept("!"):
            if not (self._encloses_predicate() or self._next_is("exists")):
                raise self._unexpected("write a predicate in parentheses, or exists, after !")
            return Negated(self._single())
        if self._accept("exists"):
            self._expect("(")
            path = self._path()
            self._expect(")")
            return Exists(path)
        return self._comparison(self._operand(), bare=bare)

    def _parenthesized(self) -> Predicate:
        inner = self._disjunction()
        self._expect(")")
        if self._accept("is"):
            self._expect("unknown")
            return Unknown(inner)
        return inner

    def _comparison(self, left: Operand, *, bare: bool) -> Predicate:
        """What is said of an operand: how it compares, or in `bare` position that it is true by itself."""
        operator = self._peek()
        if operator is not None and operator in _COMPARATORS:
            at = self._advance()
            right = self._operand()
            if self._finds_many(left) and self._finds_many(right):
                raise self._refused(f"compares two paths; {self._how_paths_compare()}", at)
            return Compared(_COMPARATORS[operator], left, right)
        if not isinstance(left, Path):
            raise self._unexpected("a comparison is expected after a value")
        if self._accept("starts"):
            self._expect("with")
            return StartsWith(left, self._text())
        if self._accept("like_regex"):
            return self._regex(left)
        if bare and operator is None:
            return Bare(left)
        raise self._unexpected("a comparison is expected after a path")

    def _how_paths_compare(self) -> str:
        if self._strict:
            return "each of them must find a single value"
        return "in lax mode each may find several values, so begin with strict"

    def _finds_many(self, operand: Operand) -> bool:
        """Whether it may find any number of values; in lax mode a single one may be an array of them."""
        if isinstance(operand, Signed):
            return self._finds_many(operand.part)
        if not isinstance(operand, Path):
            return False
        root = operand.root
        return any(map(_leads_to_many, operand.steps)) or (
            not self._strict if isinstance(root, str) else self._finds_many(root)
        )

    def _regex(self, path: Path) -> Predicate:
        at = self._next
        pattern = self._text()
        flags = "".join(sorted(set(self._text()))) if self._accept("flag") else ""
        if unknown := flags.strip(_FLAGS):
            raise self._refused(f"has the unknown like_regex flag {brief(unknown)}; use i, s or q", self._next - 1)
        try:
            compiled(pattern, flags)
        except regexp.Refused as problem:
            raise self._refused(f"has a like_regex whose pattern {problem}", at) from None
        return LikeRegex(path, pattern, flags)

    def _encloses_predicate(self) -> bool:
        """Whether a parenthesis comes next, and is around a predicate, rather than around an operand."""
        if not self._next_is("("):
            return False
        depth, filter_depth, previous = 0, 0, ""
        for token in self._tokens[self._next :]:
            text = token.text
            if text == "(":
                depth += 1
                filter_depth = filter_depth or (depth if previous == "?" else 0)
            elif text == ")":
                filter_depth = 0 if depth == filter_depth else filter_depth
                depth -= 1
            elif text.lower() in _PREDICATES and previous != "." and not filter_depth:
                return True
            if depth == 0:
                return False
            previous = text
        return True

    def _operand(self) -> Operand:
        return self._chain(_SUMS, lambda: self._chain(_PRODUCTS, self._signed))

    def _chain(self, operators: frozenset[str], part: Callable[[], Operand]) -> Operand:
        """Operands with operators of one precedence between them, from left to right."""
        operand = part()
        while (operator := self._peek()) is not None and operator in operators:
            self._count_operator(self._advance())
            operand = Arithmetic(operator, operand, part())
        return operand

    def _count_operator(self, at: int) -> None:
        self._operators += 1
        if self._operators > _MAX_OPERATORS:
            raise self._refused(f"has more than {_MAX_OPERATORS} arithmetic operators", at)

    def _signed(self) -> Operand:
        sign = self._peek()
        if sign is None or sign not in _SUMS:
            return self._factor()
        at = self._advance()
        digits = self._accept_kind("number")
        if digits is not None:
            return Literal(number(sign.strip("+") + digits.text, digits.column))
        self._count_operator(at)
        return Signed(sign, self._signed())

    def _factor(self) -> Operand:
        text = self._peek()
        if text in {"$", "@"}:
            return self._path()
        if text is not None and text in _CONSTANTS:
            self._next += 1
            return Literal(_CONSTANTS[text])
        if self._accept("("):
            return self._after_group(self._grouped_operand(), self._next)
        digits = self._accept_kind("number")
        return Literal(number(digits.text, digits.column) if digits is not None else self._text("a path or a value"))

    def _after_group(self, group: Operand, at: int) -> Operand:
        """What is in parentheses, or the path that begins there."""
        if self._peek() not in _ACCESSORS:
            return group
        root, steps = (group.root, list(group.steps)) if isinstance(group, Path) else (group, [])
        return self._path_from(root, steps, at)

    def _grouped_operand(self) -> Operand:
        self._deepen()
        operand = self._operand()
        self._depth -= 1
        self._expect(")")
        return operand

    def _path(self) -> Path:
        root = self._peek()
        if root is None or root not in self._roots:
            raise self._unexpected(f"a path must begin with {self._roots[0]} here")
        return self._path_from(root, [], self._advance())

    def _path_from(self, root: str | Operand, steps: list[Step], at: int) -> Path:
        while (step := self._step()) is not None:
            steps.append(step)
            if len(steps) > limits.MAX_JSON_DEPTH:
                raise self._refused(f"has a path of more than {limits.MAX_JSON_DEPTH} steps", at)
        path = Path(root, tuple(steps))
        if _spread(path) > _MAX_SPANS:
            raise self._refused(f"has more than {_MAX_SPANS} positions in one path, or ** beside others", at)
        if any(isinstance(step, Descendants) for step in steps) and any(map(_is_numeric, steps)):
            # PostgreSQL would overlook what does not fit at the level where it begins.
            raise self._refused("has ** and a numeric method in the same path", at)
        self.longest = max(self.longest, len(steps))
        return path

    def _step(self) -> Step | None:
        if self._accept("."):
            return self._member()
        if self._accept("["):
            return self._subscript()
        if self._accept("?"):
            if self._roots == ("@",):
                raise self._refused("has a filter within a filter", self._next - 1)
            self._roots = ("@",)
            self._expect("(")
            inner = self._disjunction()
            self._expect(")")
            self._roots = ("$",)
            return Where(inner)
        return None

    def _member(self) -> Step:
        if self._accept("*"):
            return Key(None)
        if self._accept("**"):
            return self._descent()
        at, name = self._next, self._accept_kind("word")
        if name is None or name.text in {"$", "@"}:
            return Key(self._text("a member's name"))
        if not self._accept("("):
            return Key(name.text)
        if name.text.lower() not in _METHODS:
            known = ", ".join(f"{method}()" for method in _METHODS)
            raise self._refused(f"calls the unknown method {brief(name.text)}(); known methods are {known}", at)
        self._expect(")")
        return Method(name.text.lower())

    def _descent(self) -> Step:
        if self._roots == ("@",):
            raise self._refused("has ** within a filter", self._next - 1)
        self.descends = True
        if not self._accept("{"):
            return Descendants()
        first, last = self._range(self._level)
        self._expect("}")
        return Descendants(first, last)

    def _level(self) -> int:
        return -1 if self._accept("last") else self._whole_number()

    def _subscript(self) -> Step:
        if self._accept("*"):
            self._expect("]")
            return Elements()
        spans = [self._range(self._index)]
        while self._accept(","):
            spans.append(self._range(self._index))
        self._expect("]")
        return Index(tuple(spans))

    def _range(self, end: Callable[[], int]) -> tuple[int, int]:
        first = end()
        return (first, end()) if self._accept("to") else (first, first)

    def _index(self) -> int:
        if self._accept("last"):
            return -1 - (self._whole_number() if self._accept("-") else 0)
        return self._whole_number()

    def _whole_number(self) -> int:
        token = self._token
        digits = token.text if token is not None and token.kind == "number" else ""
        if not digits.isdigit() or len(digits) > 7 or int(digits) > _MAX_POSITION:
            raise self._unexpected("a position must be a small whole number or last")
        self._next += 1
        return int(digits)

    def _text(self, expected: str = "a string in double quotes") -> str:
        text = self._accept_kind("text")
        if text is None:
            raise self._unexpected(f"{expected} is expected")
        return unquoted(text.text, text.column)

    @property
    def _token(self) -> Token | None:
        """The next one."""
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _peek(self) -> str | None:
        return None if self._token is None else self._token.text

    def _next_is(self, text: str) -> bool:
        """Whether that comes next. Words of the grammar are written in any case, all but true, false and null."""
        upcoming = self._peek()
        return upcoming is not None and upcoming.lower() == text

    def _accept(self, text: str) -> bool:
        """Pass over the next token if that is it."""
        if not self._next_is(text):
            return False
        self._next += 1
        return True

    def _accept_kind(self, kind: str) -> Token | None:
        """Pass over the next token if it is of that kind, and return it."""
        token = self._token
        if token is None or token.kind != kind:
            return None
        self._next += 1
        return token

    def _advance(self) -> int:
        """Pass over the next token, whatever it is; returns its position among them."""
        self._next += 1
        return self._next - 1

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._unexpected(f"{text} is expected")

    def _unexpected(self, hint: str) -> Fault:
        return unexpected(self._token, hint)

    def _refused(self, why: str, at: int) -> Fault:
        return refused(why, self._tokens[at].column)


def _leads_to_many(step: Step) -> bool:
    """Whether it may lead to several values where arrays are not looked into."""
    match step:
        case Key(name):
            return name is None
        case Index(spans):
            return len(spans) > 1 or spans[0][0] != spans[0][1]
    return isinstance(step, Elements | Descendants)


def _is_numeric(step: Step) -> bool:
    return isinstance(step, Method) and step.name in NUMERIC


def _spread(operand: str | Operand) -> int:
    """How often an operand goes over the document, or over what it has computed of it."""
    match operand:
        case Path(root, steps):
            return _spread(root) * math.prod(map(_breadth, steps))
        case Signed(_, part):
            return _spread(part)
    return 1


def _breadth(step: Step) -> int:
    """How often a step goes over what is below it. What a ** finds lies within other things that it finds."""
    if isinstance(step, Index):
        return len(step.spans)
    return _MAX_SPANS if isinstance(step, Descendants) else 1
