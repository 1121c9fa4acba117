"""The native filter language, a subset of AIP-160, from text to `query.Filter`.

    status = ACTIVE AND tags:"production" AND metadata.location = "warehouse-*" AND NOT (name:spare OR -last_seen:*)

This module owns the grammar and every message about it. It knows fields only from the caller's table, and what a
filter means only as the operators of `query`. Each refusal is a Fault `invalid_filter` with the 1-based column of
the offending token, in `details` and in the sentence.
"""

import math
import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from fleetroll.core import limits
from fleetroll.core.faults import Fault, invalid
from fleetroll.core.query import (
    SEARCHED,
    And,
    Comparison,
    Field,
    Fields,
    FieldType,
    Filter,
    Not,
    Operator,
    Or,
    Pattern,
    Search,
    Value,
)
from fleetroll.core.times import parse_rfc3339

# Tab and line ends separate terms; the rest of the controls, and halves of surrogate pairs, belong in no text of ours.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# A bare time needs its own shape, as a colon ends any other word. A quoted part of a word is a key after its dot.
# No alternative can match the same text in two ways, so scanning is linear.
_TOKEN = re.compile(
    r"""(?P<string>"[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*')
      |(?P<comparator>[<>!]?=|[<>:])
      |(?P<open>\()
      |(?P<close>\))
      |(?P<word>[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][^\s()"'<>=!,\\]*
               |[^\s()"'<>=!:,\\]+(?:(?<=\.)"[^"\\]*(?:\\.[^"\\]*)*"[^\s()"'<>=!:,\\]*)*)
      |(?P<bad>\S)""",
    re.VERBOSE | re.DOTALL,
)
_SEGMENT = re.compile(r'(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^."]+))(\.|\Z)', re.DOTALL)
_PIECE = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\.|\*|[^\\*]+", re.DOTALL)
_ESCAPES = {'\\"': '"', "\\'": "'", "\\\\": "\\", "\\*": "*", "\\n": "\n", "\\t": "\t"}
_INTEGER = re.compile(r"-?[0-9]+")
_HIGHEST = (1 << 63) - 1  # of a field's own; a document may hold higher numbers
# Also as people write numbers and JSON does not: with a plus, or without a digit before or after the point.
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?")
# Of a regular expression's `=~`, or a sign apart from its number: taken as text, the rest would be searched for.
_NO_VALUE = re.compile(r"~.*|[+-]")

_KEYWORDS = frozenset({"AND", "OR", "NOT"})
# Words that nobody searches for; taken as text they would silently change what the filter means.
_NEAR_KEYWORDS = {"and": "AND", "or": "OR", "not": "NOT", "&&": "AND", "||": "OR"}
_DATE = re.compile("[0-9-]{10}")
_NEVER_NULL = {FieldType.BOOLEAN, FieldType.ENUM}
_CONSTANTS = {"true": True, "false": False, "null": None}

_ORDER = {"<": Operator.LT, "<=": Operator.LE, ">": Operator.GT, ">=": Operator.GE}
_ORDERED = {"=": Operator.EQ, ":": Operator.EQ, **_ORDER}
# What each comparator means for each type. `!=` is absent because it is the negation of `=`.
_OPERATORS: dict[FieldType, dict[str, Operator]] = {
    FieldType.TEXT: {"=": Operator.EQ, ":": Operator.CONTAINS, **_ORDER},
    FieldType.ENUM: {"=": Operator.EQ, ":": Operator.EQ},
    FieldType.INTEGER: _ORDERED,
    FieldType.BOOLEAN: {"=": Operator.EQ, ":": Operator.EQ},
    FieldType.TIME: _ORDERED,
    FieldType.SET: {"=": Operator.HAS, ":": Operator.HAS},
    FieldType.DOCUMENT: {"=": Operator.EQ, ":": Operator.CONTAINS, **_ORDER},
}


class _Token(Struct, frozen=True):
    kind: str
    text: str
    start: int
    end: int


