"""Predicates as trees: the nodes, and a walk that changes texts in them."""

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct

Scalar: TypeAlias = str | int | float | bool | None


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