class _Literal(Struct, frozen=True):
    """A value as written: the pieces between its wildcards. Only a bare word can be a number, a constant or `*`."""

    pieces: tuple[str, ...]
    bare: bool
    start: int

    @property
    def text(self) -> str:
        return "*".join(self.pieces)


def parse_filter(text: str, fields: Fields) -> Filter | None:
    """The filter that `text` asks for, None if it is blank. Raises Fault `invalid_filter`, and nothing else."""
    if len(text) > limits.MAX_FILTER:
        raise _refused("Filter too long", limits.MAX_FILTER, f"at most {limits.MAX_FILTER} characters are allowed")
    _refuse_controls(text)
    tokens = list(_tokens(text))
    return _Parser(tokens, fields).filter() if len(tokens) > 1 else None


def _refused(problem: str, start: int, hint: str = "") -> Fault:
    column = start + 1
    sentence = f"{problem} at column {column}; {hint}." if hint else f"{problem} at column {column}."
    return invalid("invalid_filter", sentence, "filter", column=column)


def _unexpected(token: _Token, hint: str) -> Fault:
    problem = "Unexpected end of the filter" if token.kind == "end" else f"Unexpected {_quoted(token.text)}"
    return _refused(problem, token.start, hint)


def _quoted(text: str) -> str:
    text = text if len(text) <= 40 else f"{text[:40]}…"
    return text if text.startswith(('"', "'")) else f'"{text}"'


def _refuse_controls(text: str, escaped_at: int | None = None) -> None:
    match = _FORBIDDEN.search(text)
    if match:
        start = match.start() if escaped_at is None else escaped_at
        raise _refused(f"Forbidden character U+{ord(match.group()):04X}", start)


def _tokens(text: str) -> Iterator[_Token]:
    """Ends with a token of kind `end`. Keywords are their own kind, and so is a minus that opens a term."""
    previous = ""
    for match in _TOKEN.finditer(text):
        kind, word, start, end = str(match.lastgroup), match.group(), match.start(), match.end()
        if kind == "bad":
            raise _stray(word, start)
        while word[0] == "-" and previous != "comparator":
            yield _Token("minus", "-", start, start + 1)
            word, start = word[1:], start + 1
            if not word:
                break
        if word:
            kind = word if word in _KEYWORDS else kind
            yield _Token(kind, word, start, end)
        previous = kind
    yield _Token("end", "", len(text), len(text))


def _stray(character: str, start: int) -> Fault:
    if character in "\"'":
        return _refused("Unclosed string", start)
    return _refused(f"Unexpected {character}", start, "quote text with special characters")


class _Parser:
    """Recursive descent over the tokens; only parentheses recurse, and `limits` bounds their depth."""

    def __init__(self, tokens: list[_Token], fields: Fields) -> None:
        self._tokens = tokens
        self._fields = fields
        self._at = 0
        self._depth = 0
        self._restrictions = 0

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def filter(self) -> Filter:
        filter = self._conjunction()
        if self._token.kind != "end":
            raise _unexpected(self._token, "no parenthesis is open")
        return filter

    def _conjunction(self) -> Filter:
        # A space and AND mean the same, and OR binds tighter than both, so one loop does for AIP-160's two levels.
        parts = [self._disjunction()]
        while self._token.kind not in {"end", "close"}:
            if self._token.kind == "AND":
                self._at += 1
            elif self._token.start == self._tokens[self._at - 1].end:
                raise _unexpected(self._token, "separate terms with spaces, and quote text with special characters")
            parts.append(self._disjunction())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _disjunction(self) -> Filter:
        parts = [self._term()]
        while self._token.kind == "OR":
            self._at += 1
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _term(self) -> Filter:
        negated = False
        while self._token.kind in {"NOT", "minus"}:
            sign = self._take()
            if sign.kind == "minus" and self._token.start != sign.end:
                raise _unexpected(sign, "a minus negates the term that it touches")
            negated = not negated
        part = self._group() if self._token.kind == "open" else self._restriction()
        return Not(part) if negated else part

    def _group(self) -> Filter:
        opened = self._take()
        self._depth += 1
        if self._depth > limits.MAX_FILTER_DEPTH:
            hint = f"at most {limits.MAX_FILTER_DEPTH} levels are allowed"
            raise _refused("Filter nested too deeply", opened.start, hint)
        part = self._conjunction()
        if self._token.kind != "close":
            raise _refused("Unclosed parenthesis", opened.start)
        self._at += 1
        self._depth -= 1
        return part

    def _restriction(self) -> Filter:
        token = self._take()
        if token.kind not in {"word", "string"}:
            raise _unexpected(token, "a term was expected here")
        self._restrictions += 1
        if self._restrictions > limits.MAX_PREDICATES:
            raise _refused("Too many terms", token.start, f"at most {limits.MAX_PREDICATES} are allowed")
        if self._token.kind != "comparator":
            _refuse_field(token, self._fields)
            if not self._fields.keys() >= set(SEARCHED):
                raise _unexpected(token, "there is nothing to search here; compare a field")
            return _search(token)
        return self._comparison(token, self._take(), self._take())

    def _comparison(self, subject: _Token, comparator: _Token, value: _Token) -> Filter:
        field, path = _subject(subject, self._fields)
        if value.kind not in {"word", "string"}:
            raise _unexpected(value, f'a value was expected after "{comparator.text}"')
        if _NO_VALUE.fullmatch(value.text):
            raise _unexpected(value, "quote it if it is the value")
        literal = _literal(value)
        if comparator.text == "!=":
            return Not(_compared(field, path, "=", comparator, literal))
        return _compared(field, path, comparator.text, comparator, literal)


def _refuse_field(token: _Token, fields: Fields) -> None:
    """A field that is compared with nothing would be searched for, and `NOT connected` would find every device."""
    name, dot, _ = token.text.partition(".")
    if name in fields and (not dot or fields[name].type is FieldType.DOCUMENT):
        compared = f"{token.text} = true" if fields[name].type is FieldType.BOOLEAN else f"{token.text}:*"
        raise _unexpected(token, f"compare it, as in {compared}, or quote a word to search for it")


def _search(token: _Token) -> Search:
    if token.text in _NEAR_KEYWORDS:
        raise _unexpected(token, f"write {_NEAR_KEYWORDS[token.text]}, or quote a word to search for it")
    return Search(_plain(_literal(token), "a search already finds the text anywhere"))


def _subject(token: _Token, fields: Fields) -> tuple[Field, tuple[str, ...]]:
    if token.kind == "string":
        raise _unexpected(token, "a field name is written without quotes")
    name, *path = _segments(token)
    field = fields.get(name)
    if field is None:
        raise _refused(f"Unknown field {_quoted(name)}", token.start, f"known fields are {', '.join(fields)}")
    if path and field.type is not FieldType.DOCUMENT:
        raise _refused(f"Field {name} has no parts", token.start, "only a document is followed by a path")
    if len(path) > limits.MAX_JSON_DEPTH:
        raise _refused("Path too long", token.start, f"at most {limits.MAX_JSON_DEPTH} keys are allowed")
    return field, tuple(path)


def _segments(token: _Token) -> list[str]:
    if token.text.isidentifier():
        return [token.text]
    segments, position, dot = [], 0, "."
    while dot:
        match = _SEGMENT.match(token.text, position)
        if match is None:
            hint = 'keys are separated by dots, as in a.b or a."my key".b'
            raise _refused(f"Malformed path {_quoted(token.text)}", token.start, hint)
        quoted, plain, dot = match.groups()
        segments.append(_key(plain if quoted is None else quoted, token.start + match.start() + (quoted is not None)))
        position = match.end()
    return segments


def _key(body: str, start: int) -> str:
    return _plain(_Literal(_pieces(body, start), bare=True, start=start), "a path names one key at a time")


def _literal(token: _Token) -> _Literal:
    if token.kind == "string":
        return _Literal(_pieces(token.text[1:-1], token.start + 1), bare=False, start=token.start)
    if '"' in token.text:
        raise _refused(f"Unexpected quote in {_quoted(token.text)}", token.start, "put the whole value in quotes")
    return _Literal(tuple(token.text.split("*")), bare=True, start=token.start)


def _pieces(body: str, start: int) -> tuple[str, ...]:
    """The text between the unescaped stars, with escapes decoded."""
    if "\\" not in body:
        return tuple(body.split("*"))
    pieces = [""]
    for match in _PIECE.finditer(body):
        if match.group() == "*":
            pieces.append("")
        else:
            pieces[-1] += _decoded(match.group(), start + match.start())
    return tuple(pieces)


def _decoded(piece: str, start: int) -> str:
    if piece[0] != "\\":
        return piece
    if len(piece) > 2:
        return _decoded_units(piece, start)
    if piece not in _ESCAPES:
        hint = rf"known escapes are {' '.join(_ESCAPES)} and \u with four hex digits"
        raise _refused(f"Unknown escape {piece}", start, hint)
    return _ESCAPES[piece]


def _decoded_units(piece: str, start: int) -> str:
    # A run is decoded as a whole, because two escapes can be the halves of one character.
    try:
        text = bytes.fromhex(piece.replace("\\u", "")).decode("utf-16-be")
    except UnicodeDecodeError:
        raise _refused("Half of a surrogate pair", start) from None
    _refuse_controls(text, start)
    return text


def _compared(field: Field, path: tuple[str, ...], symbol: str, comparator: _Token, literal: _Literal) -> Filter:
    if (presence := _presence(field, path, symbol, literal)) is not None:
        return presence
    operator = _OPERATORS[field.type].get(symbol)
    if operator is None:
        allowed = " ".join(("!=", *_OPERATORS[field.type]))
        raise _refused(f'"{symbol}" does not apply to {field.name}', comparator.start, f"use one of {allowed}")
    if field.type is FieldType.DOCUMENT and not path:
        return Comparison(field.name, Operator.HAS, _whole_key(field, symbol, literal))
    value = _READERS[field.type](field, operator, literal)
    if path and symbol not in _ORDER:
        return _within(field, path, symbol, literal, value)
    return Comparison(field.name, _suited(operator, value, comparator), value, path)


def _presence(field: Field, path: tuple[str, ...], symbol: str, literal: _Literal) -> Filter | None:
    """Whether there is a value, if that is asked."""
    exists = Comparison(field.name, Operator.EXISTS, None, path)
    if literal.text == "" and symbol == "=" and field.type is FieldType.TEXT:
        return Or((Not(exists), Comparison(field.name, Operator.EQ, "")))
    if not literal.bare:
        return None
    # What is at a path may be no text, so there a star after = asks the same as after a colon.
    if literal.pieces == ("", "") and (symbol == ":" or (symbol == "=" and path)):
        return exists
    is_null = literal.text.lower() == "null" and symbol == "=" and not path
    return Not(exists) if is_null and field.type not in _NEVER_NULL else None


def _within(field: Field, path: tuple[str, ...], symbol: str, literal: _Literal, value: Value) -> Filter:
    """A value, or a list that has it; with a colon also what else has it: a longer text, or an object with such a key.

    Nobody knows before what devices have at a path, so a bare number, constant or null also stands for its text.
    """
    text = value if isinstance(value, str | Pattern) else literal.text
    if symbol == ":":
        of_text = [Operator.CONTAINS, Operator.ELEMENT, Operator.HAS]
    else:
        of_text = [Operator.LIKE if isinstance(text, Pattern) else Operator.EQ, Operator.ELEMENT]
    alternatives = [Comparison(field.name, operator, text, path) for operator in of_text]
    if value != text:
        alternatives += [Comparison(field.name, operator, value, path) for operator in (Operator.EQ, Operator.ELEMENT)]
    return Or(tuple(alternatives))


def _whole_key(field: Field, symbol: str, literal: _Literal) -> str:
    if symbol != ":":
        hint = f"compare one of its keys, as in {field.name}.key"
        raise _refused(f"Document {field.name} compared as a whole", literal.start, hint)
    return _plain(literal, "a document's key is named in full")


def _suited(operator: Operator, value: Value, comparator: _Token) -> Operator:
    """The operator that suits the value, whose type is not known before where the field is a document."""
    if isinstance(value, Pattern) and operator is Operator.EQ:
        return Operator.LIKE
    if isinstance(value, bool | None) and operator in _ORDER.values():
        raise _unexpected(comparator, "true, false and null have no order")
    return operator


def _plain(literal: _Literal, reason: str) -> str:
    if len(literal.pieces) > 1:
        raise _refused("No wildcard is possible", literal.start, rf'{reason}; write "\*" for a star')
    return literal.pieces[0]


def _text(field: Field, operator: Operator, literal: _Literal) -> str | Pattern:
    if operator not in {Operator.EQ, Operator.HAS}:
        return _plain(literal, "it needs = or !=")
    if len(literal.pieces) == 1:
        return literal.pieces[0]
    first, *middle, last = literal.pieces
    return Pattern((first, *filter(None, middle), last))


def _choice(field: Field, operator: Operator, literal: _Literal) -> str:
    if literal.text not in field.choices:
        hint = f"known values are {', '.join(field.choices)}"
        raise _refused(f"Unknown {field.name} {_quoted(literal.text)}", literal.start, hint)
    return literal.text


def _integer(field: Field, operator: Operator, literal: _Literal) -> int:
    if not _INTEGER.fullmatch(literal.text):
        raise _refused(f"{field.name} takes a whole number, not {_quoted(literal.text)}", literal.start)
    return _bounded(literal, _HIGHEST, "whole numbers have at most 64 bits, one for the sign")


def _bounded(literal: _Literal, most: int, hint: str) -> int:
    number = int(literal.text)
    if not limits.MIN_INTEGER <= number <= most:
        raise _refused("Number out of range", literal.start, hint)
    return number


def _boolean(field: Field, operator: Operator, literal: _Literal) -> bool:
    value = _CONSTANTS.get(literal.text.lower())
    if value is None:
        raise _refused(f"{field.name} takes true or false, not {_quoted(literal.text)}", literal.start)
    return value


def _time(field: Field, operator: Operator, literal: _Literal) -> int:
    value = parse_rfc3339(literal.text)
    if value is None:
        hint = "write 2026-01-31, 2026-01-31T12:00:00Z or 2026-01-31T12:00:00.123456+01:00"
        raise _refused(f"{field.name} takes a time, not {_quoted(literal.text)}", literal.start, hint)
    if operator is Operator.EQ and _DATE.fullmatch(literal.text):
        hint = "a date is its midnight, UTC: ask for a day by >= and < the next"
        raise _refused(f"{field.name} compared with a date", literal.start, hint)
    return value


def _scalar(field: Field, operator: Operator, literal: _Literal) -> Value:
    if literal.bare and literal.text.lower() in _CONSTANTS:
        return _CONSTANTS[literal.text.lower()]
    number = _NUMBER.fullmatch(literal.text) if literal.bare else None
    if number is None:
        return _text(field, operator, literal)
    if not any(number.groups()):
        return _bounded(literal, limits.MAX_INTEGER, "whole numbers in documents have at most 64 bits")
    value = float(literal.text)
    if math.isinf(value):
        raise _refused("Number out of range", literal.start)
    return value


_READERS: dict[FieldType, Callable[[Field, Operator, _Literal], Value]] = {
    FieldType.TEXT: _text,
    FieldType.ENUM: _choice,
    FieldType.INTEGER: _integer,
    FieldType.BOOLEAN: _boolean,
    FieldType.TIME: _time,
    FieldType.SET: _text,
    FieldType.DOCUMENT: _scalar,
}
if not (_OPERATORS.keys() == _READERS.keys() == set(FieldType)):
    raise LookupError("every field type needs its operators and its reader")
